"""Hands messages to the app: on its executor, one at a time, and only while they are current."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from zuruf.errors import InvalidEventError
from zuruf.messages import DisplayDecision, Message, MessageCallback, Show

if TYPE_CHECKING:
    from zuruf.clock import Clock
    from zuruf.config import CallbackExecutor
    from zuruf.recorder import Recorder

log = logging.getLogger("zuruf")

WITHDRAWN_KEPT_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Decided:
    """What the app said about a message."""

    message_id: str
    decision: DisplayDecision
    person: int


class Handover:
    """The way of a message from the worker to the app's callback, and of the answer back."""

    def __init__(
        self,
        recorder: Recorder,
        clock: Clock,
        executor: CallbackExecutor | None,
        decided: Callable[[Decided], None],
    ) -> None:
        self._recorder = recorder
        self._clock = clock
        self._own_thread = _OwnThread()
        self._run: Callable[[Callable[[], None]], object]
        if executor is None:
            self._run = self._own_thread.run
        elif isinstance(executor, Executor):
            self._run = executor.submit
        else:
            self._run = executor
        self._decided = decided
        # A dict keeps the order, so that the oldest can be forgotten.
        self._withdrawn: dict[str, None] = {}
        self.callback: MessageCallback | None = None
        self.offset_ms = 0
        self.is_closed = False

    def close(self) -> None:
        """Call back no more."""
        self.is_closed = True
        self._own_thread.stop()

    def withdraw(self, message_id: str) -> None:
        if len(self._withdrawn) >= WITHDRAWN_KEPT_MAX:
            del self._withdrawn[next(iter(self._withdrawn))]
        self._withdrawn[message_id] = None

    def forget_withdrawn(self) -> None:
        self._withdrawn.clear()

    def is_current(self, message: Message, person: int) -> bool:
        """Tell whether a message may be on the screen. Asked again right before every callback."""
        return (
            not self.is_closed
            and person == self._recorder.person
            and message.id not in self._withdrawn
            and message.expires_at > self._clock.wall_ms() + self.offset_ms
        )

    def give(self, message: Message, person: int) -> None:
        """Have the callback called, soon and elsewhere."""
        try:
            self._run(partial(self._call, message, person))
        except Exception:
            log.exception("the callback executor did not take the message %s", message.id)
            self._report(person, "message_failed", _failure(message, "executor"))

    def _call(self, message: Message, person: int) -> None:
        callback = self.callback
        if callback is None or not self.is_current(message, person):
            return
        show = Show(
            message,
            partial(self._report, person),
            partial(self.is_current, message, person),
        )
        try:
            decision = callback(message, show) or DisplayDecision.SHOW
        except Exception as error:
            log.exception("on_message failed for the message %s", message.id)
            show.failed(f"callback: {type(error).__name__}")
            return
        if decision is DisplayDecision.DISCARD:
            show.dismissed("discarded")
        self._decided(Decided(message.id, decision, person))

    def _report(self, person: int, name: str, props: dict[str, Any]) -> None:
        try:
            self._recorder.event("message", name, props, person=person)
        except InvalidEventError as error:
            log.warning("%s could not be reported: %s", name, error)


class _OwnThread:
    """One thread for callbacks, started with the first: most clients never need it."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._is_started = False

    def run(self, job: Callable[[], None]) -> None:
        self._jobs.put(job)
        if not self._is_started:
            self._is_started = True
            threading.Thread(target=self._work, name="zuruf-callbacks", daemon=True).start()

    def stop(self) -> None:
        self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()


def _failure(message: Message, reason: str) -> dict[str, Any]:
    return {"message_id": message.id, "reason": reason}
