export { createBus } from './bus.ts';
export type {
  Batch,
  Bus,
  BusConsumer,
  BusLog,
  BusProducer,
  ConsumerOptions,
  HeaderValue,
  InMessage,
  Lag,
  OutMessage,
  TopicSettings,
} from './types.ts';
