import { lookup as resolve } from 'node:dns/promises';
import { BlockList, isIP, type LookupFunction } from 'node:net';

/** Which addresses a webhook may be at. */
export interface AddressPolicy {
  /** Networks beyond the public internet that are allowed, as `10.1.0.0/16`. */
  readonly networks: readonly string[];
  /** This machine, and `http:` to it: for development. */
  readonly loopback: boolean;
}

export interface AddressGuard {
  /** Why a URL is no webhook of ours, before its name is resolved; undefined when nothing speaks against it. */
  fault(url: string): string | undefined;
  /** Resolves names for sockets, and refuses one of which any address is not allowed: what is checked is what is connected to. */
  readonly lookup: LookupFunction;
}

/** A name or an address that leads where no webhook may go. */
export class ForbiddenAddressError extends Error {
  override name = 'ForbiddenAddressError';
}

/** Everything that is not the public internet (IANA special-purpose registries, RFC 6890), so that nobody reaches our networks through us. */
const notPublic4 = [
  ...['0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16', '172.16.0.0/12', '192.0.0.0/24', '192.0.2.0/24'],
  ...['192.88.99.0/24', '192.168.0.0/16', '198.18.0.0/15', '198.51.100.0/24', '203.0.113.0/24', '224.0.0.0/4', '240.0.0.0/4'],
];
/** Of IPv6 only global unicast is public; within it, what is for documentation or carries IPv4 addresses (Teredo, 6to4) is not. */
const public6 = ['2000::/3'];
const notPublic6 = ['2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20'];
const loopbacks = ['127.0.0.0/8', '::1/128'];

/** Longest URL, as the contract has it for `to`. */
const LONGEST_URL = 500;

/** Throws when a network of the policy is none. */
export function createAddressGuard({ networks, loopback }: AddressPolicy): AddressGuard {
  const refused = listOf([...notPublic4, ...notPublic6]);
  const global6 = listOf(public6);
  const local = listOf(loopbacks);
  const extra = listOf([...networks, ...(loopback ? loopbacks : [])]);
  const allowed = (given: string): boolean => {
    const address = unmapped(given);
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    if (extra.check(address, family)) return true;
    return !refused.check(address, family) && (family === 'ipv4' || global6.check(address, family));
  };
  return {
    fault(text) {
      const url = text.length <= LONGEST_URL ? URL.parse(text) : null;
      if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:')) return 'is not an https address';
      if (url.username || url.password) return 'must not hold a user name or a password';
      const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
      const address = isIP(host) === 0 ? undefined : unmapped(host);
      const here = host === 'localhost' || (address !== undefined && local.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4'));
      if (url.protocol === 'http:' && !(loopback && here)) return 'is not an https address';
      return address !== undefined && !allowed(address) ? 'is an address that no webhook may be at' : undefined;
    },
    lookup(hostname, options, done) {
      resolve(hostname, { all: true, ...(options.family !== undefined && { family: familyOf(options.family) }) }).then(
        (found) => {
          const [first] = found;
          if (!first || found.some(({ address }) => !allowed(address))) {
            return done(new ForbiddenAddressError(`${hostname} is at an address that no webhook may be at`), '', 0);
          }
          if (options.all) return done(null, found);
          done(null, first.address, first.family);
        },
        (error: NodeJS.ErrnoException) => done(error, '', 0),
      );
    },
  };
}

function familyOf(family: number | 'IPv4' | 'IPv6'): 0 | 4 | 6 {
  return family === 4 || family === 'IPv4' ? 4 : family === 6 || family === 'IPv6' ? 6 : 0;
}

function listOf(networks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const network of networks) {
    const [address = '', bits = ''] = network.split('/');
    const family = isIP(address);
    if (family === 0 || !/^\d{1,3}$/.test(bits)) throw new Error(`"${network}" is not a network such as 10.1.0.0/16`);
    list.addSubnet(address, Number(bits), family === 6 ? 'ipv6' : 'ipv4');
  }
  return list;
}

/** An IPv4 address that came in an IPv6 one (RFC 4291, 2.5.5.2) is the IPv4 address. */
function unmapped(address: string): string {
  if (isIP(address) !== 6) return address;
  const short = URL.parse(`http://[${address.split('%')[0]}]`)?.hostname.slice(1, -1) ?? address;
  const [, high, low] = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(short) ?? [];
  if (high === undefined || low === undefined) return short;
  return [high, low].flatMap((part) => [Number.parseInt(part, 16) >> 8, Number.parseInt(part, 16) & 255]).join('.');
}
