"""`python -m loadtests.bench_store`: appending a batch with an fsync before the answer, by client.

Hand-packed pipelines on a few connections against valkey-py's asyncio client, at several numbers of
appends waiting at once. Every append is one XADD of a batch of 50 events. Turns of Valkey's event loop
are counted too, since each ends in an fsync: from one connection a turn reads 16 to 32 KiB, however
much is waiting there, so a single pipeline of such batches shares an fsync among three of them only.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import cast

import uvloop
from valkey.asyncio import BlockingConnectionPool, Valkey

from loadtests import payloads, report
from loadtests.engine import Engine
from loadtests.figures import Figures
from loadtests.measures import EVENTS_A_BATCH, Plan

_WAITING = (1, 16, 64, 256)
_CONNECTIONS = (1, 2, 4, 8)
Append = Callable[[bytes], Awaitable[object]]


class Pipelined(asyncio.Protocol):
    """Appends that arrive while a write is in flight go out together when its replies are in."""

    def __init__(self) -> None:
        self._queue: list[bytes] = []
        self._queued: list[asyncio.Future[bytes]] = []
        self._in_flight: deque[asyncio.Future[bytes]] = deque()
        self._pending = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def append(self, body: bytes) -> asyncio.Future[bytes]:
        future = asyncio.get_running_loop().create_future()
        self._queue += (
            b"*5\r\n$4\r\nXADD\r\n$3\r\nlog\r\n$1\r\n*\r\n$1\r\nb\r\n$%d\r\n" % len(body),
            body,
            b"\r\n",
        )
        self._queued.append(future)
        if not self._in_flight:
            self._flush()
        return future

    def data_received(self, data: bytes) -> None:
        lines = (self._pending + data).split(b"\r\n")
        self._pending = lines.pop()
        in_flight = self._in_flight
        for line in lines:
            if line[:1] == b"$":
                continue
            waiting = in_flight.popleft()
            if line[:1] == b"-":
                waiting.set_exception(RuntimeError(line.decode()))
            else:
                waiting.set_result(line)
        if not in_flight and self._queued:
            self._flush()

    @property
    def load(self) -> int:
        return len(self._in_flight) + len(self._queued)

    def close(self) -> None:
        self._transport.close()

    def _flush(self) -> None:
        self._in_flight.extend(self._queued)
        self._transport.write(b"".join(self._queue))
        self._queue.clear()
        self._queued.clear()


async def measure(figures: Figures, plan: Plan, rounds: int, directory: Path) -> None:
    engine = Engine(directory / "store-valkey")
    body = payloads.encode(payloads.batch(random.Random(plan.seed), events=EVENTS_A_BATCH))
    try:
        for number in range(rounds):
            for waiting in _WAITING:
                rates = await _round(engine, body, waiting, plan.seconds / 2)
                for client, (rate, turns) in rates.items():
                    name = f"store, {waiting} waiting"
                    figures.add(name, "rate", client, "appends/s", rate, number)
                    figures.add(f"{name}, fsyncs", "turns", client, "an append", turns, number)
    finally:
        engine.stop()


async def _round(
    engine: Engine, body: bytes, waiting: int, seconds: float
) -> dict[str, tuple[float, float]]:
    loop = asyncio.get_running_loop()
    path = str(engine.socket)
    pipelines = [
        (await loop.create_unix_connection(Pipelined, path))[1] for _ in range(max(_CONNECTIONS))
    ]
    one = Valkey(unix_socket_path=path, single_connection_client=True)
    pool = BlockingConnectionPool.from_url(f"unix://{path}", max_connections=waiting)
    many = Valkey(connection_pool=pool)
    grouped = _Grouped(one)
    clients: dict[str, Append] = {
        **{f"hand-packed × {n}": _least_loaded(pipelines[:n]) for n in _CONNECTIONS},
        "valkey-py pool": lambda b: many.xadd("log", {"b": b}),
        "valkey-py pipeline": grouped.append,
    }
    rates = {}
    for name, append in clients.items():
        before = await many.info("stats")
        rate = await _rate(append, body, waiting, seconds)
        after = await many.info("stats")
        turns, commands = (
            after[count] - before[count]
            for count in ("eventloop_cycles", "total_commands_processed")
        )
        rates[name] = rate, turns / commands
        await many.delete("log")
    for pipeline in pipelines:
        pipeline.close()
    await one.aclose()
    await many.aclose()
    await pool.aclose()
    return rates


def _least_loaded(pipelines: list[Pipelined]) -> Append:
    return lambda body: min(pipelines, key=lambda pipeline: pipeline.load).append(body)


class _Grouped:
    """The same group commit with the client's own pipelines."""

    def __init__(self, client: Valkey) -> None:
        self._client = client
        self._queued: list[tuple[bytes, asyncio.Future[object]]] = []
        self._task: asyncio.Task[None] | None = None

    def append(self, body: bytes) -> asyncio.Future[object]:
        future = asyncio.get_running_loop().create_future()
        self._queued.append((body, future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._flush())
        return future

    async def _flush(self) -> None:
        while self._queued:
            group, self._queued = self._queued, []
            pipeline = self._client.pipeline(transaction=False)
            for body, _ in group:
                pipeline.execute_command("XADD", "log", "*", "b", body)
            for reply, (_, future) in zip(await pipeline.execute(), group, strict=True):
                future.set_result(reply)


async def _rate(append: Append, body: bytes, waiting: int, seconds: float) -> float:
    done = 0
    end = time.perf_counter() + seconds

    async def work() -> None:
        nonlocal done
        while time.perf_counter() < end:
            await append(body)
            done += 1

    began = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(waiting)))
    return done / (time.perf_counter() - began)


def main() -> None:
    figures = Figures()
    with tempfile.TemporaryDirectory(prefix="zuruf-bench-") as directory:
        uvloop.run(measure(figures, Plan(seconds=2), 3, Path(directory)))
    report.show(report.console(), figures, ())


if __name__ == "__main__":
    main()
