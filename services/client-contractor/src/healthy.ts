import { reportServing } from '@biz/rpc';

// The health check of the image: exit code 0 while this service serves.
await reportServing();
