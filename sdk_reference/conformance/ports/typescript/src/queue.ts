/** What waits to be sent, in the order of the calls: events, and the operations between them. */

import { evicted, isExpired } from "./decisions/eviction.ts";
import type { Bounds } from "./decisions/eviction.ts";
import type { Rejected } from "./decisions/status_classification.ts";
import type { Change, Journal } from "./journal.ts";
import { isObject, member, utf8Length } from "./json.ts";
import type { Json } from "./json.ts";

/** Each operation is made by one request of its own, and never dropped for want of room. */
export type Operation = "identify" | "switch" | "reset" | "consent" | "push";
export type Kind = "event" | Operation;

export interface Row {
  readonly position: number;
  readonly kind: Kind;
  /** Of an event; an operation has none. */
  readonly type: string;
  readonly id: string;
  /** Of an event its name, of a login the user id. */
  readonly name: string;
  readonly createdMs: number;
  /** What is sent, as JSON: the same bytes on every retry. */
  readonly body: string;
  /** Of the body in UTF-8. */
  readonly bytes: number;
}

/** A row before it has its place. */
export type NewRow = Omit<Row, "position" | "bytes">;

/** The events of one upload; they and the id are the same on every retry. */
export interface Batch {
  readonly id: string;
  readonly events: readonly Row[];
  /** What was dropped and is told with it. */
  readonly report: Quantities;
}

/** Reason → quantity. */
export type Quantities = Readonly<Record<string, number>>;

const ROWS = "queue";
const DROPS = "drops";
const KEPT = "kept";
const BATCH = "batch";

export class Queue {
  private readonly journal: Journal;
  private readonly dropped: (reasons: Quantities) => void;
  private rows: Row[];
  private sum: Sum;
  private latestPosition: number;
  private batch: Batch | null;

  /** `dropped` is told of everything that is dropped from here on. */
  constructor(journal: Journal, dropped: (reasons: Quantities) => void) {
    this.journal = journal;
    this.dropped = dropped;
    this.rows = [...journal.table(ROWS).values()].map((row) => row as unknown as Row);
    this.rows.sort((one, other) => one.position - other.position);
    this.sum = summed(this.rows);
    this.latestPosition = this.rows.at(-1)?.position ?? 0;
    this.batch = this.restoredBatch();
  }

  get events(): readonly Row[] {
    return this.rows.filter((row) => row.kind === "event");
  }

  get operations(): readonly Row[] {
    return this.rows.filter((row) => row.kind !== "event");
  }

  get eventCount(): number {
    return this.sum.events;
  }

  /** Of the latest row there has been; positions only grow. */
  get lastPosition(): number {
    return this.latestPosition;
  }

  get head(): Row | undefined {
    return this.rows[0];
  }

  get openBatch(): Batch | null {
    return this.batch;
  }

  append(row: NewRow, ...together: Change[]): Row {
    const position = this.latestPosition + 1;
    return this.place({ ...row, position, bytes: utf8Length(row.body) }, together);
  }

  /** Puts an operation before everything else. */
  putFirst(row: NewRow): Row {
    const position = (this.rows[0]?.position ?? 1) - 1;
    return this.place({ ...row, position, bytes: utf8Length(row.body) }, []);
  }

  /** Changes what an operation says. */
  replaceBody(row: Row, body: string): void {
    this.place({ ...row, body, bytes: utf8Length(body) }, []);
  }

  remove(row: Row, ...together: Change[]): void {
    this.forget([row], together);
  }

  /** Takes the first events up to the next operation, within the limits; at least one. */
  makeBatch(id: string, eventsMax: number, bytesMax: number): Batch {
    const events: Row[] = [];
    let bytes = 0;
    for (const row of this.rows) {
      bytes += row.bytes + 1;
      const isFull = events.length >= eventsMax || bytes > bytesMax;
      if (row.kind !== "event" || (isFull && events.length > 0)) {
        break;
      }
      events.push(row);
    }
    this.batch = { id, events, report: this.report() };
    const kept = { id, ids: events.map((row) => row.id), report: { ...this.batch.report } };
    this.journal.commit([KEPT, BATCH, kept]);
    return this.batch;
  }

  /** Ends the open batch: the gateway has its events, but for the rejected, and its report. */
  settle(batch: Batch, rejected: Rejected): void {
    this.endBatch(batch.events, rejectedOf(batch, rejected), batch.report);
  }

  /** Takes the open batch apart; its events go into others, but for the rejected. */
  dissolve(batch: Batch, rejected: Rejected): void {
    const reasons = rejectedOf(batch, rejected);
    this.endBatch(
      batch.events.filter((row) => Object.hasOwn(rejected, row.id)),
      reasons,
    );
  }

