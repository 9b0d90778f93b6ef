// `npm run dead-letters`: messages that could not become records are listed, looked at, and replayed, over HTTPS like any client does. With the fleet of
// this clone as its user `platform`; elsewhere with BIZ_GATEWAY, BIZ_TOKEN and, for an authority of its own, BIZ_CA_FILE.
import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { parseJson } from '@biz/json';
import { type Ask, gatewayClient, shown } from './client.ts';
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
  const { ask } = await gatewayClient('a data protection officer of the platform');
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
