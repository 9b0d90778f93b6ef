import type { FastifyInstance } from 'fastify';
import { rolesIn } from '../auth.ts';
import { chosenCompany } from '../context.ts';
import { companyHeader } from '../headers.ts';
import type { Identify } from './identify.ts';
import { describeMe } from './openapi.ts';

export const mePath = '/v1/me';

/** `GET /v1/me`: who the caller is, by token and session alike. No service is asked, so it is no method of the contract. */
export function addMe(app: FastifyInstance, identify: Identify): void {
  app.get(mePath, {
    schema: describeMe,
    onRequest: async (request, reply) => void (await identify(request, reply)),
    handler: async (request, reply) => {
      const { principal, session } = request;
      if (!principal) throw new Error('The route was reached without a caller.');
      const company_id = chosenCompany(principal.companies, companyHeader(request.headers));
      const me = {
        id: principal.id,
        username: principal.username ?? null,
        roles: rolesIn(principal, company_id),
        companies: principal.companies,
        clients: principal.clients,
        company_id,
        session: session && { expires_at: new Date(session.expiresAt * 1000).toISOString() },
      };
      return reply.type('application/json; charset=utf-8').send(JSON.stringify(me));
    },
  });
}
