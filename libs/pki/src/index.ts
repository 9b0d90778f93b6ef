export { issueCertificate, type KeyPair, makeAuthority, type Subject } from './certificates.ts';
export { processUri, type TlsFiles, type TlsFolder, tlsFolder } from './folder.ts';
