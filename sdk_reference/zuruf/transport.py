"""HTTP: one kept-alive connection for uploads, one for receiving, and the threads that wait on them."""

from __future__ import annotations

import contextlib
import http.client
import queue
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol
from urllib.parse import urlsplit

from zuruf.errors import TransportError

if TYPE_CHECKING:
    from zuruf.clock import Clock

LaneName = Literal["upload", "receive"]

ANSWER_BYTES_MAX = 16 * 1024 * 1024


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
    cancelled: bool = False


@dataclass(frozen=True, slots=True)
class Response:
    """One complete answer. Header names are in lower case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class Transport(Protocol):
    """Exchanges requests for answers. Called from two threads, one for each lane."""

    def request(self, request: Request) -> Response:
        """Wait for the complete answer; raise TransportError when there is none."""

    def interrupt(self, request: Request) -> None:
        """End a request from another thread, at once: it raises TransportError."""

    def close(self) -> None:
        """Give the connections back."""


class HttpTransport:
    """HTTP/1.1 over `http.client`, TLS with the system's defaults."""

    def __init__(self, endpoint: str, *, connect_timeout_s: float, read_timeout_s: float) -> None:
        self._prefix = urlsplit(endpoint).path.rstrip("/")
        self._read_timeout_s = read_timeout_s
        self._connections: dict[LaneName, _Connection] = {
            "upload": _Connection(endpoint, connect_timeout_s),
            "receive": _Connection(endpoint, connect_timeout_s),
        }

    def request(self, request: Request) -> Response:
        connection = self._connections[request.lane]
        timeout_s = self._read_timeout_s + request.hold_s
        path = self._prefix + request.path
        try:
            if connection.is_open:
                # The other side may have closed an idle connection just now. Every request of the
                # protocol may be repeated, so that is worth one more try on a fresh connection.
                with contextlib.suppress(http.client.RemoteDisconnected, ConnectionError):
                    return connection.exchange(request, path, timeout_s)
                connection.close()
            return connection.exchange(request, path, timeout_s)
        except (OSError, http.client.HTTPException, ValueError) as error:
            connection.close()
            reason = "interrupted" if request.cancelled else f"{type(error).__name__}: {error}"
            raise TransportError(reason) from error

    def interrupt(self, request: Request) -> None:
        request.cancelled = True
        self._connections[request.lane].shut_down()

    def close(self) -> None:
        for connection in self._connections.values():
            connection.close_for_good()


class _Connection:
    """One connection of `http.client`, and its socket: the client drops `sock` while it reads."""

    def __init__(self, endpoint: str, connect_timeout_s: float) -> None:
        parts = urlsplit(endpoint)
        self._secure = parts.scheme == "https"
        self._host = parts.hostname or ""
        self._port = parts.port
        self._connect_timeout_s = connect_timeout_s
        self._http: http.client.HTTPConnection | None = None
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()
        self._is_over = False

    @property
    def is_open(self) -> bool:
        return self._http is not None and self._http.sock is not None

    def exchange(self, request: Request, path: str, timeout_s: float) -> Response:
        connection = self._connected()
        # Only now: an interrupt either finds the socket or is found here.
        if request.cancelled:
            raise TransportError("interrupted")
        assert self._socket is not None, "a connected connection has a socket"
        self._socket.settimeout(timeout_s)
        connection.request(request.method, path, request.body or None, dict(request.headers))
        with contextlib.closing(connection.getresponse()) as answer:
            body = answer.read(ANSWER_BYTES_MAX + 1)
            if len(body) > ANSWER_BYTES_MAX:
                raise TransportError("the answer is too large")
            headers = {name.lower(): value for name, value in answer.getheaders()}
            if answer.will_close:
                self.close()
            return Response(answer.status, headers, body)

    def close(self) -> None:
        with self._lock:
            connection, self._http, self._socket = self._http, None, None
        if connection is not None:
            connection.close()

    def shut_down(self) -> None:
        with self._lock:
            if self._socket is not None:
                # Closing would leave a thread that reads waiting; shutting down wakes it at once.
                with contextlib.suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)

    def close_for_good(self) -> None:
        self.shut_down()
        with self._lock:
            self._is_over = True
        self.close()

    def _connected(self) -> http.client.HTTPConnection:
        if self._http is not None and self._http.sock is not None:
            return self._http
        connection: http.client.HTTPConnection
        if self._secure:
            connection = http.client.HTTPSConnection(
                self._host,
                self._port,
                timeout=self._connect_timeout_s,
                context=ssl.create_default_context(),
            )
        else:
            connection = http.client.HTTPConnection(
                self._host, self._port, timeout=self._connect_timeout_s
            )
        # A connection that opens itself again would be one that nobody can interrupt.
        connection.auto_open = 0
        connection.connect()
        with self._lock:
            if not self._is_over:
                self._http, self._socket = connection, connection.sock
                return connection
        connection.close()
        raise TransportError("closed")


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
        answered: Callable[[Answered], None],
    ) -> None:
        self._transport = transport
        self._clock = clock
        self._answered = answered
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
            response = self._transport.request(request)
        except Exception as exception:  # noqa: BLE001 - whatever it is, there is no answer
            error = str(exception) or type(exception).__name__
        self._answered(
            Answered(
                request=request,
                response=response,
                error=error,
                sent_s=sent_s,
                answered_s=self._clock.monotonic_s(),
                wall_ms=self._clock.wall_ms(),
            )
        )
