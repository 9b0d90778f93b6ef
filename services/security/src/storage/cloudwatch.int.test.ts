import { engines, uniqueName } from '@biz/testing';
import { openCloudwatchStorage } from './cloudwatch.ts';
import { conformance } from './conformance.ts';

// where the official client looks for them; an emulator takes any
process.env.AWS_ACCESS_KEY_ID ||= 'test';
process.env.AWS_SECRET_ACCESS_KEY ||= 'test';

conformance('cloudwatch', async () => {
  const group = uniqueName('/biz/security');
  return {
    open: () => openCloudwatchStorage({ region: 'sa-east-1', endpoint: engines().cloudwatchEndpoint, group, retentionDays: 365 }),
    settled: async () => undefined,
    async [Symbol.asyncDispose]() {},
  };
});
