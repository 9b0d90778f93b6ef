export { importObjects } from './import.ts';
export { objectFiles, objectsOf, type SavedObject } from './objects.ts';
