export { allEngines } from './engines/index.ts';
export { createSupervisor, type ProcessSpec, Supervisor } from './supervisor.ts';
