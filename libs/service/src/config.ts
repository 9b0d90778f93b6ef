import { z } from 'zod';
import { kafkaShape } from './kafka.ts';
import { settingOf } from './setting.ts';

/** `host:port` to listen on; port 0 takes a free one. */
const listen = z.string().regex(/^[^:]+:\d+$/, 'must be host:port');

/** One address, those of several instances with `|` between, or a name that stands for all of them (`dns:///name:port`). */
const instances = /^(?:dns:\/\/\/[^:|\s]+:\d+|[^:|\s]+:\d+(?:\|[^:|\s]+:\d+)*)$/;

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
      if (!name || !address || !instances.test(address)) {
        const forms = 'name=host:port, name=host:port|host:port or name=dns:///host:port';
        context.addIssue({ code: 'custom', message: `"${name}=${address}" is not ${forms}` });
      }
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
  /** Process names that may call besides the gateway, which always may; empty: every process of the fleet. */
  ALLOWED_PEERS: z
    .string()
    .default('')
    .transform((text) => text.split(',').filter(Boolean))
    .transform((names) => (names.length > 0 ? [...new Set(['gateway', ...names])] : [])),
  MONGODB_URL: z.string().min(1),
  KEYRING_DATABASE: z.string().min(1).default('keyring'),
  ...kafkaShape,
  AUDIT_TOPIC: z.string().min(1).default('audit'),
  KEK_FILE: z.string().optional(),
  KEK: z.string().optional(),
};

/**
 * Reads the environment once against a zod shape. A setting `NAME` may come as `NAME_FILE` (a path whose content is the value), and through
 * `withSecrets` as `NAME_SECRET`, so that secrets need not stand in the environment; in one way only. Throws one Error that names every fault,
 * without repeating values.
 */
export function readConfig<Shape extends z.ZodRawShape>(shape: Shape, env: NodeJS.ProcessEnv = process.env): z.output<z.ZodObject<Shape>> {
  const names = Object.keys(shape);
  const settings = names.map((name) => [name, settingOf(name, names, env)] as const);
  const unread = settings.flatMap(([name, setting]) => ('fault' in setting ? [{ name, fault: setting.fault }] : []));
  const values = Object.fromEntries(settings.map(([name, setting]) => [name, 'fault' in setting ? undefined : setting.value]));
  const result = z.object(shape).safeParse(values);
  if (result.success && unread.length === 0) return result.data;
  const issues = (result.error?.issues ?? []).filter((issue) => !unread.some(({ name }) => name === issue.path[0]));
  const faults = [...unread.map(({ fault }) => fault), ...issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`)];
  throw new Error(`The configuration (environment variables) has faults:\n${faults.map((fault) => `  ${fault}`).join('\n')}`);
}
