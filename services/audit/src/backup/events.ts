import { BSON, type Collection, type Document, type Filter } from 'mongodb';

const FETCH = 1_000;

/**
 * Events as they are stored, stream by stream in order of version, such that of each stream none is missing before one that is given: an event
 * that was inserted behind the reading's back is fetched when the next one shows that it is there. `onGap` is told of a version that is not there
 * at all; not of the first ones, since an outbox forgets what was published long ago.
 */
export async function* eventsInOrder(
  events: Collection<Document>,
  onGap: (stream: string, version: number) => void,
): AsyncGenerator<Uint8Array> {
  let [stream, version] = ['', 0];
  for await (const raw of inStreams(events, {})) {
    const event = BSON.deserialize(raw);
    if (event.stream_id !== stream) [stream, version] = [event.stream_id, 0];
    if (event.version > version + 1) {
      let expected = version + 1;
      for await (const missed of inStreams(events, { stream_id: stream, version: { $gt: version, $lt: event.version } })) {
        const found = Number(BSON.deserialize(missed).version);
        if (found > expected && version > 0) onGap(stream, expected);
        expected = found + 1;
        yield missed;
      }
      if (event.version > expected && expected > 1) onGap(stream, expected);
    }
    version = event.version;
    yield raw;
  }
}

function inStreams(events: Collection<Document>, filter: Filter<Document>): AsyncIterable<Uint8Array> {
  return events.find(filter, { raw: true, batchSize: FETCH }).sort({ stream_id: 1, version: 1 }) as unknown as AsyncIterable<Uint8Array>;
}
