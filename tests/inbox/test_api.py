import asyncio
import time
from typing import Any

import msgspec
import pytest

from gateway import keyspace
from tests.builders import a_content, a_journey, a_message, an_event, message_event
from tests.clients import Gateway, Phone, SettableClock, Shop, code_of, eventually
from tests.conftest import StartGateway


async def send(shop: Shop, phone: Phone, **fields: Any) -> str:
    """Send a message to a profile; its id."""
    await shop.gateway.settled()
    body = a_message({"profile_id": phone.profile_id}, **fields)
    message_id: str = (await shop.server.post("/admin/v1/messages", body))["message_id"]
    return message_id


# --- polls -----------------------------------------------------------------------------------


async def test_poll_with_nothing_new_is_empty(phone: Phone) -> None:
    answer = await phone.poll()
    assert (answer.status_code, answer.content) == (204, b"")


async def test_event_leads_to_the_message_of_its_journey(
    worker: None, shop: Shop, phone: Phone, clock: SettableClock
) -> None:
    journey = await shop.server.post(
        "/admin/v1/journeys", a_journey(message={"ttl_s": 60, "priority": 70})
    )
    await phone.upload(an_event())
    await shop.gateway.settled()
    (message,) = await phone.messages()
    content = message.pop("content")
    assert content == a_content() | {"buttons": []}
    assert message == {
        "id": message["id"],
        "journey_id": journey["id"],
        "channel": "in_app",
        "priority": 70,
        "created_at": clock.at,
        "expires_at": clock.at + 60_000,
        "display": {"once_per": "person"},
        "decision_id": (await shop.server.decisions(phone.profile_id))[0]["id"],
    }
    assert await phone.messages() == []


async def test_message_not_yet_shown_is_handed_out_again_after_a_restart(
    worker: None, shop: Shop, phone: Phone
) -> None:
    sent = await send(shop, phone)
    await shop.gateway.settled()
    for _ in range(2):
        phone.cursor = ""
        assert [message["id"] for message in await phone.messages()] == [sent]
    await phone.upload(message_event("message_shown", sent))
    await shop.gateway.settled()
    phone.cursor = ""
    assert await phone.messages() == []


@pytest.mark.parametrize("feedback", ["message_shown", "message_clicked", "message_dismissed"])
async def test_what_one_device_showed_is_withdrawn_from_the_others(
    worker: None, shop: Shop, phone: Phone, feedback: str
) -> None:
    tablet = await shop.new_phone(form_factor="tablet")
    for device in (phone, tablet):
        await device.login("u1")
    sent = await send(shop, phone)
    await shop.gateway.settled()
    for device in (phone, tablet):
        assert [message["id"] for message in await device.messages()] == [sent]
    await phone.upload(message_event(feedback, sent))
    await shop.gateway.settled()
    page = await tablet.receive()
    assert (page["messages"], page["withdrawn"]) == ([], [sent])
    assert (await phone.receive())["withdrawn"] == [], "its person reads it"


async def test_receipt_alone_withdraws_nothing(worker: None, shop: Shop, phone: Phone) -> None:
    sent = await send(shop, phone)
    await phone.upload(message_event("message_received", sent))
    await phone.upload(message_event("message_failed", sent))
    await shop.gateway.settled()
    assert [message["id"] for message in await phone.messages()] == [sent]


async def test_answer_may_be_messagepack(worker: None, shop: Shop, phone: Phone) -> None:
    sent = await send(shop, phone)
    await shop.gateway.settled()
    answer = await phone.ask("GET", "/v1/messages", headers={"Accept": "application/msgpack"})
    assert answer.headers["Content-Type"] == "application/msgpack"
    assert msgspec.msgpack.decode(answer.content)["messages"][0]["id"] == sent


async def test_poll_of_an_edge_that_knows_asks_no_store(gateway: Gateway, phone: Phone) -> None:
    async def commands() -> int:
        info: bytes = await gateway.valkey("INFO", "commandstats")
        return info.count(b"hgetall:calls=") and int(
            info.split(b"hgetall:calls=")[1].split(b",")[0]
        )

    await phone.receive()
    before = await commands()
    for _ in range(10):
        assert code_of(await phone.poll()) == "204"
    assert await commands() == before


