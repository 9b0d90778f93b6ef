export { awsSecrets } from './aws.ts';
export { type ResolveOptions, resolveSecrets } from './resolve.ts';
export { SecretFault, type SecretsManager } from './secrets-manager.ts';
