export { BackupFault, type CollectionEntry, type Manifest } from './manifest.ts';
export { assertEmpty, indexesOf, load, makeIndexes, type ReadDocument, rawDocuments, readDocument } from './mongodb.ts';
export { type Backup, openBackup } from './reader.ts';
export { assertRoom, type BackupWriter, createBackup, type WriterOptions } from './writer.ts';
