"""Time: the port that tests replace, and the estimate of how wrong the device's clock is."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

ESTIMATE_TTL_S = 30 * 60
CLOCK_STEP_MS = 1_000


class Clock(Protocol):
    """What the SDK knows about time."""

    def wall_ms(self) -> int:
        """Milliseconds since 1970, as the device believes."""

    def monotonic_s(self) -> float:
        """Seconds that never run backwards."""

    def on_change(self, wake: Callable[[], None]) -> None:
        """Call `wake` when time was moved by hand. A real clock never does."""


class SystemClock:
    """The clock of the device."""

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        return time.monotonic()

    def on_change(self, wake: Callable[[], None]) -> None:
        """Nobody moves this clock by hand."""


@dataclass(frozen=True, slots=True)
class ClockOffset:
    """Server time minus device time, as one exchange showed it."""

    offset_ms: int
    rtt_ms: int
    measured_s: float
    # Wall minus monotonic time when measured: it moves when somebody sets the device's clock.
    base_ms: int


def measured(server_ms: int, *, sent_s: float, answered_s: float, wall_ms: int) -> ClockOffset:
    """Read one exchange; `wall_ms` is the device's time at the answer.

    The server is taken to have answered half-way, so the error is at most half the round trip.
    """
    rtt_ms = max(0, round((answered_s - sent_s) * 1000))
    return ClockOffset(
        offset_ms=server_ms - (wall_ms - rtt_ms // 2),
        rtt_ms=rtt_ms,
        measured_s=answered_s,
        base_ms=wall_ms - round(answered_s * 1000),
    )


def better(current: ClockOffset | None, sample: ClockOffset) -> ClockOffset:
    """Keep the estimate with the least round trip, unless it is old or the clock was set since."""
    if (
        current is None
        or sample.rtt_ms <= current.rtt_ms
        or sample.measured_s - current.measured_s > ESTIMATE_TTL_S
        or abs(sample.base_ms - current.base_ms) > CLOCK_STEP_MS
    ):
        return sample
    return current
