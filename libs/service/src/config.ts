import { readFileSync } from 'node:fs';
import { z } from 'zod';

/** `host:port` to listen on; port 0 takes a free one. */
const listen = z.string().regex(/^[^:]+:\d+$/, 'must be host:port');

/** `name=host:port` pairs with commas between: where the other services are. */
const addresses = z
  .string()
  .default('')
  .transform((text, context) => {
    const pairs = text
      .split(',')
      .filter(Boolean)
      .map((pair) => pair.split('='));
    for (const [name, address] of pairs) {
      if (!name || !address || !/^[^:]+:\d+$/.test(address))
        context.addIssue({ code: 'custom', message: `"${name}=${address}" is not name=host:port` });
    }
    return Object.fromEntries(pairs) as Record<string, string>;
  });

/** What every process of the fleet reads from its environment. A service adds its own settings to this shape in its config.ts. */
export const baseShape = {
  ENVIRONMENT: z.string().min(1).default('local'),
  LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'silent']).default('info'),
  TLS_CA_FILE: z.string().min(1),
  TLS_CERT_FILE: z.string().min(1),
  TLS_KEY_FILE: z.string().min(1),
  /** How often those three are looked at: new ones take effect for new connections without a restart. */
  TLS_RELOAD_SECONDS: z.coerce.number().min(0.01).max(86_400).default(10),
  SERVICE_ADDRESSES: addresses,
};

/** What every gRPC service reads besides: its address, its stores, the key-encryption key. */
export const serviceShape = {
  ...baseShape,
  GRPC_LISTEN: listen,
  /** Process names that may call besides the gateway; by default every process of the fleet. */
  ALLOWED_PEERS: z
    .string()
    .default('')
    .transform((text) => text.split(',').filter(Boolean)),
  MONGODB_URL: z.string().min(1),
  KEYRING_DATABASE: z.string().min(1).default('keyring'),
  KAFKA_BROKERS: z
    .string()
    .min(1)
    .transform((text) => text.split(',')),
  AUDIT_TOPIC: z.string().min(1).default('audit'),
  KEK_FILE: z.string().optional(),
  KEK: z.string().optional(),
};

/**
 * Reads the environment once against a zod shape. A setting `NAME` may come as `NAME_FILE` (a path whose content is the value), so that
 * secrets need not stand in the environment. Throws one Error that names every fault, without repeating values.
 */
export function readConfig<Shape extends z.ZodRawShape>(shape: Shape, env: NodeJS.ProcessEnv = process.env): z.output<z.ZodObject<Shape>> {
  const names = Object.keys(shape);
  const values = Object.fromEntries(names.map((name) => [name, settingOf(name, names, env)]));
  const result = z.object(shape).safeParse(values);
  if (result.success) return result.data;
  const faults = result.error.issues.map((issue) => `  ${issue.path.join('.')}: ${issue.message}`);
  throw new Error(`The configuration (environment variables) has faults:\n${faults.join('\n')}`);
}

function settingOf(name: string, names: readonly string[], env: NodeJS.ProcessEnv): string | undefined {
  const value = env[name];
  if (value !== undefined && value !== '') return value;
  const file = env[`${name}_FILE`];
  if (!file || names.includes(`${name}_FILE`)) return undefined;
  return readFileSync(file, 'utf8').trim();
}
