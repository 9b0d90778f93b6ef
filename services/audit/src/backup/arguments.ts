import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { type ParseArgsOptionsConfig, parseArgs } from 'node:util';
import { type MongoClient, MongoServerSelectionError } from 'mongodb';
import { type LogKeys, readLogKeys } from '../verify/log-keys.ts';

/** It could not be done. */
export const FAILED = 2;
const PROGRESS_AFTER_MS = 2_000;
const PROGRESS_EVERY_MS = 5_000;

/** The options of a command; an Error with the usage says what is wrong with them. */
export function optionsOf<T extends ParseArgsOptionsConfig>(options: T, usage: string) {
  try {
    return parseArgs({ args: process.argv.slice(2), options }).values;
  } catch (error) {
    throw new Error(`${(error as Error).message}\n${usage}`);
  }
}

/** npm changes to the project's folder; files are named from where the caller was. */
export function fromCaller(path: string): string {
  return resolve(process.env.INIT_CWD ?? process.cwd(), path);
}

/** The public key as `npm run verify` takes it: text, or a file of that name. */
export async function publicKey(given: string, origin: string): Promise<LogKeys> {
  const isKey = given.includes('+') || /^([0-9a-fA-F]{64}|[A-Za-z0-9+/]{43}=)$/.test(given);
  return readLogKeys(isKey ? given : await readFile(fromCaller(given), 'utf8'), origin);
}

/** Databases of a server, without its own. */
export async function databasesOn(client: MongoClient, without: string): Promise<string[]> {
  const { databases } = await client.db('admin').admin().listDatabases({ nameOnly: true });
  return databases.map(({ name }) => name).filter((name) => !['admin', 'config', 'local', without].includes(name));
}

export function listOf(text: string | undefined): string[] | undefined {
  return text === undefined ? undefined : text.split(',').filter((name) => name !== '');
}

/** Says how far it is, for whoever waits: after two seconds, then every five, also while one step takes long. Keeps no process alive. */
export function createProgress(print: (line: string) => void): (text: string) => void {
  let newest: string | undefined;
  const say = () => newest !== undefined && print(`  … ${newest}`);
  setTimeout(() => {
    say();
    setInterval(say, PROGRESS_EVERY_MS).unref();
  }, PROGRESS_AFTER_MS).unref();
  return (text) => {
    newest = text;
  };
}

/** Runs a command to its exit code; what fails is said in one line, without a stack. */
export async function runCommand(main: () => Promise<number>): Promise<void> {
  process.exitCode = await main().catch((error: unknown) => {
    const text = error instanceof Error ? error.message : String(error);
    const away = error instanceof MongoServerSelectionError;
    console.error(away ? `The database cannot be reached (${text}): is it up, and is MONGODB_URL (or --mongodb-url) its address?` : text);
    return FAILED;
  });
}
