"""HTTP/1.1 by hand: packing requests and reading answers with as little work as they need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import urlsplit

_HEAD_END = b"\r\n\r\n"
_NO_BODY = frozenset({204, 304})


class UnreadableAnswerError(Exception):
    """The answer is not the plain HTTP/1.1 this client understands."""


class Answer(NamedTuple):
    status: int
    body: bytes
    keep_alive: bool


@dataclass(frozen=True, slots=True)
class Origin:
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Origin:
        parts = urlsplit(url)
        return cls(parts.hostname or "127.0.0.1", parts.port or 80)


def head(
    method: str,
    path: str,
    origin: Origin,
    *,
    bearer: str = "",
    content_length: int | None = None,
    content_encoding: str = "",
) -> bytes:
    lines = [
        f"{method} {path} HTTP/1.1",
        f"Host: {origin.host}:{origin.port}",
        "User-Agent: zuruf-loadtests/1",
        "Accept: application/json",
    ]
    if bearer:
        lines.append(f"Authorization: Bearer {bearer}")
    if content_length is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {content_length}"]
    if content_encoding:
        lines.append(f"Content-Encoding: {content_encoding}")
    return "\r\n".join([*lines, "", ""]).encode()


def read_answer(data: bytes | bytearray) -> tuple[Answer, int] | None:
    """The first answer in `data` and the bytes it takes, or None while it is incomplete."""
    end = data.find(_HEAD_END)
    if end < 0:
        return None
    if data[:5] != b"HTTP/":
        raise UnreadableAnswerError(f"not an HTTP answer: {bytes(data[:40])!r}")
    status = int(data[9:12])
    start = end + 4
    fields = bytes(data[12:end]).lower()
    keep_alive = b"\r\nconnection: close" not in fields
    if status in _NO_BODY:
        return Answer(status, b"", keep_alive), start
    stop = start + _content_length(fields)
    if len(data) < stop:
        return None
    return Answer(status, bytes(data[start:stop]), keep_alive), stop


def _content_length(fields: bytes) -> int:
    at = fields.find(b"\r\ncontent-length:")
    if at < 0:
        raise UnreadableAnswerError(f"an answer without Content-Length: {fields!r}")
    at += 17
    stop = fields.find(b"\r\n", at)
    return int(fields[at:stop] if stop >= 0 else fields[at:])
