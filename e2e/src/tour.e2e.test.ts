// Every resource as a client meets it: create, read, list in pages, patch, disable, enable, delete; then its history in the audit.
import { describe, expect, it } from 'vitest';
import { as, auditHistory, unique } from './client.ts';
import { cnpjFrom, newCpf } from './documents.ts';

type Resource = {
  readonly path: string;
  readonly entityType: string;
  readonly create: () => object;
  readonly patch: object;
  /** What a read shows after the patch; personal fields are shown to admins. */
  readonly patched: object;
};

const digits = () => String(Math.floor(Math.random() * 1e9)).padStart(9, '0');

const resources: Resource[] = [
  {
    path: '/v1/cost-centers',
    entityType: 'cost_center',
    create: () => ({ code: unique('CC'), name: 'Loja Centro', budget_cents: 1_500_000 }),
    patch: { name: 'Loja Norte', budget_cents: null },
    patched: { name: 'Loja Norte', budget_cents: null },
  },
  {
    path: '/v1/client-contractors',
    entityType: 'client_contractor',
    create: () => ({ document: newCpf(), name: 'Maria da Silva', email: `${unique('maria')}@example.com`, phone: '+55 11 91234-5678' }),
    patch: { name: 'Maria Souza', phone: null },
    patched: { name: 'Maria Souza', phone: null },
  },
  {
    path: '/v1/teams',
    entityType: 'team',
    create: () => ({ name: unique('Equipe'), description: 'Caixas' }),
    patch: { description: null, name: 'Equipe B' },
    patched: { name: 'Equipe B', description: null },
  },
  {
    path: '/v1/profiles',
    entityType: 'profile',
    create: () => ({ name: unique('Perfil'), roles: ['user'] }),
    patch: { roles: ['auditor', 'user'] },
    patched: { roles: ['auditor', 'user'] },
  },
  {
    path: '/v1/users',
    entityType: 'user',
    create: () => ({ username: unique('joana'), email: `${unique('joana')}@example.com`, name: 'Joana Lima', document: newCpf() }),
    patch: { name: 'Joana Prado' },
    patched: { name: 'Joana Prado' },
  },
];

/** An entity without what goes on by itself: how far Keycloak has followed. */
function settled({ sync_status: _, sync_error: __, ...entity }: Record<string, unknown>): object {
  return entity;
}

describe.each(resources)('$path', (resource) => {
  it('lives its whole life, and the audit has every step', async () => {
    const admin = as('admin-a');
    const created = await admin.post(resource.path, resource.create());
    expect(created.status, created.text).toBe(201);
    expect(created.body).toMatchObject({ version: 1, status: 'active' });
    expect(created.headers.get('etag')).toBe('"1"');
    const { id } = created.body;
    const one = `${resource.path}/${id}`;
    expect(created.headers.get('location')).toMatch(new RegExp(`${one}$`));

    const read = await admin.get(one);
    expect(settled(read.body)).toEqual(settled(created.body));

    const stale = await admin.patch(one, resource.patch, 7);
    expect([stale.status, stale.body.code]).toEqual([412, 'version_mismatch']);
    const missing = await admin.send('PATCH', one, { body: resource.patch });
    expect([missing.status, missing.body.code]).toEqual([428, 'precondition_required']);
    const patched = await admin.patch(one, resource.patch, 1);
    expect(patched.status, patched.text).toBe(200);
    expect(patched.body).toMatchObject({ id, version: 2, ...resource.patched });
    expect(patched.body.updated_at >= created.body.updated_at).toBe(true);

    const disabled = await admin.post(`${one}/disable`);
    expect(disabled.body, disabled.text).toMatchObject({ version: 3, status: 'disabled' });
    const again = await admin.post(`${one}/disable`);
    expect(settled(again.body)).toEqual(settled(disabled.body));
    const enabled = await admin.post(`${one}/enable`);
    expect(enabled.body).toMatchObject({ version: 4, status: 'active' });

    const deleted = await admin.delete(one);
    expect([deleted.status, deleted.text]).toEqual([204, '']);
    const gone = await admin.get(one);
    expect([gone.status, gone.body.code]).toEqual([404, 'not_found']);

    const records = await auditHistory(resource.entityType, id, 5);
    expect(records.map((record) => [record.version, record.action_type, record.is_active])).toEqual([
      [1, 'new', false],
      [2, 'update', false],
      [3, 'disable', false],
      [4, 'enable', false],
      [5, 'delete', false],
    ]);
    expect(records[0]).toMatchObject({
      event_type: `${resource.entityType}.created`,
      entity_id: id,
      owner_type: 'user',
      owner_role: 'admin',
      trace_id: created.headers.get('x-trace-id'),
      company_id: created.body.company_id,
    });
  });

  it('is listed in pages, each entity once', async () => {
    const admin = as('admin-a');
    const made = new Set<string>();
    for (let index = 0; index < 5; index += 1) {
      const created = await admin.post(resource.path, resource.create());
      expect(created.status, created.text).toBe(201);
      made.add(created.body.id);
    }
    const seen: string[] = [];
    let token = '';
    do {
      const page = await admin.get(`${resource.path}?page_size=2${token && `&page_token=${encodeURIComponent(token)}`}`);
      expect(page.status, page.text).toBe(200);
      expect(page.body.items.length).toBeLessThanOrEqual(2);
      seen.push(...page.body.items.map((item: { id: string }) => item.id));
      token = page.body.next_page_token;
    } while (token);
    expect(new Set(seen).size).toBe(seen.length);
    expect(seen.filter((id) => made.has(id))).toHaveLength(5);
  });
});

