const pattern = /^(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(\.\d+)?(?:[Zz]|([+-])(\d\d):(\d\d))$/;

/** The point in time of an RFC 3339 date-time with a zone, to the millisecond; undefined when it is not one. */
export function readTimestamp(text: string): Date | undefined {
  const parts = pattern.exec(text);
  if (parts === null) {
    return undefined;
  }
  const number = (index: number) => Number(parts[index] ?? 0);
  const [year, month, day, hour, minute, second] = [number(1), number(2), number(3), number(4), number(5), number(6)];
  const [zoneHours, zoneMinutes] = [number(9), number(10)];
  // 60 is a leap second (RFC 3339, section 5.6): it counts as the second after 59.
  if (hour > 23 || minute > 59 || second > 60 || zoneHours > 23 || zoneMinutes > 59) {
    return undefined;
  }
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) {
    return undefined;
  }
  date.setUTCHours(hour, minute, second, Math.trunc(Number(`0${parts[7] ?? ''}`) * 1000));
  const offset = (zoneHours * 60 + zoneMinutes) * (parts[8] === '-' ? -1 : 1);
  return new Date(date.getTime() - offset * 60_000);
}
