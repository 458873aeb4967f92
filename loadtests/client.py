"""The load client: raw protocols on one event loop, a few microseconds a request.

It shares two cores with the server it measures, so it builds requests beforehand, reads from answers
no more than status and length, and keeps one request outstanding per connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar, cast

from loadtests.machine import Usage, Window
from loadtests.wire import Answer, Origin, read_answer

_CONNECT_AT_ONCE = 200
_clock = time.perf_counter


@dataclass(slots=True)
class Run:
    """What came back within the measured window."""

    seconds: float = 0.0
    latencies: array[float] = field(default_factory=lambda: array("d"))
    statuses: Counter[int] = field(default_factory=Counter)
    lost_connections: int = 0
    usage: Usage | None = None

    @property
    def per_s(self) -> float:
        return len(self.latencies) / self.seconds if self.seconds else 0.0

    @property
    def failure_ratio(self) -> float:
        answers = sum(self.statuses.values())
        good = sum(count for status, count in self.statuses.items() if 200 <= status < 300)
        asked = answers + self.lost_connections
        return (asked - good) / asked if asked else 0.0


class Connection(asyncio.Protocol):
    """One keep-alive connection. Subclasses say what to do with an answer."""

    def __init__(self) -> None:
        self.closed = False
        self._pending = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.write = self.transport.write

    def data_received(self, data: bytes) -> None:
        if self._pending:
            data = self._pending + data
        found = read_answer(data)
        if found is None:
            self._pending = data
            return
        answer, size = found
        self._pending = data[size:]
        self.answered(answer)

    def connection_lost(self, _error: Exception | None) -> None:
        self.closed = True

    def answered(self, answer: Answer) -> None:
        raise NotImplementedError


_C = TypeVar("_C", bound=Connection)


class Caller(Connection):
    """Asks one thing at a time and waits for its answer; `answered_at` says when it came."""

    _waiting: asyncio.Future[Answer] | None = None
    answered_at = 0.0

    async def ask(self, request: bytes) -> Answer:
        if self.closed:
            raise ConnectionResetError("closed by the server")
        self._waiting = asyncio.get_running_loop().create_future()
        self.write(request)
        return await self._waiting

    def answered(self, answer: Answer) -> None:
        self.answered_at = _clock()
        waiting, self._waiting = self._waiting, None
        if waiting and not waiting.done():
            waiting.set_result(answer)

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        if self._waiting and not self._waiting.done():
            self._waiting.set_exception(error or ConnectionResetError("closed by the server"))


class _Pump(Connection):
    """Closed loop: the next request goes out when the answer to the last has come in."""

    def __init__(self, requests: Iterator[bytes], stopped: Callable[[], None]) -> None:
        super().__init__()
        self.run = Run()
        self._requests = requests
        self._stopped = stopped
        self._ended = False
        self._asked_at = 0.0

    def start(self) -> None:
        self._next()

    def answered(self, answer: Answer) -> None:
        run = self.run
        run.latencies.append(_clock() - self._asked_at)
        run.statuses[answer.status] += 1
        if not self._ended:
            self._next()

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        if not self._ended:
            self.run.lost_connections += 1
            self.end()

    def end(self) -> None:
        if not self._ended:
            self._ended = True
            self._stopped()

    def _next(self) -> None:
        request = next(self._requests, None)
        if request is None:
            self.end()
            return
        self._asked_at = _clock()
        self.write(request)


class _Metronome(_Pump):
    """A fixed rate: latency counts from when a request was due, so a stall is not left out."""

    def __init__(
        self,
        requests: Iterator[bytes],
        stopped: Callable[[], None],
        interval_s: float,
        offset_s: float,
    ) -> None:
        super().__init__(requests, stopped)
        self._loop = asyncio.get_running_loop()
        self._interval_s = interval_s
        self._due = self._loop.time() + offset_s

    def start(self) -> None:
        self._loop.call_at(self._due, self._send)

    def answered(self, answer: Answer) -> None:
        run = self.run
        run.latencies.append(self._loop.time() - self._due)
        run.statuses[answer.status] += 1
        self._due += self._interval_s
        if self._due <= self._loop.time():
            self._send()
        else:
            self._loop.call_at(self._due, self._send)

    def _send(self) -> None:
        if self._ended or self.closed:
            return
        request = next(self._requests, None)
        if request is None:
            self.end()
        else:
            self.write(request)


class Load:
    """Requests on many connections, one iterator each, until stopped or out of requests.

    Without `per_s` as fast as answers come (closed loop), with it at that rate in total.
    """

    def __init__(self, origin: Origin, requests: Sequence[Iterator[bytes]]) -> None:
        self._origin = origin
        self._requests = requests
        self._connections: list[_Pump] = []
        self._left = len(requests)
        self._over = asyncio.Event()

    async def start(self, per_s: float | None = None) -> None:
        factories: list[Callable[[], _Pump]] = []
        for number, requests in enumerate(self._requests):
            if per_s is None:
                factories.append(partial(_Pump, requests, self._one_ended))
            else:
                interval_s = len(self._requests) / per_s
                offset_s = interval_s * number / len(self._requests)
                factories.append(
                    partial(_Metronome, requests, self._one_ended, interval_s, offset_s)
                )
        self._connections = await connect(self._origin, factories)
        for connection in self._connections:
            connection.start()

    async def measure(self, seconds: float, roots: Iterable[int] = ()) -> Run:
        """The answers of the next `seconds`, and the CPU time that the `roots` used for them."""
        run = Run()
        window = Window(roots, _clock())
        began = _clock()
        for connection in self._connections:
            connection.run = run
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._over.wait(), seconds)
        for connection in self._connections:
            connection.run = Run()
        run.seconds = _clock() - began
        run.usage = window.close(_clock())
        return run

    async def stop(self) -> None:
        for connection in self._connections:
            connection.end()
        await close(self._connections)

    def _one_ended(self) -> None:
        self._left -= 1
        if not self._left:
            self._over.set()


async def connect(origin: Origin, factories: Sequence[Callable[[], _C]]) -> list[_C]:
    loop = asyncio.get_running_loop()
    connections: list[_C] = []
    for first in range(0, len(factories), _CONNECT_AT_ONCE):
        some = factories[first : first + _CONNECT_AT_ONCE]
        made = await asyncio.gather(
            *(loop.create_connection(factory, origin.host, origin.port) for factory in some)
        )
        connections += [connection for _, connection in made]
    return connections


async def close(connections: Sequence[Connection]) -> None:
    for connection in connections:
        connection.transport.abort()
    await asyncio.sleep(0)


async def ask(origin: Origin, request: bytes) -> Answer:
    """One request on a connection of its own."""
    (caller,) = await connect(origin, [Caller])
    try:
        return await caller.ask(request)
    finally:
        await close([caller])
