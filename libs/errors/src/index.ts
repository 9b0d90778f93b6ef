export { AppError, type AppErrorOptions, type Fault, isUnavailable, toAppError, type Withheld } from './app-error.ts';
export { type ErrorCode, type ErrorCodeEntry, errorCodeEntry, errorCodes, isErrorCode } from './codes.ts';
