import { AppError } from '@biz/errors';
import type { FastifyInstance } from 'fastify';
import { sendProblem } from './failures.ts';
import type { Readiness } from './readiness.ts';

export const healthPaths = ['/health/live', '/health/ready'];

/** `/health/live`: the process answers. `/health/ready`: every part it needs is there, or 503 with the names of those `away`. */
export function addHealth(app: FastifyInstance, readiness: Readiness): void {
  app.get('/health/live', { schema: { hide: true } }, async (_request, reply) => reply.type('application/json').send('{"status":"ok"}'));
  app.get('/health/ready', { schema: { hide: true } }, async (request, reply) => {
    const away = await readiness.away();
    if (away.length === 0) return reply.type('application/json').send('{"status":"ok"}');
    return sendProblem(reply, request, new AppError('unavailable', `Away: ${away.join(', ')}.`), { away });
  });
}
