/** How many events to try at once after an answer that said: not so many, or not these. */

const GROW_AFTER = 4;

/** `limit` null: as many as the settings allow. */
export interface BatchSize {
  readonly limit: number | null;
  readonly successes: number;
}

export const UNLIMITED: BatchSize = { limit: null, successes: 0 };

export function halved(events: number): BatchSize {
  return { limit: Math.max(1, Math.floor(events / 2)), successes: 0 };
}

/** Grows again, slowly: the reason for the smaller size may still be there. */
export function afterSuccess(size: BatchSize, eventsMax: number): BatchSize {
  if (size.limit === null) {
    return size;
  }
  if (size.successes + 1 < GROW_AFTER) {
    return { limit: size.limit, successes: size.successes + 1 };
  }
  const limit = size.limit * 2;
  return limit >= eventsMax ? UNLIMITED : { limit, successes: 0 };
}

export function within(size: BatchSize, eventsMax: number): number {
  return size.limit === null ? eventsMax : Math.min(size.limit, eventsMax);
}
