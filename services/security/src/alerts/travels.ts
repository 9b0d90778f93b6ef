import type { SecurityEvent } from '@biz/security-events';
import type { Db } from 'mongodb';
import { keyText } from '../storage/event.ts';
import type { Counted } from './candidates.ts';
import type { CountryTable } from './countries.ts';

/** Logins from a country that the user never logged in from. */
export interface Travels {
  /**
   * What a batch counts, and how to remember the countries it saw once the alerts are written: killed before, the same logins are new again and
   * make the same alerts. A user's first login is from nowhere new.
   */
  of(batch: readonly SecurityEvent[]): Promise<{ counted: Counted[]; remember: () => Promise<void> }>;
}

interface TravellerDocument {
  _id: string;
  seen: string[];
}

/** Kept in `alert_countries`, one document a user. */
export function createTravels(db: Db, table: Pick<CountryTable, 'countryOf'>): Travels {
  const travellers = db.collection<TravellerDocument>('alert_countries', { writeConcern: { w: 'majority', journal: true } });
  return {
    async of(batch) {
      const logins = batch.flatMap((event) => loginOf(event, table)).sort((one, other) => one.at.getTime() - other.at.getTime());
      if (logins.length === 0) return { counted: [], remember: async () => undefined };
      const found = await travellers.find({ _id: { $in: [...new Set(logins.map(({ traveller }) => traveller))] } }).toArray();
      const seen = new Map(found.map(({ _id, seen: countries }) => [_id, new Set(countries)]));
      const added = new Map<string, Set<string>>();
      const counted: Counted[] = [];
      for (const { traveller, country, ...login } of logins) {
        const known = seen.get(traveller) ?? new Set<string>();
        if (known.has(country)) continue;
        if (known.size > 0) counted.push({ ...login, country });
        seen.set(traveller, known.add(country));
        added.set(traveller, (added.get(traveller) ?? new Set()).add(country));
      }
      return {
        counted,
        async remember() {
          const updates = [...added].map(([_id, countries]) => ({
            updateOne: { filter: { _id }, update: { $addToSet: { seen: { $each: [...countries] } } }, upsert: true },
          }));
          if (updates.length > 0) await travellers.bulkWrite(updates, { ordered: false });
        },
      };
    },
  };
}

type Login = Counted & { traveller: string; country: string };

function loginOf(event: SecurityEvent, table: Pick<CountryTable, 'countryOf'>): Login[] {
  const { event_id, event_type, user_id, company_id, at, ip } = event;
  if (event_type !== 'LOGIN_SUCCESS' || user_id === null) return [];
  const country = table.countryOf(ip);
  if (country === undefined) return [];
  const plain = { event_id, company_id, at, user_id, email: null, name_index: null, ip };
  return [{ kind: 'new_country', n: 1, ...plain, country, traveller: keyText(user_id) }];
}
