import { describe, expect, it } from 'vitest';
import { AppError, errorCodes, isErrorCode, toAppError } from './index.ts';

const named = (name: string, extra: object = {}) => Object.assign(new Error('x'), { name }, extra);

describe('toAppError', () => {
  it('keeps an AppError', () => {
    const error = new AppError('not_found', 'No such team.');
    expect(toAppError(error)).toBe(error);
  });

  it.each([
    ['a closed socket', named('Error', { code: 'ECONNREFUSED' })],
    ['no server to choose', named('MongoServerSelectionError')],
    ['a server without disk', named('MongoServerError', { code: 14031 })],
    ['a storage engine that gave up', Object.assign(new Error('WiredTiger error: WT_PANIC'), { name: 'MongoServerError', code: 1 })],
    ['a cause inside', new Error('outer', { cause: named('MongoNetworkError') })],
  ])('takes %s for an engine that is away', (_, error) => {
    const app = toAppError(error);
    expect(app.code).toBe('unavailable');
    expect(app.retryAfterSeconds).toBe(errorCodes.unavailable.retryAfterSeconds);
    expect(app.cause).toBe(error);
  });

  it('does not tell the caller what an unknown error says', () => {
    const app = toAppError(new Error('password=123'));
    expect(app.code).toBe('internal');
    expect(app.message).not.toContain('123');
  });
});

describe('errorCodes', () => {
  it('has snake_case codes and real statuses', () => {
    for (const [code, entry] of Object.entries(errorCodes)) {
      expect(code).toMatch(/^[a-z_]+$/);
      expect(entry.grpc).toBeGreaterThanOrEqual(1);
      expect(entry.grpc).toBeLessThanOrEqual(16);
      expect(entry.http).toBeGreaterThanOrEqual(400);
    }
  });

  it('knows its own codes only', () => {
    expect(isErrorCode('not_found')).toBe(true);
    expect(isErrorCode('constructor')).toBe(false);
  });
});
