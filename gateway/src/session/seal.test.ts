import { randomBytes } from 'node:crypto';
import { CompactEncrypt, EncryptJWT } from 'jose';
import { describe, expect, it } from 'vitest';
import { createSealer } from './seal.ts';

const [one, two] = [randomBytes(32), randomBytes(32)];
const inAMinute = () => Math.floor(Date.now() / 1000) + 60;
const invalid = { name: 'SealError', reason: 'invalid' };

describe('a sealed text', () => {
  it('opens to what was sealed, and shows nothing of it', async () => {
    const sealer = createSealer([one]);
    const text = await sealer.seal('session', { token: 'the-token' }, inAMinute());
    expect(await sealer.open('session', text)).toMatchObject({ token: 'the-token' });
    expect(text + Buffer.from(text, 'base64url').toString('latin1')).not.toContain('the-token');
    expect(await sealer.seal('session', { token: 'the-token' }, inAMinute())).not.toBe(text);
  });

  it('is for one purpose only', async () => {
    const sealer = createSealer([one]);
    await expect(sealer.open('session', await sealer.seal('login', {}, inAMinute()))).rejects.toMatchObject(invalid);
  });

  it('ends', async () => {
    const text = await createSealer([one]).seal('session', { token: 'the-token' }, inAMinute());
    const later = createSealer([one], () => Date.now() + 60_000);
    const error = await later.open('session', text).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ name: 'SealError', reason: 'expired' });
    expect(error).not.toHaveProperty('cause'); // jose's holds what was inside
  });

  it('opens with any of the keys, and is made with the first', async () => {
    const text = await createSealer([one]).seal('session', {}, inAMinute());
    await expect(createSealer([two, one]).open('session', text)).resolves.toBeDefined();
    await expect(createSealer([two]).open('session', text)).rejects.toMatchObject(invalid);
    const newer = await createSealer([two, one]).seal('session', {}, inAMinute());
    await expect(createSealer([two]).open('session', newer)).resolves.toBeDefined();
  });

  it('that was changed anywhere does not open', async () => {
    const sealer = createSealer([one]);
    const text = await sealer.seal('session', { token: 'the-token' }, inAMinute());
    for (let at = 0; at < text.length; at += 7) {
      if (text[at] === '.') continue;
      // the last character of a part may hold unused bits
      if (text[at + 1] === '.' || at === text.length - 1) continue;
      const changed = text.slice(0, at) + (text[at] === 'A' ? 'B' : 'A') + text.slice(at + 1);
      await expect(sealer.open('session', changed), `changed at ${at}`).rejects.toMatchObject(invalid);
    }
  });

  it('of somebody else, without a key, without an end, or no such text at all does not open', async () => {
    const kid = JSON.parse(
      Buffer.from((await createSealer([one]).seal('session', {}, inAMinute())).split('.')[0] ?? '', 'base64url').toString(),
    ).kid;
    const header = { alg: 'dir', enc: 'A256GCM', kid };
    const texts = [
      await new EncryptJWT({}).setProtectedHeader(header).setExpirationTime(inAMinute()).encrypt(randomBytes(32)),
      await new EncryptJWT({}).setProtectedHeader(header).setExpirationTime(inAMinute()).encrypt(one), // the key itself seals nothing
      await new CompactEncrypt(Buffer.from('no JSON')).setProtectedHeader(header).encrypt(randomBytes(32)),
      `${Buffer.from('{"alg":"none"}').toString('base64url')}.e30.`,
      '',
      'x',
      '....',
    ];
    for (const text of texts) await expect(createSealer([one]).open('session', text)).rejects.toMatchObject(invalid);
  });
});
