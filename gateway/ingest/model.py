"""A batch: its wire form, the verdict on each event, and the correction of its times."""

import math
import re
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct

from gateway.errors import Problem
from gateway.profiles.changes import CHANGING_TYPES, fault_of_change
from gateway.records import (
    ITEMS_MAX,
    NAME_CHARS_MAX,
    VALUE_BYTES_MAX,
    Event,
    HexId,
    Id,
    Marks,
    Time,
    UserId,
    marks_of,
)

E = TypeVar("E", bound=Event)

DEPTH_MAX = 5
SKEW_TOLERATED_MS = 60_000
OFFSET_TOLERATED_MS = 2_000


class ClockReading(Struct, frozen=True):
    """The client's estimate: server time minus device time, and the round trip it was measured with."""

    offset_ms: Annotated[int, Meta(ge=-(10**13), le=10**13)]
    rtt_ms: Annotated[int, Meta(ge=0, le=10**9)]


class ClientDrop(Struct, frozen=True):
    """Events that the client gave up, and why."""

    reason: Annotated[str, Meta(min_length=1, max_length=64)]
    quantity: Annotated[int, Meta(ge=0, le=10**9)]


class Envelope(Struct, frozen=True, kw_only=True):
    """What a batch says about itself."""

    batch_id: Id
    sent_at: Time
    clock: ClockReading | None = None
    client_report: Annotated[list[ClientDrop], Meta(max_length=100)] = []


class Batch(Envelope, Generic[E], frozen=True, kw_only=True):
    """The events of one upload."""

    events: list[E]


class AddressedEvent(Event, frozen=True, omit_defaults=True, gc=False):
    """An event that a server tells about one of its users."""

    user_id: UserId | None = None
    profile_id: HexId | None = None

    def __post_init__(self) -> None:
        if self.user_id is None and self.profile_id is None:
            raise ValueError("user_id or profile_id is missing")


class _RawBatch(Envelope, frozen=True, kw_only=True):
    events: list[Raw]


class Rejection(Struct, frozen=True):
    """Why one event of a batch was not taken."""

    index: int
    id: str | None
    code: str
    detail: str


class UploadAnswer(Struct, frozen=True):
    """What became of a batch: accepted, duplicates and rejected add up to its events."""

    accepted: int
    duplicates: int
    rejected: list[Rejection]
    durability: str = "fsync"


class Reading(Struct, Generic[E], frozen=True):
    """A batch as read.

    `events`: those worth storing, with their `marks`; `repeated`: how many stood in the batch twice;
    `rejected`: the verdicts on the rest.
    """

    envelope: Envelope
    events: list[E]
    marks: Marks
    repeated: int
    rejected: list[Rejection]


class Summary(Struct, frozen=True):
    """What is left of a reading when its events have gone: `taken` are on their way to the log."""

    taken: int
    repeated: int
    rejected: list[Rejection]

    @property
    def is_hopeless(self) -> bool:
        """Whether no event of the batch was good."""
        return not self.taken


class BatchReader(Generic[E]):
    """Reads batches of one media type.

    A good batch is decoded and checked in one go (25 µs for 50 events). Only when that fails, or when the
    body is large enough to hide what types can't express, are its events looked at one by one.
    """

    def __init__(
        self, event_type: type[E], *, is_json: bool, events_max: int, event_bytes_max: int
    ) -> None:
        decoder: Any = msgspec.json.Decoder if is_json else msgspec.msgpack.Decoder
        self._decode = decoder(Batch[event_type]).decode  # type: ignore[valid-type]
        self._decode_raw = decoder(_RawBatch).decode
        self._decode_event = decoder(event_type).decode
        self._decode_anything = decoder().decode
        self._is_json = is_json
        self._events_max = events_max
        self._event_bytes_max = event_bytes_max

    def read(self, body: bytes) -> Reading[E]:
        """Read a body.

        Raises Problem `malformed_body`, `invalid_body`, `too_many_events` or `empty_batch` when the
        envelope is at fault; the faults of events are in the reading.
        """
        try:
            batch: Batch[E] = self._decode(body)
        except _UNREADABLE:
            return self._read_apart(body)
        events = batch.events
        if not 0 < len(events) <= self._events_max or self._may_hide_faults(body):
            return self._read_apart(body)
        # In two steps, because most batches have none of these: 1 µs for 50 events.
        if not CHANGING_TYPES.isdisjoint([event.type for event in events]) and any(
            fault_of_change(event.type, event.name, event.props) for event in events
        ):
            return self._read_apart(body)
        try:
            marks = marks_of(batch.batch_id, [event.id for event in events])
        except ValueError:
            return self._read_apart(body)
        if len(set(memoryview(marks.fingerprints).cast("Q")[1:])) < len(events):
            return _reading(batch, events, [])
        return Reading(batch, events, marks, 0, [])

    def _may_hide_faults(self, body: bytes) -> bool:
        """Whether an event may be too large, a string too long in bytes, or a number not finite."""
        if not self._is_json and _NOT_FINITE.search(body):
            return True
        harmless = min(VALUE_BYTES_MAX, self._event_bytes_max)
        if len(body) <= harmless:
            return False
        is_plain = self._is_json and body.isascii() and b"\\" not in body
        if is_plain and len(body) <= self._event_bytes_max:
            return False
        sizes = [len(memoryview(raw)) for raw in self._decode_raw(body).events]
        return max(sizes) > harmless

    def _read_apart(self, body: bytes) -> Reading[E]:
        try:
            batch: _RawBatch = self._decode_raw(body)
        except msgspec.ValidationError as error:
            raise Problem("invalid_body", str(error)) from None
        except _UNREADABLE as error:
            mended = mend_surrogates(body) if self._is_json else body
            if mended != body:
                return self.read(mended)
            raise Problem("malformed_body", str(error) or "nested too deep") from None
        try:
            marks_of(batch.batch_id, ())
        except ValueError as error:
            raise Problem("invalid_body", f"batch_id: {error}") from None
        if not batch.events:
            raise Problem("empty_batch", "send at least one event")
        if len(batch.events) > self._events_max:
            raise Problem("too_many_events", f"at most {self._events_max} in a batch")
        events: list[E] = []
        rejected: list[Rejection] = []
        for index, raw in enumerate(batch.events):
            verdict = self._judge(bytes(raw))
            if isinstance(verdict, Event):
                events.append(verdict)
            else:
                event_id, code, detail = verdict
                rejected.append(Rejection(index, event_id, code, detail))
        return _reading(batch, events, rejected)

    def _judge(self, raw: bytes) -> E | tuple[str | None, str, str]:
        """The event, or (its id if readable, code, detail)."""
        try:
            anything = self._decode_anything(raw)
        except RecursionError:
            return None, "too_deep", f"props may be {DEPTH_MAX} levels deep"
        except _UNREADABLE as error:
            return None, "invalid_event", str(error)
        event_id = anything.get("id") if isinstance(anything, dict) else None
        readable_id = event_id if isinstance(event_id, str) and len(event_id) <= 64 else None
        if len(raw) > self._event_bytes_max:
            return readable_id, "event_too_large", f"at most {self._event_bytes_max} bytes"
        if isinstance(anything, dict) and (fault := _fault_of(anything)):
            return readable_id, *fault
        try:
            event: E = self._decode_event(raw)
            marks_of(event.id, ())
        except _UNREADABLE as error:
            return readable_id, "invalid_event", str(error)
        if nonsense := fault_of_change(event.type, event.name, event.props):
            return readable_id, "invalid_event", nonsense
        return event


