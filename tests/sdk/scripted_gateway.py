"""A gateway of the standard library that does what a test tells it, over real sockets.

Unscripted it behaves: it registers, accepts, switches profiles and hands out messages. A scripted
answer takes the place of the next one on its route.
"""

import contextlib
import gzip
import json
import queue
import select
import ssl
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

DEADLINE_S = 20.0
STREAM = "GET /v1/messages/stream"


@dataclass(frozen=True)
class Seen:
    """One request as it arrived."""

    route: str
    query: dict[str, str]
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def token(self) -> str:
        return self.headers.get("authorization", "").removeprefix("Bearer ")

    @property
    def event_ids(self) -> list[str]:
        return [event["id"] for event in self.body.get("events", [])]

    @property
    def event_names(self) -> list[str]:
        return [event["name"] for event in self.body.get("events", [])]


@dataclass(frozen=True)
class Answer:
    """What to answer instead.

    `after` delays it, `cut` closes the connection without a word, `hangs_up` after the answer.
    `stream` are the pieces of an event stream that brings nothing else: it stays open until somebody
    ends it.
    """

    status: int = 200
    body: dict[str, Any] | bytes = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    foreign: bool = False
    cut: bool = False
    hangs_up: bool = False
    after: threading.Event | None = None
    stream: tuple[bytes, ...] | None = None


def problem(status: int, code: str, **more: Any) -> Answer:
    """Answer with an error of the protocol; `retry_after` becomes the header."""
    headers = {"Content-Type": "application/problem+json"}
    if "retry_after" in more:
        headers["Retry-After"] = str(more.pop("retry_after"))
    return Answer(status, {"status": status, "code": code, **more}, headers)


CUT = Answer(cut=True)
CAPTIVE_PORTAL = Answer(200, b"<html>Please accept our terms</html>", foreign=True)

SILENT_STREAM = Answer(stream=())
BEHAVING_STREAM = Answer(stream=(), status=0)

Rule = Callable[[Seen], Answer | None]


