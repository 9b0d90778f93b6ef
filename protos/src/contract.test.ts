import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { httpSchemas, loadContract, renderJson, requestFaults } from './index.ts';

const contract = loadContract();
const method = (name: string) => {
  const found = contract.service('biz.cost_center.v1.CostCenterService').methods.find((candidate) => candidate.name === name);
  if (!found) throw new Error(name);
  return found;
};

function withProto(text: string) {
  const dir = mkdtempSync(join(tmpdir(), 'biz-proto-'));
  writeFileSync(join(dir, 'thing.proto'), text);
  return () => loadContract({ dirs: [dir] });
}

describe('loadContract', () => {
  it('reads methods with their route, rules and comment', () => {
    expect(method('CreateCostCenter')).toMatchObject({
      path: '/biz.cost_center.v1.CostCenterService/CreateCostCenter',
      service: { process: 'cost-center' },
      http: { verb: 'post', path: '/v1/cost-centers', params: [], body: '*' },
      rules: { roles: ['admin', 'manager'], event: 'cost_center.created', status: 201, merge_patch: false },
      comment: 'Creates a cost centre. Its code is unique in the company.',
    });
    expect(method('GetCostCenter').http).toMatchObject({ verb: 'get', params: ['id'] });
  });

  it('reads fields with their rules', () => {
    const fields = Object.fromEntries(method('CreateCostCenter').request.fields.map((field) => [field.name, field]));
    expect(fields.code).toMatchObject({ type: 'string', optional: false, rules: { required: true, max_len: 40 } });
    expect(fields.budget_cents).toMatchObject({ type: 'int64', optional: true, rules: { min: 0, nullable: true } });
  });

  it.each([
    ['a misspelt rule', 'string id = 1 [(biz.field) = { requird: true }];', /has no rule "requird"/],
    ['an enum', 'enum Kind { NONE = 0; } Kind kind = 1;', /no enums/],
  ])('refuses %s', (_, field, message) => {
    const load = withProto(`syntax = "proto3"; package biz.thing.v1; import "biz/options.proto"; message Thing { ${field} }
      service ThingService { rpc Get(Thing) returns (Thing); }`);
    expect(load).toThrow(message);
  });

  it('refuses two methods on one route', () => {
    const load = withProto(`syntax = "proto3"; package biz.thing.v1; import "google/api/annotations.proto"; message Thing { string id = 1; }
      service ThingService { rpc Get(Thing) returns (Thing) { option (google.api.http) = { get: "/v1/cost-centers/{id}" }; } }`);
    expect(load).toThrow(/have the same route: get \/v1\/cost-centers\/\{\}/);
  });
});

describe('requestFaults', () => {
  it('accepts a good request', () => {
    expect(requestFaults(method('CreateCostCenter'), { code: 'A-1', name: 'Loja', budget_cents: 10 })).toEqual([]);
  });

  it('names every fault by its path', () => {
    const faults = requestFaults(method('CreateCostCenter'), { code: '', name: 'x'.repeat(201), parent_id: 'no', budget_cents: -1 });
    expect(faults).toEqual(
      expect.arrayContaining([
        { path: '/code', message: 'is required' },
        { path: '/name', message: 'must have at most 200 characters' },
        { path: '/parent_id', message: 'is not a UUID' },
        { path: '/budget_cents', message: 'must be >= 0' },
      ]),
    );
    expect(faults).toHaveLength(4);
  });

  it('bounds int64 to what JSON carries, and text to well-formed Unicode', () => {
    expect(requestFaults(method('CreateCostCenter'), { code: 'A', name: 'B', budget_cents: 2 ** 53 })).toHaveLength(1);
    expect(requestFaults(method('CreateCostCenter'), { code: 'A', name: '\ud800' })).toEqual([
      { path: '/name', message: 'holds a lone surrogate, which is not text' },
    ]);
  });

  it('checks a field mask: known fields, and only nullable ones are cleared', () => {
    const base = { id: '01890000-0000-7000-8000-000000000000', expected_version: 1 };
    expect(requestFaults(method('UpdateCostCenter'), { ...base, update_mask: { paths: ['parent_id'] } })).toEqual([]);
    expect(requestFaults(method('UpdateCostCenter'), { ...base, update_mask: { paths: ['name', 'id', 'nope'] } })).toEqual([
      { path: '/name', message: 'cannot be cleared' },
      { path: '/id', message: 'is not a field that can be changed' },
      { path: '/nope', message: 'is not a field that can be changed' },
    ]);
  });
});

describe('httpSchemas', () => {
  it('puts each field where the route says', () => {
    const schemas = httpSchemas(method('UpdateCostCenter'));
    expect(Object.keys(schemas.params?.properties as object)).toEqual(['id']);
    expect(Object.keys(schemas.body?.properties as object)).toEqual(['code', 'name', 'parent_id', 'budget_cents']);
    expect(schemas.body?.required).toBeUndefined();
    expect(schemas.headers.map((field) => field.rules.header)).toEqual(['if-match']);
  });
});

describe('renderJson', () => {
  const message = contract.message('biz.cost_center.v1.CostCenter');

  it('gives every field, absent optionals as null', () => {
    expect(JSON.parse(renderJson(message, { id: 'x', version: 3, code: 'A', budget_cents: 5 }))).toEqual({
      client_id: null,
      id: 'x',
      version: 3,
      status: '',
      company_id: '',
      created_at: '',
      updated_at: '',
      code: 'A',
      name: '',
      parent_id: null,
      budget_cents: 5,
    });
  });

  it('shows what was not opened', () => {
    expect(JSON.parse(renderJson(message, { id: 'x', sealed_fields: ['name'], erased_fields: ['code'] }))).toMatchObject({
      name: { sealed: true },
      code: { erased: true },
    });
  });
});
