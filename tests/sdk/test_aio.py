"""The asyncio façade: the same client, awaited."""

import asyncio

from tests.sdk.conftest import ClientFactory
from tests.sdk.fakes import a_message
from tests.sdk.scripted_gateway import ScriptedGateway, problem


async def test_flush_is_awaited_while_the_loop_goes_on(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client = client_of()
    client.track("a")
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    result = await client.aio.flush()
    counting.cancel()
    assert (result.sent, result.is_complete) == (1, True)
    assert turns > 0
    assert gateway.batches()[0].event_names == ["a"]


async def test_flush_that_cannot_succeed_in_time_says_what_is_left(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    gateway.always("POST /v1/events", problem(503, "overloaded", retry_after=60))
    client = client_of()
    client.track("a")
    result = await client.aio.flush(timeout_s=0.5)
    assert (result.remaining, result.last_status) == (1, 503)


async def test_messages_are_iterated(gateway: ScriptedGateway, client_of: ClientFactory) -> None:
    client = client_of()
    gateway.deliver(a_message("m1"), a_message("m2"))
    received = []
    async with client.aio as aio:
        async for message, show in aio.messages():
            received.append(message.id)
            show.shown()
            show.dismissed()
            if len(received) == 2:
                break
    assert received == ["m1", "m2"]
    assert client.track("late") == ""


async def test_end_of_the_block_sends_what_is_left(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client = client_of()
    async with client.aio:
        client.track("a")
    assert gateway.batches()[0].event_names == ["a"]


async def test_messages_after_the_loop_has_ended_wait_for_the_next_one(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client = client_of()
    gateway.deliver(a_message("m1"))
    async for message, show in client.aio.messages():
        assert message.id == "m1"
        show.dismissed()
        break
    gateway.deliver(a_message("m2"))
    async for message, show in client.aio.messages():
        assert message.id == "m2"
        show.dismissed()
        break
    assert "message_failed" not in gateway.accepted_names()


async def test_loop_that_is_cancelled_takes_no_message_with_it(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client = client_of()

    async def listen() -> None:
        async for _ in client.aio.messages():
            pass

    listening = asyncio.create_task(listen())
    await asyncio.sleep(0)
    listening.cancel()
    await asyncio.wait([listening])
    gateway.deliver(a_message("m1"))
    async for message, _ in client.aio.messages():
        assert message.id == "m1"
        break
