"""The load client against a server in the same loop that answers what it is told to."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator

from loadtests.client import Caller, Load, ask, close, connect
from loadtests.measures import sum_of_metric
from loadtests.wire import Origin, head

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@contextlib.asynccontextmanager
async def a_server(*, answer: bytes = OK, pause_s: float = 0.0) -> AsyncIterator[Origin]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while await reader.readuntil(b"\r\n\r\n"):
                await asyncio.sleep(pause_s)
                # In two pieces, as networks like to deliver.
                writer.write(answer[:20])
                await writer.drain()
                writer.write(answer[20:])
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield Origin("127.0.0.1", server.sockets[0].getsockname()[1])


async def test_a_request_gets_its_answer() -> None:
    async with a_server() as origin:
        answer = await ask(origin, head("GET", "/", origin))
    assert (answer.status, answer.body) == (200, b"ok")


async def test_a_caller_hears_when_the_server_hangs_up() -> None:
    async with a_server(answer=b"") as origin:
        (caller,) = await connect(origin, [Caller])
        waiting = asyncio.ensure_future(caller.ask(head("GET", "/", origin)))
        await asyncio.sleep(0)
        caller.transport.abort()
        with contextlib.suppress(ConnectionResetError):
            await waiting
        await asyncio.sleep(0)
        assert caller.closed
        await close([caller])


async def test_a_load_counts_answers_and_stops_when_requests_run_out() -> None:
    async with a_server() as origin:
        request = head("GET", "/", origin)
        load = Load(origin, [itertools.repeat(request, 20) for _ in range(3)])
        await load.start()
        run = await load.measure(5)
        await load.stop()
    assert run.statuses == {200: 60}
    assert len(run.latencies) == 60
    assert run.seconds < 5
    assert run.failure_ratio == 0


async def test_a_rate_is_kept_and_latency_counts_from_when_a_request_was_due() -> None:
    """One connection, an answer every 20 ms, a request due every 10 ms: they fall behind."""
    async with a_server(pause_s=0.02) as origin:
        load = Load(origin, [itertools.repeat(head("GET", "/", origin), 10)])
        await load.start(per_s=100)
        run = await load.measure(5)
        await load.stop()
    assert len(run.latencies) == 10
    assert run.latencies[-1] > 0.08


async def test_refusals_count_as_failures() -> None:
    answer = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"
    async with a_server(answer=answer) as origin:
        load = Load(origin, [itertools.repeat(head("GET", "/", origin), 5)])
        await load.start()
        run = await load.measure(5)
        await load.stop()
    assert run.failure_ratio == 1


def test_a_metric_is_summed_over_its_labels() -> None:
    text = (
        "# TYPE zuruf_events_reacted_total counter\n"
        'zuruf_events_reacted_total{process="worker-1"} 50.0\n'
        'zuruf_events_reacted_total{process="worker-2"} 1e3\n'
        'zuruf_events_reacted_total_created{process="worker-2"} 7.0\n'
    )
    assert sum_of_metric(text, "zuruf_events_reacted_total") == 1050
