"""A gateway of the standard library that does what a test tells it, over real sockets.

Unscripted it behaves: it registers, accepts, switches profiles and hands out messages. A scripted
answer takes the place of the next one on its route.
"""

import contextlib
import gzip
import json
import select
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

DEADLINE_S = 5.0


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
    """What to answer instead. `after` delays it, `cut` closes the connection without a word."""

    status: int = 200
    body: dict[str, Any] | bytes = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    foreign: bool = False
    cut: bool = False
    after: threading.Event | None = None


def problem(status: int, code: str, **more: Any) -> Answer:
    """Answer with an error of the protocol; `retry_after` becomes the header."""
    headers = {"Content-Type": "application/problem+json"}
    if "retry_after" in more:
        headers["Retry-After"] = str(more.pop("retry_after"))
    return Answer(status, {"status": status, "code": code, **more}, headers)


CUT = Answer(cut=True)
CAPTIVE_PORTAL = Answer(200, b"<html>Please accept our terms</html>", foreign=True)

Rule = Callable[[Seen], Answer | None]


class ScriptedGateway:
    """The server, what it has seen and what it will say."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._scripts: dict[str, deque[Answer]] = defaultdict(deque)
        self._rules: dict[str, Rule] = {}
        self._connections = 0
        self._messages: list[tuple[str, dict[str, Any]]] = []
        self._profiles = 0
        self._profile_of: dict[str, str] = {}
        self.seen: list[Seen] = []
        self.abandoned_polls = 0
        self.config: dict[str, Any] = {"etag": "c1", "trigger_events": []}
        gateway = self

        class Handler(_Handler):
            server_of = gateway

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.url = f"http://127.0.0.1:{self._server.server_port}"
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

    def deliver(self, *messages: dict[str, Any]) -> None:
        """Put messages into the inbox of whoever asks."""
        with self._changed:
            self._messages += [("message", message) for message in messages]
            self._changed.notify_all()

    def withdraw(self, message_id: str) -> None:
        with self._changed:
            self._messages.append(("withdrawn", {"id": message_id}))
            self._changed.notify_all()

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
            case _:
                return Answer(200, {"accepted": len(seen.event_ids), "rejected": []})

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
                found = self._messages[after:]
                cursor = len(self._messages)
            if found or ("after" not in seen.query and not float(seen.query["wait"])):
                withdrawn = [one["id"] for kind, one in found if kind == "withdrawn"]
                messages = [one for kind, one in found if kind == "message"]
                return Answer(
                    200, {"cursor": str(cursor), "messages": messages, "withdrawn": withdrawn}
                )
            if handler.is_abandoned():
                with self._changed:
                    self.abandoned_polls += 1
                    self._changed.notify_all()
                return CUT
            if time.monotonic() >= ends_at:
                return Answer(204)
            with self._changed:
                self._changed.wait(0.005)


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
        answer = self.server_of.answer_to(
            Seen(
                route=f"{self.command} {parts.path}",
                query={name: values[0] for name, values in parse_qs(parts.query).items()},
                headers={name.lower(): value for name, value in self.headers.items()},
                body=json.loads(body) if body else {},
            ),
            self,
        )
        if answer.cut:
            self.close_connection = True
            return
        content = (
            answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        )
        self.send_response(answer.status)
        if not answer.foreign:
            self.send_header("X-Zuruf", "1")
            if "X-Server-Time" not in answer.headers:
                self.send_header("X-Server-Time", str(time.time_ns() // 1_000_000))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status in {204, 304}:
            self.end_headers()
        else:
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

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
def a_gateway() -> Iterator[ScriptedGateway]:
    gateway = ScriptedGateway()
    try:
        yield gateway
    finally:
        gateway.close()
