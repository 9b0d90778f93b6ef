import { parseJson } from '@biz/json';
import type { Keyring, Opened, OpenItem } from '@biz/sealing';
import { sealedFields } from './seal.ts';
import type { StoredEvent } from './storage/port.ts';

/** Personal values of an event by their names in the contract, with the company whose key sealed them. */
const personal = [
  { name: 'user_email', kept: 'user_email', company: (event: StoredEvent) => event.company_id },
  { name: 'ip_address', kept: 'ip', company: () => null },
  { name: 'user_agent', kept: 'user_agent', company: (event: StoredEvent) => event.company_id },
] as const;

/** Events as messages of the contract; what is personal is opened when `open`, and named among the sealed or the erased fields otherwise. */
export async function presentEvents(keyring: Pick<Keyring, 'open'>, events: readonly StoredEvent[], open: boolean): Promise<object[]> {
  const items: OpenItem[] = [];
  const places = events.map((event) =>
    personal.map(({ name, kept, company }) => {
      const token = event[kept];
      if (token === null) return { name, at: -1, gone: event.anonymized };
      return {
        name,
        at: open ? items.push({ company_id: company(event), field: sealedFields[kept], token }) - 1 : Number.NaN,
        gone: false,
      };
    }),
  );
  const opened = items.length === 0 ? [] : await keyring.open(items);
  return events.map((event, index) => {
    const values = (places[index] ?? []).map(({ name, at, gone }) => ({ name, ...outcome(at, gone, opened) }));
    return {
      ...plainOf(event),
      ...Object.fromEntries(values.flatMap(({ name, value }) => (value === undefined ? [] : [[name, value]]))),
      sealed_fields: values.flatMap(({ name, state }) => (state === 'sealed' ? [name] : [])),
      erased_fields: values.flatMap(({ name, state }) => (state === 'erased' ? [name] : [])),
    };
  });
}

interface Outcome {
  value?: string;
  state?: 'sealed' | 'erased';
}

function outcome(at: number, gone: boolean, opened: readonly Opened[]): Outcome {
  if (Number.isNaN(at)) return { state: 'sealed' };
  if (at < 0) return gone ? { state: 'erased' } : {};
  const result = opened[at];
  if (!result?.ok) return { state: result?.reason === 'erased' ? 'erased' : 'sealed' };
  return { value: String(parseJson(result.text)) };
}

function plainOf(event: StoredEvent): object {
  const { occurred_at, received_at, first_at, last_at, user_email: _, ip: __, ip_index: ___, user_agent: ____, ...plain } = event;
  const given = Object.fromEntries(Object.entries(plain).filter(([, value]) => value !== null));
  return {
    ...given,
    timestamp: occurred_at.toISOString(),
    received_at: received_at.toISOString(),
    first_at: first_at.toISOString(),
    last_at: last_at.toISOString(),
  };
}
