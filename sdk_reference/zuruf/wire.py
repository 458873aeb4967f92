"""One request and its answer, as values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from zuruf.version import __version__

LaneName = Literal["upload", "receive"]

ANSWER_BYTES_MAX = 16 * 1024 * 1024
USER_AGENT = f"zuruf-python/{__version__}"


@dataclass(slots=True, eq=False)
class Request:
    """One request. `cancelled` is set by `Transport.interrupt` and may be set before it is sent."""

    lane: LaneName
    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    # How long the gateway may hold the request on purpose; added to the read timeout.
    hold_s: float = 0.0
    # An event stream is wanted: what it brings is passed on piece by piece.
    streams: bool = False
    cancelled: bool = False


@dataclass(frozen=True, slots=True)
class Response:
    """One complete answer. Header names are in lower case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


def json_bytes(value: Mapping[str, Any]) -> bytes:
    """Give an object as it goes into a body."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
