"""Time: the port that tests replace."""

from __future__ import annotations

import queue
import time
from typing import Protocol, TypeVar

Item = TypeVar("Item")


class Clock(Protocol):
    """What the SDK knows about time."""

    def wall_ms(self) -> int:
        """Milliseconds since 1970, as the device believes."""

    def monotonic_s(self) -> float:
        """Seconds that never run backwards."""

    def wait(self, mailbox: queue.SimpleQueue[Item], timeout_s: float | None) -> Item:
        """Wait for the next item, `timeout_s` at most or for ever; raises queue.Empty at its end.

        Every wait of the worker comes here, so a clock that is moved by hand knows when the worker has
        nothing left to do, and before which moment.
        """


class SystemClock:
    """The clock of the device."""

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        return time.monotonic()

    def wait(self, mailbox: queue.SimpleQueue[Item], timeout_s: float | None) -> Item:
        return mailbox.get(timeout=timeout_s)
