import { KafkaJSConnectionError, KafkaJSNonRetriableError } from 'kafkajs';
import { expect, it } from 'vitest';
import { isBrokerAway } from './consumer.ts';

it('tells a broker that is away, however kafkajs wraps it, from what ends the process', () => {
  const refused = new KafkaJSConnectionError('connect ECONNREFUSED');
  expect(isBrokerAway(refused)).toBe(true);
  const wrapped = Object.assign(new KafkaJSNonRetriableError(refused.message), { cause: refused });
  expect(isBrokerAway(wrapped)).toBe(true);
  expect(isBrokerAway(new KafkaJSNonRetriableError('the member is fenced'))).toBe(false);
  expect(isBrokerAway('a text')).toBe(false);
});
