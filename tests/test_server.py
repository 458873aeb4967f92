"""The real server on loopback: what happens below HTTP, and when connections come and go."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import msgspec
import pytest
from msgspec.structs import replace

from gateway.app import create_app
from gateway.apps.model import new_app
from gateway.server import RoleServer, shared_socket
from gateway.settings import Settings
from tests.builders import a_batch, a_registration, an_event
from tests.clients import check_answer, code_of, eventually


class Served:
    """A running server, with a device that is registered there."""

    def __init__(self, server: RoleServer, port: int) -> None:
        self.server = server
        self.port = port
        self.http = httpx2.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", event_hooks={"response": [check_answer]}
        )
        self.token = ""
        self.wires: list[Wire] = []

    @property
    def holds(self) -> int:
        core = self.server._application.core
        assert core is not None
        return core.metrics.gauges.holds

    @property
    def connections(self) -> int:
        return len(self.server.server_state.connections)

    async def register(self) -> None:
        core = self.server._application.core
        assert core is not None
        app, key, _ = new_app("Shop", core.clock.now_ms())
        await core.apps.save(app)
        headers = {"Authorization": f"Bearer {key}"}
        answer = await self.http.post("/v1/devices", json=a_registration(), headers=headers)
        self.token = answer.json()["token"]
        self.http.headers["Authorization"] = f"Bearer {self.token}"

    def head(self, request: str, *headers: str) -> bytes:
        lines = [f"{request} HTTP/1.1", "Host: x", f"Authorization: Bearer {self.token}", *headers]
        return "\r\n".join([*lines, "", ""]).encode()

    async def connect(self) -> "Wire":
        wire = Wire(*await asyncio.open_connection("127.0.0.1", self.port))
        self.wires.append(wire)
        return wire


class Wire:
    """A connection of which every byte is in the test's hands."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def until_closed(self) -> bytes:
        """All that comes until the server hangs up."""
        async with asyncio.timeout(10):
            with contextlib.suppress(ConnectionError):
                return await self.reader.read()
        return b""

    async def answer(self) -> bytes:
        """The head of the next answer."""
        async with asyncio.timeout(10):
            return await self.reader.readuntil(b"\r\n\r\n")

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()


@contextlib.asynccontextmanager
async def serving(settings: Settings, **changes: Any) -> AsyncIterator[Served]:
    settings = replace(settings, **changes)
    server = RoleServer(create_app(settings), settings)
    with shared_socket("127.0.0.1", 0) as listener:
        task = asyncio.create_task(server._serve([listener]))
        await eventually(lambda: server.started)
        served = Served(server, listener.getsockname()[1])
        try:
            await served.register()
            yield served
        finally:
            for wire in served.wires:
                await wire.close()
            await served.http.aclose()
            server.should_exit = True
            await task


@pytest.fixture
async def served(settings: Settings) -> AsyncIterator[Served]:
    async with serving(settings) as served:
        yield served


async def test_requests_of_every_size_are_served_on_one_connection(served: Served) -> None:
    wire = await served.connect()
    for size in (100, 4_000, 17_000, 70_000, 300_000, 500_000):
        body = msgspec.json.encode(a_batch(an_event())) + b" " * size
        wire.send(served.head("POST /v1/events", f"Content-Length: {len(body)}") + body)
        assert (await wire.answer()).startswith(b"HTTP/1.1 200")
        await wire.reader.readuntil(b'"durability":"fsync"}')
    await wire.close()


async def test_too_large_a_body_is_answered_before_the_connection_ends(served: Served) -> None:
    for size in (600_000, 3_000_000):
        answer = await served.http.post("/v1/events", content=b" " * size)
        assert code_of(answer) == "413 body_too_large"
    chunks = 700

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(chunks):
            yield b" " * 1_000

    answer = await served.http.post("/v1/events", content=endless())
    assert code_of(answer) == "413 body_too_large"


async def test_slow_requests_are_ended(settings: Settings) -> None:
    async with serving(settings, header_timeout_s=0.2, body_timeout_s=0.2) as served:
        slow_head, slow_body, trickle = [await served.connect() for _ in range(3)]
        slow_head.send(b"GET /v1/mess")
        slow_body.send(served.head("POST /v1/events", "Content-Length: 1000") + b"{")
        trickle.send(served.head("POST /v1/events", "Transfer-Encoding: chunked"))

        async def keep_trickling() -> None:
            with contextlib.suppress(ConnectionError):
                while not trickle.writer.is_closing():
                    trickle.send(b"1\r\n \r\n")
                    await trickle.writer.drain()
                    await asyncio.sleep(0.02)

        trickling = asyncio.create_task(keep_trickling())
        head, body, trickled = await asyncio.gather(
            slow_head.until_closed(), slow_body.until_closed(), trickle.until_closed()
        )
        trickling.cancel()
        assert head == b""
        assert body.startswith(b"HTTP/1.1 408 ")
        assert b"x-zuruf: 1" in body
        assert b"x-server-time: " in body
        assert b"body_timeout" in body
        assert trickled.startswith(b"HTTP/1.1 408 ") or not trickled
        assert code_of(await served.http.get("/v1/messages")) == "204"


