"""When a visit begins and ends, and the number of an event within it. Pure."""

from __future__ import annotations

from typing import NamedTuple

IDLE_MS = 30 * 60 * 1000
LENGTH_MS_MAX = 24 * 60 * 60 * 1000


class Session(NamedTuple):
    """One visit: from its first activity until a time without any, and not for ever."""

    id: str
    started_ms: int
    active_ms: int
    # The number of the latest event in it, from 0.
    seq: int = 0


def is_over(session: Session, now_ms: int, idle_ms: int, length_ms_max: int) -> bool:
    """Tell whether activity at `now_ms` belongs to a new session.

    A clock that ran backwards makes every duration wrong, so it ends the session too.
    """
    return (
        now_ms < session.active_ms
        or now_ms - session.active_ms >= idle_ms
        or now_ms - session.started_ms >= length_ms_max
    )


def continued(
    session: Session | None, now_ms: int, new_id: str, idle_ms: int, length_ms_max: int
) -> Session:
    """Give the session that an event of a person belongs to; its `seq` is the number of the event."""
    if session is None or is_over(session, now_ms, idle_ms, length_ms_max):
        return Session(new_id, now_ms, now_ms)
    return Session(session.id, session.started_ms, now_ms, session.seq + 1)


def in_background(
    session: Session | None, now_ms: int, idle_ms: int, length_ms_max: int
) -> Session | None:
    """Give the session that an event without a person belongs to, or None.

    What happens in the background neither begins nor extends a session.
    """
    if session is None or is_over(session, now_ms, idle_ms, length_ms_max):
        return None
    return session._replace(seq=session.seq + 1)
