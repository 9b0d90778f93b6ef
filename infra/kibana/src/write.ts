// Writes the files that Kibana imports, from the modules beside this one: `node --conditions=source infra/kibana/src/write.ts`.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { contents, ndjson } from './files.ts';

for (const [name, objects] of Object.entries(contents)) {
  await writeFile(join(import.meta.dirname, '..', name), ndjson(objects));
  console.log(`${name}: ${objects.length} objects`);
}
