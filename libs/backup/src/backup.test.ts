import { existsSync } from 'node:fs';
import { appendFile, chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { BSON, type Document, Long } from 'mongodb';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { type Backup, type BackupWriter, createBackup, openBackup, readDocument } from './index.ts';

const folders: string[] = [];
let folder: string;
beforeEach(async () => {
  folder = join(await mkdtemp(join(tmpdir(), 'biz-backup-')), 'made');
  folders.push(folder);
});
afterAll(() => Promise.all(folders.map((one) => rm(join(one, '..'), { recursive: true, force: true }))));

const documents: Document[] = Array.from({ length: 250 }, (_, at) => ({
  _id: `d-${at}`,
  text: 'x'.repeat(at),
  at: new Date(at),
  big: Long.fromNumber(at),
}));
const entry = { database: 'team', collection: 'events', indexes: [{ name: 'a', key: { text: 1 } }] };

async function* raw(of: readonly Document[] = documents): AsyncGenerator<Uint8Array> {
  for (const document of of) yield BSON.serialize(document);
}

async function made(): Promise<string> {
  const writer = await createBackup(folder, { kind: 'data', partBytes: 4_000 });
  await writer.collection(entry, raw());
  await writer.file('checkpoints.jsonl', ['one\n', 'two\n']);
  return writer.finish({ said: 'something' });
}

async function read(backup: Backup): Promise<Uint8Array[]> {
  const found: Uint8Array[] = [];
  for (const one of backup.manifest.collections) for await (const part of backup.parts(one)) found.push(...part);
  return found;
}

const unfinished = async (): Promise<BackupWriter> => {
  const writer = await createBackup(folder, { kind: 'data' });
  await writer.collection(entry, raw());
  // as if the process had been killed: it is nobody's
  await writeFile(join(folder, 'UNFINISHED'), JSON.stringify({ since: '2026-01-01T00:00:00.000Z', pid: 2 ** 30 }));
  return writer;
};

describe('a backup', () => {
  it('gives back what went in, byte for byte, in parts of bounded size', async () => {
    const digest = await made();
    const backup = await openBackup(folder, { kind: 'data', digest });
    await backup.check();
    expect(Buffer.concat(await read(backup))).toEqual(Buffer.concat(documents.map((one) => BSON.serialize(one))));
    const [{ parts = [], documents: count, indexes } = {}] = backup.manifest.collections;
    expect([count, indexes]).toEqual([250, entry.indexes]);
    expect(parts.length).toBeGreaterThan(3);
    expect(parts.every(({ raw_bytes }) => raw_bytes < 4_500)).toBe(true);
    expect(await readFile(backup.pathOf('checkpoints.jsonl') ?? '', 'utf8')).toBe('one\ntwo\n');
    expect(backup.manifest.about).toEqual({ said: 'something' });
    expect(backup.pathOf('nothing')).toBeUndefined();
  });

  it('is readable by its owner only, also in a folder that was there and open to others', async () => {
    await mkdir(folder);
    await chmod(folder, 0o755);
    await made();
    const modes = await Promise.all(
      (await readdir(folder, { recursive: true })).map(async (name) => (await stat(join(folder, name))).mode & 0o077),
    );
    expect([...modes, (await stat(folder)).mode & 0o077]).toEqual(modes.map(() => 0).concat(0));
  });

  it('without a document is a backup, too', async () => {
    const writer = await createBackup(folder, { kind: 'keys' });
    await writer.collection(entry, raw([]));
    await writer.finish({});
    expect(await read(await openBackup(folder))).toEqual([]);
  });
});

describe('what is not a whole backup', () => {
  it.each([
    ['changed', (path: string) => writeFile(path, 'something else')],
    ['longer', (path: string) => appendFile(path, 'x')],
    ['cut', (path: string) => truncate(path, 20)],
    ['missing', (path: string) => rm(path)],
  ])('a file that was %s is named, by the check and by who reads', async (_, harm) => {
    await made();
    const file = join(folder, 'team', 'events.00002.bson.zst');
    await harm(file);
    const backup = await openBackup(folder);
    await expect(backup.check()).rejects.toThrow(file);
    await expect(read(backup)).rejects.toThrow(file);
  });

  it('two files that were swapped are named, and one of another backup is', async () => {
    await made();
    const [one, two] = ['events.00001.bson.zst', 'events.00002.bson.zst'].map((name) => join(folder, 'team', name)) as [string, string];
    await rename(one, `${one}.x`);
    await rename(two, one);
    await rename(`${one}.x`, two);
    await expect((await openBackup(folder)).check()).rejects.toThrow(one);
    folder = join(folder, '..', 'other');
    const other = await createBackup(folder, { kind: 'data' });
    await other.collection(entry, raw(documents.slice(1)));
    await other.finish({});
    await writeFile(one, await readFile(join(folder, 'team', 'events.00001.bson.zst')));
    await expect((await openBackup(join(folder, '..', 'made'))).check()).rejects.toThrow(one);
  });

  it('files that are no part of it are told of, and do no harm', async () => {
    await made();
    const backup = await openBackup(folder);
    expect(await backup.strays()).toEqual([]);
    const more = join(folder, 'team', 'events.00099.bson.zst');
    await writeFile(more, 'x');
    expect(await backup.strays()).toEqual([more]);
    await backup.check();
    expect(await read(backup)).toHaveLength(documents.length);
  });

  it('another file that was changed is named', async () => {
    await made();
    await writeFile(join(folder, 'checkpoints.jsonl'), 'one\ntwi\n');
    await expect((await openBackup(folder)).check()).rejects.toThrow(join(folder, 'checkpoints.jsonl'));
  });

  it('a manifest that is not the one that was noted is refused, as is one of another kind, and one that leads out of the folder', async () => {
    const digest = await made();
    const path = join(folder, 'manifest.json');
    const text = await readFile(path, 'utf8');
    await writeFile(path, text.replace('something', 'somethinG'));
    await expect(openBackup(folder, { digest })).rejects.toThrow('is not the one that was noted');
    await expect(openBackup(folder, { kind: 'keys' })).rejects.toThrow('is a backup of data, not of keys');
    await writeFile(path, text.replace('"team/events.00001.bson.zst"', '"../team/events.00001.bson.zst"'));
    await expect(openBackup(folder)).rejects.toThrow('must be a path inside the folder');
    await writeFile(path, text.slice(0, 100));
    await expect(openBackup(folder)).rejects.toThrow('is no JSON');
  });

  it('one that was cut short is none, is told of, and is begun anew on demand only', async () => {
    await unfinished();
    await expect(openBackup(folder)).rejects.toThrow('not finished');
    await expect(createBackup(folder, { kind: 'data' })).rejects.toThrow('--again');
    const writer = await createBackup(folder, { kind: 'data', again: true });
    expect(await readdir(folder)).toEqual(['UNFINISHED']);
    await writer.finish({});
    expect(await readdir(folder)).toEqual(['manifest.json']);
  });

  it('one that is being written is left alone, as are a finished one and a folder of somebody else', async () => {
    const writer = await createBackup(folder, { kind: 'data' });
    await expect(createBackup(folder, { kind: 'data', again: true })).rejects.toThrow(`process ${process.pid} is writing`);
    await writer.finish({});
    await expect(createBackup(folder, { kind: 'data', again: true })).rejects.toThrow('holds a backup already');
    await expect(createBackup(join(folder, '..'), { kind: 'data', again: true })).rejects.toThrow('not empty');
  });
});

describe.runIf(existsSync('/dev/full'))('a disk that is full', () => {
  it.each([
    ['a part', 'team/events.00001.bson.zst'],
    ['a file', 'checkpoints.jsonl'],
    ['the manifest', 'manifest.json.part'],
  ])('%s that has no room is named, with what to do; what is there is no backup, and the next one says so', async (_, file) => {
    const writer = await createBackup(folder, { kind: 'data' });
    await mkdir(join(folder, 'team'));
    // a device that is always full
    await symlink('/dev/full', join(folder, file));
    const work = async () => {
      await writer.collection(entry, raw());
      await writer.file('checkpoints.jsonl', ['one\n']);
      await writer.finish({});
    };
    await expect(work()).rejects.toThrow(`${join(folder, file)} cannot be written (ENOSPC: no space left on device`);
    await expect(openBackup(folder)).rejects.toThrow('not finished');
    await expect(work()).rejects.toThrow('First make room, or choose another folder; --again begins anew');
  });
});

describe('who writes', () => {
  it.each([
    ['a process of this machine that is gone', { pid: 2 ** 30, host: hostname(), writer: 'x' }, 'and not finished; --again'],
    // in containers every process has the same id
    ['one before this process, with the same id', { pid: process.pid, host: hostname(), writer: 'x' }, 'and not finished; --again'],
    ['one of another machine', { pid: process.pid, host: 'elsewhere', writer: 'x' }, 'on elsewhere: look whether it is still at work'],
  ])('%s: begun anew on demand', async (__, by, said) => {
    await unfinished();
    await writeFile(join(folder, 'UNFINISHED'), JSON.stringify({ since: '2026-01-01T00:00:00.000Z', ...by }));
    await expect(createBackup(folder, { kind: 'data' })).rejects.toThrow(said);
    await (await createBackup(folder, { kind: 'data', again: true })).finish({});
  });

  it('another process that is alive, or two that begin at once: one writes, the other is told', async () => {
    await unfinished();
    await writeFile(join(folder, 'UNFINISHED'), JSON.stringify({ pid: process.ppid, host: hostname(), writer: 'x' }));
    await expect(createBackup(folder, { kind: 'data', again: true })).rejects.toThrow(`process ${process.ppid} is writing`);
    const both = await Promise.allSettled([1, 2].map(() => createBackup(join(folder, 'both'), { kind: 'data' })));
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  });
});

describe('documents', () => {
  it('become the same bytes again, also with types that plain values do not have', () => {
    for (const document of [
      { a: 1, b: 1.5, c: 'x', d: new Date(1), e: null },
      { a: Long.fromNumber(7), b: [Long.fromNumber(7)] },
      { a: 2 ** 40 },
    ]) {
      const bytes = BSON.serialize(document);
      expect(Buffer.from(BSON.serialize(readDocument(bytes).stored))).toEqual(Buffer.from(bytes));
    }
  });
});
