import { defineConfig } from 'vitest/config';

const resolve = { conditions: ['source', 'node'], externalConditions: ['source', 'node'] };
const ssr = { resolve };
/** Where global setup files are resolved. */
const environments = { __vitest__: { resolve } };
const exclude = ['**/node_modules/**', '**/dist/**', '**/.local/**'];
const engines = ['./infra/local/vitest-setup.ts'];
const fleet = ['./e2e/src/setup.ts'];
/** kafkajs 2.2.4 sets a timer with a negative time, of which newer Nodes warn. */
const execArgv = ['--disable-warning=TimeoutNegativeWarning'];

/** The suffix says what a test needs: `.test.ts` nothing, `.int.test.ts` engines, `.e2e.test.ts` the whole fleet. */
export default defineConfig({
  ssr,
  environments,
  test: {
    maxWorkers: 2,
    projects: [
      {
        ssr,
        test: {
          name: 'unit',
          include: ['**/*.test.ts'],
          exclude: [...exclude, '**/*.int.test.ts', '**/*.e2e.test.ts'],
          // a busy machine is no fault: thousands of random cases take more than the 5 s of the default there
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        ssr,
        test: {
          name: 'int',
          include: ['**/*.int.test.ts'],
          exclude,
          execArgv,
          globalSetup: engines,
          // a test may wait for several things, each with the patience of `until`
          testTimeout: 180_000,
          hookTimeout: 180_000,
        },
      },
      {
        ssr,
        test: {
          name: 'e2e',
          include: ['**/*.e2e.test.ts'],
          exclude,
          execArgv,
          globalSetup: fleet,
          testTimeout: 300_000,
          hookTimeout: 600_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
