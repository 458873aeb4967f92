"""Who waits for everything to be sent, and until when."""

from __future__ import annotations

import sqlite3
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from zuruf.diagnostics import FlushResult

if TYPE_CHECKING:
    from zuruf.uploader import Uploader
    from zuruf.workspace import Workspace


@dataclass(eq=False, slots=True)
class Flush:
    """Send everything; `done` has the result when that has succeeded or cannot in time."""

    deadline_s: float
    closes: bool = False
    done: Future[FlushResult] = field(default_factory=Future)
    through: int = 0
    sent_before: int = 0


class Flushes:
    """The flushes that are not over. Lives on the worker's thread."""

    def __init__(self, work: Workspace, uploader: Uploader) -> None:
        self._work = work
        self._uploader = uploader
        self._waiting: list[Flush] = []
        # A flush that closes is over: the worker may end.
        self.may_close = False

    def add(self, flush: Flush) -> None:
        """Have everything sent that is there now."""
        flush.through = self._uploader.hurry(self._work.clock.monotonic_s())
        flush.sent_before = self._uploader.sent_events
        self._waiting.append(flush)

    def deadlines_s(self) -> list[float]:
        return [flush.deadline_s for flush in self._waiting]

    def include_what_came(self) -> None:
        """Let what was written down while closing still go out, if there is time."""
        for flush in self._waiting:
            if flush.closes:
                flush.through = self._uploader.include_all()

    def answer(self, now_s: float) -> None:
        """Answer those that are over. One that closes is answered when the worker has ended."""
        over = [flush for flush in self._waiting if self._is_over(flush, now_s)]
        self.may_close = self.may_close or any(flush.closes for flush in over)
        for flush in over:
            if not flush.closes:
                self._waiting.remove(flush)
                self._finish(flush)

    def finish_all(self) -> None:
        """Answer everybody: nothing is sent any more."""
        for flush in self._waiting:
            self._finish(flush)

    def _is_over(self, flush: Flush, now_s: float) -> bool:
        if now_s >= flush.deadline_s:
            return True
        if self._uploader.pace.retry_at_s >= flush.deadline_s and not self._uploader.is_sending:
            # The next attempt comes too late: waiting for it helps nobody.
            return True
        try:
            return self._uploader.has_sent_through(flush.through)
        except sqlite3.Error:
            return False

    def _finish(self, flush: Flush) -> None:
        work = self._work
        try:
            remaining = work.storage.events_through(flush.through)
        except sqlite3.Error:
            remaining = work.storage.events
        result = FlushResult(
            sent=self._uploader.sent_events - flush.sent_before,
            remaining=remaining,
            last_status=work.last_status,
            last_error=work.last_error,
        )
        # Whoever waited may have given up meanwhile.
        if flush.done.set_running_or_notify_cancel():
            flush.done.set_result(result)
