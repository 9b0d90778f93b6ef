/** What flags log with; a pino logger is one. */
export interface FlagsLog {
  info(details: object, message: string): void;
  warn(details: object, message: string): void;
  error(details: object, message: string): void;
}
