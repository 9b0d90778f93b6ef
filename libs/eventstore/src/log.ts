/** What the store tells of trouble that it got over by itself, or could not. Holds no personal data. */
export interface StoreLog {
  warn(details: Record<string, unknown>, message: string): void;
}
