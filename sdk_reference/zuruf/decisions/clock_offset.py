"""How wrong the device's clock is: the estimate with the shortest round trip. Pure."""

from __future__ import annotations

from typing import NamedTuple

ESTIMATE_TTL_MS = 30 * 60 * 1_000
CLOCK_STEP_MS = 1_000
# No time of the protocol is later: the year 2100.
SERVER_MS_MAX = 4_102_444_800_000


class ClockOffset(NamedTuple):
    """Server time minus device time, as one exchange showed it. All in milliseconds."""

    offset_ms: int
    rtt_ms: int
    # Monotonic.
    measured_ms: int
    # Wall minus monotonic time when measured: it moves when somebody sets the device's clock.
    base_ms: int


def server_ms_of(text: str) -> int | None:
    """Read `X-Server-Time`; None for what is no time of the protocol."""
    is_time = text.isascii() and text.isdigit() and len(text) <= len(str(SERVER_MS_MAX))
    server_ms = int(text) if is_time else None
    return server_ms if server_ms is not None and server_ms <= SERVER_MS_MAX else None


def measured(server_ms: int, *, sent_ms: int, answered_ms: int, wall_ms: int) -> ClockOffset:
    """Read one exchange: sent and answered in monotonic time, `wall_ms` the device's at the answer.

    The server is taken to have answered half-way, so the error is at most half the round trip.
    """
    rtt_ms = max(0, answered_ms - sent_ms)
    return ClockOffset(
        offset_ms=server_ms - (wall_ms - rtt_ms // 2),
        rtt_ms=rtt_ms,
        measured_ms=answered_ms,
        base_ms=wall_ms - answered_ms,
    )


def better(current: ClockOffset | None, sample: ClockOffset) -> ClockOffset:
    """Keep the estimate with the least round trip, unless it is old or the clock was set since."""
    if (
        current is None
        or sample.rtt_ms <= current.rtt_ms
        or sample.measured_ms - current.measured_ms > ESTIMATE_TTL_MS
        or abs(sample.base_ms - current.base_ms) > CLOCK_STEP_MS
    ):
        return sample
    return current
