"""Serves an Application over HTTP: one process of many that share the port.

uvicorn, with the guards that it lacks: a deadline for a request's head and body, a bound on connections,
and a hook that tells a held poll that its client has hung up.
"""

import asyncio
import signal
import socket
from collections.abc import Callable
from typing import Any

import uvicorn
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.app import Application
from gateway.clock import SystemClock
from gateway.edge import encode_json, problem_body
from gateway.errors import Problem
from gateway.settings import Settings

_SWEEP_S = 1.0
_HEAD_BYTES_MAX = 16 * 1024


class OneWriteTransport:
    """Sends what is written in one turn of the event loop together.

    uvicorn writes head and body of an answer apart: two system calls here, and two packets on the air.
    """

    __slots__ = ("_loop", "_parts", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> None:
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._parts:
            data = b"".join(self._parts)
            self._parts.clear()
            self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        """All else is the transport's."""
        return getattr(self._transport, name)


class SlimFlowControl(FlowControl):
    """uvicorn's, without the event that all connections keep and few ever wait for: 760 bytes of each."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.read_paused = False
        self.write_paused = False

    async def drain(self) -> None:
        if self.write_paused:
            await self._is_writable_event.wait()

    def pause_writing(self) -> None:
        self._is_writable_event = asyncio.Event()
        self.write_paused = True

    def resume_writing(self) -> None:
        if self.write_paused:
            self.write_paused = False
            self._is_writable_event.set()


class SlimPipeline(list[Any]):
    """What uvicorn asks of a deque, for requests that came too early: mostly none. A deque has 624 bytes."""

    def appendleft(self, item: Any) -> None:
        self.insert(0, item)


class GuardedProtocol(HttpToolsProtocol):
    """One connection.

    `began`: when the request that is arriving began, None between requests; `is_fresh`: none has yet, and
    `began` is when the connection was made.
    """

    # Slots, because more than 30 attributes in its dictionary would cost each connection another 1.2 KB.
    __slots__ = ("began", "head_bytes", "head_done", "is_fresh", "on_lost")
    settings: Settings

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.pipeline = SlimPipeline()  # type: ignore[assignment]
        self.began: float | None = None
        self.is_fresh = True
        self.head_done = False
        self.head_bytes = 0
        self.on_lost: Callable[[], None] | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.transport = OneWriteTransport(transport, self.loop)  # type: ignore[assignment]
        self.flow = SlimFlowControl(transport)
        self.began = self.loop.time()
        if len(self.connections) > self.settings.connections_max:
            self.refuse(Problem("overloaded", "too many connections"))

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.on_lost is not None:
            self.on_lost()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.began is not None and not self.head_done:
            self.head_bytes += len(data)
            if self.head_bytes > _HEAD_BYTES_MAX:
                self.transport.close()

    def on_message_begin(self) -> None:
        self.began = self.loop.time()
        self.is_fresh = False
        self.head_done = False
        self.head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self.head_done = True
        # An extension of ours; ASGI's type knows no keys but its own.
        self.scope["zuruf.hold"] = self.hold  # type: ignore[typeddict-unknown-key]
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self.began = None
        self.on_lost = None
        super().on_message_complete()

    def refuse(self, problem: Problem) -> None:
        """Answer with a problem outside of any request, and hang up."""
        body = encode_json(problem_body(problem))
        retry = f"retry-after: {problem.retry_after_s}\r\n" if problem.status == 503 else ""
        head = (
            f"HTTP/1.1 {problem.status} {problem.title}\r\nx-zuruf: 1\r\n"
            f"x-server-time: {SystemClock().now_ms()}\r\n{retry}"
            f"content-type: application/problem+json\r\ncontent-length: {len(body)}\r\n"
            "connection: close\r\n\r\n"
        )
        if not self.transport.is_closing():
            self.transport.write(head.encode() + body)
            self.transport.close()

    def is_overdue(self, now: float) -> bool:
        """Whether a request has been arriving for too long, or the first one has never begun."""
        if self.began is None:
            return False
        if self.is_fresh:
            return now - self.began > self.settings.keep_alive_s
        limit = self.settings.body_timeout_s if self.head_done else self.settings.header_timeout_s
        return now - self.began > limit

    def hold(self, on_lost: Callable[[], None]) -> None:
        """The answer will take a while: forget what is not needed for it, tell when the client hangs up."""
        self.headers.clear()
        self.on_lost = on_lost
        if self.transport.is_closing():
            on_lost()


class RoleServer(uvicorn.Server):
    """uvicorn's server, drained before it stops and swept for requests that never end."""

    def __init__(self, application: Application, settings: Settings) -> None:
        protocol = type("Protocol", (GuardedProtocol,), {"settings": settings})
        super().__init__(
            uvicorn.Config(
                application,
                interface="asgi3",
                http=protocol,
                ws="none",
                loop="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                date_header=False,
                timeout_keep_alive=int(settings.keep_alive_s),
                timeout_graceful_shutdown=int(settings.drain_s),
                backlog=4096,
            )
        )
        self._application = application

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._sweeper = asyncio.create_task(self._sweep())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._application.drain()
        self._sweeper.cancel()
        await super().shutdown(sockets)

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_SWEEP_S)
            now = loop.time()
            for connection in list(self.server_state.connections):
                if isinstance(connection, GuardedProtocol) and connection.is_overdue(now):
                    if connection.head_done:
                        connection.refuse(Problem("body_timeout", "the body did not arrive"))
                    else:
                        connection.transport.close()


def shared_socket(host: str, port: int) -> socket.socket:
    """A listening socket that other processes may share: the kernel spreads connections over them."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind((host, port))
    listener.setblocking(False)
    return listener


async def serve(application: Application, settings: Settings, port: int) -> None:
    """Serve until SIGTERM or SIGINT, then drain."""
    listener = shared_socket(settings.host, port)
    server = RoleServer(application, settings)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, setattr, server, "should_exit", True)
    with listener:
        await server._serve([listener])  # noqa: SLF001 - `serve` would take the signals over
