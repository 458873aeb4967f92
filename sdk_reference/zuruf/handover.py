"""Hands messages to the app: where its callbacks run, and only while that is still right.

The worker decides what is shown; this asks the app. Between the two lies time: the app's executor may be
busy, the app may pause, a person may log out. So everything that forbids a message is asked again right
before the callback, on its own thread.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any

from zuruf.decisions.consent import MESSAGING
from zuruf.errors import InvalidEventError
from zuruf.messages import (
    CLICKED,
    DISMISSED,
    FAILED,
    SHOWN,
    DisplayDecision,
    Message,
    MessageCallback,
    Show,
)

if TYPE_CHECKING:
    from zuruf.clock import Clock
    from zuruf.recorder import Recorder

log = logging.getLogger("zuruf")

ENDED_KEPT_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Handed:
    """A message on its way to the app. `number` tells two ways of one message apart.

    `is_fresh`: it has just arrived and has waited for nothing, so it says how fast messages are.
    """

    message: Message
    person: int
    era: int
    number: int
    is_fresh: bool


class News(Enum):
    """What the app did with a message."""

    HELD_BACK = "held_back"
    """It is not asked: it has paused, or the message must not be shown any more."""
    ASKED = "asked"
    """Its callback has been called."""
    DEFERRED = "deferred"
    DISCARDED = "discarded"
    SHOWN = "shown"
    CLOSED = "closed"
    """Dismissed, or a button was chosen."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Report:
    """What the worker is told about a message that it handed over."""

    handed: Handed
    news: News


NEWS_OF_EVENT: Mapping[str, News] = {
    SHOWN: News.SHOWN,
    CLICKED: News.CLOSED,
    DISMISSED: News.CLOSED,
    FAILED: News.FAILED,
}


class Handover:
    """The way of a message from the worker to the app's callback, and of the answer back."""

    def __init__(
        self,
        recorder: Recorder,
        clock: Clock,
        run: Callable[[Callable[[], None]], None],
        tell: Callable[[Report], None],
    ) -> None:
        self._recorder = recorder
        self._clock = clock
        self._run = run
        self._tell = tell
        self._lock = threading.Lock()
        self._number = 0
        # Grows whenever everything that was handed over before must leave the screen.
        self._era = 0
        # On their way: the callback has not been called and still may be.
        self._pending: set[int] = set()
        # The app is being asked.
        self._asking: set[int] = set()
        self._pauses: set[object] = set()
        # A dict keeps the order, so that the oldest can be forgotten.
        self._ended: dict[str, None] = {}
        self.callback: MessageCallback | None = None
        self.offset_ms = 0
        # From the creation of the last fresh message until the app was asked, by the gateway's clock.
        self.latency_ms: int | None = None
        self.is_closed = False

    # From the app's threads

    def pause(self, handle: object) -> None:
        """Ask the app about nothing from now on, until this handle and all others are resumed."""
        with self._lock:
            self._pauses.add(handle)

    def resume(self, handle: object) -> None:
        with self._lock:
            self._pauses.discard(handle)

    @property
    def is_paused(self) -> bool:
        return bool(self._pauses)

    def is_current(self, handed: Handed) -> bool:
        """Tell whether a message may be on the screen."""
        message, recorder = handed.message, self._recorder
        return (
            not self.is_closed
            and handed.era == self._era
            and handed.person == recorder.person
            and not recorder.is_opted_out
            and recorder.consent.get(MESSAGING, True)
            and message.id not in self._ended
            and message.expires_at > self._clock.wall_ms() + self.offset_ms
        )

    # From the worker

    @property
    def is_idle(self) -> bool:
        """Nothing is on its way to the app, and it is not busy with anything."""
        return not self._pending and not self._asking

    def give(self, message: Message, person: int, *, is_fresh: bool = False) -> Handed:
        """Have the app asked, soon and elsewhere; raises what its executor raises."""
        with self._lock:
            self._number += 1
            handed = Handed(message, person, self._era, self._number, is_fresh)
            self._pending.add(handed.number)
        try:
            self._run(partial(self._ask, handed))
        except BaseException:
            self.take_back(handed)
            raise
        return handed

    def take_back(self, handed: Handed) -> bool:
        """Have the app not asked after all; False when it is too late for that."""
        with self._lock:
            if handed.number not in self._pending:
                return False
            self._pending.remove(handed.number)
            return True

    def end(self, message_id: str) -> None:
        """A message was withdrawn: it is not current any more, also where it is on the screen."""
        while len(self._ended) >= ENDED_KEPT_MAX:
            del self._ended[next(iter(self._ended))]
        self._ended[message_id] = None

    def end_all(self) -> None:
        """Nothing that was handed over until now is current any more."""
        self._era += 1
        self._ended.clear()

    def close(self) -> None:
        """Ask the app about nothing any more."""
        self.is_closed = True

    # Where callbacks run

    def _ask(self, handed: Handed) -> None:
        """Call the app's function, unless that is wrong by now: then the worker takes the message back."""
        callback = self.callback
        with self._lock:
            if handed.number not in self._pending:
                return
            may_ask = callback is not None and self._may_ask(handed)
            if may_ask:
                self._pending.remove(handed.number)
                self._asking.add(handed.number)
        if callback is None or not may_ask:
            self._tell(Report(handed, News.HELD_BACK))
            return
        try:
            self._call(callback, handed)
        finally:
            with self._lock:
                self._asking.discard(handed.number)

    def _may_ask(self, handed: Handed) -> bool:
        return self.is_current(handed) and not (self.is_paused and handed.message.is_overlay)

    def _call(self, callback: MessageCallback, handed: Handed) -> None:
        message = handed.message
        if handed.is_fresh:
            self.latency_ms = self._clock.wall_ms() + self.offset_ms - message.created_at
        self._tell(Report(handed, News.ASKED))
        show = Show(message, partial(self._report, handed), partial(self.is_current, handed))
        try:
            decision = callback(message, show)
        except Exception as error:
            log.exception("on_message failed for the message %s", message.id)
            show.failed(f"callback: {type(error).__name__}")
            return
        if decision is DisplayDecision.DEFER:
            self._tell(Report(handed, News.DEFERRED))
        elif decision is DisplayDecision.DISCARD:
            self._tell(Report(handed, News.DISCARDED))
            show.dismissed("discarded")

    def _report(self, handed: Handed, name: str, props: dict[str, Any]) -> None:
        try:
            self._recorder.event("message", name, props, person=handed.person)
        except InvalidEventError as error:
            log.warning("%s could not be reported: %s", name, error)
        if name in NEWS_OF_EVENT:
            self._tell(Report(handed, NEWS_OF_EVENT[name]))
