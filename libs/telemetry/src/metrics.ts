import { type Histogram, type MeterProvider, metrics, type ObservableResult, type Counter as OtelCounter } from '@opentelemetry/api';
import { catalogue, type Labels, type MetricEntry, type MetricName, type MetricOf } from './catalogue.ts';
import { scope } from './scope.ts';
import { errorType } from './traced.ts';

export type Counter<Name extends MetricName> = {
  /** Adds to the count; `value` is never negative. */
  add(value: number, attributes?: Labels<Name>): void;
};

export type Recorder<Name extends MetricName> = {
  /** Records one value, in the unit of the catalogue. */
  record(value: number, attributes?: Labels<Name>): void;
};

export type Observed<Name extends MetricName> = { readonly value: number; readonly attributes?: Labels<Name> };

/** A counter of the catalogue. Without the preload it counts nothing. */
export function counter<Name extends MetricOf<'counter'>>(name: Name): Counter<Name> {
  const made = instrument<OtelCounter>((provider) => provider.getMeter(scope).createCounter(name, told(name)));
  return { add: (value, attributes) => made().add(value, attributes) };
}

/** A histogram of the catalogue. Without the preload it records nothing. */
export function histogram<Name extends MetricOf<'histogram'>>(name: Name): Recorder<Name> {
  const made = instrument<Histogram>((provider) => provider.getMeter(scope).createHistogram(name, told(name)));
  return { record: (value, attributes) => made().record(value, attributes) };
}

/** Does the work and records how long it took, in seconds; when it failed, with its `error.type`. */
export async function timed<Name extends MetricOf<'histogram'>, T>(
  durations: Recorder<Name>,
  labels: Labels<Name>,
  work: () => Promise<T>,
): Promise<T> {
  const begun = performance.now();
  const record = (more: object) => durations.record((performance.now() - begun) / 1_000, { ...labels, ...more });
  try {
    const result = await work();
    record({});
    return result;
  } catch (error) {
    record({ 'error.type': errorType(error) });
    throw error;
  }
}

/**
 * A gauge of the catalogue, whose values are asked for each time metrics leave (once a minute when nothing else is set). What `observe`
 * throws counts as no value. The returned Disposable stops the asking.
 */
export function gauge<Name extends MetricOf<'gauge'>>(
  name: Name,
  observe: () => Iterable<Observed<Name>> | Promise<Iterable<Observed<Name>>>,
): Disposable {
  const made = metrics.getMeter(scope).createObservableGauge(name, told(name));
  const callback = async (result: ObservableResult) => {
    try {
      for (const { value, attributes } of await observe()) result.observe(value, attributes);
    } catch {
      // what cannot be observed now has no value: a metric never breaks what it is about
    }
  };
  made.addCallback(callback);
  return { [Symbol.dispose]: () => made.removeCallback(callback) };
}

function told(name: MetricName): { unit: string; description: string; advice?: { explicitBucketBoundaries: number[] } } {
  const { unit, description, buckets }: MetricEntry = catalogue[name];
  return { unit, description, ...(buckets && { advice: { explicitBucketBoundaries: [...buckets] } }) };
}

/** Made at the first use and again for another provider, so that a module may make its instruments before telemetry is on. */
function instrument<Instrument>(make: (provider: MeterProvider) => Instrument): () => Instrument {
  let of: MeterProvider | undefined;
  let made: Instrument | undefined;
  return () => {
    const provider = metrics.getMeterProvider();
    if (made === undefined || provider !== of) {
      of = provider;
      made = make(provider);
    }
    return made;
  };
}
