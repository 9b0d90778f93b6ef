import { expect, test } from 'vitest';
import { type EntityState, neverCommand, type StandardCommand, standardDecision } from './commands.ts';

interface Thing extends EntityState {
  name: string;
  size?: number;
  tags?: string[];
}
const thing: Thing = { id: 't', status: 'active', name: 'x', tags: ['a', 'b'] };
const decide = (command: StandardCommand<Thing>, state: Thing | undefined = thing) => standardDecision<Thing>(command, state);

test('a new entity is active', () => {
  expect(decide({ kind: 'create', fields: { name: 'x' } }, undefined)).toEqual({ name: 'x', status: 'active' });
});

test('an update keeps what differs, in value or in order; clearing what is absent differs in nothing', () => {
  const patch = { name: 'x', size: null, tags: ['b', 'a'] };
  expect(decide({ kind: 'update', patch })).toEqual({ tags: ['b', 'a'] });
  expect(decide({ kind: 'update', patch: { tags: ['a', 'b'], size: undefined } })).toBeNull();
  expect(decide({ kind: 'update', patch: { size: null } }, { ...thing, size: 0 })).toEqual({ size: null });
});

test('disabling and enabling change a status once, from any other', () => {
  expect(decide({ kind: 'disable' }, { ...thing, status: 'disabled' })).toBeNull();
  expect(decide({ kind: 'enable' }, { ...thing, status: 'blocked' })).toEqual({ status: 'active' });
  expect(decide({ kind: 'delete' })).toEqual({ status: 'deleted' });
});

test('an unknown command is said to be one', () => {
  expect(() => neverCommand({ kind: 'dance' } as never)).toThrow('There is no command dance.');
});
