"""What devices and servers send, as the wire has it. A test names only what it is about."""

import sys
from typing import Any
from uuid import UUID, uuid4

import msgspec

from gateway.records import Event

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

NOW = 1_763_750_000_000
"""The time on the clock when a test begins, ms UTC."""

Json = dict[str, Any]


def an_event(name: str = "purchase", **fields: Any) -> Json:
    return {"id": str(uuid4()), "type": "track", "name": name, "ts": NOW, **fields}


def message_event(name: str, message_id: str, **props: Any) -> Json:
    return an_event(name, type="message", props={"message_id": message_id, **props})


def a_batch(*events: Any, **fields: Any) -> Json:
    return {"batch_id": str(uuid4()), "sent_at": NOW, "events": list(events), **fields}


def a_read_event(name: str = "purchase", **fields: Any) -> Event:
    """An event as it is after decoding."""
    return msgspec.convert(an_event(name, **fields), Event)


def a_registration(**fields: Any) -> Json:
    return {
        "install_id": str(uuid4()),
        "platform": "android",
        "form_factor": "phone",
        "device": {"model": "Pixel 8", "locale": "de-DE"},
        "sdk": {"name": "zuruf-python", "version": "0.1.0"},
        **fields,
    }


def a_content(title: str = "Thank you!", **fields: Any) -> Json:
    return {"layout": "modal", "title": title, "body": "…", **fields}


def a_journey(
    event: str = "purchase",
    *,
    where: Json | None = None,
    limits: Json | None = None,
    message: Json | None = None,
    **fields: Any,
) -> Json:
    entry: Json = {"event": event}
    if where is not None:
        entry["where"] = where
    return {
        "name": "Thank big spenders",
        "status": "live",
        "entry": entry,
        "message": {"content": a_content(), **(message or {})},
        "limits": limits or {},
        **fields,
    }


def a_message(to: Json, **fields: Any) -> Json:
    return {"to": to, "content": a_content(), **fields}


def a_leaf(prop: str, op: str, value: Any = None) -> Json:
    return {"prop": prop, "op": op} | ({} if value is None else {"value": value})


def uuid_of(number: int) -> UUID:
    """A UUID that is easy to tell from others."""
    return UUID(int=number, version=4)


def zstd_compress(body: bytes) -> bytes:
    """One frame of Zstandard."""
    compressed: bytes = zstd.compress(body)
    return compressed
