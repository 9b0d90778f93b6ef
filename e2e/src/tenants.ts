import { randomUUID } from 'node:crypto';
import { loadContract, type MethodModel } from '@biz/protos';
import { until } from '@biz/testing';
import { as, send, unique } from './client.ts';

/** Ids of one tenant's entities: by path of the collection, and those of other forms by the name of the parameter. */
export type Ids = Readonly<Record<string, string>>;

/** Every method that has a route. */
export const routes: readonly MethodModel[] = loadContract()
  .services.flatMap((service) => service.methods)
  .filter(({ http }) => http);

/** Valid CPFs that no other test uses, from random digits. */
function cpf(): string {
  const digits = Array.from({ length: 9 }, () => Math.floor(Math.random() * 10));
  for (const length of [9, 10]) {
    const sum = digits.slice(0, length).reduce((total, digit, at) => total + digit * (length + 1 - at), 0);
    digits.push(((sum * 10) % 11) % 10);
  }
  return digits.join('');
}

async function make(who: string, path: string, body: object): Promise<{ id: string; company_id: string }> {
  const answer = await as(who).post(path, body);
  if (answer.status !== 201) throw new Error(`${who} could not make one of ${path}: ${answer.status} ${answer.text}`);
  return answer.body;
}

/** One of everything that a company has, made by its admin; `client` is whose it is, where entities belong to clients. */
export async function tenantOf(admin: string, client?: string): Promise<Ids> {
  const of = client === undefined ? {} : { client_id: client };
  const costCenter = await make(admin, '/v1/cost-centers', { code: unique('CC'), name: 'Loja', ...of });
  const contractor = await make(admin, '/v1/client-contractors', { document: cpf(), name: 'Fulano', ...of });
  const team = await make(admin, '/v1/teams', { name: unique('Time'), ...of });
  const user = await make(admin, '/v1/users', {
    ...{ username: unique('u'), email: `${unique('u')}@example.com`, name: 'Maria' },
    ...(client !== undefined && { client_ids: [client] }),
  });
  const record_id = await recordOf(admin, team.id);
  const shared: Ids = {
    '/v1/cost-centers': costCenter.id,
    '/v1/client-contractors': contractor.id,
    '/v1/teams': team.id,
    '/v1/users': user.id,
    ...{ record_id, entity_id: team.id },
  };
  if (client !== undefined) return shared;
  const profile = await make(admin, '/v1/profiles', { name: unique('Perfil'), roles: ['user'] });
  const body = { channel: 'in_app', to: user.id, template: 'message', data: { subject: 'Oi', body: 'Tudo bem?' } };
  const notification = await make(admin, '/v1/notifications', body);
  return {
    ...shared,
    '/v1/profiles': profile.id,
    '/v1/notifications': notification.id,
    '/v1/companies': costCenter.company_id,
    ownership_id: costCenter.company_id,
  };
}

async function recordOf(admin: string, entity_id: string): Promise<string> {
  let found = '';
  await until(
    async () => {
      const { body } = await as(admin).get(`/v1/audit/records?entity_type=team&entity_id=${entity_id}`);
      found = body?.items?.[0]?.record_id ?? '';
      return found !== '';
    },
    { timeoutMs: 180_000, intervalMs: 200, what: `the audit to have the team ${entity_id}` },
  );
  return found;
}

/** The path of a route with these ids; what a tenant has no id for is somebody that never was. Undefined when it has none at all. */
export function pathWith({ http }: MethodModel, ids: Ids): string | undefined {
  const pattern = http?.path ?? '';
  const collection = pattern.split('/{')[0] ?? '';
  let known = false;
  const path = pattern.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
    if (name === 'entity_type') return 'team';
    const id = name === 'id' ? ids[collection] : ids[name];
    known ||= id !== undefined;
    return id ?? absentId(name);
  });
  return known ? path : undefined;
}

/** The path of a route with ids of nobody. */
export function absentPath({ http }: MethodModel): string {
  return (http?.path ?? '').replaceAll(/\{(\w+)\}/g, (_, name: string) => (name === 'entity_type' ? 'team' : absentId(name)));
}

function absentId(name: string): string {
  return name === 'record_id' ? 'audit-0.999999999' : name === 'log_id' ? 'audit-0' : randomUUID();
}

/** A body that the contract takes, where one is needed to get as far as the id. */
const bodies: Readonly<Record<string, object>> = {
  AddTeamMember: { user_id: randomUUID(), role: 'member' },
  AssignProfile: { profile_id: randomUUID() },
  UpdateCompany: { legal_name: 'x' },
};

/** Query that the contract asks for. */
const queries: Readonly<Record<string, string>> = { GetEntityDiff: '?from=1&to=2', GetEntityState: '?version=1' };

/** Asks a route in somebody's name. Nothing is changed by it: bodies lack what is required, or name what never was. */
export async function ask(method: MethodModel, path: string, token: string, headers: Readonly<Record<string, string>> = {}) {
  const { verb } = method.http ?? { verb: 'get' };
  const body = bodies[method.name] ?? (verb === 'patch' ? { name: 'x' } : {});
  const types = { 'content-type': verb === 'patch' ? 'application/merge-patch+json' : 'application/json', 'if-match': '"999"' };
  return send(verb.toUpperCase(), path + (queries[method.name] ?? ''), {
    headers: { authorization: `Bearer ${token}`, ...(verb === 'get' ? {} : types), ...headers },
    ...(verb === 'get' || verb === 'delete' ? {} : { body }),
    headOnly: method.responseStream,
  });
}
