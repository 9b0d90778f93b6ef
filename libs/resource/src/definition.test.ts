import { fileURLToPath } from 'node:url';
import { loadContract } from '@biz/protos';
import { expect, test } from 'vitest';
import { standardDecision } from './commands.ts';
import { defineResource } from './definition.ts';

const contract = loadContract({ dirs: [fileURLToPath(new URL('./test-protos', import.meta.url))] });
const note = { contract, service: 'biz.note.v1.NoteService', entity: 'Note', decide: () => null, lookups: { tag: () => undefined } };

test('a definition reads its entity type, filters and personal fields from the proto', () => {
  const model = defineResource({
    contract,
    service: 'biz.cost_center.v1.CostCenterService',
    entity: 'CostCenter',
    decide: standardDecision,
  });
  expect([model.entityType, model.filters]).toEqual(['cost_center', ['code', 'parent_id']]);
  expect(defineResource(note).personal.map(({ name }) => name)).toEqual(['name', 'document', 'remark', 'author_email']);
});

test('one that does not fit its proto is refused at the start, with every reason', () => {
  const wrong = { ...note, lookups: {}, unique: [{ field: 'name' }, { field: 'nothing' }], opens: ['status' as const] };
  const reasons = ['the list filters by tag', 'name is to be unique', 'nothing is to be unique', 'status is to be opened'];
  expect(() => defineResource(wrong)).toThrow(`Note: ${reasons.join(', and ')}, which its message does not allow`);
});

test('an upcast is for events of its own entity', () => {
  const upcasts = (type: string) => [{ to: '1.1', events: { [type]: (data: object) => ({ ...data }) } }];
  expect(defineResource({ ...note, upcasts: upcasts('note.created') }).rules.upcasts).toHaveLength(1);
  expect(() => defineResource({ ...note, upcasts: upcasts('team.created') })).toThrow(
    'an upcast is for team.created, which is no event of note',
  );
});
