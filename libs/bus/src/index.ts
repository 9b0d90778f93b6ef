export { createBus } from './bus.ts';
export { headerText, processAttributes } from './header.ts';
export type {
  Batch,
  Bus,
  BusConnection,
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
