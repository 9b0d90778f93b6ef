// The offline verifier: needs the database, the checkpoints kept outside and the public key; no service, no Kafka, no private key, nothing that opens
// sealed texts. Ends with 0 when all is right, 1 when something is not, 2 when it could not be found out.
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { readConfig, withSecrets } from '@biz/service';
import { z } from 'zod';
import { connectToRead } from './connect.ts';
import { readLogKeys } from './log-keys.ts';
import { mongoSource } from './mongo-source.ts';
import { openOutside } from './outside.ts';
import { progressLine, report } from './report.ts';
import { type Locale, locales } from './sentences.ts';
import { type VerifyResult, verifyAudit } from './verify.ts';

const usage = `usage: npm run verify -- --checkpoint FILE [--key KEY] [--mongodb-url URL] [--database NAME]
  --checkpoint FILE   checkpoints kept outside the database: the service's own JSON lines, or signed notes one after another
  --mongodb-url URL   the server; MONGODB_URL says it, too, where arguments can be seen by others (or MONGODB_URL_FILE, MONGODB_URL_SECRET)
  --key KEY           who must have signed them: a vkey, a public key in base64 or hex, or a file with one or with the answer of /v1/audit/verification-key
  --origin PREFIX     what the logs are called, when the key is bare (biz-retail.local/audit)
  --restored          the store is a copy made while it ran: a batch that was being written may be unfinished
  --wait SECONDS      how long a consumer may take to finish such a batch in a store that is not a copy (30)
  --limit N           faults that are listed (100)
  --lang en|pt-BR
  --json              the whole result as JSON`;

const BAD = 1;
const FAILED = 2;
const PROGRESS_MS = 1_000;

process.exitCode = await main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : String(error));
  return FAILED;
});

async function main(): Promise<number> {
  const options = read(process.argv.slice(2));
  if (options.help) {
    console.log(usage);
    return 0;
  }
  const started = performance.now();
  const result = await verify(options);
  const seconds = (performance.now() - started) / 1_000;
  console.log(options.json ? JSON.stringify(result, null, 2) : report(result, seconds, options.locale));
  return result.ok ? 0 : BAD;
}

async function verify(options: Options): Promise<VerifyResult> {
  await using stack = new AsyncDisposableStack();
  const keys = readLogKeys(await keyText(options.key), options.origin);
  const outside = stack.use(await openOutside(options.checkpoint));
  if (outside.count === 0) throw new Error(`${options.checkpoint} has no checkpoint in it`);
  const mongo = connectToRead(options.mongodbUrl || (await urlOfEnvironment()));
  stack.defer(() => mongo.close());
  await mongo.connect().catch((error: Error) => {
    throw new Error(`The database cannot be reached: ${error.message}`, { cause: error });
  });
  let shown = 0;
  return await verifyAudit(mongoSource(mongo.db(options.database), outside), {
    keys,
    limit: options.limit,
    restored: options.restored,
    settleMs: options.waitSeconds * 1_000,
    onProgress: (progress) => {
      if (performance.now() - shown < PROGRESS_MS) return;
      shown = performance.now();
      process.stderr.write(progressLine(progress, process.stderr.isTTY));
    },
  });
}

async function urlOfEnvironment(): Promise<string> {
  const { MONGODB_URL: url } = readConfig({ MONGODB_URL: z.string().optional() }, await withSecrets(['MONGODB_URL']));
  if (!url) throw new Error(`--mongodb-url is missing (MONGODB_URL says it, too), and no fleet of this clone runs\n${usage}`);
  return url;
}

type Options = ReturnType<typeof read>;

function read(args: string[]) {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean' } as const;
  const options = {
    ...{ checkpoint: text, key: text, origin: text, 'mongodb-url': text, database: text, wait: text, limit: text, lang: text },
    ...{ restored: flag, json: flag, help: flag },
  };
  try {
    const { values } = parseArgs({ args, options });
    const { help = false, restored = false, json = false } = values;
    const [checkpoint = '', key = '', mongodbUrl = ''] = [values.checkpoint, values.key, values['mongodb-url']];
    if (!help) {
      if (checkpoint === '') throw new Error('--checkpoint is missing: a file of checkpoints kept outside the database');
      if (key === '') throw new Error('--key is missing: the public key of the checkpoints (GET /v1/audit/verification-key)');
    }
    return {
      ...{ help, restored, json, key, mongodbUrl },
      checkpoint: fromCaller(checkpoint),
      origin: values.origin ?? 'biz-retail.local/audit',
      database: values.database ?? 'audit',
      waitSeconds: numberOf('wait', values.wait ?? '30', 0),
      limit: numberOf('limit', values.limit ?? '100', 1),
      locale: localeOf(values.lang ?? 'en'),
    };
  } catch (error) {
    throw new Error(`${(error as Error).message}\n${usage}`);
  }
}

function numberOf(name: string, text: string, least: number): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < least) throw new Error(`--${name} must be a whole number from ${least}`);
  return value;
}

function localeOf(text: string): Locale {
  const found = locales.find((locale) => locale === text);
  if (found === undefined) throw new Error(`--lang must be one of ${locales.join(', ')}`);
  return found;
}

/** The key as it was given, or what is in the file of that name. */
async function keyText(given: string): Promise<string> {
  const isKey = given.includes('+') || /^([0-9a-fA-F]{64}|[A-Za-z0-9+/]{43}=)$/.test(given);
  return isKey ? given : readFile(fromCaller(given), 'utf8');
}

/** npm changes to the project's folder; files are named from where the caller was. */
function fromCaller(path: string): string {
  return resolve(process.env.INIT_CWD ?? process.cwd(), path);
}
