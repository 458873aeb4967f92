"""Which rows leave a queue that is too old or too large. Pure.

This is the reference that the SQL of `Storage.drop_expired` and `Storage.drop_excess` is held to by a test.
The SDK runs the SQL: a queue at its limit must not be read as a whole for every event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

# An earlier time than this (the first of 2025) is a clock that was never set (a TV before its first
# network time), and says nothing about the age of an event.
CREDIBLE_MS_MIN = 1_735_689_600_000


class Queued(NamedTuple):
    """What a decision needs of a row. One in a batch that was sent is fixed: batches do not change."""

    position: int
    bytes: int
    created_ms: int
    is_trigger: bool = False
    is_fixed: bool = False
    is_operation: bool = False


class Bounds(NamedTuple):
    """How much may be kept, and for how long."""

    events_max: int
    bytes_max: int
    ttl_ms: int


class Evicted(NamedTuple):
    """The positions of what leaves, in the order in which it leaves."""

    expired: list[int]
    overflow: list[int]


def is_expired(created_ms: int, now_ms: int, ttl_ms: int) -> bool:
    """Tell whether an event is older than `ttl_ms`, as far as its time can be believed."""
    return CREDIBLE_MS_MIN <= created_ms < now_ms - ttl_ms


def evicted(rows: Iterable[Queued], bounds: Bounds, now_ms: int) -> Evicted:
    """Decide what leaves: the expired, then the oldest, trigger events last; what is fixed never.

    All events count towards the bounds, also those of a batch that was sent. Operations do not
    count and never leave.
    """
    kept = sorted((row for row in rows if not row.is_operation), key=overflow_order)
    expired = [
        row
        for row in kept
        if not row.is_fixed and is_expired(row.created_ms, now_ms, bounds.ttl_ms)
    ]
    gone = {row.position for row in expired}
    kept = [row for row in kept if row.position not in gone]
    events, size = len(kept), sum(row.bytes for row in kept)
    overflow = []
    for row in kept:
        if events <= bounds.events_max and size <= bounds.bytes_max:
            break
        if not row.is_fixed:
            overflow.append(row.position)
            events, size = events - 1, size - row.bytes
    return Evicted(sorted(gone), overflow)


def overflow_order(row: Queued) -> tuple[bool, int]:
    """Give the place in the order in which rows leave when there are too many."""
    return row.is_trigger, row.position
