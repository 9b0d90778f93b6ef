import { describe, expect, test } from 'vitest';
import { type CostCenter, type CostCenterCommand, concernsTree, decide, maxDepth, type TreeFacts } from './cost-center.ts';

const active: CostCenter = { id: 'a', status: 'active', code: 'A', name: 'Loja', parent_id: 'p' };
const alone: TreeFacts = { parent: undefined, hasChildren: false };
const below = (...ancestors: string[]): TreeFacts => ({ parent: { status: 'active', ancestors }, hasChildren: false });
const run = (command: CostCenterCommand, state: CostCenter | undefined = active, facts = alone) =>
  decide({ ...command, id: 'a', at: '2026-11-21T12:00:00.000Z' }, state, facts);
const move = (parent_id: string | null): CostCenterCommand => ({ kind: 'update', patch: { parent_id } });

describe('a cost centre', () => {
  test('is created active', () => {
    const fields = { code: 'A', name: 'Loja' };
    expect(decide({ kind: 'create', fields, id: 'a', at: '' }, undefined, alone)).toEqual({ ...fields, status: 'active' });
  });

  test('changes only what differs', () => {
    expect(run({ kind: 'update', patch: { name: 'Loja', budget_cents: 5 } })).toEqual({ budget_cents: 5 });
    expect(run({ kind: 'update', patch: { name: 'Loja', budget_cents: null, parent_id: 'p' } })).toBeNull();
    expect(run({ kind: 'update', patch: {} })).toBeNull();
  });

  test('is disabled and enabled once, however often it is asked', () => {
    const disabled = { ...active, status: 'disabled' };
    expect([run({ kind: 'disable' }), run({ kind: 'disable' }, disabled)]).toEqual([{ status: 'disabled' }, null]);
    expect([run({ kind: 'enable' }, disabled), run({ kind: 'enable' })]).toEqual([{ status: 'active' }, null]);
  });

  test('is deleted unless others are below it', () => {
    expect(run({ kind: 'delete' })).toEqual({ status: 'deleted' });
    expect(() => run({ kind: 'delete' }, active, { parent: undefined, hasChildren: true })).toThrow(
      expect.objectContaining({ code: 'conflict' }),
    );
  });
});

describe('a parent', () => {
  test('is one of the company that is active', () => {
    expect(run(move('q'), active, below('r'))).toEqual({ parent_id: 'q' });
    expect(run(move(null))).toEqual({ parent_id: null });
    const faults = (message: string) => expect.objectContaining({ code: 'invalid_request', faults: [{ path: '/parent_id', message }] });
    expect(() => run(move('q'))).toThrow(faults('is not a known cost centre'));
    expect(() => run(move('q'), active, { ...alone, parent: { status: 'disabled', ancestors: [] } })).toThrow(
      faults('is a disabled cost centre'),
    );
    expect(() => run({ kind: 'create', fields: { code: 'A', name: 'x', parent_id: 'q' } }, undefined)).toThrow(
      faults('is not a known cost centre'),
    );
  });

  test('is neither the cost centre itself nor below it', () => {
    expect(() => run(move('a'))).toThrow(expect.objectContaining({ code: 'conflict' }));
    expect(() => run(move('q'), active, below('r', 'a', 's'))).toThrow(expect.objectContaining({ code: 'conflict' }));
  });

  test('is not too far down', () => {
    const up = (levels: number) => below(...Array.from({ length: levels }, (_, at) => `n${at}`));
    expect(run(move('q'), active, up(maxDepth - 2))).toEqual({ parent_id: 'q' });
    expect(() => run(move('q'), active, up(maxDepth - 1))).toThrow(expect.objectContaining({ code: 'conflict' }));
  });
});

test('the tree is concerned by what places, disables or deletes, not by the rest', () => {
  expect(concernsTree(move('q'), active)).toBe(true);
  expect([move('p'), move(null), { kind: 'enable' } as const].map((command) => concernsTree(command, active))).toEqual([
    false,
    false,
    false,
  ]);
  expect(concernsTree({ kind: 'create', fields: { code: 'A', name: 'x' } }, undefined)).toBe(false);
  expect([{ kind: 'disable' } as const, { kind: 'delete' } as const].every((command) => concernsTree(command, active))).toBe(true);
});
