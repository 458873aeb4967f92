"""Requests and answers: the port that tests replace, HTTP, and the threads that wait for answers."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from zuruf.errors import TransportError
from zuruf.wire import LaneName, Request, Response

if TYPE_CHECKING:
    from pathlib import Path

    from zuruf.clock import Clock
    from zuruf.connection import Connection


class Transport(Protocol):
    """Exchanges requests for answers. Called from two threads, one for each lane."""

    def request(self, request: Request) -> Response:
        """Wait for the complete answer; raise TransportError when there is none."""

    def stream(self, request: Request, take: Callable[[bytes], None]) -> Response:
        """As `request`, but the gateway's event stream is not collected.

        `take` gets its bytes as they arrive, first none at all when it opens. Returns when the stream
        ends, with an empty body; an answer that is no event stream is an answer as any other.
        """

    def interrupt(self, request: Request) -> None:
        """End a request from another thread, at once: it raises TransportError."""

    def close(self) -> None:
        """Give the connections back."""


class HttpTransport:
    """HTTP/1.1 over `http.client`, one kept-alive connection for each lane."""

    def __init__(
        self,
        endpoint: str,
        *,
        connect_timeout_s: float,
        read_timeout_s: float,
        ca_file: Path | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._prefix = urlsplit(endpoint).path.rstrip("/")
        self._connect_timeout_s = connect_timeout_s
        self._read_timeout_s = read_timeout_s
        self._ca_file = ca_file
        self._connections: dict[LaneName, Connection] = {}
        self._lock = threading.Lock()
        self._is_closed = False

    def request(self, request: Request) -> Response:
        return self._exchange(request, None)

    def stream(self, request: Request, take: Callable[[bytes], None]) -> Response:
        return self._exchange(request, take)

    def interrupt(self, request: Request) -> None:
        request.cancelled = True
        with self._lock:
            connection = self._connections.get(request.lane)
        if connection is not None:
            connection.shut_down()

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            connections = list(self._connections.values())
        for connection in connections:
            connection.close_for_good()

    def _exchange(self, request: Request, take: Callable[[bytes], None] | None) -> Response:
        timeout_s = self._read_timeout_s + request.hold_s
        connection = self._connection(request.lane)
        return connection.exchange(request, self._prefix + request.path, timeout_s, take)

    def _connection(self, lane: LaneName) -> Connection:
        from zuruf.connection import Connection  # noqa: PLC0415 - see there: the import is the cost

        with self._lock:
            if self._is_closed:
                raise TransportError("closed")
            if lane not in self._connections:
                self._connections[lane] = Connection(
                    self._endpoint,
                    connect_timeout_s=self._connect_timeout_s,
                    ca_file=self._ca_file,
                )
            return self._connections[lane]


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of an event stream; the first one is empty and says that the stream is open."""

    request: Request
    data: bytes
    arrived_s: float


@dataclass(frozen=True, slots=True)
class Answered:
    """How a request ended: with an answer, or with the reason why there is none."""

    request: Request
    response: Response | None
    error: str
    sent_s: float
    answered_s: float
    wall_ms: int


class Lane:
    """A thread that waits for answers, so that the worker never does."""

    def __init__(
        self,
        name: LaneName,
        transport: Transport,
        clock: Clock,
        tell: Callable[[Answered | Chunk], None],
    ) -> None:
        self._transport = transport
        self._clock = clock
        self._tell = tell
        self._requests: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=f"zuruf-{name}", daemon=True)

    def send(self, request: Request) -> None:
        """Have a request answered; the first one starts the thread."""
        if self._thread.ident is None:
            try:
                self._thread.start()
            except RuntimeError:
                # Since Python 3.12 nothing starts while the interpreter shuts down. The last
                # events of a script that just ends are worth making the worker wait.
                self._exchange(request)
                return
        self._requests.put(request)

    def interrupt(self, request: Request) -> None:
        self._transport.interrupt(request)

    def close(self) -> None:
        self._requests.put(None)

    def _run(self) -> None:
        while (request := self._requests.get()) is not None:
            self._exchange(request)

    def _exchange(self, request: Request) -> None:
        response, error = None, ""
        sent_s = self._clock.monotonic_s()
        try:
            if request.streams:
                take = partial(self._pass_on, request)
                response = self._transport.stream(request, take)
            else:
                response = self._transport.request(request)
        except Exception as exception:  # noqa: BLE001 - whatever it is, there is no answer
            error = str(exception) or type(exception).__name__
        self._tell(
            Answered(
                request=request,
                response=response,
                error=error,
                sent_s=sent_s,
                answered_s=self._clock.monotonic_s(),
                wall_ms=self._clock.wall_ms(),
            )
        )

    def _pass_on(self, request: Request, data: bytes) -> None:
        self._tell(Chunk(request, data, self._clock.monotonic_s()))
