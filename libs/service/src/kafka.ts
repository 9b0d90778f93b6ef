import { readFileSync } from 'node:fs';
import { z } from 'zod';

/** Where Kafka is, and as whom it is spoken to. */
export const kafkaShape = {
  KAFKA_BROKERS: z
    .string()
    .min(1)
    .transform((text) => text.split(',')),
  /** Whether brokers are spoken to by TLS; they must have certificates of an authority that Node trusts, or of the one in KAFKA_TLS_CA_FILE. */
  KAFKA_TLS: z.stringbool().default(false),
  /** PEM file of the authority of the brokers' certificates; with it there is TLS. */
  KAFKA_TLS_CA_FILE: z.string().min(1).optional(),
  /** With it, KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD are needed; `plain` tells the password, and so needs TLS. */
  KAFKA_SASL_MECHANISM: z.enum(['scram-sha-512', 'scram-sha-256', 'plain']).optional(),
  KAFKA_SASL_USERNAME: z.string().min(1).optional(),
  KAFKA_SASL_PASSWORD: z.string().min(1).optional(),
};

/** What `readConfig` makes of `kafkaShape`; only the brokers are needed. */
export type KafkaConfig = { readonly KAFKA_BROKERS: readonly string[] } & {
  readonly [Name in Exclude<keyof typeof kafkaShape, 'KAFKA_BROKERS'>]?: z.output<(typeof kafkaShape)[Name]> | undefined;
};

/** How `createBus` of @biz/bus reaches the brokers. */
export interface KafkaConnection {
  brokers: string[];
  /** `ca` in PEM, when it is not one that Node trusts. */
  tls?: { ca?: string };
  sasl?: { mechanism: 'scram-sha-512' | 'scram-sha-256' | 'plain'; username: string; password: string };
}

/** Throws an Error that names the setting when they do not fit together, or the authority's file cannot be read. */
export function kafkaConnection(config: KafkaConfig): KafkaConnection {
  const { KAFKA_TLS_CA_FILE: caFile, KAFKA_SASL_MECHANISM: mechanism } = config;
  const { KAFKA_SASL_USERNAME: username, KAFKA_SASL_PASSWORD: password } = config;
  const tls = config.KAFKA_TLS || caFile ? { tls: caFile ? { ca: readFileSync(caFile, 'utf8') } : {} } : {};
  const brokers = [...config.KAFKA_BROKERS];
  if (!mechanism && !username && !password) return { brokers, ...tls };
  if (!mechanism || !username || !password) {
    throw new Error('KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD are needed together.');
  }
  if (mechanism === 'plain' && !tls.tls) {
    throw new Error(
      'KAFKA_SASL_MECHANISM: "plain" tells the password to whoever listens; set KAFKA_TLS or KAFKA_TLS_CA_FILE, or use scram-sha-512.',
    );
  }
  return { brokers, ...tls, sasl: { mechanism, username, password } };
}
