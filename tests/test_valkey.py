import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Self

import pytest

from gateway.errors import StoreRefused, StoreUnavailable
from gateway.valkey import Subscription, Valkey
from tests.clients import eventually

TIMEOUT_S = 0.1
"""What the impatient wait for an answer; others wait for seconds."""


class Wire:
    """A wire to the server that can be cut, or go silent with everything still connected."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.silent = False
        self.accepted = 0
        self.url = ""

    @contextlib.asynccontextmanager
    async def stretched(self) -> AsyncIterator["Wire"]:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        self.url = f"valkey://127.0.0.1:{port}"
        try:
            yield self
        finally:
            server.close()
            self.cut()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self._writers.append(writer)
        far_reader, far_writer = await asyncio.open_unix_connection(self._path)
        self._writers.append(far_writer)
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.create_task(self._carry(source, sink))
            self._tasks.add(task)

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65_536):
                if not self.silent:
                    sink.write(data)
        sink.transport.abort()


@pytest.fixture
async def wire(valkey_url: str) -> AsyncIterator[Wire]:
    async with Wire(valkey_url.removeprefix("unix://")).stretched() as wire:
        yield wire


@pytest.fixture
async def client(wire: Wire) -> AsyncIterator[Valkey]:
    client = Valkey(wire.url)
    await client.connect()
    yield client
    await client.close()


@pytest.fixture
async def impatient(wire: Wire) -> AsyncIterator[Valkey]:
    client = Valkey(wire.url, timeout_s=TIMEOUT_S)
    await client.connect()
    yield client
    await client.close()


async def echo(client: Valkey, text: str) -> object:
    return await client.call("ECHO", text)


async def answers(client: Valkey) -> bool:
    try:
        return await echo(client, "x") == b"x"
    except StoreUnavailable:
        return False


async def test_every_caller_gets_its_own_reply(client: Valkey) -> None:
    texts = [str(number) for number in range(2_000)]
    replies = await asyncio.gather(*[echo(client, text) for text in texts])
    assert replies == [text.encode() for text in texts]


async def test_cancelled_caller_neither_loses_nor_takes_a_reply(client: Valkey) -> None:
    calls = [asyncio.create_task(echo(client, str(number))) for number in range(300)]
    await asyncio.sleep(0)  # all are on their way
    for call in calls[::3]:
        call.cancel()
    replies = await asyncio.gather(*calls, return_exceptions=True)
    for number, reply in enumerate(replies):
        if number % 3:
            assert reply == str(number).encode()
        else:
            assert isinstance(reply, asyncio.CancelledError)
    assert await echo(client, "after") == b"after"


async def test_one_refused_command_does_not_harm_its_pipeline(client: Valkey) -> None:
    with pytest.raises(StoreRefused, match="WRONGTYPE"):
        await client.call_all((("SET", "k", "v"), ("LPUSH", "k", "x"), ("SET", "k", "w")))
    assert await client.call("GET", "k") == b"w"


async def test_lost_connection_fails_what_was_under_way_and_comes_back(
    client: Valkey, wire: Wire
) -> None:
    wire.silent = True
    calls = [asyncio.create_task(echo(client, "x")) for _ in range(10)]
    await asyncio.sleep(0)
    wire.cut()
    replies = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(reply) for reply in replies} == {StoreUnavailable}
    with pytest.raises(StoreUnavailable):
        await echo(client, "x")
    wire.silent = False
    assert await eventually(lambda: answers(client))


async def test_server_that_falls_silent_is_cut_off(impatient: Valkey, wire: Wire) -> None:
    wire.silent = True
    with pytest.raises(StoreUnavailable):
        await echo(impatient, "x")
    wire.silent = False
    assert await eventually(lambda: answers(impatient))


async def test_server_that_is_silent_from_the_start_is_tried_again(
    impatient: Valkey, wire: Wire
) -> None:
    """As a stopped process: the kernel accepts for it, and nothing ever comes."""
    wire.silent = True
    wire.cut()
    before = wire.accepted
    await eventually(lambda: wire.accepted >= before + 2)
    wire.silent = False
    assert await eventually(lambda: answers(impatient))


async def test_quiet_connection_is_left_alone(impatient: Valkey, wire: Wire) -> None:
    with pytest.raises(TimeoutError):  # long enough to be looked at a few times
        async with asyncio.timeout(5 * TIMEOUT_S):
            await asyncio.Event().wait()
    assert await echo(impatient, "x") == b"x"
    assert wire.accepted == 1


async def test_start_without_a_server_says_what_to_look_at() -> None:
    with pytest.raises(StoreUnavailable, match="ZURUF_VALKEY_URL"):
        await Valkey("valkey://127.0.0.1:1").connect(timeout_s=0.05)


async def test_functions_are_loaded_into_a_server_that_lost_them(
    client: Valkey, wire: Wire
) -> None:
    await client.call("FUNCTION", "FLUSH")
    wire.cut()
    assert await eventually(lambda: answers(client))
    assert await client.call("FCALL", "release", 2, "lease:{0}", "epoch:{0}", "nobody") == 0


# --- subscriptions ---------------------------------------------------------------------------


class Listener:
    def __init__(self, url: str, *channels: str, timeout_s: float = 5.0) -> None:
        self.heard: list[bytes] = []
        self.gaps = 0
        self.subscription = Subscription(
            url,
            channels,
            on_message=lambda _, payload: self.heard.append(payload),
            on_gap=self.on_gap,
            timeout_s=timeout_s,
        )

    def on_gap(self) -> None:
        self.gaps += 1

    async def __aenter__(self) -> Self:
        self.subscription.start()
        await eventually(lambda: self.gaps)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.subscription.close()


async def test_subscription_hears_what_is_published(client: Valkey, wire: Wire) -> None:
    async with Listener(wire.url, "a") as listener:
        await client.call("SPUBLISH", "a", "one")
        await client.call("SPUBLISH", "b", "not for us")
        await client.call("SPUBLISH", "a", "two")
        await eventually(lambda: listener.heard == [b"one", b"two"])


async def test_subscription_that_was_cut_comes_back_and_says_that_it_may_have_missed_something(
    client: Valkey, wire: Wire
) -> None:
    async with Listener(wire.url, "a") as listener:
        wire.cut()
        await eventually(lambda: listener.gaps == 2 and listener.subscription.complete)
        await eventually(lambda: answers(client))
        await client.call("SPUBLISH", "a", "again")
        await eventually(lambda: listener.heard == [b"again"])


async def test_subscription_notices_that_nothing_comes_any_more(wire: Wire) -> None:
    async with Listener(wire.url, "a", timeout_s=TIMEOUT_S) as listener:
        wire.silent = True
        await eventually(lambda: not listener.subscription.complete)
        wire.silent = False
        await eventually(lambda: listener.gaps == 2)


async def test_channels_can_change(client: Valkey, wire: Wire) -> None:
    async with Listener(wire.url, "a") as listener:
        listener.subscription.set_channels(["b"])
        await eventually(lambda: listener.gaps == 2)
        await client.call("SPUBLISH", "a", "gone")
        await client.call("SPUBLISH", "b", "new")
        await eventually(lambda: listener.heard == [b"new"])


async def test_subscription_without_channels_stays_connected(wire: Wire) -> None:
    async with Listener(wire.url, timeout_s=TIMEOUT_S) as listener:
        with pytest.raises(TimeoutError):  # long enough for some pings
            async with asyncio.timeout(5 * TIMEOUT_S):
                await asyncio.Event().wait()
        assert (listener.gaps, wire.accepted) == (1, 1)
        listener.subscription.set_channels(["a"])
        await eventually(lambda: listener.gaps == 2)
