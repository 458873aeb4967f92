"""The part of every call that runs on the app's thread: check, stamp, hand over. No I/O, ever."""

from __future__ import annotations

import json
import queue
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from zuruf.decisions.canonical import (
    CHANGING,
    Props,
    check_person,
    checked_name,
    checked_props,
    event_body,
)
from zuruf.decisions.consent import NOTHING_SAID, is_purpose
from zuruf.decisions.session import IDLE_MS, LENGTH_MS_MAX, Session, continued, in_background
from zuruf.errors import InvalidEventError
from zuruf.events import (
    CONSENT,
    DELETE_DATA,
    EVENT,
    FORGET,
    IDENTIFY,
    OPT_IN,
    OPT_OUT,
    PUSH,
    REGISTER,
    RESET,
    SAID,
    Row,
)

if TYPE_CHECKING:
    from zuruf.clock import Clock
    from zuruf.decisions.consent import Consent
    from zuruf.events import IdSource

USER_ID_CHARACTERS_MAX = 256
PROOF_CHARACTERS_MAX = 16 * 1024
PUSH_TOKEN_CHARACTERS_MAX = 4096
PUSH_PROVIDERS = frozenset({"fcm", "apns", "hms", "web"})


class Recorder:
    """Stamps events with time, id, session and person, and puts them into the worker's mailbox.

    The lock makes the stamp and the place in the mailbox one step, so that the order in the queue is
    the order of the stamps. Nothing under it waits.
    """

    def __init__(
        self,
        clock: Clock,
        ids: IdSource,
        mailbox: queue.SimpleQueue[Any],
        *,
        mailbox_length_max: int,
        session_changed: Callable[[str], None],
    ) -> None:
        self._clock = clock
        self._ids = ids
        self._mailbox = mailbox
        self._mailbox_length_max = mailbox_length_max
        self._session_changed = session_changed
        self._lock = threading.Lock()
        self._session: Session | None = None
        self._drops: Counter[str] = Counter()
        self._user_id: str | None = None
        self._knows_user = False
        self._said: Mapping[str, bool] = NOTHING_SAID
        self._is_opted_out = False
        self._knows_consent = False
        # Calls about the person that the worker has not followed yet.
        self._operations_on_their_way = 0
        self._is_closed = False
        self._is_over = False
        # Texts that were cut because they were too long; their events are sent all the same.
        self.truncated = 0
        # What happens while the app is not on the screen neither begins nor extends a session.
        self.is_in_background = False
        # Settings may change them at any time; the next event follows.
        self.session_idle_ms = IDLE_MS
        self.session_ms_max = LENGTH_MS_MAX
        # Grows whenever another person takes over the device: what was fetched for a smaller
        # number is nobody's business any more.
        self.person = 0

    @property
    def session_id(self) -> str | None:
        session = self._session
        return None if session is None else session.id

    @property
    def consent(self) -> Mapping[str, bool]:
        """What was chosen so far, purpose → granted, calls the worker has not seen included."""
        return MappingProxyType(dict(self._said))

    @property
    def is_opted_out(self) -> bool:
        return self._is_opted_out

    # Events

    def event(
        self, kind: str, name: str, props: Mapping[str, Any] | None, *, person: int | None = None
    ) -> str:
        """Record an event and give its id; raises InvalidEventError.

        With `person`, only while it is still that person's device; the id is empty otherwise. Such
        reports about messages are taken until the worker has ended, also while the client closes.
        """
        try:
            row, session_id = self._recorded(kind, name, props, person)
        except InvalidEventError as error:
            self.count_drop(error.code)
            raise
        if row is None:
            return ""
        # A session has the id of its first event.
        if session_id == row.id:
            self._session_changed(session_id)
        return row.id

    def _recorded(
        self, kind: str, name: str, props: Mapping[str, Any] | None, person: int | None
    ) -> tuple[Row | None, str | None]:
        """Put an event into the mailbox; give it and the id of its session, if it has one."""
        if kind in CHANGING:
            check_person(kind, name, props)
        name_json, checked = checked_name(name), checked_props(props)
        with self._lock:
            if self._is_over or (self._is_closed and person is None):
                return None, None
            if person is not None and person != self.person:
                return None, None
            if self._mailbox.qsize() >= self._mailbox_length_max:
                self._drops["queue_overflow"] += 1
                return None, None
            is_by_person = not self.is_in_background
            row, session = self._stamp(kind, name, name_json, checked, is_by_person=is_by_person)
            self._mailbox.put(row)
        return row, None if session is None else session.id

    def _stamp(
        self, kind: str, name: str, name_json: bytes, checked: Props, *, is_by_person: bool
    ) -> tuple[Row, Session | None]:
        """Make an event of now, and go on with its session, if it has one. Under the lock."""
        now_ms = self._clock.wall_ms()
        event_id = self._ids.new_id(now_ms)
        bounds = self.session_idle_ms, self.session_ms_max
        session: Session | None
        if is_by_person:
            session = continued(self._session, now_ms, event_id, *bounds)
        else:
            session = in_background(self._session, now_ms, *bounds)
        session_id, seq = (None, None) if session is None else (session.id, session.seq)
        body = event_body(event_id, kind, name_json, now_ms, session_id, seq, checked.json)
        if session is not None:
            self._session = session
        self.truncated += checked.truncated
        return Row(EVENT, event_id, name, now_ms, body, self.person, type=kind), session

    def background_event(
        self, kind: str, name: str, props: Mapping[str, Any], *, person: int
    ) -> Row | None:
        """Stamp what happened without the person: it neither begins nor extends a session."""
        name_json, checked = checked_name(name), checked_props(props)
        with self._lock:
            if person != self.person:
                return None
            return self._stamp(kind, name, name_json, checked, is_by_person=False)[0]

    # The person

    def identify(self, user_id: object, proof: object) -> None:
        """Put a login between the events; raises InvalidEventError."""
        if not isinstance(user_id, str) or not 1 <= len(user_id) <= USER_ID_CHARACTERS_MAX:
            raise InvalidEventError("invalid_event", "a user id is a text of 1 to 256 characters")
        wanted = {"user_id": user_id}
        if proof is not None:
            if not isinstance(proof, str) or len(proof) > PROOF_CHARACTERS_MAX:
                raise InvalidEventError("invalid_event", "a proof is a JWT")
            wanted["proof"] = proof
        body = _json(wanted)
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

    def delete_local_data(self) -> None:
        """Have everything forgotten that was recorded before. The device begins anew."""
        with self._lock:
            self._next_person()
            self._drops.clear()
            self._user_id, self._knows_user = None, True
            self._said, self._is_opted_out, self._knows_consent = NOTHING_SAID, False, True
            self._put_operation(DELETE_DATA, "", b"")

    # What the person allows

    def choose(self, choices: Mapping[str, bool]) -> None:
        """Put what was granted and revoked between the events; raises InvalidEventError."""
        for purpose in choices:
            if not is_purpose(purpose):
                raise InvalidEventError(
                    "invalid_event", "a purpose is a text of 1 to 64 characters"
                )
        if not choices:
            return
        body = _json(dict(choices))
        with self._lock:
            self._said = {**self._said, **choices}
            self._put_operation(CONSENT, SAID, body)

    def set_opt_out(self, *, out: bool) -> None:
        """Put the end of everything, or its new beginning, between the events."""
        with self._lock:
            self._is_opted_out, self._knows_consent = out, True
            self._put_operation(CONSENT, OPT_OUT if out else OPT_IN, b"")

    # Push

    def register_push(self, token: object, provider: object) -> None:
        """Put a push token between the events; raises InvalidEventError."""
        if not isinstance(token, str) or not 1 <= len(token) <= PUSH_TOKEN_CHARACTERS_MAX:
            raise InvalidEventError(
                "invalid_event", "a push token is a text of 1 to 4096 characters"
            )
        if provider not in PUSH_PROVIDERS:
            known = ", ".join(sorted(PUSH_PROVIDERS))
            raise InvalidEventError("invalid_event", f"a push provider is one of {known}")
        body = _json({"token": token, "provider": provider})
        with self._lock:
            self._put_operation(PUSH, REGISTER, body)

    def unregister_push(self) -> None:
        """Put the end of the push token between the events."""
        with self._lock:
            self._put_operation(PUSH, FORGET, b"")

    # What the worker says

    def learn(self, user_id: str | None, consent: Consent) -> None:
        """Learn from the queue file who is on the device and what is allowed.

        A call that was faster knows better.
        """
        with self._lock:
            if not self._knows_user:
                self._user_id, self._knows_user = user_id, True
            self._said = {**consent.purposes, **self._said}
            if not self._knows_consent:
                self._is_opted_out, self._knows_consent = consent.is_opted_out, True

    def changed_elsewhere(
        self, user_id: str | None, consent: Consent, *, is_other_person: bool
    ) -> None:
        """Learn what another process of the app did. Its calls are calls too, and the latest count."""
        with self._lock:
            if is_other_person:
                self._next_person()
            self._follow_file(user_id, consent)

    def followed(self, operations: int, user_id: str | None, consent: Consent) -> None:
        """Learn that so many operations have been followed, and what the file says now."""
        with self._lock:
            self._operations_on_their_way -= operations
            self._follow_file(user_id, consent)

    def close(self) -> None:
        """Take no more calls of the app: what is being shown may still be reported."""
        with self._lock:
            self._is_closed = True

    def end(self) -> None:
        """Take nothing any more: nobody would keep it."""
        with self._lock:
            self._is_closed = self._is_over = True

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

    def _follow_file(self, user_id: str | None, consent: Consent) -> None:
        if self._operations_on_their_way:
            # A call that the file does not know yet is later than anything in it.
            return
        self._user_id, self._knows_user = user_id, True
        self._said = dict(consent.purposes)
        self._is_opted_out, self._knows_consent = consent.is_opted_out, True

    def _put_operation(self, kind: str, user_id: str, body: bytes) -> None:
        self._operations_on_their_way += 1
        now_ms = self._clock.wall_ms()
        self._mailbox.put(Row(kind, self._ids.new_id(now_ms), user_id, now_ms, body, self.person))


def _json(value: Mapping[str, Any]) -> bytes:
    """Give what goes into a body; raises InvalidEventError for what is no text."""
    try:
        return json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise InvalidEventError("invalid_event", f"not a valid text: {error}") from None
