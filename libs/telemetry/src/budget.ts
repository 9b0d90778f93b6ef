/** So many a second for long, and so many at once: a bucket that fills with time (token bucket). */
export function createBudget(perSecond: number, atOnce: number, now: () => number = () => performance.now()): () => boolean {
  let spare = atOnce;
  let at = now();
  /** Takes one; false when none is left. */
  return () => {
    const present = now();
    spare = Math.min(atOnce, spare + ((present - at) / 1_000) * perSecond);
    at = present;
    if (spare < 1) return false;
    spare -= 1;
    return true;
  };
}
