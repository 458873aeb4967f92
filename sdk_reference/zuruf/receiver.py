"""Receives messages: held polls with a cursor, short ones where held ones fail. On the worker's thread.

A message is kept in the queue file before the app sees it, marked as handed over before the callback
runs, and its id stays known: killed at any point, the app sees it once at most.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from zuruf import delivery
from zuruf.delivery import Receiving
from zuruf.messages import RECEIVED, DisplayDecision, Message, read_message
from zuruf.transport import Request
from zuruf.version import __version__
from zuruf.workspace import CURSOR

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from zuruf.events import Row
    from zuruf.handover import Decided, Handover
    from zuruf.recorder import Recorder
    from zuruf.transport import Answered, Lane
    from zuruf.uploader import Uploader
    from zuruf.workspace import Workspace

log = logging.getLogger("zuruf")

DEFERRED_S = 30.0


class Receiver:
    """Fetches messages and passes them on."""

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
        self._lane = lane
        self._recorder = recorder
        self._handover = handover
        self._append = append
        self._uploader = uploader
        self._request: Request | None = None
        self._person = 0
        self._token: str | None = None
        mode = "poll" if work.config.stream == "poll" else "long_poll"
        self._receiving = Receiving(mode)
        self._deferred_until_s: dict[str, float] = {}
        self._has_waiting = True

    @property
    def state(self) -> str:
        if self._work.config.stream == "off" or self._handover.callback is None:
            return "off"
        if not self._may_receive():
            return "suspended"
        return self._receiving.mode if self._receiving.failures == 0 else "retrying"

    def isolate(self) -> None:
        """Another person is on the device: nothing of the one before may reach the app any more."""
        self._interrupt()
        self._work.storage.clear_messages()
        self._work.storage.put(CURSOR, "")
        self._deferred_until_s.clear()
        self._handover.forget_withdrawn()

    def identity_changed(self) -> None:
        """Go on with the new token at once."""
        self._interrupt()
        self._receiving = Receiving(
            self._receiving.mode, fell_back_at_s=self._receiving.fell_back_at_s
        )

    def look_again(self) -> None:
        """Hand over what waits: a callback has come, or the app has moved on."""
        self._deferred_until_s.clear()
        self._has_waiting = True

    def advance(self, now_s: float) -> None:
        """Hand over what waits, and poll when it is time."""
        self._hand_over(now_s)
        if self._request is None and self._receiving.next_at_s <= now_s and self._may_receive():
            self._poll()

    def deadline_s(self) -> float | None:
        """Give the time at which `advance` has something to do without being told."""
        times = list(self._deferred_until_s.values())
        if self._request is None and self._may_receive():
            times.append(self._receiving.next_at_s)
        return min(times, default=None)

    def answered(self, answered: Answered) -> None:
        """Follow an answer, or the lack of one."""
        if answered.request is not self._request:
            return
        self._request = None
        if self._person != self._recorder.person or self._token != self._work.identity.token:
            return
        now_s = answered.answered_s
        match delivery.outcome(answered.response, answered.error):
            case delivery.Accepted(body=body):
                self._uploader.token_worked()
                held_s = now_s - answered.sent_s
                cut = held_s < answered.request.hold_s * delivery.HELD_PART_MIN
                if not self._take(body) and cut:
                    self._failed("the poll was not held", 0.0, now_s)
                else:
                    self._receiving = delivery.after_poll(
                        self._receiving, now_s, self._work.settings.poll_interval_s
                    )
            case delivery.Unauthorized(code=code):
                # A renewed token, or the one of a pending login, ends this wait.
                self._failed(code, delivery.SLOW_RETRY_S, now_s)
                self._uploader.token_refused(self._token, code)
            case delivery.Retry(reason=reason, floor_s=floor_s):
                self._failed(reason, floor_s, now_s)
            case other:
                self._failed(str(other), delivery.SLOW_RETRY_S, now_s)

    def decided(self, decided: Decided, now_s: float) -> None:
        """Follow what the app said about a message."""
        if decided.decision is DisplayDecision.DEFER and decided.person == self._recorder.person:
            self._work.storage.set_waiting(decided.message_id, waiting=True)
            self._deferred_until_s[decided.message_id] = now_s + DEFERRED_S

    def _may_receive(self) -> bool:
        token = self._work.identity.token
        return (
            self._work.config.stream != "off"
            and self._handover.callback is not None
            and token is not None
            and not self._work.storage.is_isolated()
        )

    def _poll(self) -> None:
        held = self._receiving.mode == "long_poll"
        wait_s = max(1, round(self._work.settings.poll_wait_s)) if held else 0
        cursor = self._work.storage.get(CURSOR)
        after = f"after={quote(cursor, safe='')}&" if cursor else ""
        self._token, self._person = self._work.identity.token, self._work.person
        self._request = Request(
            "receive",
            "GET",
            f"/v1/messages?{after}wait={wait_s}",
            {
                "User-Agent": f"zuruf-python/{__version__}",
                "Accept": "application/json",
                "Authorization": f"Bearer {self._token}",
            },
            hold_s=float(wait_s),
        )
        self._lane.send(self._request)

    def _interrupt(self) -> None:
        if self._request is not None:
            self._lane.interrupt(self._request)
            self._request = None

    def _failed(self, reason: str, floor_s: float, now_s: float) -> None:
        self._receiving = delivery.after_failed_poll(
            self._receiving, now_s, floor_s=floor_s, chance=self._work.random.random()
        )
        log.info("polling failed (%s), now %s", reason, self._receiving)

    def _take(self, body: Mapping[str, Any]) -> bool:
        """Keep what a poll brought; False when it brought nothing new."""
        storage = self._work.storage
        brought = [
            (message, value)
            for value in _items(body.get("messages"))
            if (message := read_message(value, self._server_ms())) is not None
        ]
        withdrawn = [one for one in _items(body.get("withdrawn")) if isinstance(one, str)]
        cursor = body.get("cursor")
        moved = isinstance(cursor, str) and cursor != storage.get(CURSOR)
        received: list[Message] = []
        with storage.transaction():
            if body.get("reset") is True:
                storage.keep_only_waiting(message.id for message, _ in brought)
            for message, value in brought:
                times = {"created_at": message.created_at, "expires_at": message.expires_at}
                text = json.dumps({**value, **times})
                if storage.add_message(message.id, message.priority, message.expires_at, text):
                    received.append(message)
            storage.end_messages(withdrawn)
            if isinstance(cursor, str):
                storage.put(CURSOR, cursor)
            storage.prune_messages()
            self._append([row for one in received if (row := self._received(one)) is not None])
        for message_id in withdrawn:
            self._handover.withdraw(message_id)
            self._deferred_until_s.pop(message_id, None)
        self._has_waiting = self._has_waiting or bool(received)
        return moved or bool(received)

    def _received(self, message: Message) -> Row | None:
        return self._recorder.background_event(
            "message", RECEIVED, {"message_id": message.id}, person=self._person
        )

    def _hand_over(self, now_s: float) -> None:
        due = [one for one, at_s in self._deferred_until_s.items() if at_s <= now_s]
        if not (due or self._has_waiting) or self._handover.callback is None:
            return
        for message_id in due:
            del self._deferred_until_s[message_id]
        self._has_waiting = False
        storage, person = self._work.storage, self._work.person
        if storage.is_isolated():
            return
        for message_id, text in storage.waiting_messages():
            if message_id in self._deferred_until_s:
                continue
            message = read_message(json.loads(text), 0)
            storage.set_waiting(message_id, waiting=False)
            if message is not None and self._handover.is_current(message, person):
                self._handover.give(message, person)

    def _server_ms(self) -> int:
        offset = self._work.offset
        return self._work.clock.wall_ms() + (0 if offset is None else offset.offset_ms)


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
