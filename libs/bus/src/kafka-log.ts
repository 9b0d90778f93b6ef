import kafkajs from 'kafkajs';
import type { BusLog } from './types.ts';

// kafkajs reports each retry of what heals by itself (coordinators that load, a broker that restarts) as an error.
const REPEAT_AFTER_MS = 10_000;

/** kafkajs' log in ours: its errors are warnings, the same one at most every ten seconds; all else is for debugging. */
export function quietLog(log: BusLog): kafkajs.logCreator {
  const lastSeen = new Map<string, number>();
  return () =>
    ({ level, log: entry }) => {
      const { message, timestamp: _timestamp, logger: _logger, stack: _stack, payload: _payload, ...fields } = entry;
      if (level !== kafkajs.logLevel.ERROR) {
        log.debug(fields, `kafka: ${message}`);
        return;
      }
      const now = Date.now();
      if (now - (lastSeen.get(message) ?? 0) < REPEAT_AFTER_MS) {
        return;
      }
      if (lastSeen.size > 100) {
        lastSeen.clear();
      }
      lastSeen.set(message, now);
      log.warn(fields, `kafka: ${message}`);
    };
}
