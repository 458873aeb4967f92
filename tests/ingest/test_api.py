import asyncio
import gzip
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from gateway import keyspace
from tests.builders import NOW, a_batch, an_event, zstd_compress
from tests.clients import Gateway, Phone, SettableClock, Shop, code_of
from tests.conftest import StartGateway


async def log_length(gateway: Gateway) -> int:
    """Entries in the log, all partitions together."""
    lengths = [
        await gateway.valkey("XLEN", keyspace.log(p)) for p in range(gateway.settings.partitions)
    ]
    return sum(lengths)


async def test_upload_is_acknowledged_and_counted(phone: Phone) -> None:
    answer = await phone.send(a_batch(an_event(), an_event()))
    assert answer.json() == {
        "accepted": 2,
        "duplicates": 0,
        "rejected": [],
        "durability": "fsync",
    }


async def test_one_batch_is_one_entry_of_the_log(gateway: Gateway, phone: Phone) -> None:
    before = await log_length(gateway)
    await phone.upload(*[an_event() for _ in range(50)])
    assert await log_length(gateway) == before + 1


async def test_batch_that_is_sent_again_changes_nothing(
    worker: None, shop: Shop, phone: Phone
) -> None:
    batch = a_batch(an_event(), an_event())
    await phone.send(batch)
    again = (await phone.send(batch)).json()
    assert (again["accepted"], again["duplicates"]) == (0, 2)
    assert (await shop.profile(phone.profile_id))["events"] == 2


async def test_event_that_comes_again_in_another_batch_counts_once(
    worker: None, shop: Shop, phone: Phone
) -> None:
    first, second, third = an_event(), an_event(), an_event()
    await phone.upload(first, second)
    report = await phone.upload(second, third, first)
    assert (report["accepted"], report["duplicates"]) == (1, 2)
    assert (await shop.profile(phone.profile_id))["events"] == 3


async def test_the_same_batch_a_hundred_times_at_once_is_stored_once(
    worker: None, start_gateway: StartGateway, shop: Shop, phone: Phone
) -> None:
    other_edge = await start_gateway()
    batch = msgspec.json.encode(a_batch(an_event(), an_event()))

    async def send(number: int) -> int:
        http = (shop.gateway, other_edge)[number % 2].http
        answer = await http.post("/v1/events", content=batch, headers=phone.headers())
        accepted: int = answer.json()["accepted"]
        return accepted

    assert sum(await asyncio.gather(*map(send, range(100)))) == 2
    assert (await shop.profile(phone.profile_id))["events"] == 2


async def test_two_devices_may_use_the_same_ids(worker: None, shop: Shop, phone: Phone) -> None:
    batch = a_batch(an_event())
    other = await shop.new_phone()
    assert [(await sender.send(batch)).json()["accepted"] for sender in (phone, other)] == [1, 1]


async def test_ids_of_every_version_of_uuid_are_told_apart(phone: Phone) -> None:
    """Version 1 and 6 ids of one device differ in their first half only, others in their second."""
    for place in ("{:08x}-0000-1000-8000-00155d010203", "00155d01-0203-4000-8000-0000{:08x}"):
        for number in (5, 3, 4, 2):
            report = await phone.upload(an_event(id=place.format(number)))
            assert report["accepted"] == 1, place


async def test_memory_of_ids_reaches_back_a_thousand_events(phone: Phone) -> None:
    first = a_batch(*[an_event() for _ in range(400)])
    await phone.send(first)
    await phone.send(a_batch(*[an_event() for _ in range(100)]))
    assert (await phone.send(first)).json()["duplicates"] == 400


async def test_bad_event_does_not_reject_its_neighbours(
    worker: None, shop: Shop, phone: Phone
) -> None:
    answer = await phone.send(a_batch(an_event(), an_event("n" * 129), an_event()))
    assert answer.status_code == 200
    report = answer.json()
    assert (report["accepted"], report["duplicates"]) == (2, 0)
    assert [(bad["index"], bad["code"]) for bad in report["rejected"]] == [(1, "name_too_long")]
    assert (await shop.profile(phone.profile_id))["events"] == 2


async def test_batch_with_only_bad_events_is_refused_with_all_verdicts(phone: Phone) -> None:
    answer = await phone.send(a_batch(an_event(""), an_event(ts=-1)))
    assert code_of(answer) == "400 nothing_acceptable"
    assert [bad["index"] for bad in answer.json()["rejected"]] == [0, 1]


async def test_changes_of_a_profile_are_seen_in_it(worker: None, shop: Shop, phone: Phone) -> None:
    company = {"group_id": "acme", "size": 10}
    changes = {
        "set": {"plan": "pro", "city": "Bonn"},
        "set_once": {"plan": "free", "source": "ad"},
        "increment": {"visits": 2, "city": 1},
        "unset": {"source": None},
    }
    answer = await phone.send(
        a_batch(
            *[an_event(name, type="profile", props=props) for name, props in changes.items()],
            an_event("increment", type="profile", props={"visits": "two"}),
            an_event("company", type="group", props=company, seq=5),
            an_event("alias", type="alias", props={"alias": "crm-7"}),
        )
    )
    (rejected,) = answer.json()["rejected"]
    assert (rejected["index"], rejected["code"]) == (4, "invalid_event")
    profile = await shop.profile(phone.profile_id)
    assert profile["attributes"] == {"plan": "pro", "city": "Bonn", "visits": 2}
    assert profile["groups"] == {"company": {"id": "acme", "properties": {"size": 10}}}
    assert (profile["aliases"], profile["left_out"]) == (["crm-7"], {"not_a_number": 1})
    assert profile["events"] == 6


