// Who looks at audit data is in the audit.
import { until } from '@biz/testing';
import { describe, expect, it } from 'vitest';
import { type Answer, as, auditHistory, unique } from './client.ts';
import { newCpf } from './documents.ts';

/** The records of the read that this answer came from: found by its trace. */
const readsOf = (answer: Answer, who = 'auditor-a') =>
  until(
    async () => {
      const { body } = await as(who).get(`/v1/audit/records?trace_id=${answer.headers.get('x-trace-id')}`);
      return body.items.length > 0 ? (body.items as Answer['body'][]) : undefined;
    },
    { what: 'the record of the read', timeoutMs: 90_000 },
  );

describe('a read of audit data', () => {
  it('is one record: who, from where, what, how much, whose', async () => {
    const created = await as('admin-a').post('/v1/cost-centers', { code: unique('CC'), name: 'Loja Centro' });
    const { id, company_id } = created.body;
    await auditHistory('cost_center', id, 1);
    const seen = await as('dpo-a').get(`/v1/audit/entities/cost_center/${id}/history?page_size=5`);
    const [read, ...more] = await readsOf(seen);
    expect(more).toEqual([]);
    expect(read).toMatchObject({
      event_type: 'audit.read',
      entity_type: 'audit_read',
      owner_role: 'dpo',
      owner_type: 'user',
      company_id,
      payload: {
        rpc: 'biz.audit.v1.AuditService/GetEntityHistory',
        route: 'GET /v1/audit/entities/{entity_type}/{entity_id}/history',
        filters: { entity_type: 'cost_center', entity_id: id, page_size: 5 },
        opens: ['payload', 'owner_ip'],
        count: 1,
        ownership_ids: [company_id],
        outcome: 'answered',
      },
    });
    expect(typeof read.owner_ip).toBe('string');
    const foreign = await as('admin-b').get(`/v1/audit/records?trace_id=${seen.headers.get('x-trace-id')}`);
    expect(foreign.body.items).toEqual([]);
  });

  it('is found by whose data it showed', async () => {
    const person = { document: newCpf(), name: 'Maria da Silva', email: `${unique('maria')}@example.com`, phone: '+55 11 91234-5678' };
    const { id } = (await as('admin-a').post('/v1/client-contractors', person)).body;
    await auditHistory('client_contractor', id, 1);
    const seen = await as('dpo-a').get(`/v1/ownerships/${id}/records`);
    await readsOf(seen);
    const { body } = await as('dpo-a').get(`/v1/ownerships/${id}/reads`);
    const traces = body.items.map((item: Answer['body']) => item.trace_id);
    expect(traces).toContain(seen.headers.get('x-trace-id'));
    const counted = await until(async () => (await as('dpo-a').get(`/v1/ownerships/${id}`)).body.record_count, {
      what: 'the ownership',
      timeoutMs: 90_000,
    });
    expect(counted).toBe(1);
    expect((await as('auditor-a').get(`/v1/ownerships/${unique('nobody')}/reads`)).body.items).toEqual([]);
    expect((await as('admin-a').get(`/v1/ownerships/${id}/reads`)).status).toBe(403);
  });

  it('that names a person by document keeps the document to itself', async () => {
    const document = newCpf();
    const seen = await as('dpo-a').get(`/v1/ownerships?document=${document}`);
    expect(seen.status).toBe(200);
    const [read] = await readsOf(seen);
    expect(read.payload).toMatchObject({ filters: { document: { withheld: true } }, count: 0 });
    expect(JSON.stringify(read)).not.toContain(document);
  });

  it('of another company is recorded where the attempt was made', async () => {
    const created = await as('admin-a').post('/v1/cost-centers', { code: unique('CC'), name: 'Loja Norte' });
    const refused = await as('admin-b').get(`/v1/ownerships/${created.body.company_id}`);
    expect(refused.status).toBe(404);
    const [read] = await readsOf(refused, 'admin-b');
    expect(read).toMatchObject({ owner_role: 'admin', payload: { outcome: 'not_found', count: 0 } });
  });
});
