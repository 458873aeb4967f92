"""One connection of HTTP/1.1: kept alive, and ended from another thread at once.

Apart from `transport` because `http.client` and `ssl` are a third of what importing the SDK would take:
the thread of a lane imports them with its first request, the app never waits for them.
"""

from __future__ import annotations

import contextlib
import http.client
import importlib
import importlib.util
import socket
import ssl
import threading
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from zuruf.errors import TransportError
from zuruf.wire import ANSWER_BYTES_MAX, Request, Response

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

STREAM_BYTES_AT_ONCE = 64 * 1024
STREAM_TYPE = "text/event-stream"

# What can go wrong on a connection; a ValueError is how TLS says that it was ended meanwhile.
_FAILURES = (OSError, http.client.HTTPException, ValueError)


class Connection:
    """A connection of `http.client` and its socket, which that gives up while it still reads."""

    def __init__(self, endpoint: str, *, connect_timeout_s: float, ca_file: Path | None) -> None:
        parts = urlsplit(endpoint)
        self._is_secure = parts.scheme == "https"
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if self._is_secure else 80)
        self._connect_timeout_s = connect_timeout_s
        self._ca_file = ca_file
        self._context: ssl.SSLContext | None = None
        self._http: http.client.HTTPConnection | None = None
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()
        self._is_over = False

    def exchange(
        self, request: Request, path: str, timeout_s: float, take: Callable[[bytes], None] | None
    ) -> Response:
        """Wait for the complete answer; an event stream goes to `take` piece by piece, without a limit.

        Raises TransportError when there is no complete answer.
        """
        try:
            with contextlib.closing(self._head(request, path, timeout_s)) as answer:
                headers = {name.lower(): value for name, value in answer.getheaders()}
                if take is not None and _is_stream(answer.status, headers):
                    self._pass_on(answer, take)
                    body = b""
                else:
                    body = _complete(answer)
                if answer.will_close:
                    self.close()
                return Response(answer.status, headers, body)
        except _FAILURES as error:
            self.close()
            reason = "interrupted" if request.cancelled else f"{type(error).__name__}: {error}"
            raise TransportError(reason) from error

    def shut_down(self) -> None:
        """End what is under way, from any thread."""
        with self._lock:
            if self._socket is not None:
                # Closing would leave a thread that reads waiting; shutting down wakes it at once. The
                # method of a TLS socket would also take its state from under that thread.
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def close(self) -> None:
        with self._lock:
            connection, self._http, self._socket = self._http, None, None
        if connection is not None:
            connection.close()

    def close_for_good(self) -> None:
        self.shut_down()
        with self._lock:
            self._is_over = True
        self.close()

    def _head(self, request: Request, path: str, timeout_s: float) -> http.client.HTTPResponse:
        if self._http is not None and self._http.sock is not None:
            # The other side may have closed an idle connection just now. Every request of the
            # protocol may be repeated, so that is worth one more try on a fresh connection.
            with contextlib.suppress(http.client.RemoteDisconnected, ConnectionError):
                return self._ask(self._http, request, path, timeout_s)
        self.close()
        # Connecting for nobody could keep the next request waiting for long.
        _check(request)
        return self._ask(self._connected(), request, path, timeout_s)

    def _ask(
        self,
        connection: http.client.HTTPConnection,
        request: Request,
        path: str,
        timeout_s: float,
    ) -> http.client.HTTPResponse:
        # Only now: an interrupt either finds the socket or is found here.
        _check(request)
        connection.sock.settimeout(timeout_s)
        connection.request(request.method, path, request.body or None, dict(request.headers))
        return connection.getresponse()

    def _pass_on(self, answer: http.client.HTTPResponse, take: Callable[[bytes], None]) -> None:
        # How long silence may last is the worker's decision, by its own clock.
        with self._lock:
            if self._socket is not None:
                self._socket.settimeout(None)
        take(b"")
        while piece := answer.read1(STREAM_BYTES_AT_ONCE):
            take(piece)

    def _connected(self) -> http.client.HTTPConnection:
        address = (self._host, self._port)
        opened = socket.create_connection(address, self._connect_timeout_s)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection: http.client.HTTPConnection
        try:
            if self._is_secure:
                if self._context is None:
                    self._context = tls_context(self._ca_file)
                connection = http.client.HTTPSConnection(*address, context=self._context)
                opened = self._context.wrap_socket(
                    opened, server_hostname=self._host, do_handshake_on_connect=False
                )
                self._register(connection, opened)
                opened.do_handshake()
            else:
                connection = http.client.HTTPConnection(*address)
                self._register(connection, opened)
        except BaseException:
            opened.close()
            raise
        return connection

    def _register(self, connection: http.client.HTTPConnection, opened: socket.socket) -> None:
        """Keep the socket within reach of `shut_down`; raises TransportError after the end."""
        connection.sock = opened
        # A connection that opens itself again would be one that nobody can interrupt.
        connection.auto_open = 0
        with self._lock:
            if self._is_over:
                raise TransportError("closed")
            self._http, self._socket = connection, opened


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Give what a server's certificate is checked by.

    That is the app's own file, else the system's store and, where the app carries it, certifi's: Python
    on Android and iOS does not find the store of the system.
    """
    if ca_file is not None:
        return ssl.create_default_context(cafile=ca_file)
    context = ssl.create_default_context()
    if importlib.util.find_spec("certifi") is not None:
        context.load_verify_locations(cafile=importlib.import_module("certifi").where())
    return context


def _check(request: Request) -> None:
    if request.cancelled:
        raise TransportError("interrupted")


def _is_stream(status: int, headers: dict[str, str]) -> bool:
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    return status == http.client.OK and kind == STREAM_TYPE and "x-zuruf" in headers


def _complete(answer: http.client.HTTPResponse) -> bytes:
    body = answer.read(ANSWER_BYTES_MAX + 1)
    if len(body) > ANSWER_BYTES_MAX:
        raise TransportError("the answer is too large")
    return body
