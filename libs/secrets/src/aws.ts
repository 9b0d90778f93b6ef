import type { GetSecretValueCommandOutput } from '@aws-sdk/client-secrets-manager';
import { SecretFault, type SecretsManager } from './secrets-manager.ts';

/** Tries of one call, with the SDK's own back-off between them; what was refused is not tried again. */
const MOST_TRIES = 4;
const requestHandler = { connectionTimeout: 2_000, requestTimeout: 4_000 };

/**
 * AWS Secrets Manager through its official client, which is loaded here and not before: it is larger than all that reads it. Region, address and
 * credentials are found as every AWS client finds them (`AWS_REGION`, `AWS_ENDPOINT_URL_SECRETS_MANAGER`, the role of the task, pod or machine).
 */
export async function awsSecrets(): Promise<SecretsManager> {
  const { GetSecretValueCommand, SecretsManagerClient } = await import('@aws-sdk/client-secrets-manager');
  const client = new SecretsManagerClient({ maxAttempts: MOST_TRIES, requestHandler });
  return {
    async read(id, signal) {
      try {
        return contentOf(await client.send(new GetSecretValueCommand({ SecretId: id }), { abortSignal: signal }));
      } catch (error) {
        throw error instanceof SecretFault ? error : new SecretFault(reasonOf(error, signal));
      }
    },
    [Symbol.dispose]: () => client.destroy(),
  };
}

function contentOf({ SecretString: text, SecretBinary: bytes }: GetSecretValueCommandOutput): string | Uint8Array {
  const value = text ?? bytes;
  if (value === undefined) throw new SecretFault('has no value');
  return value;
}

/** By the error's name only: messages of AWS name accounts and roles. */
const reasons: Readonly<Record<string, string>> = {
  ResourceNotFoundException: 'does not exist in this account and region',
  AccessDeniedException: 'may not be read by this process: its role needs secretsmanager:GetSecretValue on it, and kms:Decrypt on its key',
  InvalidRequestException: 'cannot be read now: it is marked for deletion, or has no value',
  InvalidParameterException: 'is not a name or an ARN',
  DecryptionFailure: 'cannot be decrypted: its KMS key is disabled, or this process may not use it',
  CredentialsProviderError: 'cannot be asked for: this process has no AWS credentials',
  UnrecognizedClientException: 'cannot be asked for: the AWS credentials of this process are not valid',
  ExpiredTokenException: 'cannot be asked for: the AWS credentials of this process have expired',
};

function reasonOf(error: unknown, signal: AbortSignal): string {
  const { name = 'unknown', code, message = '' } = error as { name?: string; code?: string; message?: string };
  const known = reasons[name];
  if (known) return `${known} (${name})`;
  if (/region is missing/i.test(message)) return 'cannot be asked for: AWS_REGION is not set';
  if (signal.aborted) return 'was not answered in time: the secret manager is away or slow';
  return `cannot be read: the secret manager is away or failed (${code ?? name})`;
}
