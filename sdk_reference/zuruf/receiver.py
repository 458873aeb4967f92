"""Everything about messages on the worker's thread: what arrives is kept, and shown when it may be.

`fetcher` brings pages, `message_store` keeps them together with the cursor behind them, `triggers` waits for
events, `presenter` gives messages to the app, `message_inbox` tells what is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from zuruf.decisions.values import items
from zuruf.fetcher import Fetcher
from zuruf.message_inbox import MessageInbox
from zuruf.message_store import MessageStore
from zuruf.messages import RECEIVED, Message, read_message
from zuruf.presenter import Presenter
from zuruf.triggers import Triggers
from zuruf.workspace import CURSOR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from zuruf.decisions.stream import StreamState
    from zuruf.events import Row
    from zuruf.handover import Handover, Report
    from zuruf.recorder import Recorder
    from zuruf.transport import Answered, Chunk, Lane
    from zuruf.uploader import Uploader
    from zuruf.workspace import Workspace


CURSOR_CHARACTERS_MAX = 1_024


class Receiver:
    """Keeps messages, and gives each part its turn."""

    def __init__(
        self,
        work: Workspace,
        lane: Lane,
        recorder: Recorder,
        handover: Handover,
        *,
        append: Callable[[list[Row]], None],
        uploader: Uploader,
    ) -> None:
        self._work = work
        self._recorder = recorder
        self._handover = handover
        self._append = append
        self._store = MessageStore(work)
        self._triggers = Triggers(work, self._store)
        self._presenter = Presenter(work, recorder, handover, self._store)
        self._fetcher = Fetcher(work, lane, recorder, handover, uploader, self._take)
        self._is_in_background = False
        self._next_expiry_ms: int | None = None
        self._must_find_expiry = True
        self.inbox = MessageInbox(work, self._store, self._presenter.removed)

    @property
    def state(self) -> StreamState:
        """How messages are received: off, suspended, retrying, sse, long_poll or poll."""
        return self._fetcher.state

    @property
    def is_receiving(self) -> bool:
        """A request is on its way or open."""
        return self._fetcher.is_receiving

    @property
    def is_settled(self) -> bool:
        """Nothing is on its way but what the gateway, or the app's own executor, holds back."""
        runs_callbacks = self._work.config.callback_executor is None
        return self._fetcher.is_holding and (self._handover.is_idle or not runs_callbacks)

    @property
    def latency_ms(self) -> int | None:
        """From the creation of the last message until the app was asked, by the gateway's clock."""
        return self._handover.latency_ms

    # What the app does

    def look_again(self) -> None:
        """Offer what waits: a callback has come, or the app has moved on."""
        self._presenter.look_again()

    def sync(self) -> None:
        """Fetch what is new now, also in the background: a push said that there is something."""
        self._fetcher.sync()

    def background(self) -> None:
        """The app has left the screen: nothing comes up, and soon nothing is held open any more."""
        self._is_in_background = True
        self._fetcher.background()

    def foreground(self) -> None:
        """The app is on the screen."""
        self._is_in_background = False
        self._fetcher.foreground()
        self._presenter.look_again()

    def online(self) -> None:
        """Uploads are answered again after a time without."""
        self._fetcher.online()

    def heard(self, report: Report) -> None:
        """Follow what the app did with a message."""
        self._presenter.heard(report, self._now_s())

    def saw(self, rows: Iterable[Row]) -> None:
        """Look at events that are being saved, in their transaction."""
        if self._triggers.saw(row for row in rows if row.person == self._work.person):
            self._changed()

    # Who is on the device

    def isolate(self) -> None:
        """Forget all messages: they are another person's, or may not be shown any more."""
        self.taken_over()
        with self._work.storage.transaction():
            self._store.clear()
            if self._work.storage.is_isolated():
                self._store.forget_the_anonymous()
            self._work.storage.put(CURSOR, "")

    def taken_over(self) -> None:
        """Another process has put another person on the device: take everything off the screen."""
        self._fetcher.stop()
        self._presenter.isolate(self._now_s())
        self._triggers.turn_ended()
        self._changed()

    def identity_changed(self) -> None:
        """Go on with the new token at once."""
        self._fetcher.restart()

    def file_changed(self) -> None:
        """Another process has written to the file, or it is another file."""
        self._changed()

    def close(self) -> None:
        """Give back what the app has not been asked about."""
        self._presenter.close()

    # Time

    def advance(self, now_s: float) -> None:
        """Do what is due: fetch, expire, show, tell."""
        self._fetcher.advance(now_s)
        self._expire(now_s)
        if self._may_show():
            self._presenter.advance(now_s)
        self._triggers.turn_ended()
        self.inbox.publish()

    def deadline_s(self) -> float | None:
        """Give the time at which `advance` has something to do without being told."""
        times = [self._fetcher.deadline_s()]
        if self._may_show():
            times.append(self._presenter.deadline_s())
        if self._next_expiry_ms is not None and self._work.offset is not None:
            left_ms = self._next_expiry_ms - self._work.server_ms()
            times.append(self._now_s() + max(0, left_ms) / 1000)
        return min((at_s for at_s in times if at_s is not None), default=None)

    def _may_show(self) -> bool:
        return (
            self._handover.callback is not None
            and not self._is_in_background
            and not self._fetcher.has_rival
            and not self._work.storage.is_isolated()
        )

    def _expire(self, now_s: float) -> None:
        now_ms = self._work.server_ms()
        if self._must_find_expiry:
            self._next_expiry_ms = self._store.next_expiry_ms()
            self._must_find_expiry = False
        if self._next_expiry_ms is None or now_ms < self._next_expiry_ms:
            return
        if self._work.offset is None:
            # A device whose clock is wrong must not throw away what is not over; it is not shown.
            return
        with self._work.storage.transaction():
            for message_id in self._store.end_expired(now_ms):
                self._presenter.ended(message_id, now_s)
        self._changed()

    # Messages

    def chunk(self, chunk: Chunk) -> None:
        """Follow what came on the stream."""
        self._fetcher.chunk(chunk)

    def answered(self, answered: Answered) -> None:
        """Follow an answer, if it is to one of our requests."""
        self._fetcher.answered(answered)

    def _take(self, page: Mapping[str, Any]) -> bool:
        """Keep a page of messages; False when it brought nothing new."""
        storage, now_ms = self._work.storage, self._work.server_ms()
        brought = [
            (message, value)
            for value in items(page.get("messages"))
            if (message := read_message(value, now_ms)) is not None
        ]
        withdrawn = [one for one in items(page.get("withdrawn")) if isinstance(one, str)]
        cursor = _cursor(page.get("cursor"))
        with storage.transaction():
            # Only now is it sure that no other process has changed the person.
            if not self._fetcher.is_for(self._recorder.person):
                return False
            has_moved = cursor is not None and cursor != storage.get(CURSOR)
            if page.get("reset") is True:
                self._store.forget_all_but(message.id for message, _ in brought)
            new = [message for message, value in brought if self._store.add(message, value)]
            for message_id in withdrawn:
                self._store.end(message_id)
            if cursor is not None:
                storage.put(CURSOR, cursor)
            self._triggers.armed(new)
            self._append([row for one in new if (row := self._receipt(one)) is not None])
        for message in new:
            self._presenter.arrived(message)
        for message_id in withdrawn:
            self._presenter.ended(message_id, self._now_s())
        self._changed()
        return has_moved or bool(new)

    def _receipt(self, message: Message) -> Row | None:
        return self._recorder.background_event(
            "message", RECEIVED, {"message_id": message.id}, person=self._work.person
        )

    def _changed(self) -> None:
        """Something in the store is different now."""
        self._must_find_expiry = True
        self._triggers.changed()
        self._presenter.changed()
        self.inbox.changed()

    def _now_s(self) -> float:
        return self._work.clock.monotonic_s()


def _cursor(value: Any) -> str | None:
    """Read a cursor, one that can stand in a header."""
    is_sendable = isinstance(value, str) and value.isascii() and value.isprintable()
    return value if is_sendable and len(value) <= CURSOR_CHARACTERS_MAX else None
