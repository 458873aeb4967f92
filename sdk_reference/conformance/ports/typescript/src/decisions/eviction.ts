/** Which events leave a queue that is too old or too large. */

/**
 * An earlier time than this (the first of 2025) is a clock that was never set (a TV before its first
 * network time), and says nothing about the age of an event.
 */
const CREDIBLE_MS_MIN = 1_735_689_600_000;

/**
 * `isFixed`: in a batch that was sent; its content must not change. `isOperation`: does not count and
 * never leaves.
 */
export interface Queued {
  readonly position: number;
  readonly bytes: number;
  readonly createdMs: number;
  readonly isTrigger: boolean;
  readonly isFixed: boolean;
  readonly isOperation: boolean;
}

export interface Bounds {
  readonly eventsMax: number;
  readonly bytesMax: number;
  readonly ttlMs: number;
}

/** The positions of what leaves, in the order in which it leaves. */
export interface Evicted {
  readonly expired: readonly number[];
  readonly overflow: readonly number[];
}

/** The expired leave, then the oldest, trigger events last; what is fixed never. */
export function evicted(rows: readonly Queued[], bounds: Bounds, nowMs: number): Evicted {
  const events = rows.filter((row) => !row.isOperation);
  const inOrder = events.sort((one, other) => one.position - other.position);
  const isOver = (row: Queued): boolean => isExpired(row.createdMs, nowMs, bounds.ttlMs);
  const expired = inOrder.filter((row) => !row.isFixed && isOver(row));
  const left = inOrder.filter((row) => !expired.includes(row));
  let number = left.length;
  let bytes = left.reduce((sum, row) => sum + row.bytes, 0);
  const overflow: number[] = [];
  for (const row of inTurn(left)) {
    if (number <= bounds.eventsMax && bytes <= bounds.bytesMax) {
      break;
    }
    if (!row.isFixed) {
      overflow.push(row.position);
      number -= 1;
      bytes -= row.bytes;
    }
  }
  return { expired: expired.map((row) => row.position), overflow };
}

/** Tells whether an event is too old, as far as its time can be believed. */
export function isExpired(createdMs: number, nowMs: number, ttlMs: number): boolean {
  return CREDIBLE_MS_MIN <= createdMs && createdMs < nowMs - ttlMs;
}

/** Trigger events leave last. */
function inTurn(rows: readonly Queued[]): Queued[] {
  return [...rows.filter((row) => !row.isTrigger), ...rows.filter((row) => row.isTrigger)];
}