async def test_held_poll_is_not_a_slow_request(settings: Settings) -> None:
    async with serving(settings, header_timeout_s=0.1, body_timeout_s=0.1) as served:
        began = time.monotonic()
        answer = await served.http.get("/v1/messages?wait=1.5")
        assert code_of(answer) == "204"
        assert time.monotonic() - began > 1.4


async def test_flood_of_headers_ends_the_connection(served: Served) -> None:
    many, long = await served.connect(), await served.connect()
    many.send(b"GET /v1/messages HTTP/1.1\r\n")
    for number in range(2_000):
        many.send(b"X-Header-%d: x\r\n" % number)
    long.send(b"GET /v1/messages?" + b"x" * 100_000)
    assert await many.until_closed() == b""
    assert await long.until_closed() == b""
    assert code_of(await served.http.get("/v1/messages")) == "204"


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"rubbish\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n12345",
        b"POST /v1/events HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nXYZ\r\n",
        b"GET /healthz HTTP/1.1\r\nHost : x\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nX: a\r\n b\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nX: a\x00b\r\n\r\n",
    ],
)
async def test_what_is_not_http_ends_its_connection_only(
    served: Served, request_bytes: bytes
) -> None:
    wire = await served.connect()
    wire.send(request_bytes)
    answered = await wire.until_closed()
    assert not answered or answered.startswith((b"HTTP/1.1 400", b"HTTP/1.1 401"))
    assert code_of(await served.http.get("/v1/messages")) == "204"


async def test_too_many_connections_are_turned_away(settings: Settings) -> None:
    async with serving(settings, connections_max=5) as served:
        await eventually(lambda: served.connections == 1)  # the registration's
        wires = [await served.connect() for _ in range(4)]
        await eventually(lambda: served.connections == 5)
        refused = await (await served.connect()).until_closed()
        assert refused.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: " in refused
        assert b"x-zuruf: 1" in refused
        await wires[0].close()
        await eventually(lambda: served.connections == 4)
        wire = await served.connect()
        wire.send(served.head("GET /v1/messages"))
        assert (await wire.answer()).startswith(b"HTTP/1.1 204")


async def test_hang_up_releases_a_hold(served: Served) -> None:
    for path in ("/v1/messages?wait=30", "/v1/messages/stream"):
        wire = await served.connect()
        wire.send(served.head(f"GET {path}"))
        await eventually(lambda: served.holds == 1)
        await wire.close()
        await eventually(lambda: served.holds == 0)


async def test_hang_up_in_the_middle_of_a_body_harms_nobody(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(5):
        wire = await served.connect()
        wire.send(served.head("POST /v1/events", "Content-Length: 1000") + b"{")
        await wire.writer.drain()
        await wire.close()
    assert code_of(await served.http.get("/v1/messages")) == "204"
    await eventually(lambda: served.connections == 1)
    assert not caplog.records, "phones do that all day: it is no error"


async def test_process_that_stops_lets_holds_go_and_finishes_what_it_began(
    settings: Settings,
) -> None:
    async with serving(settings) as served:
        poll = asyncio.create_task(served.http.get("/v1/messages?wait=30"))
        wire = await served.connect()
        wire.send(served.head("GET /v1/messages/stream"))
        await wire.answer()
        upload = await served.connect()
        body = msgspec.json.encode(a_batch(an_event()))
        upload.send(served.head("POST /v1/events", f"Content-Length: {len(body)}") + body[:10])
        await eventually(lambda: served.holds == 2)
        served.server.should_exit = True
        began = time.monotonic()
        assert code_of(await poll) == "204"
        assert b"event: drain" in await wire.until_closed()
        upload.send(body[10:])
        assert b'"accepted":1' in await upload.until_closed()
        assert time.monotonic() - began < 4


async def test_stream_arrives_while_it_is_open(served: Served) -> None:
    async with served.http.stream("GET", "/v1/messages/stream") as answer:
        lines = answer.aiter_lines()
        assert (await anext(lines)).startswith("id: ")
        assert await anext(lines) == "event: messages"
        assert (await anext(lines)).startswith('data: {"cursor":')
