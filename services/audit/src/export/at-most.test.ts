import { describe, expect, it } from 'vitest';
import { atMost } from './at-most.ts';

describe('streams of which so many may run', () => {
  it('count from their first message until they end, are left or break', async () => {
    const count = atMost(2, async function* (upto: number) {
      for (let at = 0; at < upto; at += 1) yield at;
      if (upto === 1) throw new Error('broken');
    });
    const [one, two] = [count(3), count(1)];
    expect(await Promise.all([one.next(), two.next()])).toEqual([
      { done: false, value: 0 },
      { done: false, value: 0 },
    ]);
    await expect(count(3).next()).rejects.toMatchObject({ code: 'rate_limited', retryAfterSeconds: 30 });
    await expect(two.next()).rejects.toThrow('broken');
    const three = count(2);
    expect((await three.next()).value).toBe(0);
    await expect(count(3).next()).rejects.toMatchObject({ code: 'rate_limited' });
    await one.return(undefined);
    expect(await all(count(2))).toEqual([0, 1]);
    expect(await all(three)).toEqual([1]);
    const [four, five] = [count(2), count(2)];
    await Promise.all([four.next(), five.next()]);
  });
});

async function all(stream: AsyncIterable<number>): Promise<number[]> {
  const messages: number[] = [];
  for await (const message of stream) messages.push(message);
  return messages;
}
