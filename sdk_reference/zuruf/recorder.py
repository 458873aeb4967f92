"""The part of every call that runs on the app's thread: check, stamp, hand over. No I/O, ever."""

from __future__ import annotations

import json
import queue
import threading
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from zuruf.errors import InvalidEventError
from zuruf.events import (
    EVENT,
    IDENTIFY,
    RESET,
    Row,
    checked_name,
    checked_props,
    event_body,
)
from zuruf.session import Session, continued

if TYPE_CHECKING:
    from zuruf.clock import Clock
    from zuruf.events import IdSource

USER_ID_CHARACTERS_MAX = 256
PROOF_CHARACTERS_MAX = 16 * 1024


class Recorder:
    """Stamps events with time, id, session and person, and puts them into the worker's inbox.

    The lock makes the stamp and the place in the inbox one step, so that the order in the queue is
    the order of the stamps. Nothing under it waits.
    """

    def __init__(
        self,
        clock: Clock,
        ids: IdSource,
        inbox: queue.SimpleQueue[Any],
        *,
        inbox_length_max: int,
    ) -> None:
        self._clock = clock
        self._ids = ids
        self._inbox = inbox
        self._inbox_length_max = inbox_length_max
        self._lock = threading.Lock()
        self._session: Session | None = None
        self._drops: Counter[str] = Counter()
        self._user_id: str | None = None
        self._knows_user = False
        self._is_closed = False
        # Grows whenever another person takes over the device: what was fetched for a smaller
        # number is nobody's business any more.
        self.person = 0

    @property
    def session_id(self) -> str | None:
        session = self._session
        return None if session is None else session.id

    def event(
        self, kind: str, name: str, props: Mapping[str, Any] | None, *, person: int | None = None
    ) -> str:
        """Record an event and give its id; raises InvalidEventError.

        With `person`, only while it is still that person's device; the id is empty otherwise.
        """
        try:
            name_json, props_json = checked_name(name), checked_props(props)
        except InvalidEventError as error:
            self.count_drop(error.code)
            raise
        with self._lock:
            if self._is_closed or (person is not None and person != self.person):
                return ""
            if self._inbox.qsize() >= self._inbox_length_max:
                self._drops["queue_overflow"] += 1
                return ""
            now_ms = self._clock.wall_ms()
            event_id = self._ids.new_id(now_ms)
            self._session = session = continued(self._session, now_ms, event_id)
            body = event_body(event_id, kind, name_json, now_ms, session.id, props_json)
            self._inbox.put(Row(EVENT, event_id, name, now_ms, body, self.person))
        return event_id

    def background_event(
        self, kind: str, name: str, props: Mapping[str, Any], *, person: int
    ) -> Row | None:
        """Stamp what happened without the person: it neither begins nor extends a session."""
        name_json, props_json = checked_name(name), checked_props(props)
        with self._lock:
            if person != self.person:
                return None
            now_ms = self._clock.wall_ms()
            event_id = self._ids.new_id(now_ms)
            session_id = event_id if self._session is None else self._session.id
            body = event_body(event_id, kind, name_json, now_ms, session_id, props_json)
            return Row(EVENT, event_id, name, now_ms, body, person)

    def identify(self, user_id: object, proof: object) -> None:
        """Put a login between the events; raises InvalidEventError."""
        if not isinstance(user_id, str) or not 1 <= len(user_id) <= USER_ID_CHARACTERS_MAX:
            raise InvalidEventError("invalid_event", "a user id is a text of 1 to 256 characters")
        wanted = {"user_id": user_id}
        if proof is not None:
            if not isinstance(proof, str) or len(proof) > PROOF_CHARACTERS_MAX:
                raise InvalidEventError("invalid_event", "a proof is a JWT")
            wanted["proof"] = proof
        try:
            body = json.dumps(wanted, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise InvalidEventError("invalid_event", f"not a valid text: {error}") from None
        with self._lock:
            if self._knows_user and self._user_id not in {None, user_id}:
                self._next_person()
            self._user_id, self._knows_user = user_id, True
            self._put_operation(IDENTIFY, user_id, body)

    def reset(self) -> None:
        """Put a logout between the events."""
        with self._lock:
            self._next_person()
            self._user_id, self._knows_user = None, True
            self._put_operation(RESET, "", b"")

    def learn_user(self, user_id: str | None) -> None:
        """Learn from the queue file who was on the device, unless a call was faster."""
        with self._lock:
            if not self._knows_user:
                self._user_id, self._knows_user = user_id, True

    def close(self) -> None:
        """Take no more events: nobody would keep them."""
        with self._lock:
            self._is_closed = True

    def count_drop(self, reason: str) -> None:
        with self._lock:
            self._drops[reason] += 1

    def take_drops(self) -> dict[str, int]:
        """Give what was dropped on the app's threads since the last time."""
        with self._lock:
            drops, self._drops = self._drops, Counter()
        return dict(drops)

    def _next_person(self) -> None:
        self.person += 1
        self._session = None

    def _put_operation(self, kind: str, user_id: str, body: bytes) -> None:
        now_ms = self._clock.wall_ms()
        self._inbox.put(Row(kind, self._ids.new_id(now_ms), user_id, now_ms, body, self.person))
