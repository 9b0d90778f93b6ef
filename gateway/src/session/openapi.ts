import type { ErrorCode } from '@biz/errors';
import type { FastifySchema } from 'fastify';
import { companyIdHeader, problemAnswers } from '../openapi.ts';

const tags = ['Session'];
const text = { type: 'string' } as const;
const texts = { type: 'array', items: text } as const;

export const describeLogin: FastifySchema = {
  operationId: 'Session_Login',
  summary: 'Log in',
  description: 'For browsers: leads to the login page and, after it, to `return_to` with a session cookie.',
  tags,
  security: [],
  querystring: { type: 'object', properties: { return_to: { ...text, description: 'A path of this host; `/v1/me` when not given.' } } },
  response: { 302: { type: 'null', description: 'To the login page.' }, ...problemAnswers(['invalid_request']) },
};

export const describeCallback: FastifySchema = {
  operationId: 'Session_Callback',
  summary: 'End of a login',
  description: 'Where the login page leads back to. Opens the session.',
  tags,
  security: [],
  querystring: {
    type: 'object',
    properties: { code: text, state: text, iss: text, session_state: text, error: text, error_description: text },
  },
  response: {
    303: { type: 'null', description: 'Logged in; to `return_to`.' },
    ...problemAnswers(['login_failed', 'token_invalid', 'unavailable']),
  },
};

export const describeLogout: FastifySchema = {
  operationId: 'Session_Logout',
  summary: 'Log out',
  description: 'Ends the session here and at the identity provider. Without a session there is nothing to do.',
  tags,
  security: [{ session: [] }],
  headers: { type: 'object', properties: { 'X-CSRF': { ...text, enum: ['1'] } } },
  response: { 204: { type: 'null', description: 'Done.' }, ...problemAnswers(['cross_site_request', 'unavailable']) },
};

const meCodes: ErrorCode[] = ['token_missing', 'token_invalid', 'token_expired', 'wrong_company', 'unavailable'];

export const describeMe: FastifySchema = {
  operationId: 'Session_Me',
  summary: 'Who the caller is',
  description: 'What the token or the session says of the caller.',
  tags,
  security: [{ bearer: [] }, { session: [] }],
  headers: { type: 'object', properties: { 'X-Company-Id': companyIdHeader } },
  response: {
    200: {
      description: 'As asked.',
      content: {
        'application/json': {
          schema: {
            type: 'object',
            required: ['id', 'username', 'roles', 'companies', 'clients', 'company_id', 'session'],
            properties: {
              id: { ...text, description: "Identity's user id, or the identity provider's subject." },
              username: { type: ['string', 'null'] },
              roles: texts,
              companies: { ...texts, description: '`*` is every company.' },
              clients: texts,
              company_id: { type: ['string', 'null'], description: 'The chosen company, or the only one.' },
              session: {
                type: ['object', 'null'],
                description: 'Null with a bearer token.',
                properties: { expires_at: { ...text, format: 'date-time', description: 'When it ends unless it is used.' } },
                required: ['expires_at'],
              },
            },
          },
        },
      },
    },
    ...problemAnswers(meCodes),
  },
};
