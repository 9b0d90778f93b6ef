import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { defaultResource, detectResources, envDetector, type Resource, resourceFromAttributes } from '@opentelemetry/resources';
import { allowed } from './allowed.ts';

/**
 * What the process says of itself: `service.name` (OTEL_SERVICE_NAME), `service.version` of the package that runs, `service.instance.id`
 * anew at each start, `deployment.environment` (ENVIRONMENT). OTEL_RESOURCE_ATTRIBUTES wins over each. Nothing of the machine.
 */
export function resourceOf(env: NodeJS.ProcessEnv): Resource {
  const own = {
    'service.version': versionOf(process.argv[1]),
    'service.instance.id': randomUUID(),
    'deployment.environment': env.ENVIRONMENT,
  };
  const { attributes } = defaultResource()
    .merge(resourceFromAttributes(own))
    .merge(detectResources({ detectors: [envDetector] }));
  return resourceFromAttributes(allowed('resource', attributes));
}

/** Version of the nearest package around a file; undefined when there is none. */
function versionOf(file: string | undefined): string | undefined {
  for (let folder = dirname(file ?? '/'); ; folder = dirname(folder)) {
    try {
      return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')).version;
    } catch {
      if (folder === dirname(folder)) return undefined;
    }
  }
}
