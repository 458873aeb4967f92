"""Server-sent events, read piece by piece, by the rules of the HTML standard. No I/O.

https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
"""

from __future__ import annotations

from typing import NamedTuple

EVENT_BYTES_MAX = 8 * 1024 * 1024
"""What the lines of one event may take, comments and line ends included."""

BOM = b"\xef\xbb\xbf"
# More milliseconds than anybody waits.
RETRY_DIGITS_MAX = 15


class ServerEvent(NamedTuple):
    """One event; `id` is the latest id of the stream, also when this event brought none."""

    event: str
    data: str
    id: str


class EventTooLargeError(ValueError):
    """One event takes more than the limit: whoever sends this does not mean us."""


class SseParser:
    """Takes the bytes of one stream as they come, split anywhere, and gives the events in them."""

    def __init__(self, last_event_id: str = "", event_bytes_max: int = EVENT_BYTES_MAX) -> None:
        self.last_event_id = last_event_id
        self.retry_ms: int | None = None
        self._event_bytes_max = event_bytes_max
        # The bytes of a line that has not ended, and what the event has taken with its lines before.
        self._rest = bytearray()
        self._size = 0
        self._is_at_start = True
        self._ended_with_cr = False
        self._name = ""
        self._data: list[str] = []
        self._id = last_event_id

    def feed(self, chunk: bytes) -> list[ServerEvent]:
        """Read on; give the events that are complete now. Raises EventTooLargeError."""
        events: list[ServerEvent] = []
        if self._is_at_start:
            chunk = self._past_bom(chunk)
        if self._ended_with_cr and chunk.startswith(b"\n"):
            # A line ended with CR; the LF belongs to it.
            chunk = chunk[1:]
            self._ended_with_cr = False
        if not chunk:
            return events
        self._ended_with_cr = chunk.endswith(b"\r")
        first, *others = _split(chunk)
        self._rest += first
        for following in others:
            self._size += len(self._rest) + 1
            self._check(self._size)
            event = self._line(self._rest.decode(errors="replace"))
            if event is not None:
                events.append(event)
            self._rest = bytearray(following)
        self._check(self._size + len(self._rest))
        return events

    def _past_bom(self, chunk: bytes) -> bytes:
        """Skip a byte order mark; give nothing while the bytes could still become one."""
        start = bytes(self._rest) + chunk
        if len(start) < len(BOM) and BOM.startswith(start):
            self._rest = bytearray(start)
            return b""
        self._is_at_start = False
        self._rest.clear()
        return start.removeprefix(BOM)

    def _check(self, size: int) -> None:
        if size > self._event_bytes_max:
            raise EventTooLargeError(f"an event of more than {self._event_bytes_max} bytes")

    def _line(self, line: str) -> ServerEvent | None:
        if not line:
            return self._dispatched()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "event":
                self._name = value
            case "data":
                self._data.append(value)
            case "id" if "\0" not in value:
                self._id = value
            case "retry" if value.isascii() and value.isdigit() and len(value) <= RETRY_DIGITS_MAX:
                self.retry_ms = int(value)
        return None

    def _dispatched(self) -> ServerEvent | None:
        name, data = self._name or "message", self._data
        self.last_event_id = self._id
        self._name, self._data, self._size = "", [], 0
        return ServerEvent(name, "\n".join(data), self.last_event_id) if data else None


def _split(chunk: bytes) -> list[bytes]:
    """Split at CR LF, LF or CR; the last part has not ended yet."""
    return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
