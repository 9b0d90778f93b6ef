import { isIPv4 } from 'node:net';
import { experimental } from '@grpc/grpc-js';

const { createResolver, registerResolver, statusOrFromValue } = experimental;
type Target = experimental.GrpcUri;
type Listener = experimental.ResolverListener;
type Endpoints = Parameters<Listener>[0];

/** The addresses of a service's instances, one after the other: `host:port|host:port`. A target such as `dns:///name:port` is one. */
export function addressesIn(address: string): string[] {
  return address.split('|');
}

/**
 * The gRPC target of one or several addresses (see addressesIn). Several are balanced over; a name among them is looked up again when
 * connections end. A single name that stands for several machines (`dns:///name:port`) is all of them.
 */
export function targetOf(address: string): string {
  const addresses = addressesIn(address);
  if (addresses.length === 1) return address;
  return addresses.every((one) => isIPv4(one.slice(0, one.lastIndexOf(':'))))
    ? `ipv4:${addresses.join(',')}`
    : `${scheme}:${addresses.join(',')}`;
}

const scheme = 'hosts';

/** Several host names as one target, which gRPC's own resolvers cannot: each is looked up by its DNS resolver, and all that is found counts. */
class HostsResolver implements experimental.Resolver {
  readonly #resolvers: readonly experimental.Resolver[];
  readonly #found: (Endpoints | undefined)[];

  constructor(target: Target, listener: Listener, options: object) {
    const names = target.path.split(',');
    this.#found = names.map(() => undefined);
    this.#resolvers = names.map((path, index) =>
      createResolver(
        { scheme: 'dns', path },
        (endpoints, attributes, config, note) => {
          this.#found[index] = endpoints;
          return listener(this.#together(endpoints), attributes, config, note);
        },
        options,
      ),
    );
  }

  static getDefaultAuthority({ path }: Target): string {
    return path.split(',')[0] ?? path;
  }

  /** What is known of all names; the error of one only as long as there is no address at all. */
  #together(newest: Endpoints): Endpoints {
    const known = this.#found.flatMap((endpoints) => (endpoints?.ok ? endpoints.value : []));
    return known.length > 0 ? statusOrFromValue(known) : newest;
  }

  updateResolution(): void {
    for (const resolver of this.#resolvers) resolver.updateResolution();
  }

  destroy(): void {
    for (const resolver of this.#resolvers) resolver.destroy();
  }
}

registerResolver(scheme, HostsResolver);
