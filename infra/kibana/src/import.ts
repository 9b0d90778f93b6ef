import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { objectFiles } from './files.ts';

const TIMEOUT_MS = 60_000;

/**
 * Imports every saved object into the Kibana at `url`, by its saved objects API; those of an earlier version are replaced, what people made
 * themselves stays. Throws with Kibana's words when it refuses one.
 */
export async function importObjects(url: string): Promise<void> {
  for (const file of await objectFiles()) {
    const form = new FormData();
    form.append('file', new Blob([await readFile(file)], { type: 'application/ndjson' }), basename(file));
    const answer = await fetch(`${url.replace(/\/+$/, '')}/api/saved_objects/_import?overwrite=true`, {
      method: 'POST',
      headers: { 'kbn-xsrf': 'biz-retail' },
      body: form,
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    const text = await answer.text();
    const { success = false } = answer.ok ? (JSON.parse(text) as { success?: boolean }) : {};
    if (!success) throw new Error(`Kibana refused ${basename(file)}: ${answer.status} ${text.slice(0, 1_000)}`);
  }
}
