// `npm run dead-letters`: messages that could not become records are listed, looked at, and replayed, over HTTPS like any client does. With the fleet of
// this clone as its user `platform`; elsewhere with BIZ_GATEWAY, BIZ_TOKEN and, for an authority of its own, BIZ_CA_FILE.
import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { parseJson } from '@biz/json';
import { jsonRequest } from './https.ts';
import { passwordToken } from './keycloak-realm.ts';
import { layoutOf } from './layout.ts';
import { readRunFile } from './run-file.ts';
import { columns } from './table.ts';

const usage = `usage: npm run dead-letters -- list [--code CODE] [--status open|replayed]
       npm run dead-letters -- show ID [--raw]          --raw: nothing but the message's bytes
       npm run dead-letters -- replay ID [--file FILE]  the corrected envelope; without one the message as it is`;

process.exitCode = await main(process.argv.slice(2)).catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : String(error));
  return 1;
});

async function main(args: string[]): Promise<number> {
  const { command, id, values } = read(args);
  const ask = await client();
  if (command === 'list') await list(ask, values);
  else if (command === 'show') await show(ask, id, values.raw === true);
  else await replay(ask, id, values.file);
  return 0;
}

function read(args: string[]) {
  const options = { code: { type: 'string' }, status: { type: 'string' }, raw: { type: 'boolean' }, file: { type: 'string' } } as const;
  try {
    const { positionals, values } = parseArgs({ args, options, allowPositionals: true });
    const [command = '', id = '', ...rest] = positionals;
    const known = command === 'list' ? id === '' : ['show', 'replay'].includes(command) && id !== '';
    if (!known || rest.length > 0) throw new Error('no such command');
    return { command, id, values };
  } catch (error) {
    throw new Error(`${(error as Error).message}\n${usage}`);
  }
}

type Ask = (method: string, path: string, body?: string) => Promise<unknown>;

/** Asks the gateway; an answer that is not of success becomes an Error that says all of it. */
async function client(): Promise<Ask> {
  const { gateway, token, ca } = await place();
  return async (method, path, body) => {
    const answer = await jsonRequest({ method, url: `${gateway}${path}`, ca, token, ...(body !== undefined && { body }) });
    if (answer.status < 300) return answer.body;
    const { code = '', detail = '', errors = [] } = (answer.body ?? {}) as Problem;
    const faults = errors.map((fault) => `\n  ${shown(fault.path)}  ${shown(fault.message)}`).join('');
    throw new Error(`${answer.status} ${code}: ${shown(detail)}${faults}`);
  };
}

async function place(): Promise<{ gateway: string; token: string; ca: string | undefined }> {
  const { BIZ_GATEWAY, BIZ_TOKEN, BIZ_CA_FILE } = process.env;
  if (BIZ_GATEWAY) {
    if (!BIZ_TOKEN) throw new Error('BIZ_GATEWAY is set, but not BIZ_TOKEN: an access token of a data protection officer of the platform.');
    return { gateway: BIZ_GATEWAY, token: BIZ_TOKEN, ca: BIZ_CA_FILE ? await readFile(BIZ_CA_FILE, 'utf8') : undefined };
  }
  const layout = layoutOf();
  const run = await readRunFile(layout.runFile);
  if (run === undefined) {
    throw new Error(`The fleet of this clone does not run (${layout.folder}); "npm start" starts it. BIZ_GATEWAY names another one.`);
  }
  const username = 'platform';
  const password = run.users.find((user) => user.username === username)?.password ?? '';
  const token = await passwordToken({ url: run.keycloak_url, realm: run.realm, clientId: run.client_id, username, password });
  return { gateway: run.gateway, token, ca: await readFile(run.ca_file, 'utf8') };
}

async function list(ask: Ask, { code, status }: { code?: string | undefined; status?: string | undefined }): Promise<void> {
  const rows: string[][] = [];
  for (let token = ''; ; ) {
    const query = new URLSearchParams({
      page_size: '200',
      ...(code && { code }),
      ...(status && { status }),
      ...(token && { page_token: token }),
    });
    const page = (await ask('GET', `/v1/audit/dead-letters?${query}`)) as { items: Letter[]; next_page_token: string };
    rows.push(...page.items.map(rowOf));
    token = page.next_page_token;
    if (token === '') break;
  }
  console.log(
    rows.length === 0 ? 'There are no such dead letters.' : columns([['id', 'received', 'status', 'code', 'what'], ...rows]).join('\n'),
  );
}

function rowOf({ id, received_at, status, code, errors }: Letter): string[] {
  const [first, ...more] = errors;
  const what = first ? `${first.path} ${first.message}${more.length > 0 ? ` (and ${more.length} more)` : ''}` : '';
  return [id, received_at, status, code, shown(what.trim())];
}

async function show(ask: Ask, id: string, raw: boolean): Promise<void> {
  const { raw_base64, ...letter } = (await ask('GET', pathOf(id))) as Letter;
  const bytes = typeof raw_base64 === 'string' ? Buffer.from(raw_base64, 'base64') : undefined;
  if (raw) {
    if (bytes === undefined) throw new Error(`The bytes are not shown: ${JSON.stringify(raw_base64)}`);
    process.stdout.write(bytes);
    return;
  }
  console.log(shown(JSON.stringify(letter, null, 2)));
  console.log(bytes === undefined ? `bytes: ${JSON.stringify(raw_base64)}` : `bytes, as text:\n${shown(bytes.toString())}`);
}

async function replay(ask: Ask, id: string, file: string | undefined): Promise<void> {
  const envelope = file === undefined ? undefined : await envelopeIn(file);
  const letter = (await ask('POST', `${pathOf(id)}/replay`, envelope === undefined ? '{}' : `{"envelope":${envelope}}`)) as Letter;
  console.log(`${letter.id} was replayed as event ${shown(String(letter.replayed_event_id))}.`);
}

/** The file's text: read only to say early, and with its place, what is wrong with it; sent as it stands. */
async function envelopeIn(file: string): Promise<string> {
  const text = await readFile(file, 'utf8');
  try {
    parseJson(text);
  } catch (error) {
    throw new Error(`${file} is no JSON: ${(error as Error).message}`);
  }
  return text;
}

function pathOf(id: string): string {
  return `/v1/audit/dead-letters/${encodeURIComponent(id)}`;
}

/** Anybody may have sent it: what a terminal would take for a command, or would turn round, is shown as its number. */
function shown(text: string): string {
  return text.replaceAll(/[^\P{C}\n]|[\u2028\u2029]/gu, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`);
}

interface Letter {
  id: string;
  code: string;
  status: string;
  received_at: string;
  errors: { path: string; message: string }[];
  /** Text, or an object that says why it is not shown. */
  raw_base64: unknown;
  replayed_event_id: string | null;
}

interface Problem {
  code?: string;
  detail?: string;
  errors?: { path: string; message: string }[];
}
