"""Limits of the process, and that limits are settings; those of a body are in test_bad_input."""

import asyncio
from collections.abc import AsyncIterator

import httpx2
import msgspec
import pytest
import valkey

from gateway.edge import Buckets
from gateway.errors import PROBLEMS
from tests.builders import NOW, a_batch, a_content, a_journey, a_message, an_event
from tests.clients import Gateway, Phone, SettableClock, Shop, code_of, eventually
from tests.conftest import StartGateway


async def test_time_is_what_the_clock_says(phone: Phone, clock: SettableClock) -> None:
    clock.forward(seconds=1)
    assert (await phone.poll()).headers["X-Server-Time"] == str(NOW + 1_000)


@pytest.mark.parametrize("setting", ["body_bytes_max", "event_bytes_max", "batch_events_max"])
async def test_limits_are_settings(start_gateway: StartGateway, setting: str) -> None:
    event = an_event(props={"v": "v" * 1000})
    body = msgspec.json.encode(a_batch(event, event | {"id": an_event()["id"]}))
    size, code = {
        "body_bytes_max": (len(body), "body_too_large"),
        "event_bytes_max": (len(msgspec.json.encode(event)), "nothing_acceptable"),
        "batch_events_max": (2, "too_many_events"),
    }[setting]
    for limit, expected in ((size, "200"), (size - 1, f"{PROBLEMS[code][0]} {code}")):
        gateway = await start_gateway(**{setting: limit})
        phone = await (await gateway.new_shop()).new_phone()
        assert code_of(await phone.send(body)) == expected


async def test_device_that_sends_too_fast_is_told_when_to_come_back(
    start_gateway: StartGateway,
) -> None:
    gateway = await start_gateway(device_rate=0.25, device_burst=3)
    shop = await gateway.new_shop()
    phone, other = await shop.new_phone(), await shop.new_phone()
    codes = [code_of(await phone.poll()) for _ in range(4)]
    assert codes == ["204"] * 3 + ["429 device_rate_limited"]
    assert int((await phone.poll()).headers["Retry-After"]) in {4, 5}
    assert code_of(await other.poll()) == "204"


async def test_app_that_sends_too_fast_does_not_slow_others(start_gateway: StartGateway) -> None:
    gateway = await start_gateway(app_rate=0.01, app_burst=2)
    shop, other_shop = await gateway.new_shop(), await gateway.new_shop()
    phones = [await shop.new_phone() for _ in range(3)]
    codes = [code_of(await phone.poll()) for phone in phones]
    assert codes == ["204", "204", "429 app_rate_limited"]
    assert code_of(await (await other_shop.new_phone()).poll()) == "204"


async def test_address_cannot_register_without_end_whatever_it_forwards(
    start_gateway: StartGateway,
) -> None:
    gateway = await start_gateway(registration_rate=0.01, registration_burst=2)
    shop = await gateway.new_shop()
    codes = [
        code_of(await shop.register(None, **{"X-Forwarded-For": f"10.0.0.{number}"}))
        for number in range(3)
    ]
    assert codes == ["201", "201", "429 registration_rate_limited"]


def test_bucket_gives_its_burst_and_then_its_rate() -> None:
    bucket = Buckets(rate=2.0, burst=3)
    assert [bucket.take("d", 100.0) == 0 for _ in range(4)] == [True, True, True, False]
    assert bucket.take("d", 100.0) == pytest.approx(0.5)
    assert bucket.take("d", 100.4) > 0
    assert bucket.take("d", 100.5) == 0
    assert [bucket.take("d", 1_000.0) == 0 for _ in range(4)] == [True, True, True, False]


async def test_holds_have_a_limit(start_gateway: StartGateway) -> None:
    gateway = await start_gateway(holds_max=2)
    shop = await gateway.new_shop()
    phones = [await shop.new_phone() for _ in range(3)]
    held = [await phone.waits() for phone in phones[:2]]
    assert code_of(await phones[2].poll(wait=10)) == "503 overloaded"
    assert code_of(await phones[2].poll()) == "204"
    refused = await phones[2].ask("GET", "/v1/messages/stream")
    assert code_of(refused) == "503 overloaded"
    held[0].cancel()
    await eventually(held[0].done)
    poll = await phones[2].waits()
    for task in (held[1], poll):
        assert not task.done()
        task.cancel()
        await eventually(task.done)


