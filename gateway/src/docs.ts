import type { Contract } from '@biz/protos';
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance } from 'fastify';
import { components } from './components.ts';
import { openApiOptions } from './openapi.ts';

export const docPaths = ['/openapi.json'];

/** The page needs its own scripts and styles; everything else has `default-src 'none'`. */
const pagePolicy =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'";

/** `/openapi.json` and a page for people at `/docs`, both made from the routes; to be called before they are added. */
export async function addDocs(app: FastifyInstance, contract: Contract, publicUrl: string | undefined): Promise<void> {
  const services = contract.services.filter(({ methods }) => methods.some(({ http }) => http));
  for (const schema of components(contract)) app.addSchema(schema);
  await app.register(swagger, openApiOptions(services, publicUrl));
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    staticCSP: pagePolicy,
    theme: { title: 'Biz Retail API' },
    uiConfig: { docExpansion: 'none', displayRequestDuration: true, validatorUrl: null, url: '/openapi.json' },
  });
  let text: string | undefined;
  app.get('/openapi.json', { schema: { hide: true } }, async (_request, reply) => {
    text ??= JSON.stringify(app.swagger());
    return reply.type('application/json; charset=utf-8').send(text);
  });
}
