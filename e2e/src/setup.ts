// Starts the fleet once for all end-to-end tests, as a new user would: `npm start`, with a folder and ports of its own. With BIZ_FLEET_DIR
// they run against a fleet that runs already, while tests are being written.
import { launchFleet } from '@biz/local';
import type { TestProject } from 'vitest/node';

export default async function setup(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  const running = process.env.BIZ_FLEET_DIR;
  if (running) {
    project.provide('localDir', running);
    return undefined;
  }
  // What the audit lacks is looked for once a minute otherwise.
  process.env.RECONCILE_EVERY_SECONDS = '2';
  process.env.RECONCILE_GRACE_SECONDS = '2';
  const fleet = await launchFleet();
  project.provide('localDir', fleet.folder);
  return async () => {
    await fleet[Symbol.asyncDispose]();
  };
}