async def test_server_may_change_a_profile_too(worker: None, shop: Shop, phone: Phone) -> None:
    await phone.login("u1")
    body = a_batch(
        an_event("increment", type="profile", props={"orders": 1}, user_id="u1"),
        an_event("multiply", type="profile", props={"orders": 2}, user_id="u1"),
    )
    answer = await shop.server.post("/admin/v1/events", body)
    assert (answer["accepted"], len(answer["rejected"])) == (1, 1)
    assert (await shop.profile(phone.profile_id))["attributes"] == {"orders": 1}


async def test_batch_of_duplicates_and_bad_events_is_no_failure(phone: Phone) -> None:
    event = an_event()
    await phone.upload(event)
    answer = await phone.send(a_batch(event, an_event("")))
    assert answer.status_code == 200
    assert (answer.json()["duplicates"], len(answer.json()["rejected"])) == (1, 1)


async def test_messagepack_goes_in_and_comes_out(phone: Phone) -> None:
    answer = await phone.send(
        msgspec.msgpack.encode(a_batch(an_event())),
        **{"Content-Type": "application/msgpack", "Accept": "application/x-msgpack"},
    )
    assert answer.headers["Content-Type"] == "application/msgpack"
    assert msgspec.msgpack.decode(answer.content)["accepted"] == 1


@pytest.mark.parametrize("encoding, compress", [("gzip", gzip.compress), ("zstd", zstd_compress)])
async def test_compressed_bodies_are_read(
    phone: Phone, encoding: str, compress: Callable[[bytes], bytes]
) -> None:
    body = msgspec.json.encode(a_batch(an_event()))
    answer = await phone.send(compress(body), **{"Content-Encoding": encoding})
    assert answer.json()["accepted"] == 1


async def test_device_time_is_corrected_by_the_clock_reading(
    worker: None, shop: Shop, phone: Phone
) -> None:
    hour_ms = 3_600_000
    await phone.upload(
        an_event(ts=NOW - hour_ms - 5_000),
        sent_at=NOW - hour_ms,
        clock={"offset_ms": hour_ms, "rtt_ms": 50},
    )
    assert (await shop.profile(phone.profile_id))["last_seen"] == NOW


async def test_no_event_is_placed_later_than_its_arrival(
    worker: None, shop: Shop, phone: Phone, clock: SettableClock
) -> None:
    await phone.upload(an_event(ts=NOW + 86_400_000))
    assert (await shop.profile(phone.profile_id))["last_seen"] == clock.at


async def test_no_event_is_placed_before_1970(worker: None, shop: Shop, phone: Phone) -> None:
    await phone.upload(an_event(ts=0), sent_at=4_102_444_800_000)
    await phone.upload(an_event(ts=1), clock={"offset_ms": -(10**13), "rtt_ms": 0})
    assert (await shop.profile(phone.profile_id))["first_seen"] >= 0


async def test_what_the_client_dropped_is_counted(gateway: Gateway, phone: Phone) -> None:
    report = [{"reason": "queue_overflow", "quantity": 3}, {"reason": "too_old", "quantity": 1}]
    await phone.upload(an_event(), client_report=report)
    assert gateway.core.metrics.counts.client_drops == {"queue_overflow": 3, "too_old": 1}


# --- server events ---------------------------------------------------------------------------


async def send_server_events(shop: Shop, *events: Any) -> Any:
    return await shop.server.post("/admin/v1/events", a_batch(*events))


async def test_server_event_counts_for_the_user_it_names(worker: None, shop: Shop) -> None:
    report = await send_server_events(
        shop, an_event(user_id="u1"), an_event(user_id="u2"), an_event(user_id="u1")
    )
    assert report["accepted"] == 3
    await shop.gateway.settled()
    counts = [
        (await shop.server.get("/admin/v1/profiles", user_id=user))["events"]
        for user in ("u1", "u2")
    ]
    assert counts == [2, 1]


async def test_server_event_names_its_user_even_before_a_device_does(
    worker: None, shop: Shop
) -> None:
    await send_server_events(shop, an_event(user_id="u1"))
    await shop.gateway.settled()
    assert (await shop.server.get("/admin/v1/profiles", user_id="u1"))["user_id"] == "u1"


async def test_server_event_may_name_an_anonymous_profile(
    worker: None, shop: Shop, phone: Phone
) -> None:
    await send_server_events(shop, an_event(profile_id=phone.profile_id))
    assert (await shop.profile(phone.profile_id))["counts"] == {"purchase": 1}


async def test_server_batch_that_is_sent_again_changes_nothing(worker: None, shop: Shop) -> None:
    batch = a_batch(an_event(user_id="u1"), an_event(user_id="u2"))
    await shop.server.post("/admin/v1/events", batch)
    report = await shop.server.post("/admin/v1/events", batch)
    assert (report["accepted"], report["duplicates"]) == (0, 2)


async def test_server_event_for_nobody_does_not_reject_its_neighbours(
    worker: None, shop: Shop
) -> None:
    report = await send_server_events(shop, an_event(user_id="u1"), an_event())
    assert report["accepted"] == 1
    assert [(bad["index"], bad["code"]) for bad in report["rejected"]] == [(1, "invalid_event")]


async def test_server_event_with_a_strange_profile_id_is_rejected(shop: Shop) -> None:
    for profile_id in ("", "x" * 32, "a" * 31, "a" * 33, "A" * 32, "a" * 32 + "\n"):
        batch = a_batch(an_event(profile_id=profile_id))
        answer = await shop.server.ask("POST", "/admin/v1/events", json=batch)
        assert code_of(answer) == "400 nothing_acceptable", repr(profile_id)
