import kafkajs from 'kafkajs';
import type { BusLog, BusProducer, OutMessage } from './types.ts';

const ACKS_ALL = -1;
const RETRIES = 5;

/**
 * An idempotent producer. kafkajs takes sequence numbers back when a request fails for good, though the broker may have
 * written it: the next, other messages would then come with numbers that are taken, and be dropped as doubles. So a
 * producer that failed once is never used again; the next send opens another, with an id of its own.
 */
export function createProducer(kafka: kafkajs.Kafka, log: BusLog): BusProducer {
  let current: Promise<kafkajs.Producer> | undefined;
  const retired = new Set<Promise<unknown>>();

  async function open(): Promise<kafkajs.Producer> {
    const producer = kafka.producer({
      idempotent: true,
      // One request at a time keeps messages of one key in order also across retries.
      maxInFlightRequests: 1,
      allowAutoTopicCreation: false,
      createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
      retry: { retries: RETRIES, initialRetryTime: 200, maxRetryTime: 5_000 },
    });
    await producer.connect();
    return producer;
  }

  function retire(producer: Promise<kafkajs.Producer>): void {
    if (current === producer) {
      current = undefined;
    }
    const closing = producer.then((open) => open.disconnect()).catch(() => undefined);
    retired.add(closing);
    void closing.finally(() => retired.delete(closing));
  }

  return {
    async send(topic, messages) {
      current ??= open();
      const producer = current;
      try {
        await (await producer).send({ topic, acks: ACKS_ALL, messages: messages.map(toKafka) });
      } catch (error) {
        log.debug({ topic, error: String(error) }, 'send failed; the next one opens another producer');
        retire(producer);
        throw error;
      }
    },
    async [Symbol.asyncDispose]() {
      if (current !== undefined) {
        retire(current);
      }
      await Promise.all(retired);
    },
  };
}

function toKafka({ key, value, headers, partition }: OutMessage): kafkajs.Message {
  return { key, value, ...(headers && { headers }), ...(partition !== undefined && { partition }) };
}
