"""What every request must keep, in any script: the gateway's own types, and the rules between requests.

The shapes are not written down here. They are generated from the types that the gateway itself reads
requests with, so the kit can't fall behind it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec

from gateway.devices.config import Config
from gateway.devices.model import (
    ConsentAnswers,
    Identification,
    Identified,
    PushRegistration,
    Registered,
    Registration,
)
from gateway.inbox.model import Content, Display, Message
from gateway.ingest.model import Batch, UploadAnswer
from gateway.records import Event
from tests.conformance import seen
from tests.conformance.schema import Schemas
from tests.conformance.seen import Seen

BODY_BYTES_MAX = 512 * 1024
INFLATED_BYTES_MAX = 4 * 1024 * 1024
BATCH_EVENTS_MAX = 500
EVENT_BYTES_MAX = 32 * 1024
HOLD_S_MAX = 55
PUBLISHABLE_KEY = "pk_conformance"

_TYPES: dict[str, Any] = {
    seen.DEVICES: Registration,
    seen.EVENTS: Batch[Event],
    seen.IDENTITY: Identification,
    seen.CONSENT: ConsentAnswers,
    seen.PUSH: PushRegistration,
}
_ANSWER_TYPES: dict[str, Any] = {
    seen.DEVICES: Registered,
    seen.EVENTS: UploadAnswer,
    seen.IDENTITY: Identified,
    seen.CONFIG: Config,
}


def _schemas_of(types: dict[str, Any]) -> tuple[dict[str, str], Schemas]:
    references, components = msgspec.json.schema_components(types.values())
    names = {
        route: str(reference["$ref"]).removeprefix("#/$defs/")
        for route, reference in zip(types, references, strict=True)
    }
    return names, Schemas(components, is_closed=True)


_NAMES, _REQUESTS = _schemas_of(_TYPES)
_ANSWER_NAMES, _ANSWERS = _schemas_of(_ANSWER_TYPES)
_, _MESSAGES = _schemas_of({"content": Content, "display": Display})
_QUERIES = {seen.POLL: {"after", "wait"}, seen.STREAM: {"after"}}
# Requests that change something stand in one line: the next goes out when the one before is answered.
_IN_LINE = frozenset(seen.ROUTES - {seen.POLL, seen.STREAM, seen.CONFIG})


def shape_faults(request: Seen) -> Iterator[str]:
    """Say what is wrong with a request by itself."""
    yield from request.faults
    if request.route not in seen.ROUTES:
        yield f"there is no {request.route}"
        return
    if not request.number.isdecimal():
        yield f"the adapter numbers its requests: {seen.NUMBER} is {request.number!r}"
    authorization = request.headers.get("authorization", "")
    if not authorization.startswith("Bearer "):
        yield f"Authorization is {authorization!r}"
    elif request.route == seen.DEVICES and request.token != PUBLISHABLE_KEY:
        yield f"registers with {request.token!r}, not with the publishable key"
    for name in request.query.keys() - _QUERIES.get(request.route, set()):
        yield f"no such parameter: {name}"
    wait = request.query.get("wait", "0")
    if not wait.isdecimal() or int(wait) > HOLD_S_MAX:
        yield f"wait is {wait!r}"
    yield from _body_faults(request)


def _body_faults(request: Seen) -> Iterator[str]:
    headers = request.headers
    expects_body = request.route in _NAMES
    if not request.raw:
        if expects_body:
            yield "a body is missing"
        return
    if not expects_body:
        yield f"{request.route} has no body"
        return
    if headers.get("content-type", "").split(";")[0].strip() != "application/json":
        yield f"Content-Type is {headers.get('content-type')!r}"
    encoding = headers.get("content-encoding")
    if encoding not in {None, "gzip"}:
        yield f"Content-Encoding is {encoding!r}"
    elif encoding == "gzip" and not request.plain:
        yield "Content-Encoding is gzip, the body is not"
    if len(request.raw) > BODY_BYTES_MAX or len(request.plain) > INFLATED_BYTES_MAX:
        yield f"the body has {len(request.raw)} bytes, {len(request.plain)} inflated"
    if request.body is None:
        yield "the body is not JSON"
        return
    yield from _REQUESTS.faults(_NAMES[request.route], request.body)
    if request.route == seen.EVENTS:
        yield from _batch_faults(request.body)


def _batch_faults(body: Any) -> Iterator[str]:
    events = body.get("events") if isinstance(body, dict) else None
    if not isinstance(events, list) or not events:
        yield "a batch without events"
        return
    if len(events) > BATCH_EVENTS_MAX:
        yield f"{len(events)} events in one batch"
    for event in events:
        size = len(json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode())
        if size > EVENT_BYTES_MAX:
            yield f"an event of {size} bytes"


def answer_faults(route: str, body: object) -> list[str]:
    """Say where an answer is not what the gateway would give."""
    return _ANSWERS.faults(_ANSWER_NAMES[route], body)


def message_faults(message: dict[str, Any]) -> list[str]:
    """Say where a message is not what the gateway would hand out."""
    missing = [name for name in _MESSAGE_MEMBERS if name not in message]
    return [
        *(f"{name}: missing" for name in missing),
        *_MESSAGES.faults("Content", message["content"]),
        *_MESSAGES.faults("Display", message["display"]),
    ]


_MESSAGE_MEMBERS = [
    name for name in Message.__struct_fields__ if name not in {"journey_id", "trigger"}
]


class Memory:
    """The rules between requests: what was said once is said the same for ever."""

    def __init__(self) -> None:
        self._batches: dict[str, list[Any]] = {}
        self._events: dict[str, Any] = {}
        self._sequences: dict[str, int] = {}
        self._counted: set[str] = set()

    def faults(self, request: Seen, under_way: list[Seen]) -> Iterator[str]:
        """Say what is wrong with a request beside earlier ones, and beside those still unanswered."""
        if request.route in _IN_LINE:
            yield from (
                f"sent while {other.route} was under way"
                for other in under_way
                if other.route in _IN_LINE
            )
        body = request.body
        if request.route != seen.EVENTS or not isinstance(body, dict):
            return
        events = body.get("events", [])
        batch_id = str(body.get("batch_id"))
        if self._batches.setdefault(batch_id, events) != events:
            yield f"the batch {batch_id} had other events before"
        for event in events:
            yield from self._event_faults(event)

    def _event_faults(self, event: dict[str, Any]) -> Iterator[str]:
        event_id = str(event.get("id"))
        if self._events.setdefault(event_id, event) != event:
            yield f"the event {event_id} was {self._events[event_id]} before, and is {event} now"
        number, session = event.get("seq"), str(event.get("session_id"))
        if event_id in self._counted or not isinstance(number, int):
            return
        self._counted.add(event_id)
        if number <= self._sequences.get(session, -1):
            yield f"seq {number} after {self._sequences[session]} in the session {session}"
        self._sequences[session] = max(number, self._sequences.get(session, -1))