class ScriptedGateway:
    """The server, what it has seen and what it will say."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._changed = threading.Condition()
        self._scripts: dict[str, deque[Answer]] = defaultdict(deque)
        self._rules: dict[str, Rule] = {}
        self._messages: list[_Entry] = []
        self._profiles = 0
        self._profile_of: dict[str, str] = {}
        self._streams: list[_Stream] = []
        self.seen: list[Seen] = []
        # What its own clock says.
        self.now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
        self.abandoned_polls = 0
        self.config: dict[str, Any] = {"etag": "c1", "trigger_events": []}
        gateway = self

        class Handler(_Handler):
            server_of = gateway

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        if tls is not None:
            self.url = f"https://localhost:{self._server.server_port}"
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        ).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    # What to say

    def will(self, route: str, *answers: Answer) -> None:
        """Script the next answers of a route, like "POST /v1/events"."""
        with self._changed:
            self._scripts[route].extend(answers)

    def always(self, route: str, rule: Rule | Answer | None) -> None:
        """Answer a route by a rule from now on; None makes it behave again."""
        with self._changed:
            if rule is None:
                self._rules.pop(route, None)
            else:
                self._rules[route] = rule if callable(rule) else lambda _: rule

    def deliver(self, *messages: dict[str, Any], to: str | None = None) -> None:
        """Put messages into the inbox of whoever asks, or only of whoever asks with a token."""
        with self._changed:
            self._messages += [_Entry("message", message, to) for message in messages]
            self._changed.notify_all()

    def withdraw(self, message_id: str) -> None:
        with self._changed:
            self._messages.append(_Entry("withdrawn", {"id": message_id}))
            self._changed.notify_all()

    @property
    def cursor(self) -> int:
        """The cursor behind everything that was delivered and withdrawn."""
        with self._changed:
            return len(self._messages)

    def push_to_streams(self, data: bytes) -> None:
        """Write to every open stream, whatever it is."""
        with self._changed:
            for stream in self._streams:
                stream.pieces.put(data)

    def cut_streams(self) -> None:
        """End every open stream, in the middle of everything."""
        with self._changed:
            for stream in self._streams:
                stream.pieces.put(None)

    def clear_messages(self) -> None:
        with self._changed:
            self._messages.clear()

    # What was seen

    def requests(self, route: str) -> list[Seen]:
        with self._changed:
            return [one for one in self.seen if one.route == route]

    def batches(self) -> list[Seen]:
        return self.requests("POST /v1/events")

    def accepted_names(self) -> list[str]:
        return [name for batch in self.batches() for name in batch.event_names]

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition on what was seen holds."""
        with self._changed:
            assert self._changed.wait_for(condition, DEADLINE_S), [
                (one.route, one.query, one.event_names) for one in self.seen
            ]

    def wait_for_requests(self, route: str, count: int) -> list[Seen]:
        self.wait_for(lambda: sum(one.route == route for one in self.seen) >= count)
        return self.requests(route)

    @property
    def open_streams(self) -> int:
        return len(self._streams)

    def wait_for_stream(self, **expected: str) -> Seen:
        """Wait until a stream is open, with this `token` or that `last_event_id`."""

        def is_open() -> bool:
            return any(_is_wanted(stream.seen, expected) for stream in self._streams)

        self.wait_for(is_open)
        with self._changed:
            return next(one.seen for one in self._streams if _is_wanted(one.seen, expected))

    def wait_for_poll(self, **expected: str) -> None:
        """Wait for a poll with this `token`, or with these parameters."""
        token = expected.pop("token", None)

        def polled() -> bool:
            return any(
                one.route == "GET /v1/messages"
                and token in {None, one.token}
                and expected.items() <= one.query.items()
                for one in self.seen
            )

        self.wait_for(polled)

    # Serving

    def answer_to(self, seen: Seen, handler: "_Handler") -> Answer:
        with self._changed:
            self.seen.append(seen)
            self._changed.notify_all()
            scripted = self._scripts[seen.route]
            answer = scripted.popleft() if scripted else None
            rule = self._rules.get(seen.route)
        if answer is None and rule is not None:
            answer = rule(seen)
        if answer is None:
            answer = self._behave(seen, handler)
        if answer.after is not None:
            answer.after.wait(DEADLINE_S)
        return answer

    def _behave(self, seen: Seen, handler: "_Handler") -> Answer:
        match seen.route:
            case "POST /v1/devices":
                return Answer(
                    201, {"device_id": "device", **self._profile(), "config": self.config}
                )
            case "POST /v1/identity" | "DELETE /v1/identity":
                return Answer(200, self._profile())
            case "GET /v1/config":
                return Answer(200, self.config)
            case "GET /v1/messages":
                return self._poll(seen, handler)
            case "GET /v1/messages/stream":
                return BEHAVING_STREAM
            case _:
                return Answer(200, {"accepted": len(seen.event_ids), "rejected": []})

    def serve_stream(self, seen: Seen, handler: "_Handler", answer: Answer) -> None:
        """Write messages as they come, or nothing but the pieces of a script."""
        stream = _Stream(seen)
        is_scripted = answer is not BEHAVING_STREAM
        after = int(seen.headers.get("last-event-id") or 0)
        for piece in answer.stream or ():
            handler.write_piece(piece)
        with self._changed:
            self._streams.append(stream)
            self._changed.notify_all()
        try:
            while not handler.is_abandoned():
                try:
                    piece_or_end = stream.pieces.get(timeout=0.002)
                except queue.Empty:
                    if not is_scripted:
                        after = self._write_news(handler, seen.token, after)
                    continue
                if piece_or_end is None:
                    return
                handler.write_piece(piece_or_end)
        finally:
            with self._changed:
                self._streams.remove(stream)
                self._changed.notify_all()

    def _write_news(self, handler: "_Handler", token: str, after: int) -> int:
        with self._changed:
            found = self._messages[after:]
            cursor = len(self._messages)
        mine = [one for one in found if one.is_for(token)]
        if mine:
            handler.write_piece(stream_event(_page(mine, cursor), str(cursor)))
        return cursor

    def _profile(self) -> dict[str, Any]:
        with self._changed:
            self._profiles += 1
            number = self._profiles
        return {"profile_id": f"profile-{number}", "token": f"token-{number}", "expires_at": 0}

    def _poll(self, seen: Seen, handler: "_Handler") -> Answer:
        after = int(seen.query.get("after") or 0)
        ends_at = time.monotonic() + min(float(seen.query["wait"]), DEADLINE_S)
        while True:
            with self._changed:
                found = [one for one in self._messages[after:] if one.is_for(seen.token)]
                cursor = len(self._messages)
            if found or ("after" not in seen.query and not float(seen.query["wait"])):
                return Answer(200, _page(found, cursor))
            if handler.is_abandoned():
                with self._changed:
                    self.abandoned_polls += 1
                    self._changed.notify_all()
                return CUT
            if time.monotonic() >= ends_at:
                return Answer(204)
            with self._changed:
                self._changed.wait(0.005)


