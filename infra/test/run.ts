// `npm test`: every test, or those that the arguments choose as vitest does (`--project unit`, a path). Ends with one line of counts.
import { setTimeout as pause } from 'node:timers/promises';
import { parseCLI, startVitest } from 'vitest/node';

const CLOSE_MS = 60_000;

const { filter, options } = parseCLI(['vitest', 'run', ...process.argv.slice(2)]);
const vitest = await startVitest('test', filter, { ...options, watch: false });
const tests = vitest.state.getTestModules().flatMap((module) => [...module.children.allTests()]);
const count = (state: string) => tests.filter((test) => test.result().state === state).length;
const brokenFiles = vitest.state
  .getTestModules()
  .filter((module) => module.state() === 'failed' && ![...module.children.allTests('failed')].length).length;
const failed = count('failed') + brokenFiles + vitest.state.getUnhandledErrors().length;
// A worker whose test left something running does not end: what was counted is said all the same.
await Promise.race([vitest.close(), pause(CLOSE_MS)]);
console.log(`${count('passed')} passed, ${failed} failed`);
process.exit(failed > 0 || process.exitCode ? 1 : 0);
