import { existsSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, isAbsolute, join, relative } from 'node:path';
import { loadSync } from '@grpc/proto-loader';
import protobuf from 'protobufjs';
import type { Contract, FieldModel, FieldType, MessageModel, MethodModel, ServiceModel } from './model.ts';
import { fieldRules, httpBinding, methodRules } from './options.ts';

/** Folder that holds `biz/` and `google/rpc/`. */
export const protoRoot = dirname(import.meta.dirname);

/** Folder with `google/api/annotations.proto`, which protobufjs ships. */
const googleRoot = dirname(createRequire(import.meta.url).resolve('protobufjs/package.json'));

const scalarTypes: Record<string, FieldType> = {
  string: 'string',
  bool: 'bool',
  int32: 'int32',
  sint32: 'int32',
  uint32: 'uint32',
  int64: 'int64',
  uint64: 'int64',
  sint64: 'int64',
  double: 'double',
  float: 'double',
  bytes: 'bytes',
};

/**
 * Reads every `.proto` below the project's `biz/` (or another root's: an earlier release) and below `dirs`, and returns the model that the
 * gateway and the services derive everything from. Throws an Error that names the file or the element at fault.
 */
export function loadContract(options: { readonly dirs?: readonly string[]; readonly root?: string } = {}): Contract {
  const { dirs = [], root: folder = protoRoot } = options;
  const includeDirs = [...dirs, folder, googleRoot];
  const files = [...protoFiles(join(folder, 'biz')), ...dirs.flatMap(protoFiles)];
  const root = parse(files, includeDirs);
  const builder = new ModelBuilder();
  const services = servicesIn(root).map((service) => builder.service(service));
  assertDistinctRoutes(services);
  return {
    services,
    packageDefinition: loadSync(files, {
      keepCase: true,
      longs: Number,
      enums: String,
      defaults: false,
      arrays: false,
      objects: false,
      oneofs: false,
      includeDirs,
    }),
    service: (fullName) =>
      found(
        services.find((service) => service.fullName === fullName),
        fullName,
      ),
    message: (fullName) => builder.message(root.lookupType(fullName)),
  };
}

function protoFiles(dir: string): string[] {
  return readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.proto'))
    .sort()
    .map((file) => join(dir, file));
}

function parse(files: string[], includeDirs: readonly string[]): protobuf.Root {
  const root = new protobuf.Root();
  root.resolvePath = (_origin, target) => {
    if (isAbsolute(target)) return target;
    return includeDirs.map((dir) => join(dir, target)).find((path) => existsSync(path)) ?? null;
  };
  root.loadSync(canonicalNames(files, includeDirs), { keepCase: true, alternateCommentMode: true });
  root.resolveAll();
  return root;
}

/** Names files as imports name them, so that protobufjs does not read one file twice under two names. */
function canonicalNames(files: string[], includeDirs: readonly string[]): string[] {
  return files.map((file) => {
    const dir = includeDirs.find((candidate) => !relative(candidate, file).startsWith('..'));
    return dir === undefined ? file : join(dir, relative(dir, file));
  });
}

function servicesIn(namespace: protobuf.NamespaceBase): protobuf.Service[] {
  return namespace.nestedArray.flatMap((nested) => {
    if (nested instanceof protobuf.Service) return [nested];
    return nested instanceof protobuf.Namespace ? servicesIn(nested) : [];
  });
}

function found<T>(value: T | undefined, name: string): T {
  if (value === undefined) throw new Error(`The contract has no ${name}.`);
  return value;
}

function assertDistinctRoutes(services: readonly ServiceModel[]): void {
  const seen = new Map<string, string>();
  for (const method of services.flatMap((service) => service.methods)) {
    if (!method.http) continue;
    const route = `${method.http.verb} ${method.http.path.replaceAll(/\{[^}]*\}/g, '{}')}`;
    const other = seen.get(route);
    if (other) throw new Error(`${method.path} and ${other} have the same route: ${route}`);
    seen.set(route, method.path);
  }
}

class ModelBuilder {
  readonly #messages = new Map<string, MessageModel>();
  readonly #building = new Set<string>();

  service(service: protobuf.Service): ServiceModel {
    const fullName = service.fullName.slice(1);
    const methods: MethodModel[] = [];
    const model: ServiceModel = {
      fullName,
      name: service.name,
      process: (fullName.split('.')[1] ?? fullName).replaceAll('_', '-'),
      comment: service.comment ?? '',
      methods,
    };
    for (const method of service.methodsArray) methods.push(this.#method(model, method));
    return model;
  }

  #method(service: ServiceModel, method: protobuf.Method): MethodModel {
    if (!method.resolvedRequestType || !method.resolvedResponseType) throw new Error(`${method.fullName}: unknown message type`);
    const request = this.message(method.resolvedRequestType);
    const http = httpBinding(method);
    for (const param of http?.params ?? [])
      found(
        request.fields.find((field) => field.name === param),
        `${request.fullName}.${param}`,
      );
    return {
      name: method.name,
      path: `/${service.fullName}/${method.name}`,
      service,
      comment: method.comment ?? '',
      request,
      response: this.message(method.resolvedResponseType),
      responseStream: method.responseStream ?? false,
      http,
      rules: methodRules(method),
    };
  }

  message(type: protobuf.Type): MessageModel {
    const fullName = type.fullName.slice(1);
    const known = this.#messages.get(fullName);
    if (known) return known;
    if (this.#building.has(fullName)) throw new Error(`${fullName} contains itself, which no schema of ours can say`);
    this.#building.add(fullName);
    const fields: FieldModel[] = [];
    const model: MessageModel = { fullName, name: type.name, comment: type.comment ?? '', fields };
    for (const field of type.fieldsArray) fields.push(this.#field(field.resolve()));
    this.#messages.set(fullName, model);
    return model;
  }

  #field(field: protobuf.Field): FieldModel {
    if (field.resolvedType instanceof protobuf.Enum) {
      throw new Error(`${field.fullName}: no enums; a bad value silently becomes 0. Use a string with the rule "in".`);
    }
    const message = field.resolvedType ? this.message(field.resolvedType) : undefined;
    const type = message ? 'message' : scalarTypes[field.type];
    if (!type) throw new Error(`${field.fullName}: the type ${field.type} is not supported`);
    return {
      name: field.name,
      type,
      message,
      repeated: field.repeated,
      map: field.map,
      optional: field.getOption('proto3_optional') === true,
      rules: fieldRules(field),
      comment: field.comment ?? '',
    };
  }
}