def mend_surrogates(body: bytes) -> bytes:
    """JSON with every lone half of a surrogate pair replaced by U+FFFD.

    Clients that cut a text in the middle of an emoji send such halves. They make the whole body unreadable,
    and one spoilt letter must not cost the neighbours.
    """
    return _ESCAPES.sub(lambda found: found[0] if found[1] else rb"\ufffd", body)


def time_shift_ms(envelope: Envelope, received_at: int) -> int:
    """What to add to the times of a batch: the device clock's error, when it is larger than its doubt.

    With a clock reading the doubt is its round trip and 2 s. Without one, arrival minus sending also holds
    the time on the way, so only more than a minute counts as an error of the clock.
    """
    reading = envelope.clock
    if reading is not None:
        doubt = reading.rtt_ms + OFFSET_TOLERATED_MS
        return reading.offset_ms if abs(reading.offset_ms) > doubt else 0
    skew = received_at - envelope.sent_at
    return skew if abs(skew) > SKEW_TOLERATED_MS else 0


# In this order: an escaped backslash and a whole pair, which stay, then a lone half.
_ESCAPES = re.compile(
    rb"(\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)
_UNREADABLE = (msgspec.MsgspecError, RecursionError, OverflowError, ValueError)
# A float that is not finite, in MessagePack: exponent bits all set. May also match inside a string, which
# costs a closer look and nothing else. JSON has no such numbers.
_NOT_FINITE = re.compile(rb"\xcb[\x7f\xff][\xf0-\xff]|\xca[\x7f\xff][\x80-\xff]")


def _reading(batch: Envelope, events: list[E], rejected: list[Rejection]) -> Reading[E]:
    """The reading of a batch in which some ids may stand twice: the first of each counts."""
    first: dict[str, E] = {}
    for event in events:
        first.setdefault(event.id.lower(), event)
    marks = marks_of(batch.batch_id, list(first))
    return Reading(batch, list(first.values()), marks, len(events) - len(first), rejected)


def _fault_of(event: dict[Any, Any]) -> tuple[str, str] | None:
    """The limit that an event breaks, as (code, detail)."""
    for field in ("name", "type"):
        text = event.get(field)
        if isinstance(text, str) and len(text) > NAME_CHARS_MAX:
            return "name_too_long", f"{field}: at most {NAME_CHARS_MAX} characters"
    return _fault_of_value(event.get("props"), "props", 1)


def _fault_of_value(value: object, path: str, level: int) -> tuple[str, str] | None:
    match value:
        case str():
            # A character has at most 4 bytes, so a short string need not be encoded to know.
            if len(value) * 4 > VALUE_BYTES_MAX and len(value.encode()) > VALUE_BYTES_MAX:
                return "value_too_long", f"{path}: at most {VALUE_BYTES_MAX} bytes"
        case float():
            if not math.isfinite(value):
                return "invalid_event", f"{path}: not a finite number"
        case dict() | list():
            if level > DEPTH_MAX:
                return "too_deep", f"{path}: props may be {DEPTH_MAX} levels deep"
            if len(value) > ITEMS_MAX:
                return "too_many_props", f"{path}: at most {ITEMS_MAX}"
            items = value.items() if isinstance(value, dict) else enumerate(value)
            for key, item in items:
                if isinstance(key, str) and len(key) > NAME_CHARS_MAX:
                    return "key_too_long", f"{path}: keys have at most {NAME_CHARS_MAX} characters"
                if fault := _fault_of_value(item, f"{path}.{key}", level + 1):
                    return fault
    return None
