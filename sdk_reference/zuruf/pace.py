"""When the next upload may go out: at once after a success, ever later after failures."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from zuruf.decisions import delivery

if TYPE_CHECKING:
    from zuruf.workspace import Workspace

log = logging.getLogger("zuruf")

# The radio is still on: a small request now costs no battery.
RADIO_WARM_S = 5.0


class Pace:
    """Counts failures in a row and says how long to wait. Lives on the worker's thread."""

    def __init__(self, work: Workspace) -> None:
        self._work = work
        # How long the gateway has asked to wait; nothing shortens that.
        self._floor_s = 0.0
        self._succeeded_s: float | None = None
        self.retry_at_s = 0.0
        self.failures = 0

    def succeeded(self, now_s: float) -> bool:
        """Go on at once. Tells whether that ends a time without answers."""
        came_back = self.failures > 0 and self._floor_s == 0
        self.failures = 0
        self.retry_at_s = now_s
        self._floor_s = 0.0
        self._succeeded_s = now_s
        self._work.last_error = None
        return came_back

    def failed(self, reason: str, floor_ms: int, now_s: float) -> None:
        """Wait, the longer the more often it has failed, and at least as long as was asked."""
        self.failures += 1
        self._work.last_error = reason
        self._floor_s = floor_ms / 1000
        wait_ms = delivery.backoff_ms(self.failures, floor_ms, self._work.random.random())
        self.retry_at_s = now_s + wait_ms / 1000
        log.info("upload failed (%s), again in %d ms", reason, wait_ms)

    def hurry(self, now_s: float) -> None:
        """Wait no longer; a wait the gateway asked for stays."""
        if self._floor_s == 0:
            self.retry_at_s = min(self.retry_at_s, now_s)

    def forget(self) -> None:
        """Begin anew, but for a wait the gateway asked for."""
        self.failures = 0
        if self._floor_s == 0:
            self.retry_at_s = 0.0

    def is_warm(self, now_s: float) -> bool:
        """Tell whether a request has succeeded just now."""
        return self._succeeded_s is not None and now_s - self._succeeded_s <= RADIO_WARM_S
