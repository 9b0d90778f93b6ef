import type { ReadEvent } from '@biz/envelope';
import { type Keyring, type SealItem, sealUnlessErased } from '@biz/sealing';
import type { RecordDocument, SealedTexts } from '../record.ts';

/** Fields under which texts of a record are sealed (part of what a token is bound to). */
export const sealedFields = { payload: '/payload', extra: '/extra', owner_ip: '/owner_ip', raw: '/raw' } as const;

/** Whose key seals owners' addresses: one for each UTC month of receipt, so that retention can drop a month everywhere at once. */
export function addressOwner(receivedAt: Date): string {
  return `owner-ip:${receivedAt.toISOString().slice(0, 7)}`;
}

/** Whose key seals the raw bytes of dead letters, which may be anyone's data. */
export function deadLetterOwner(receivedAt: Date): string {
  return `dead-letters:${receivedAt.toISOString().slice(0, 7)}`;
}

/**
 * The texts of events as they are stored. A payload whose producer seals its personal fields stays as it came; any other is
 * sealed whole, and so is all that the envelope does not name, and the owner's address.
 */
export async function sealEvents(keyring: Keyring, events: readonly ReadEvent[], receivedAt: Date): Promise<SealedTexts[]> {
  const items: SealItem[] = [];
  const add = (event: ReadEvent, field: string, text: string, owner: Pick<SealItem, 'company_id' | 'ownership_id'>): number =>
    items.push({ ...owner, event_id: event.event_id, field, text }) - 1;
  const plans = events.map((event) => {
    const own = { company_id: event.company_id, ownership_id: event.ownership_id };
    return {
      event,
      payload: event.sealing === null ? add(event, sealedFields.payload, event.payload, own) : -1,
      extra: event.extra === null ? -1 : add(event, sealedFields.extra, event.extra, own),
      address: add(event, sealedFields.owner_ip, event.owner_ip, { company_id: null, ownership_id: addressOwner(receivedAt) }),
    };
  });
  const tokens = await sealUnlessErased(keyring, items);
  return plans.map(({ event, payload, extra, address }): SealedTexts => {
    const token = payload < 0 ? event.payload : (tokens[payload] ?? null);
    return {
      payload: token,
      payload_state: payload < 0 ? 'open' : token === null ? 'erased' : 'sealed',
      extra: extra < 0 ? null : (tokens[extra] ?? null),
      owner_ip: tokens[address] ?? null,
    };
  });
}

export interface OpenedTexts {
  payload: string;
  extra: string | null;
  owner_ip: string;
}

/** The texts of records again; undefined for a record of which any was destroyed. */
export async function openRecords(keyring: Keyring, records: readonly RecordDocument[]): Promise<(OpenedTexts | undefined)[]> {
  const opened = await openTexts(keyring, records);
  return opened.map((texts) => (Object.values(texts).includes(undefined) ? undefined : (texts as OpenedTexts)));
}

/** The texts of records again, each undefined that was destroyed. */
export async function openTexts(
  keyring: Keyring,
  records: readonly RecordDocument[],
): Promise<{ [Name in keyof OpenedTexts]: OpenedTexts[Name] | undefined }[]> {
  const items: { company_id: string | null; field: string; token: string }[] = [];
  const add = (company_id: string | null, field: string, token: string | null | undefined): number =>
    token ? items.push({ company_id, field, token }) - 1 : -1;
  const plans = records.map((record) => {
    const company = record.long?.company_id ?? record.company_id;
    return {
      record,
      payload: record.payload_state === 'sealed' ? add(company, sealedFields.payload, record.payload) : -1,
      extra: add(company, sealedFields.extra, record.extra),
      address: add(null, sealedFields.owner_ip, record.owner_ip),
    };
  });
  const opened = items.length === 0 ? [] : await keyring.open(items);
  const textAt = (index: number): string | undefined => {
    const result = opened[index];
    return result?.ok ? result.text : undefined;
  };
  return plans.map(({ record, payload, extra, address }) => ({
    payload: record.payload_state === 'open' ? (record.payload ?? undefined) : textAt(payload),
    extra: record.extra === undefined ? null : textAt(extra),
    owner_ip: textAt(address),
  }));
}
