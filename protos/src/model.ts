import type { PackageDefinition } from '@grpc/proto-loader';

/** Whose personal data a field is and who may see it; `(biz.field).personal` of biz/options.proto. */
export type PersonalRule = {
  readonly ownership: string;
  readonly blind: '' | 'document' | 'email';
  readonly open_to: readonly string[];
  readonly purpose: string;
};

/** `(biz.field)` of biz/options.proto with every default filled in. */
export type FieldRules = {
  readonly required: boolean;
  readonly min_len: number;
  readonly max_len: number;
  readonly pattern: string;
  readonly format: string;
  readonly in: readonly string[];
  readonly min: number | undefined;
  readonly max: number | undefined;
  readonly json: boolean;
  readonly nullable: boolean;
  readonly header: string;
  readonly output_only: boolean;
  readonly personal: PersonalRule | undefined;
  readonly example: string;
};

/** `(biz.method)` of biz/options.proto with every default filled in. */
export type MethodRules = {
  readonly roles: readonly string[];
  readonly event: string;
  readonly ownership: string;
  readonly status: number;
  readonly any_company: boolean;
  readonly merge_patch: boolean;
  readonly deadline_ms: number;
  readonly any_client: boolean;
};

export type FieldType = 'string' | 'bool' | 'int32' | 'uint32' | 'int64' | 'double' | 'bytes' | 'message';

export type FieldModel = {
  readonly name: string;
  readonly type: FieldType;
  /** Set when `type` is `message`. */
  readonly message: MessageModel | undefined;
  readonly repeated: boolean;
  /** A map with string keys; `type` is that of its values. */
  readonly map: boolean;
  /** `optional` in the proto: absent and empty are told apart. */
  readonly optional: boolean;
  readonly rules: FieldRules;
  readonly comment: string;
};

export type MessageModel = {
  readonly fullName: string;
  readonly name: string;
  readonly comment: string;
  readonly fields: readonly FieldModel[];
};

export type HttpBinding = {
  readonly verb: 'get' | 'post' | 'put' | 'patch' | 'delete';
  /** With `{param}` segments, as google.api.http writes it. */
  readonly path: string;
  readonly params: readonly string[];
  readonly body: '' | '*';
};

export type MethodModel = {
  readonly name: string;
  /** `/package.Service/Method`, the gRPC path. */
  readonly path: string;
  readonly service: ServiceModel;
  readonly comment: string;
  readonly request: MessageModel;
  readonly response: MessageModel;
  readonly responseStream: boolean;
  readonly http: HttpBinding | undefined;
  readonly rules: MethodRules;
};

export type ServiceModel = {
  readonly fullName: string;
  readonly name: string;
  /** The process that serves it, from the package: `biz.cost_center.v1` → `cost-center`. */
  readonly process: string;
  readonly comment: string;
  readonly methods: readonly MethodModel[];
};

/** Everything that the protos say, read once at start. */
export type Contract = {
  readonly services: readonly ServiceModel[];
  /** For grpc-js and the reflection service. */
  readonly packageDefinition: PackageDefinition;
  /** Throws when there is no such service. */
  service(fullName: string): ServiceModel;
  /** Throws when there is no such message. */
  message(fullName: string): MessageModel;
};

/** A field whose values are personal data, with the rule that seals it. */
export type PersonalField = PersonalRule & { readonly name: string };

/** The personal fields of a message (top level), in the order of the proto. */
export function personalFields(message: MessageModel): PersonalField[] {
  return message.fields.flatMap((field) => (field.rules.personal ? [{ name: field.name, ...field.rules.personal }] : []));
}
