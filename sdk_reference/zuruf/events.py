"""Events: their ids, their limits and their form on the wire.

The limits and the codes are the gateway's (docs/protocol.md), so that what would be rejected there is
refused at the call, where the mistake can still be seen.
"""

from __future__ import annotations

import json
import math
import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from zuruf.errors import InvalidEventError

if TYPE_CHECKING:
    from collections.abc import Mapping

EVENT_BYTES_MAX = 32 * 1024
ITEMS_MAX = 256
NAME_CHARACTERS_MAX = 128
STRING_BYTES_MAX = 4096
DEPTH_MAX = 5
INTEGER_MIN, INTEGER_MAX = -(2**63), 2**63 - 1
# The least number of characters that can exceed STRING_BYTES_MAX: UTF-8 needs up to 4 bytes for one.
STRING_CHARACTERS_SAFE = STRING_BYTES_MAX // 4

EVENT, IDENTIFY, SWITCH, RESET = "event", "identify", "switch", "reset"

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Row:
    """One entry of the queue: an event, or an operation on the identity.

    Operations stand between the events in the order of the calls: what was recorded before is
    uploaded for the person before, what was recorded after for the person after. `switch` is an
    identify that replaces one known person by another; the worker tells the two apart.
    """

    kind: str
    id: str
    name: str
    created_ms: int
    body: bytes
    person: int = 0
    position: int = 0


class IdSource(Protocol):
    """Where ids come from."""

    def new_id(self, now_ms: int) -> str:
        """Give a UUID nobody has seen, in its 36 character form."""


class Uuid7Source:
    """UUIDs of version 7: they sort by the time of the call, also within one millisecond."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def new_id(self, now_ms: int) -> str:
        noise = int.from_bytes(os.urandom(10), "big")
        with self._lock:
            # 48 bits of time and 12 of a counter, which starts low to leave room to count up.
            self._last = max(self._last + 1, (now_ms & 0xFFFF_FFFF_FFFF) << 12 | (noise >> 70))
            time_and_count = self._last
        digits = (
            f"{time_and_count >> 12:012x}7{time_and_count & 0xFFF:03x}"
            f"{0x8000_0000_0000_0000 | (noise & 0x3FFF_FFFF_FFFF_FFFF):016x}"
        )
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def checked_name(name: object) -> bytes:
    """Give a name as JSON, or raise what the gateway would say."""
    if not isinstance(name, str) or not name:
        raise InvalidEventError("invalid_event", "a name is a text of 1 to 128 characters")
    if len(name) > NAME_CHARACTERS_MAX:
        raise InvalidEventError("name_too_long", f"{name[:40]}… has {len(name)} characters")
    return _utf8(_encode(name))


def checked_props(props: Mapping[str, Any] | None) -> bytes:
    """Give props as JSON, or raise what the gateway would say. A copy: the app may change its dict."""
    if not props:
        return b"{}"
    if not isinstance(props, dict):
        try:
            props = dict(props)
        except (TypeError, ValueError):
            raise InvalidEventError("invalid_event", "props are a mapping") from None
    _check(props, 1)
    body = _utf8(_encode(props))
    if len(body) > EVENT_BYTES_MAX:
        raise InvalidEventError("event_too_large", f"{len(body)} bytes of props")
    return body


def event_body(
    event_id: str, kind: str, name: bytes, ts: int, session_id: str, props: bytes
) -> bytes:
    """Put an event together from parts that were checked before."""
    return b'{"id":"%b","type":"%b","name":%b,"ts":%d,"session_id":"%b","props":%b}' % (
        event_id.encode(),
        kind.encode(),
        name,
        ts,
        session_id.encode(),
        props,
    )


def _check(value: Any, depth: int) -> None:
    if isinstance(value, str):
        if len(value) > STRING_CHARACTERS_SAFE and len(_utf8(value)) > STRING_BYTES_MAX:
            raise InvalidEventError("value_too_long", f"{value[:40]}… is too long")
    elif value is None or isinstance(value, bool):
        pass
    elif isinstance(value, int):
        if not INTEGER_MIN <= value <= INTEGER_MAX:
            raise InvalidEventError("invalid_event", f"{value:.3e} needs more than 64 bits")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidEventError("invalid_event", f"{value} is not a finite number")
    elif isinstance(value, dict):
        _check_size(value, depth)
        for key, item in value.items():
            if not isinstance(key, str):
                raise InvalidEventError("invalid_event", f"the key {key!r} is not a text")
            if len(key) > NAME_CHARACTERS_MAX:
                raise InvalidEventError("key_too_long", f"{key[:40]}… has {len(key)} characters")
            _check(item, depth + 1)
    elif isinstance(value, list | tuple):
        _check_size(value, depth)
        for item in value:
            _check(item, depth + 1)
    else:
        raise InvalidEventError("invalid_event", f"JSON has no {type(value).__name__}")


def _check_size(value: dict[Any, Any] | list[Any] | tuple[Any, ...], depth: int) -> None:
    if depth > DEPTH_MAX:
        raise InvalidEventError("too_deep", f"props are nested deeper than {DEPTH_MAX} levels")
    if len(value) > ITEMS_MAX:
        raise InvalidEventError("too_many_props", f"{len(value)} entries, at most {ITEMS_MAX}")


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise InvalidEventError("invalid_event", f"not a valid text: {error}") from None