describe('rules that join resources', () => {
  it('codes and documents are unique in the company, and free again after a delete', async () => {
    const [admin, other] = [as('admin-a'), as('admin-b')];
    const code = unique('CC');
    const first = await admin.post('/v1/cost-centers', { code, name: 'Um' });
    const second = await admin.post('/v1/cost-centers', { code, name: 'Dois' });
    expect([second.status, second.body.code]).toEqual([409, 'already_exists']);
    expect((await other.post('/v1/cost-centers', { code, name: 'De outra empresa' })).status).toBe(201);
    expect((await admin.delete(`/v1/cost-centers/${first.body.id}`)).status).toBe(204);
    expect((await admin.post('/v1/cost-centers', { code, name: 'Dois' })).status).toBe(201);

    const document = newCpf();
    expect((await admin.post('/v1/client-contractors', { document, name: 'Ana' })).status).toBe(201);
    const masked = document.replace(/(\d{3})(\d{3})(\d{3})(\d{2})/, '$1.$2.$3-$4');
    expect((await admin.post('/v1/client-contractors', { document: masked, name: 'Ana' })).status).toBe(409);
    const found = await admin.get(`/v1/client-contractors?document=${document}`);
    expect(found.body.items.map((item: { document: string }) => item.document)).toEqual([document]);
  });

  it('cost centres form no cycle, and one with children stays', async () => {
    const admin = as('admin-a');
    const top = (await admin.post('/v1/cost-centers', { code: unique('T'), name: 'Topo' })).body;
    const middle = (await admin.post('/v1/cost-centers', { code: unique('M'), name: 'Meio', parent_id: top.id })).body;
    const cycle = await admin.patch(`/v1/cost-centers/${top.id}`, { parent_id: middle.id }, 1);
    expect([cycle.status, cycle.body.code]).toEqual([409, 'conflict']);
    const deleted = await admin.delete(`/v1/cost-centers/${top.id}`);
    expect([deleted.status, deleted.body.code]).toEqual([409, 'conflict']);
  });

  it('an alphanumeric CNPJ is a document, wrong check digits are not', async () => {
    const admin = as('admin-a');
    const cnpj = cnpjFrom(`AB${digits()}Z`);
    const created = await admin.post('/v1/client-contractors', { document: cnpj, name: 'Fornecedora Ltda' });
    expect(created.body, created.text).toMatchObject({ document: cnpj });
    const wrong = await admin.post('/v1/client-contractors', { document: '12ABC34501DE36', name: 'Fornecedora Ltda' });
    expect([wrong.status, wrong.body.errors]).toEqual([400, [{ path: '/document', message: expect.stringContaining('CNPJ') }]]);
  });

  it('team members are users who exist', async () => {
    const admin = as('admin-a');
    const user = (await admin.post('/v1/users', { username: unique('ze'), email: `${unique('ze')}@example.com`, name: 'José' })).body;
    const team = (await admin.post('/v1/teams', { name: unique('Equipe') })).body;
    const added = await admin.post(`/v1/teams/${team.id}/members`, { user_id: user.id, role: 'leader' });
    expect(added.body, added.text).toMatchObject({ version: 2, members: [{ user_id: user.id, role: 'leader' }] });
    const nobody = await admin.post(`/v1/teams/${team.id}/members`, { user_id: team.id, role: 'member' });
    expect(nobody.status, nobody.text).toBe(400);
    expect((await admin.delete(`/v1/teams/${team.id}/members/${user.id}`)).status).toBe(204);
    const records = await auditHistory('team', team.id, 3);
    expect(records.map((record) => record.event_type)).toEqual(['team.created', 'team.member_added', 'team.member_removed']);
  });
});

describe('writes', () => {
  it('with the same Idempotency-Key happen once', async () => {
    const admin = as('admin-a');
    const key = { 'idempotency-key': unique('key') };
    const body = { code: unique('CC'), name: 'Loja' };
    const [first, second] = await Promise.all([admin.post('/v1/cost-centers', body, key), admin.post('/v1/cost-centers', body, key)]);
    const third = await admin.post('/v1/cost-centers', body, key);
    expect([first.status, second.status, third.status]).toEqual([201, 201, 201]);
    expect(second.body).toEqual(first.body);
    expect(third.body).toEqual(first.body);
    const other = await admin.post('/v1/cost-centers', { ...body, name: 'Outra' }, key);
    expect([other.status, other.body.code]).toEqual([409, 'idempotency_conflict']);
    expect(await auditHistory('cost_center', first.body.id, 1)).toHaveLength(1);
  });

  it('by two people on one version: one wins', async () => {
    const admin = as('admin-a');
    const { id } = (await admin.post('/v1/cost-centers', { code: unique('CC'), name: 'Loja' })).body;
    const answers = await Promise.all(['A', 'B'].map((name) => admin.patch(`/v1/cost-centers/${id}`, { name }, 1)));
    expect(answers.map((answer) => answer.status).sort()).toEqual([200, 412]);
  });

  it('carry the client’s trace, address and role into the envelope’s record', async () => {
    const trace = 'a'.repeat(31) + Math.floor(Math.random() * 10);
    const created = await as('manager-a').post(
      '/v1/cost-centers',
      { code: unique('CC'), name: 'Loja' },
      { traceparent: `00-${trace}-00f067aa0ba902b7-01` },
    );
    expect(created.headers.get('x-trace-id')).toBe(trace);
    const [record] = await auditHistory('cost_center', created.body.id, 1, 'auditor-a');
    expect(record).toMatchObject({
      trace_id: trace,
      owner_role: 'manager',
      owner_type: 'user',
      owner_ip: expect.stringMatching(/^(127\.0\.0\.1|::1|::ffff:127\.0\.0\.1)$/),
    });
  });
});
