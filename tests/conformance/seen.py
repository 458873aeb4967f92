"""What arrived at the mock gateway: requests, as bytes and as what they mean."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

STREAM, POLL = "GET /v1/messages/stream", "GET /v1/messages"
DEVICES, EVENTS, IDENTITY = "POST /v1/devices", "POST /v1/events", "POST /v1/identity"
LOGOUT, CONSENT, CONFIG = "DELETE /v1/identity", "PUT /v1/consent", "GET /v1/config"
PUSH, NO_PUSH = "PUT /v1/push-token", "DELETE /v1/push-token"
ROUTES = frozenset(
    {STREAM, POLL, DEVICES, EVENTS, IDENTITY, LOGOUT, CONSENT, CONFIG, PUSH, NO_PUSH}
)

NUMBER = "x-conformance-request"


@dataclass(frozen=True)
class Seen:
    """One request. `raw`: the body as it came; `at_ms`: the gateway's time; `client`: whose port it was."""

    client: str
    method: str
    target: str
    headers: Mapping[str, str]
    raw: bytes
    at_ms: int = 0
    # What could not be read of it.
    faults: list[str] = field(default_factory=list)

    @property
    def route(self) -> str:
        return f"{self.method} {urlsplit(self.target).path}"

    @property
    def query(self) -> dict[str, str]:
        parsed = parse_qs(urlsplit(self.target).query, keep_blank_values=True)
        return {name: values[0] for name, values in parsed.items()}

    @property
    def number(self) -> str:
        return self.headers.get(NUMBER, "")

    @property
    def token(self) -> str:
        return self.headers.get("authorization", "").removeprefix("Bearer ")

    @property
    def plain(self) -> bytes:
        """Give the body decompressed, or nothing when it cannot be."""
        if self.headers.get("content-encoding") != "gzip":
            return self.raw
        try:
            return gzip.decompress(self.raw)
        except (OSError, EOFError, zlib.error):
            return b""

    @property
    def body(self) -> Any:
        """Give the body as JSON; None when there is none, or none that can be read."""
        try:
            return json.loads(self.plain) if self.plain else None
        except ValueError:
            return None

    def as_json(self) -> dict[str, Any]:
        """Give the form that scripts compare with."""
        return {
            "route": self.route,
            "query": self.query,
            "headers": dict(self.headers),
            "body": self.body,
            "bytes": len(self.raw),
        }

    def __str__(self) -> str:
        told = self.body
        if isinstance(told, dict) and isinstance(told.get("events"), list):
            told = [event.get("name") for event in told["events"] if isinstance(event, dict)]
        return f"{self.client}#{self.number} {self.method} {self.target} {json.dumps(told)[:200]}"
