export {
  type Grant,
  type PersonGrants,
  type PersonGrantsOptions,
  personGrants,
  type TokenAnswer,
  type VerifyToken,
} from './person-grants.ts';
export { createServiceAccount, type ServiceAccount, type ServiceAccountOptions } from './service-account.ts';
