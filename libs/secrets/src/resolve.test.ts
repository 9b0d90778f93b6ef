import { describe, expect, it } from 'vitest';
import { resolveSecrets, SecretFault, type SecretsManager } from './index.ts';

const stored: Record<string, string | Uint8Array> = {
  'prod/kek': ' a2Vr\n',
  'prod/database': '{"url": "mongodb://u:p@h/", "port": 27017, "nested": {"x": 1}, "bytes": " x "}',
  'prod/bytes': Buffer.from([0, 255, 1]),
  'prod/broken': 'not-json-hunter2',
};

function memory() {
  const asked: string[] = [];
  const manager: SecretsManager = {
    async read(id) {
      asked.push(id);
      const value = stored[id];
      if (value === undefined) throw new SecretFault('does not exist');
      return value;
    },
    [Symbol.dispose]: () => void asked.push('closed'),
  };
  return { asked, open: async () => manager };
}

describe('settings that stand in a secret manager', () => {
  it('take the place of their references: text without white space at its ends, bytes as base64, fields of JSON', async () => {
    const { open, asked } = memory();
    const env = {
      ...{ OTHER: 'o', KEK_SECRET: 'prod/kek', MONGODB_URL_SECRET: 'prod/database#url', PORT_SECRET: 'prod/database#port' },
      ...{ BYTES_SECRET: 'prod/bytes', FIELD_SECRET: 'prod/database#bytes' },
    };
    expect(await resolveSecrets(['KEK', 'MONGODB_URL', 'PORT', 'BYTES', 'FIELD', 'OTHER', 'UNSET'], env, { open })).toEqual({
      ...{ OTHER: 'o', KEK: 'a2Vr', MONGODB_URL: 'mongodb://u:p@h/', PORT: '27017', BYTES: 'AP8B', FIELD: 'x' },
    });
    // what several settings share is asked for once
    expect(asked).toEqual(['prod/kek', 'prod/database', 'prod/bytes', 'closed']);
    expect(env.KEK_SECRET).toBe('prod/kek');
  });

  it('are not looked for when none is named, nor where a setting itself ends in _SECRET', async () => {
    const open = () => Promise.reject(new Error('opened'));
    const env = { OIDC_CLIENT_SECRET: 's3cret', NOBODYS_SECRET: 'x', KEK_SECRET: '' };
    expect(await resolveSecrets(['OIDC_CLIENT', 'OIDC_CLIENT_SECRET', 'KEK'], env, { open })).toEqual(env);
    const { open: memoryOpen } = memory();
    const referred = await resolveSecrets(['OIDC_CLIENT_SECRET'], { OIDC_CLIENT_SECRET_SECRET: 'prod/kek' }, { open: memoryOpen });
    expect(referred).toEqual({ OIDC_CLIENT_SECRET: 'a2Vr' });
  });

  it('that cannot be had are named all at once, without any of their values', async () => {
    const env = {
      ...{
        A_SECRET: 'prod/none',
        B_SECRET: 'prod/database#none',
        C_SECRET: 'prod/broken#x',
        D_SECRET: 'prod/bytes#x',
        E_SECRET: 'prod/database#nested',
      },
      ...{ F_SECRET: 'prod/database#constructor', G_SECRET: 'prod/kek' },
    };
    const failed = resolveSecrets(['A', 'B', 'C', 'D', 'E', 'F', 'G'], env, { open: memory().open });
    await expect(failed).rejects.toThrow(/A_SECRET: the secret "prod\/none" does not exist/);
    await expect(failed).rejects.toThrow(/B_SECRET: the secret "prod\/database" has no field "none"/);
    await expect(failed).rejects.toThrow(/C_SECRET: .* is not a JSON object/);
    await expect(failed).rejects.toThrow(/D_SECRET: .* is not a JSON object/);
    await expect(failed).rejects.toThrow(/E_SECRET: .* "nested" that is not text/);
    await expect(failed).rejects.toThrow(/F_SECRET: .* has no field "constructor"/);
    await expect(failed).rejects.not.toThrow(/G_SECRET|hunter2|a2Vr|mongodb:/);
  });

  it.each([
    [{ KEK_SECRET: 'x', KEK: 'y' }, /KEK_SECRET: KEK is given too/],
    [{ KEK_SECRET: 'x', KEK_FILE: 'y' }, /KEK_SECRET: KEK_FILE is given too/],
    [{ KEK_SECRET: '#field' }, /must be <secret>, or <secret>#<field>/],
    [{ KEK_SECRET: 'x#' }, /must be <secret>, or <secret>#<field>/],
  ])('come in one way only: %o', async (env, message) => {
    const { open, asked } = memory();
    await expect(resolveSecrets(['KEK', 'KEK_FILE'], env, { open })).rejects.toThrow(message);
    expect(asked).toEqual([]);
  });
});
