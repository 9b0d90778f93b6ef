import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '@biz/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { expiredFlags, flagsShape, flagsTemplate, openFlags } from './index.ts';

const key = 'notification.welcome_email';
const company = '01934f3a-0000-7000-8000-00000000000a';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'biz-flags-'));
});
afterAll(() => rm(folder, { recursive: true }));

function logged() {
  const lines: { level: string; message: string; details: object }[] = [];
  const write = (level: string) => (details: object, message: string) => void lines.push({ level, message, details });
  return { lines, log: { info: write('info'), warn: write('warn'), error: write('error') } };
}

async function opened(settings: Record<string, string>) {
  const { lines, log } = logged();
  const parsed = z.object(flagsShape).parse({ FLAGS_RELOAD_SECONDS: '0.01', ...settings });
  const flags = await openFlags({ settings: parsed, service: 'notification', environment: 'test', log });
  return { flags, lines, [Symbol.asyncDispose]: () => flags[Symbol.asyncDispose]() };
}

const fileOf = (flag: object) => JSON.stringify({ flags: { [key]: { state: 'ENABLED', variants: { on: true, off: false }, ...flag } } });
const offForCompany = fileOf({
  defaultVariant: 'on',
  targeting: { if: [{ in: [{ var: 'company_id' }, [company]] }, 'off', 'on'] },
});

/** The file has the new text at once; one that is written in place is empty for a moment, which is a fault of its own. */
async function swapped(file: string, text: string): Promise<void> {
  await writeFile(`${file}.new`, text);
  await rename(`${file}.new`, file);
}

describe('a flag', () => {
  it('has its default when no flag service is named', async () => {
    await using none = await opened({});
    expect(await none.flags.ask(key, { company_id: company })).toEqual({ on: true, variant: undefined, reason: 'DEFAULT' });
  });

  it('is turned by the file, for all or by company, while the process runs', async () => {
    const file = join(folder, 'turned.json');
    await writeFile(file, flagsTemplate());
    await using given = await opened({ FLAGS_FILE: file });
    const { flags, lines } = given;
    expect(await flags.ask(key)).toEqual({ on: true, variant: 'on', reason: 'STATIC' });
    await writeFile(file, fileOf({ defaultVariant: 'off' }));
    await until(async () => !(await flags.ask(key)).on, { what: 'the flag to be off' });
    await until(() => lines.some(({ message }) => message === 'flags have changed'), { what: 'the change to be told' });
    expect(lines).toContainEqual({ level: 'info', message: 'flags have changed', details: { flags: [key] } });
    await writeFile(file, offForCompany);
    await until(async () => (await flags.ask(key)).on, { what: 'the flag to be on' });
    expect(await flags.ask(key, { company_id: company })).toEqual({ on: false, variant: 'off', reason: 'TARGETING_MATCH' });
    expect(await flags.ask(key, { company_id: 'another' })).toMatchObject({ on: true, reason: 'TARGETING_MATCH' });
  });

  it('goes by the environment and the process, too', async () => {
    const file = join(folder, 'where.json');
    const both = { and: [{ '===': [{ var: 'environment' }, 'test'] }, { '===': [{ var: 'service' }, 'notification'] }] };
    await writeFile(file, fileOf({ defaultVariant: 'on', targeting: { if: [both, 'off', 'on'] } }));
    await using given = await opened({ FLAGS_FILE: file });
    expect((await given.flags.ask(key)).on).toBe(false);
  });

  it.each([
    ['half written', offForCompany.slice(0, -20)],
    ['not of flagd’s schema', JSON.stringify({ flags: { [key]: { state: 'MAYBE', variants: { on: true } } } })],
    ['of variants of two types', fileOf({ defaultVariant: 'on', variants: { on: true, off: 'no' } })],
    ['with a default that is no variant', fileOf({ defaultVariant: 'perhaps' })],
    ['empty', ''],
  ])('keeps its last good value when the file is %s, which is said once', async (name, text) => {
    const file = join(folder, `${name}.json`);
    await writeFile(file, fileOf({ defaultVariant: 'off' }));
    await using given = await opened({ FLAGS_FILE: file });
    const { flags, lines } = given;
    await swapped(file, text);
    const faults = () => lines.filter(({ message }) => message === 'the file of flags cannot be used; the former flags stay');
    await until(() => faults().length > 0, { what: 'the fault to be told' });
    expect(await flags.ask(key)).toMatchObject({ on: false, variant: 'off' });
    await rm(file);
    await until(() => faults().length > 1, { what: 'the missing file to be told' });
    expect(await flags.ask(key)).toMatchObject({ on: false, variant: 'off' });
    await swapped(file, flagsTemplate());
    await until(async () => (await flags.ask(key)).on, { what: 'the good file' });
    expect(faults()).toHaveLength(2);
  });

  it('has its default while there is no good file yet, and its value from then on', async () => {
    const file = join(folder, 'later.json');
    await using given = await opened({ FLAGS_FILE: file });
    const { flags, lines } = given;
    expect(lines).toContainEqual(expect.objectContaining({ message: 'the file of flags cannot be used; the defaults in code are used' }));
    expect(await flags.ask(key)).toMatchObject({ on: true, reason: 'ERROR' });
    expect(await flags.ask(key)).toMatchObject({ on: true, reason: 'ERROR' });
    expect(lines.filter(({ details }) => 'error_type' in details)).toHaveLength(1);
    await writeFile(file, fileOf({ defaultVariant: 'off' }));
    await until(async () => !(await flags.ask(key)).on, { what: 'the file' });
  });

  it.each([
    ['disabled', fileOf({ state: 'DISABLED', defaultVariant: 'off' })],
    ['not there', JSON.stringify({ flags: {} })],
    ['of another type', JSON.stringify({ flags: { [key]: { state: 'ENABLED', variants: { a: 'x', b: 'y' }, defaultVariant: 'a' } } })],
    ['led by its rule to a variant that is none', fileOf({ defaultVariant: 'off', targeting: { if: [true, 'nowhere'] } })],
  ])('has its default when it is %s', async (name, text) => {
    const file = join(folder, `default-${name}.json`);
    await writeFile(file, text);
    await using given = await opened({ FLAGS_FILE: file });
    expect((await given.flags.ask(key)).on).toBe(true);
  });

  it('comes from one place', async () => {
    await expect(opened({ FLAGS_FILE: 'x', FLAGD_ADDRESS: 'h:1' })).rejects.toThrow(/are both given/);
  });
});

it('a release flag past its day is named', () => {
  const known = {
    old: { default: false, owner: 'team', description: '', kind: { release: '2026-01-31' } },
    open: { default: false, owner: 'team', description: '', kind: { release: '2026-02-01' } },
    stays: { default: false, owner: 'team', description: '', kind: 'operation' },
  } as const;
  expect(expiredFlags(new Date('2026-02-01T00:00:00Z'), known)).toEqual(['old']);
  expect(expiredFlags(new Date('2026-02-02T00:00:00Z'), known)).toEqual(['old', 'open']);
});