  drop(rows: readonly Row[], reason: string): void {
    if (rows.length > 0) {
      this.forget(rows, this.counted({ [reason]: rows.length }));
    }
  }

  /** Counts what was dropped before it came here. */
  countDrop(reason: string, quantity = 1): void {
    this.forget([], this.counted({ [reason]: quantity }));
  }

  /** Drops what is too old or too much, but for what was sent already. */
  evict(bounds: Bounds, nowMs: number, isTrigger: (row: Row) => boolean): void {
    const isOver = this.sum.events > bounds.eventsMax || this.sum.bytes > bounds.bytesMax;
    if (!isOver && !this.rows.some((row) => isExpired(row.createdMs, nowMs, bounds.ttlMs))) {
      return;
    }
    const fixed = new Set(this.batch?.events.map((row) => row.position));
    const queued = this.events.map((row) => ({
      position: row.position,
      bytes: row.bytes,
      createdMs: row.createdMs,
      isTrigger: isTrigger(row),
      isFixed: fixed.has(row.position),
      isOperation: false,
    }));
    const { expired, overflow } = evicted(queued, bounds, nowMs);
    this.drop(this.rowsAt(expired), "expired");
    this.drop(this.rowsAt(overflow), "queue_overflow");
  }

  /** Tells whether the open batch has an event that is too old. */
  hasOldBatch(ttlMs: number, nowMs: number): boolean {
    return this.batch?.events.some((row) => isExpired(row.createdMs, nowMs, ttlMs)) ?? false;
  }

  private place(row: Row, together: readonly Change[]): Row {
    this.journal.commit([ROWS, String(row.position), row as unknown as Json], ...together);
    if (row.position > this.latestPosition) {
      this.latestPosition = row.position;
      this.rows.push(row);
    } else {
      const others = this.rows.filter((one) => one.position !== row.position);
      const place = others.findLastIndex((one) => one.position < row.position) + 1;
      this.rows = others.toSpliced(place, 0, row);
    }
    this.sum = added(this.sum, row);
    return row;
  }

  private endBatch(gone: readonly Row[], reasons: Quantities, told: Quantities = {}): void {
    this.batch = null;
    this.forget(gone, [[KEPT, BATCH, undefined], ...this.counted(reasons, told)]);
  }

  private forget(gone: readonly Row[], together: readonly Change[]): void {
    if (gone.length === 0) {
      this.journal.commit(...together);
      return;
    }
    const removals = gone.map((row): Change => [ROWS, String(row.position), undefined]);
    this.journal.commit(...removals, ...together);
    const positions = new Set(gone.map((row) => row.position));
    this.rows = this.rows.filter((row) => !positions.has(row.position));
    this.sum = summed(this.rows);
  }

  /** Counts for the next report what was dropped, and takes off what the gateway was told. */
  private counted(reasons: Quantities, told: Quantities = {}): Change[] {
    if (Object.keys(reasons).length > 0) {
      this.dropped(reasons);
    }
    return Object.keys({ ...reasons, ...told }).map((reason) => {
      const more = (member(reasons, reason) ?? 0) - (member(told, reason) ?? 0);
      const sum = Number(this.journal.get(DROPS, reason) ?? 0) + more;
      return [DROPS, reason, sum > 0 ? sum : undefined];
    });
  }

  private report(): Quantities {
    return Object.fromEntries(this.journal.table(DROPS)) as Record<string, number>;
  }

  private rowsAt(positions: readonly number[]): Row[] {
    return this.rows.filter((row) => positions.includes(row.position));
  }

  private restoredBatch(): Batch | null {
    const kept = this.journal.get(KEPT, BATCH);
    if (!isObject(kept) || !Array.isArray(kept["ids"])) {
      return null;
    }
    const ids = new Set(kept["ids"]);
    const events = this.rows.filter((row) => ids.has(row.id));
    return { id: String(kept["id"]), events, report: kept["report"] as Record<string, number> };
  }
}

/** Counts the events of a batch that were rejected, by code. */
function rejectedOf(batch: Batch, rejected: Rejected): Quantities {
  const reasons: Record<string, number> = {};
  for (const { id } of batch.events) {
    const code = member(rejected, id);
    if (code !== undefined) {
      reasons[code] = (member(reasons, code) ?? 0) + 1;
    }
  }
  return reasons;
}

/** How many events there are, and their size. */
interface Sum {
  readonly events: number;
  readonly bytes: number;
}

function summed(rows: readonly Row[]): Sum {
  return rows.reduce(added, { events: 0, bytes: 0 });
}

function added(sum: Sum, row: Row): Sum {
  return row.kind === "event" ? { events: sum.events + 1, bytes: sum.bytes + row.bytes } : sum;
}
