"""Brings work of other threads to Kivy's."""

from __future__ import annotations

import logging
from collections.abc import Callable
from queue import Empty, SimpleQueue

from kivy.clock import Clock

log = logging.getLogger("shop")


class MainThread:
    """Runs functions on Kivy's thread, in the order in which they came; safe from any thread."""

    def __init__(self) -> None:
        self._waiting: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._wake = Clock.create_trigger(self._drain, 0)

    def run(self, job: Callable[[], None]) -> None:
        self._waiting.put(job)
        self._wake()

    def _drain(self, dt: float) -> None:
        try:
            while True:
                job = self._waiting.get_nowait()
                try:
                    job()
                except Exception:
                    log.exception("a callback failed")
        except Empty:
            return
