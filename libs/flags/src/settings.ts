import { z } from 'zod';

/** Settings of a process that asks for flags; README.md tells of each. */
export const flagsShape = {
  FLAGS_FILE: z.string().min(1).optional(),
  FLAGS_RELOAD_SECONDS: z.coerce.number().min(0.01).max(3_600).default(2),
  FLAGD_ADDRESS: z
    .string()
    .regex(/^[^:/]+:\d+$/, 'must be host:port')
    .optional(),
  FLAGD_TLS: z.stringbool().default(false),
  FLAGD_TLS_CA_FILE: z.string().min(1).optional(),
};

export type FlagsSettings = z.output<z.ZodObject<typeof flagsShape>>;
