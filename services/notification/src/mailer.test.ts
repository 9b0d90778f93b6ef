import { expect, it } from 'vitest';
import { outcomeOf } from './mailer.ts';

it.each([
  [
    'an unknown mailbox',
    { responseCode: 550, response: '550 5.1.1 <maria@example.com> unknown' },
    { kind: 'refused', reason: 'smtp 550 5.1.1' },
  ],
  ['a full mailbox', { responseCode: 452, response: '452 4.2.2 full' }, { kind: 'later', reason: 'smtp 452 4.2.2' }],
  ['a server that asks for a password', { responseCode: 535, response: '535 no' }, { kind: 'away', reason: 'smtp 535' }],
  ['a server that closes', { responseCode: 421, response: '421 4.3.2 closing' }, { kind: 'away', reason: 'smtp 421 4.3.2' }],
  ['no connection', { code: 'ECONNECTION' }, { kind: 'away', reason: 'ECONNECTION' }],
  ['no address', { code: 'EENVELOPE' }, { kind: 'refused', reason: 'EENVELOPE' }],
  ['something else', {}, { kind: 'away', reason: 'unknown' }],
])('%s', (_, error, outcome) => {
  expect(outcomeOf(error)).toEqual(outcome);
});
