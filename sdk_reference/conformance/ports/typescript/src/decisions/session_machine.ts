/** When a visit begins and ends, and the number of an event within it. */

export interface Session {
  readonly id: string;
  readonly startedMs: number;
  readonly activeMs: number;
  /** The number of the latest event in it, from 0. */
  readonly seq: number;
}

export interface SessionLimits {
  readonly idleMs: number;
  readonly maxMs: number;
}

/** A clock that ran backwards makes every duration wrong, so it ends the session too. */
export function isOver(session: Session, nowMs: number, limits: SessionLimits): boolean {
  return (
    nowMs < session.activeMs ||
    nowMs - session.activeMs >= limits.idleMs ||
    nowMs - session.startedMs >= limits.maxMs
  );
}

/** Gives the session that an event of a person belongs to; its `seq` is the number of the event. */
export function continued(
  session: Session | null,
  nowMs: number,
  newId: string,
  limits: SessionLimits,
): Session {
  if (session === null || isOver(session, nowMs, limits)) {
    return { id: newId, startedMs: nowMs, activeMs: nowMs, seq: 0 };
  }
  return { ...session, activeMs: nowMs, seq: session.seq + 1 };
}

/** What happens in the background neither begins nor extends a session. */
export function inBackground(
  session: Session | null,
  nowMs: number,
  limits: SessionLimits,
): Session | null {
  if (session === null || isOver(session, nowMs, limits)) {
    return null;
  }
  return { ...session, seq: session.seq + 1 };
}
