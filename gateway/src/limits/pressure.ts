import { getHeapStatistics } from 'node:v8';
import { AppError } from '@biz/errors';
import type { Log } from '@biz/service';
import underPressure from '@fastify/under-pressure';
import type { FastifyInstance } from 'fastify';
import { healthPaths } from '../health.ts';
import type { LimitSettings } from './settings.ts';

/** How long a caller who is turned away is asked to wait, in seconds. */
const retryAfterSeconds = 2;
/** Turned away for the same reason, the log says it at most so often, in milliseconds. */
const sayEveryMs = 10_000;
const health = new Set(healthPaths);

/**
 * Turns requests away (AppError `unavailable`) while this process is overloaded, measured each second, so that those taken are still served in
 * time. Health routes answer all the same: a gateway that is busy is not to be killed for it.
 */
export async function shedLoad(app: FastifyInstance, settings: LimitSettings, log: Log): Promise<void> {
  let saidAt = Number.NEGATIVE_INFINITY;
  await app.register(underPressure, {
    maxEventLoopDelay: settings.PRESSURE_EVENT_LOOP_DELAY_MS,
    maxEventLoopUtilization: settings.PRESSURE_EVENT_LOOP_UTILIZATION,
    eventLoopUtilizationMode: 'interval',
    maxHeapUsedBytes: Math.floor(settings.PRESSURE_HEAP_SHARE * getHeapStatistics().heap_size_limit),
    pressureHandler: async (request, _reply, type, value) => {
      if (health.has(request.routeOptions.url ?? '')) return;
      // not one turn in a whole second: that block, such as the start, is over now, and says nothing of what comes
      if (value === Number.POSITIVE_INFINITY) return;
      if (Date.now() - saidAt > sayEveryMs) log.warn({ type, value }, 'overloaded: requests are turned away');
      saidAt = Date.now();
      throw new AppError('unavailable', 'The gateway is overloaded; try again in a moment.', { retryAfterSeconds });
    },
  });
}