async def test_bodies_in_flight_have_a_limit(start_gateway: StartGateway) -> None:
    body = msgspec.json.encode(a_batch(an_event()))
    gateway = await start_gateway(in_flight_bytes_max=len(body))
    phone = await (await gateway.new_shop()).new_phone()
    gauges = gateway.core.metrics.gauges
    # On a connection of its own: what follows a paused command on its connection waits, too.
    other = valkey.Valkey.from_url(gateway.settings.valkey_url)
    other.client_pause(10_000, all=False)
    try:
        first = asyncio.create_task(phone.send(body))
        await eventually(lambda: gauges.in_flight_bytes == len(body))
        second = asyncio.create_task(phone.send(body))  # at the limit, not above it
        await eventually(lambda: gauges.in_flight_bytes == 2 * len(body))
        assert code_of(await phone.send(body)) == "503 overloaded"
    finally:
        other.client_unpause()
        other.close()  # type: ignore[no-untyped-call]
    assert {code_of(await first), code_of(await second)} == {"200"}
    assert code_of(await phone.send(body)) == "200"


async def test_bodies_that_arrive_slowly_have_a_limit_and_keep_out_only_their_like(
    start_gateway: StartGateway,
) -> None:
    gateway = await start_gateway(in_flight_bytes_max=1_000)
    phone = await (await gateway.new_shop()).new_phone()
    edge = gateway.application.edge
    assert edge is not None
    whole = msgspec.json.encode(a_batch(an_event()))
    rest = asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield b" " * 600
        await rest.wait()
        yield whole

    def begin() -> asyncio.Task[httpx2.Response]:
        return asyncio.create_task(phone.ask("POST", "/v1/events", content=slowly()))

    first = begin()
    await eventually(lambda: edge._arriving_bytes == 600)
    second = begin()
    await eventually(lambda: edge._arriving_bytes == 1_200)
    assert code_of(await phone.send(whole)) == "200", "it came in one piece"
    rest.set()
    assert max([code_of(await first), code_of(await second)]) == "503 overloaded"
    assert edge._arriving_bytes == 0
    assert code_of(await begin()) == "200"


async def test_body_of_a_stranger_is_not_even_read(gateway: Gateway) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b" " * 1_000

    for method, path in (("POST", "/admin/v1/journeys"), ("PUT", "/admin/v1/app")):
        answer = await gateway.http.request(method, path, content=endless())
        assert code_of(answer) == "401 key_invalid"


async def test_full_store_refuses_uploads_and_forgets_nothing(
    gateway: Gateway, worker: None, shop: Shop, phone: Phone
) -> None:
    await phone.upload(an_event())
    limit = await gateway.valkey("CONFIG", "GET", "maxmemory")
    await gateway.valkey("CONFIG", "SET", "maxmemory", "1mb")
    try:
        answer = await phone.send(a_batch(an_event()))
        assert code_of(answer) == "503 overloaded"
        assert code_of(await phone.poll()) in {"200", "204"}
        admin = await shop.server.ask("POST", "/admin/v1/journeys", json=a_journey())
        assert code_of(admin) == "503 overloaded"
        assert code_of(await gateway.http.get("/readyz")) == "503 overloaded"
        assert code_of(await gateway.http.get("/metrics")) == "200"
    finally:
        await gateway.valkey("CONFIG", "SET", "maxmemory", limit[1])
    await phone.upload(an_event())
    assert (await shop.profile(phone.profile_id))["events"] == 2


async def test_live_messages_have_a_limit(start_gateway: StartGateway) -> None:
    gateway = await start_gateway(inbox_messages_max=3)
    await gateway.start_worker()
    shop = await gateway.new_shop()
    phone = await shop.new_phone()
    await gateway.settled()
    for number in range(4):
        message = a_message({"profile_id": phone.profile_id}, content=a_content(str(number)))
        await shop.server.post("/admin/v1/messages", message)
    await gateway.settled()
    titles = [message["content"]["title"] for message in await phone.messages()]
    assert titles == ["0", "1", "2"]
    outcomes = [
        (decision["outcome"], decision.get("failed_gate"))
        for decision in await shop.server.decisions(phone.profile_id)
    ]
    assert sorted(outcomes, key=str) == [("sent", None)] * 3 + [("stopped", "inbox")]


async def test_journeys_have_a_limit(start_gateway: StartGateway) -> None:
    shop = await (await start_gateway(journeys_max=2)).new_shop()
    answers = [
        await shop.server.ask("POST", "/admin/v1/journeys", json=a_journey()) for _ in range(3)
    ]
    assert [code_of(answer) for answer in answers] == ["201", "201", "409 conflict"]


async def test_admin_request_counts_once_towards_the_rate_of_its_app(
    start_gateway: StartGateway,
) -> None:
    gateway = await start_gateway(app_rate=0.001, app_burst=2)
    shop = await gateway.new_shop()
    codes = [code_of(await shop.server.ask("PUT", "/admin/v1/app", json={})) for _ in range(3)]
    assert codes == ["200", "200", "429 app_rate_limited"]
