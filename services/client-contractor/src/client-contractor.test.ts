import { describe, expect, it } from 'vitest';
import { type ClientContractor, decide } from './client-contractor.ts';

const stamp = { id: 'c-1', at: '2026-11-21T12:00:00.000Z' };
const state: ClientContractor = { id: 'c-1', status: 'active', document: { sealed: 's1.x' }, name: { sealed: 's1.y' } };
const none = { costCenter: undefined };

describe('a contractor', () => {
  it.each([
    ['529.982.247-25', '52998224725'],
    ['12.ABC.345/01DE-35', '12ABC34501DE35'],
  ])('keeps the document %s without its mask', (document, kept) => {
    expect(decide({ ...stamp, kind: 'create', fields: { document, name: 'Maria' } }, undefined, none)).toMatchObject({
      document: kept,
      status: 'active',
    });
    expect(decide({ ...stamp, kind: 'update', patch: { document } }, state, none)).toEqual({ document: kept });
  });

  it.each([
    ['missing', 'does not exist'],
    ['disabled', 'is disabled'],
  ] as const)('is not booked on a cost centre that is %s', (costCenter, message) => {
    const create = () =>
      decide({ ...stamp, kind: 'create', fields: { document: '52998224725', name: 'Maria', cost_center_id: 'x' } }, undefined, {
        costCenter,
      });
    expect(create).toThrow(expect.objectContaining({ code: 'invalid_request', faults: [{ path: '/cost_center_id', message }] }));
  });

  it('is disabled and enabled once', () => {
    expect(decide({ ...stamp, kind: 'disable' }, state, none)).toEqual({ status: 'disabled' });
    expect(decide({ ...stamp, kind: 'disable' }, { ...state, status: 'disabled' }, none)).toBeNull();
    expect(decide({ ...stamp, kind: 'enable' }, state, none)).toBeNull();
    expect(decide({ ...stamp, kind: 'delete' }, state, none)).toEqual({ status: 'deleted' });
  });
});
