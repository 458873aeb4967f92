"""Events within the limits of the protocol, and their form on the wire. Pure, and on the app's thread.

The limits and the codes are the gateway's (docs/protocol.md), so that what would be rejected there is
refused at the call, where the mistake can still be seen. A text that is too long is cut, not refused.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from zuruf.decisions.values import INTEGER_MAX, INTEGER_MIN
from zuruf.errors import InvalidEventError

EVENT_BYTES_MAX = 32 * 1024
ITEMS_MAX = 256
NAME_CHARACTERS_MAX = 128
STRING_BYTES_MAX = 4096
DEPTH_MAX = 5
# The types of events that change a profile, and what `profile` events may do to it.
CHANGING = frozenset({"profile", "group", "alias"})
PROFILE_CHANGES = ("set", "set_once", "increment", "unset")
# The least number of characters that can exceed STRING_BYTES_MAX: UTF-8 needs up to 4 bytes for one.
STRING_CHARACTERS_SAFE = STRING_BYTES_MAX // 4

_encode = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":")
).encode


class Props(NamedTuple):
    """Props as JSON, and how many of their texts were cut."""

    json: bytes
    truncated: int = 0


NO_PROPS = Props(b"{}")


def checked_name(name: object) -> bytes:
    """Give a name as JSON; raises InvalidEventError with what the gateway would say."""
    if not isinstance(name, str) or not name:
        raise InvalidEventError("invalid_event", "a name is a text of 1 to 128 characters")
    if len(name) > NAME_CHARACTERS_MAX:
        raise InvalidEventError("name_too_long", f"{name[:40]}… has {len(name)} characters")
    try:
        return _encode(name).encode()
    except UnicodeEncodeError:
        return _encode(mended(name)).encode()


def check_person(kind: str, name: object, props: Mapping[str, Any] | None) -> None:
    """Check what an event says about the person; raises InvalidEventError where it makes no sense.

    For the types that change a profile (`CHANGING`); props that are no mapping are left to
    `checked_props`.
    """
    told = props if isinstance(props, Mapping) else {}
    match kind:
        case "profile" if name not in PROFILE_CHANGES:
            raise InvalidEventError("invalid_event", f"a profile knows no {name!r:.40}")
        case "profile" if name == "increment":
            for key, by in told.items():
                if isinstance(by, bool) or not isinstance(by, int | float):
                    raise InvalidEventError("invalid_event", f"{key!r:.40} grows by a number")
        case "group" if not _is_text(told.get("group_id")):
            raise InvalidEventError("invalid_event", "a group has an id, a text")
        case "alias" if not _is_text(told.get("alias")):
            raise InvalidEventError("invalid_event", "an alias is a text")


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def checked_props(props: Mapping[str, Any] | None) -> Props:
    """Give props as JSON; raises InvalidEventError. A copy: the app may change its dict."""
    if not props:
        return NO_PROPS
    if type(props) is not dict:
        try:
            props = dict(props)
        except (TypeError, ValueError):
            raise InvalidEventError("invalid_event", "props are a mapping") from None
    is_long = _check(props, 1)
    try:
        if not is_long:
            return _within(Props(_encode(props).encode()))
    except UnicodeEncodeError:
        pass  # half an emoji: mended below
    cuts: list[str] = []
    return _within(Props(_encode(_mended(props, cuts)).encode(), len(cuts)))


def _within(props: Props) -> Props:
    if len(props.json) > EVENT_BYTES_MAX:
        raise InvalidEventError("event_too_large", f"{len(props.json)} bytes of props")
    return props


def event_body(
    event_id: str,
    kind: str,
    name: bytes,
    ts: int,
    session_id: str | None,
    seq: int | None,
    props: bytes,
) -> bytes:
    """Put an event together from parts that were checked before; raises InvalidEventError.

    `session_id` and `seq`, its number in the session, are left out when they are None.
    """
    body = b'{"id":"%b","type":"%b","name":%b,"ts":%d%b%b,"props":%b}' % (
        event_id.encode(),
        kind.encode(),
        name,
        ts,
        b"" if session_id is None else b',"session_id":"%b"' % session_id.encode(),
        b"" if seq is None else b',"seq":%d' % seq,
        props,
    )
    if len(body) > EVENT_BYTES_MAX:
        raise InvalidEventError("event_too_large", f"{len(body)} bytes, at most {EVENT_BYTES_MAX}")
    return body


def mended(text: str) -> str:
    """Put U+FFFD in place of half an emoji; UTF-8 has no form for it."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def cut(text: str) -> str:
    """Give the longest beginning that fits STRING_BYTES_MAX and ends with a whole character."""
    return text.encode()[:STRING_BYTES_MAX].decode(errors="ignore")


def _check(value: Any, depth: int) -> bool:
    """Check an object or a list and all in it; tell whether a text in it is too long."""
    if depth > DEPTH_MAX:
        raise InvalidEventError("too_deep", f"props are nested deeper than {DEPTH_MAX} levels")
    if len(value) > ITEMS_MAX:
        raise InvalidEventError("too_many_props", f"{len(value)} entries, at most {ITEMS_MAX}")
    items = value
    if isinstance(value, dict):
        items = value.values()
        for key in value:
            if not isinstance(key, str):
                raise InvalidEventError("invalid_event", f"the key {key!r} is not a text")
            if len(key) > NAME_CHARACTERS_MAX:
                raise InvalidEventError("key_too_long", f"{key[:40]}… has {len(key)} characters")
    is_long = False
    for item in items:
        kind = type(item)
        if kind is str or isinstance(item, str):
            if len(item) > STRING_CHARACTERS_SAFE and _is_long(item):
                is_long = True
        elif item is None or kind is bool:
            pass
        elif kind is int or isinstance(item, int):
            if not INTEGER_MIN <= item <= INTEGER_MAX:
                raise InvalidEventError("invalid_event", "a whole number needs more than 64 bits")
        elif kind is float or isinstance(item, float):
            if not math.isfinite(item):
                raise InvalidEventError("invalid_event", f"{item} is not a finite number")
        elif isinstance(item, dict | list | tuple):
            is_long = _check(item, depth + 1) or is_long
        else:
            raise InvalidEventError("invalid_event", f"JSON has no {kind.__name__}")
    return is_long


def _is_long(text: str) -> bool:
    try:
        return len(text.encode()) > STRING_BYTES_MAX
    except UnicodeEncodeError:
        return True


def _mended(value: Any, cuts: list[str]) -> Any:
    """Copy with every text mended and cut; `cuts` gets those that were cut."""
    if isinstance(value, str):
        text = mended(value)
        if len(text.encode()) <= STRING_BYTES_MAX:
            return text
        cuts.append(text)
        return cut(text)
    if isinstance(value, dict):
        return {mended(key): _mended(item, cuts) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_mended(item, cuts) for item in value]
    return value
