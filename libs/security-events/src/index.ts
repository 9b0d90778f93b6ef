export {
  anonymous,
  type Personal,
  personalPaths,
  readSecurityEvent,
  type SecurityEvent,
  type SecurityEventDraft,
  type SecurityPayload,
  securityEntityType,
} from './event.ts';
export {
  eventName,
  isSuccess,
  refusalType,
  type SecurityEventType,
  type Severity,
  securityEventTypes,
  severities,
  severityOf,
  typeOfName,
} from './names.ts';
