export { importObjects } from './import.ts';
