// Starts the fleet once for all end-to-end tests, as a new user would: `npm start`, with a folder and ports of its own.
import { launchFleet } from '@biz/local';
import type { TestProject } from 'vitest/node';

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const fleet = await launchFleet();
  project.provide('localDir', fleet.folder);
  return async () => {
    await fleet[Symbol.asyncDispose]();
  };
}