class _Stream:
    """An event stream that is open. None in its pieces ends it."""

    def __init__(self, seen: Seen) -> None:
        self.seen = seen
        self.pieces: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()


def stream_event(page: dict[str, Any], event_id: str = "", event: str = "messages") -> bytes:
    """Give a page as one server-sent event."""
    id_line = f"id: {event_id}\n" if event_id else ""
    return f"{id_line}event: {event}\ndata: {json.dumps(page)}\n\n".encode()


@dataclass(frozen=True)
class _Entry:
    """A message, or that one was withdrawn, for everybody or for the owner of a token."""

    kind: str
    message: dict[str, Any]
    to: str | None = None

    def is_for(self, token: str) -> bool:
        return self.to in {None, token}


def _page(found: list[_Entry], cursor: int) -> dict[str, Any]:
    return {
        "cursor": str(cursor),
        "messages": [one.message for one in found if one.kind == "message"],
        "withdrawn": [one.message["id"] for one in found if one.kind == "withdrawn"],
    }


def _is_wanted(seen: Seen, expected: dict[str, str]) -> bool:
    return expected.get("token", seen.token) == seen.token and expected.get(
        "last_event_id", ""
    ) in {"", seen.headers.get("last-event-id")}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server_of: ScriptedGateway

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        parts = urlsplit(self.path)
        seen = Seen(
            route=f"{self.command} {parts.path}",
            query={name: values[0] for name, values in parse_qs(parts.query).items()},
            headers={name.lower(): value for name, value in self.headers.items()},
            body=json.loads(body) if body else {},
        )
        answer = self.server_of.answer_to(seen, self)
        if answer.cut:
            self.close_connection = True
            return
        if answer.stream is not None:
            self._serve_stream(seen, answer)
            return
        self.close_connection = self.close_connection or answer.hangs_up
        content = (
            answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        )
        self.send_response(answer.status)
        if not answer.foreign:
            self.send_header("X-Zuruf", "1")
            if "X-Server-Time" not in answer.headers:
                self.send_header("X-Server-Time", str(self.server_of.now_ms()))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status in {204, 304}:
            self.end_headers()
        else:
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    def _serve_stream(self, seen: Seen, answer: Answer) -> None:
        self.send_response(200)
        self.send_header("X-Zuruf", "1")
        self.send_header("X-Server-Time", str(self.server_of.now_ms()))
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()
        self.close_connection = True
        self.server_of.serve_stream(seen, self, answer)

    def write_piece(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        self.wfile.flush()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def is_abandoned(self) -> bool:
        """The client sends nothing while it waits: something to read is its end."""
        return bool(select.select([self.connection], [], [], 0)[0])

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            super().handle()

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def a_gateway(tls: ssl.SSLContext | None = None) -> Iterator[ScriptedGateway]:
    gateway = ScriptedGateway(tls)
    try:
        yield gateway
    finally:
        gateway.close()