async def test_expired_message_is_gone_without_a_word(
    worker: None, shop: Shop, phone: Phone, clock: SettableClock
) -> None:
    await send(shop, phone, ttl_s=60)
    await shop.gateway.settled()
    await phone.receive()
    clock.forward(seconds=60)
    assert code_of(await phone.poll()) == "204"
    assert code_of(await phone.poll(after="")) == "204"


# --- held polls ------------------------------------------------------------------------------


async def test_held_poll_ends_with_nothing(phone: Phone) -> None:
    began = time.monotonic()
    assert code_of(await phone.poll(wait=0.05)) == "204"
    assert time.monotonic() - began >= 0.045


async def test_held_poll_is_woken_by_the_event_within_milliseconds(
    worker: None, shop: Shop, phone: Phone
) -> None:
    await shop.server.post("/admin/v1/journeys", a_journey())
    latencies = []
    for _ in range(5):
        poll = await phone.waits()
        began = time.monotonic()
        await phone.upload(an_event())
        page = await poll
        latencies.append(time.monotonic() - began)
        assert len(page["messages"]) == 1
    assert min(latencies) < 0.1  # about 5 ms; the rest is for machines with much else to do


async def test_message_that_is_there_already_ends_a_hold_at_once(
    worker: None, shop: Shop, phone: Phone
) -> None:
    sent = await send(shop, phone)
    await shop.gateway.settled()
    assert [message["id"] for message in await phone.messages(wait=30)] == [sent]


async def test_message_for_somebody_else_wakes_nobody(
    worker: None, shop: Shop, phone: Phone
) -> None:
    other = await shop.new_phone()
    poll = await phone.waits()
    await send(shop, other)
    await shop.gateway.settled()
    assert len(await other.messages()) == 1
    assert not poll.done()
    await send(shop, phone)
    assert len((await poll)["messages"]) == 1


async def test_hold_goes_on_when_a_change_holds_no_news_for_the_device(
    worker: None, shop: Shop, phone: Phone
) -> None:
    tablet = await shop.new_phone()
    for device in (phone, tablet):
        await device.login("u1")
    await shop.gateway.settled()
    poll = await phone.waits()
    body = a_message({"device_id": tablet.device_id})
    await shop.server.post("/admin/v1/messages", body)
    await shop.gateway.settled()
    assert len(await tablet.messages()) == 1
    assert not poll.done()
    await send(shop, phone)
    assert len((await poll)["messages"]) == 1


async def test_all_devices_of_a_person_are_woken_on_all_edges(
    worker: None, gateway: Gateway, start_gateway: StartGateway, shop: Shop, phone: Phone
) -> None:
    other_edge = await start_gateway()
    tablet = await shop.new_phone()
    for device in (phone, tablet):
        await device.login("u1")
    await gateway.settled()
    away = Phone(Shop(other_edge, shop.app_id, "", ""), tablet.registered)
    away.token, away.profile_id = tablet.token, tablet.profile_id
    polls = [await phone.waits(), await away.waits()]
    sent = await send(shop, phone)
    for poll in polls:
        assert [message["id"] for message in (await poll)["messages"]] == [sent]


async def test_wake_up_that_was_lost_is_made_good_by_looking_again(
    start_gateway: StartGateway,
) -> None:
    gateway = await start_gateway(recheck_s=0.1)
    shop = await gateway.new_shop()
    phone = await shop.new_phone()
    await gateway.start_worker()
    sent = await send(shop, phone)
    await gateway.settled()
    key = keyspace.inbox(
        gateway.core.log.partition_of(phone.profile_id), shop.app_id, phone.profile_id
    )
    fields = await gateway.valkey("HGETALL", key)
    await gateway.valkey("DEL", key)
    phone.cursor = ""
    await phone.receive()
    poll = await phone.waits()
    # As if a commit had written it, and its announcement had got lost.
    await gateway.valkey("HSET", key, *fields)
    assert [message["id"] for message in (await poll)["messages"]] == [sent]


