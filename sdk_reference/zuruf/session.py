"""When a visit begins and ends. Pure: the caller brings the time and the new id."""

from __future__ import annotations

from dataclasses import dataclass, replace

IDLE_MS = 30 * 60 * 1000
LENGTH_MS_MAX = 24 * 60 * 60 * 1000


@dataclass(frozen=True, slots=True)
class Session:
    """One visit: from its first activity until 30 minutes without any, 24 hours at most."""

    id: str
    started_ms: int
    active_ms: int


def is_over(session: Session, now_ms: int) -> bool:
    """Tell whether activity at `now_ms` belongs to a new session.

    A clock that ran backwards makes every duration wrong, so it ends the session too.
    """
    return (
        now_ms < session.active_ms
        or now_ms - session.active_ms >= IDLE_MS
        or now_ms - session.started_ms >= LENGTH_MS_MAX
    )


def continued(session: Session | None, now_ms: int, new_id: str) -> Session:
    """Give the session that activity at `now_ms` belongs to."""
    if session is None or is_over(session, now_ms):
        return Session(id=new_id, started_ms=now_ms, active_ms=now_ms)
    return replace(session, active_ms=now_ms)
