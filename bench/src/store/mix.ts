import { seeded } from '@biz/testing';

export type EntityType = 'cost_center' | 'team' | 'client_contractor' | 'card';

/** An entity of the store: how many records it gets, whose it is. */
export interface Entity {
  id: string;
  type: EntityType;
  company: string;
  ownership: string;
  versions: number;
}

/** What a store is made of: entities, and for each record in turn which entity it is of (an index into them). */
export interface Mix {
  entities: Entity[];
  order: Uint32Array;
  /** The entities with many versions, by that number: what time travel is measured on. */
  sized: Entity[];
  users: number;
  /** Records that share a trace. */
  perTrace: number;
}

/** The entities that time travel is measured on; none has more than a quarter of the store. */
const SIZED: { type: EntityType; versions: number }[] = [
  { type: 'cost_center', versions: 10 },
  { type: 'cost_center', versions: 1_000 },
  { type: 'cost_center', versions: 100_000 },
  { type: 'card', versions: 1_000 },
];
const COMPANIES = ['company-a', 'company-b'];

/**
 * Many entities of one to seven versions, of two companies: cost centres and teams of our own services, contractors whose personal fields
 * their service sealed, cards of a producer that seals nothing; and single ones of 10, 1,000 and 100,000
 * versions. Their records come in random order, as from many users at once.
 */
export function mixOf(records: number, seed = 4): Mix {
  const random = seeded(seed);
  const pick = (count: number) => Math.floor(random() * count);
  const owners = Math.max(1, Math.floor(records / 50));
  const entities = SIZED.map(({ type, versions }): Entity => {
    const id = `${type}-of-${versions}`;
    const ownership = type === 'card' ? id : 'company-a';
    return { id, type, company: 'company-a', ownership, versions: Math.min(versions, Math.floor(records / 4)) };
  });
  const sized = [...entities];
  let left = records - sized.reduce((sum, { versions }) => sum + versions, 0);
  while (left > 0) {
    const type = typeAt(random());
    const company = COMPANIES[random() < 0.7 ? 0 : 1] as string;
    const id = `${type}-${entities.length}`;
    const ownership = type === 'card' ? `person-${pick(owners)}` : type === 'client_contractor' ? id : company;
    const versions = Math.min(left, 1 + pick(7));
    entities.push({ id, type, company, ownership, versions });
    left -= versions;
  }
  return { entities, order: shuffled(entities, records, pick), sized, users: 500, perTrace: 3 };
}

function typeAt(share: number): EntityType {
  if (share < 0.3) return 'cost_center';
  if (share < 0.5) return 'team';
  return share < 0.6 ? 'client_contractor' : 'card';
}

function shuffled(entities: readonly Entity[], records: number, pick: (count: number) => number): Uint32Array {
  const order = new Uint32Array(records);
  let at = 0;
  for (const [index, { versions }] of entities.entries()) {
    order.fill(index, at, at + versions);
    at += versions;
  }
  for (let last = records - 1; last > 0; last -= 1) {
    const other = pick(last + 1);
    const moved = order[last] as number;
    order[last] = order[other] as number;
    order[other] = moved;
  }
  return order;
}
