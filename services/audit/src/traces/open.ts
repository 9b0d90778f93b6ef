import type { AuditConfig } from '../config.ts';
import { createTraceStore } from './store.ts';
import type { TraceParts } from './trace.ts';

/** Where spans are read; undefined when the environment does not say. Makes no connection yet. */
export function openTraces(config: AuditConfig, stack: AsyncDisposableStack): TraceParts | undefined {
  if (config.ELASTICSEARCH_URL === undefined) return undefined;
  const store = createTraceStore({
    url: config.ELASTICSEARCH_URL,
    index: config.TRACES_INDEX,
    timeoutMs: config.TRACE_TIMEOUT_MS,
    apiKey: config.ELASTICSEARCH_API_KEY,
    username: config.ELASTICSEARCH_USERNAME,
    password: config.ELASTICSEARCH_PASSWORD,
    caFile: config.ELASTICSEARCH_CA_FILE,
  });
  return { store: stack.use(store), most: config.TRACE_SPANS };
}