async def test_hold_ends_when_the_process_drains(gateway: Gateway, phone: Phone) -> None:
    poll = await phone.waits()
    gateway.application.drain()
    assert (await asyncio.wait_for(poll, 1))["messages"] == []
    answer = await phone.poll(wait=30)
    assert (code_of(answer), answer.headers["Connection"]) == ("204", "close")
    assert code_of(await gateway.http.get("/readyz")) == "503 draining"
    assert code_of(await gateway.http.get("/healthz")) == "200"


async def test_hold_survives_the_loss_of_the_subscription(
    worker: None, gateway: Gateway, shop: Shop, phone: Phone
) -> None:
    poll = await phone.waits()
    await gateway.valkey("CLIENT", "KILL", "TYPE", "pubsub")
    watch = gateway.application._watch
    assert watch is not None
    sent = await send(shop, phone)
    assert [message["id"] for message in (await poll)["messages"]] == [sent]
    await eventually(lambda: watch._subscription.complete)


async def test_nothing_of_a_hold_is_left_behind(gateway: Gateway, phone: Phone) -> None:
    for _ in range(3):
        await phone.poll(wait=0.01)
    watch = gateway.application._watch
    assert watch is not None
    assert (watch._waiters, watch._reading, gateway.core.metrics.gauges.holds) == ({}, {}, 0)


# --- streams ---------------------------------------------------------------------------------


async def test_stream_begins_with_what_is_there_and_goes_on_with_what_comes(
    worker: None, shop: Shop, phone: Phone
) -> None:
    first = await send(shop, phone)
    await shop.gateway.settled()
    async with phone.stream() as stream:
        assert [message["id"] for message in (await stream.page())["messages"]] == [first]
        headers = dict(stream.head["headers"])
        assert headers[b"content-type"] == b"text/event-stream"
        assert headers[b"x-zuruf"] == b"1"
        assert b"x-server-time" in headers
        second = await send(shop, phone)
        assert [message["id"] for message in (await stream.page())["messages"]] == [second]


async def test_stream_goes_on_after_the_last_event_that_was_seen(
    worker: None, shop: Shop, phone: Phone
) -> None:
    await send(shop, phone)
    await shop.gateway.settled()
    async with phone.stream() as stream:
        seen = (await stream.page())["cursor"]
    missed = await send(shop, phone)
    await shop.gateway.settled()
    async with phone.stream(after=seen) as stream:
        assert [message["id"] for message in (await stream.page())["messages"]] == [missed]


async def test_stream_tells_of_withdrawals(worker: None, shop: Shop, phone: Phone) -> None:
    sent = await send(shop, phone)
    await shop.gateway.settled()
    async with phone.stream() as stream:
        await stream.page()
        await shop.server.delete(f"/admin/v1/messages/{sent}")
        assert (await stream.page())["withdrawn"] == [sent]


async def test_quiet_stream_is_kept_alive(start_gateway: StartGateway) -> None:
    gateway = await start_gateway(stream_heartbeat_s=0.02)
    phone = await (await gateway.new_shop()).new_phone()
    async with phone.stream() as stream:
        await stream.page()
        assert list(await stream.next()) == ["comment"]
        assert list(await stream.next()) == ["comment"]


async def test_stream_of_a_device_that_moved_on_ends(
    worker: None, shop: Shop, phone: Phone
) -> None:
    async with phone.stream() as stream:
        await stream.page()
        await phone.login("u1")
        assert (await stream.next())["event"] == "superseded"
        assert await stream.next() == {}


async def test_stream_with_a_superseded_token_is_refused(shop: Shop, phone: Phone) -> None:
    old = await phone.login("u1")
    answer = await phone.ask("GET", "/v1/messages/stream", token=old)
    assert code_of(answer) == "401 token_superseded"


async def test_stream_of_a_process_that_drains_ends(gateway: Gateway, phone: Phone) -> None:
    async with phone.stream() as stream:
        await stream.page()
        gateway.application.drain()
        assert (await stream.next())["event"] == "drain"
        assert await stream.next() == {}


async def test_stream_that_was_hung_up_is_let_go(gateway: Gateway, phone: Phone) -> None:
    gauges = gateway.core.metrics.gauges
    async with phone.stream() as stream:
        await stream.page()
        assert gauges.holds == 1
        await stream.hang_up()
    assert gauges.holds == 0
