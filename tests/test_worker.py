from collections.abc import Awaitable, Callable

import msgspec

from gateway import keyspace
from gateway.records import DeviceRegistered, Sender, marks_of_causes
from gateway.worker import Worker, _parts, owner_of
from tests.builders import a_journey, a_message, an_event
from tests.clients import Gateway, Phone, SettableClock, Shop, eventually
from tests.conftest import StartGateway


def partition_of(phone: Phone) -> int:
    return phone.shop.gateway.core.log.partition_of(phone.profile_id)


def has_events(shop: Shop, phone: Phone, count: int) -> Callable[[], Awaitable[bool]]:
    """Whether exactly so many events of a profile were counted."""

    async def look() -> bool:
        answer = await shop.server.ask("GET", f"/admin/v1/profiles/{phone.profile_id}")
        events = answer.json().get("events", 0)
        assert events <= count, "an event was counted twice"
        return bool(events == count)

    return look


async def stop(worker: Worker) -> None:
    worker.stop()
    await eventually(
        lambda: worker._subscription._task is None or worker._subscription._task.done()
    )
    await eventually(lambda: not worker._owned)


# --- owning partitions -----------------------------------------------------------------------


async def test_commit_of_a_zombie_changes_nothing(gateway: Gateway) -> None:
    epoch, cursor = keyspace.epoch(0), keyspace.cursor(0)
    await gateway.valkey("SET", epoch, 5)

    async def commit(under: int, value: str) -> object:
        command = ("4", "HSET", cursor, "react", value)
        return await gateway.valkey("FCALL", "commit", 2, epoch, cursor, under, *command)

    assert await commit(5, "1-0") == 1
    for stale in (4, 0, 6):
        assert await commit(stale, "2-0") == 0
    assert await gateway.valkey("HGET", cursor, "react") == b"1-0"


async def test_refused_command_stops_neither_the_others_nor_the_partition(
    gateway: Gateway, shop: Shop, phone: Phone
) -> None:
    """A function can't be rolled back: stopping halfway would count the same events for ever."""
    await gateway.start_worker()
    partition = partition_of(phone)
    await shop.server.post("/admin/v1/journeys", a_journey())
    await gateway.valkey(
        "SET", keyspace.decisions(partition, shop.app_id, phone.profile_id), "not a list"
    )
    await phone.upload(an_event(name="purchase"))
    assert len(await phone.messages(wait=5)) == 1
    await phone.upload(an_event(name="purchase"))
    await eventually(has_events(shop, phone, 2))
    assert gateway.core.metrics.counts.commands_refused


async def test_owner_that_lost_its_partition_writes_nothing_and_starts_afresh(
    gateway: Gateway, shop: Shop, phone: Phone
) -> None:
    await gateway.start_worker()
    await phone.upload(an_event())
    await eventually(has_events(shop, phone, 1))
    await gateway.valkey("INCR", keyspace.epoch(partition_of(phone)))  # a newer owner
    await phone.upload(an_event())
    await eventually(lambda: gateway.core.metrics.counts.commits_fenced)
    await eventually(has_events(shop, phone, 2))


async def test_next_owner_goes_on_where_the_last_one_stopped(
    gateway: Gateway, shop: Shop, phone: Phone
) -> None:
    first = await gateway.start_worker("first")
    await phone.upload(an_event())
    await eventually(has_events(shop, phone, 1))
    await stop(first)
    await phone.upload(an_event(), an_event())
    await gateway.start_worker("second")
    await eventually(has_events(shop, phone, 3))


async def test_partitions_of_a_worker_that_died_are_taken_when_its_lease_is_over(
    gateway: Gateway, shop: Shop, phone: Phone
) -> None:
    for p in range(gateway.settings.partitions):
        await gateway.valkey("SET", keyspace.lease(p), "a ghost", "PX", 100)
    await phone.upload(an_event())
    worker = await gateway.start_worker()
    await eventually(lambda: len(worker._owned) == gateway.settings.partitions)
    await eventually(has_events(shop, phone, 1))


async def test_workers_share_the_partitions_and_take_over_from_each_other(
    start_gateway: StartGateway,
) -> None:
    gateway = await start_gateway(partitions=16, lease_s=0.15)
    shop = await gateway.new_shop()
    phones = [await shop.new_phone() for _ in range(12)]
    sent = 0

    async def everyone_uploads() -> None:
        nonlocal sent
        sent += 1
        for phone in phones:
            await phone.upload(an_event())

    first = await gateway.start_worker("first")
    await everyone_uploads()
    second = await gateway.start_worker("second")
    await everyone_uploads()
    await eventually(lambda: first._owned and second._owned)
    await eventually(lambda: len(first._owned) + len(second._owned) == 16)
    assert not first._owned.keys() & second._owned.keys()
    await everyone_uploads()
    await stop(second)
    await everyone_uploads()
    await eventually(lambda: len(first._owned) == 16)
    for phone in phones:
        await eventually(has_events(shop, phone, sent))


def test_partition_moves_only_to_a_worker_that_comes_or_from_one_that_goes() -> None:
    names = [f"worker-{n}" for n in range(5)]
    before = {p: owner_of(p, names) for p in range(256)}
    after = {p: owner_of(p, [*names, "new"]) for p in range(256)}
    moved = {p for p in before if before[p] != after[p]}
    assert {after[p] for p in moved} == {"new"}
    assert 0 < len(moved) < 256 / 3
    assert set(before.values()) == set(names)
    assert owner_of(0, []) is None


async def test_worker_that_lost_contact_counts_nothing_twice(
    gateway: Gateway, shop: Shop, phone: Phone
) -> None:
    await gateway.start_worker()
    for count in range(1, 6):
        await phone.upload(an_event())
        # Everything but the connection that asks for it; the answer to a commit may be lost.
        await gateway.valkey("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        await gateway.valkey("CLIENT", "KILL", "TYPE", "pubsub")
        await eventually(has_events(shop, phone, count))


# --- turns that do a lot ---------------------------------------------------------------------


async def test_batch_that_leads_to_thousands_of_decisions_counts_once(
    start_gateway: StartGateway,
) -> None:
    """Lua refuses commands of 8,000 words, and does not take back what it did before."""
    gateway = await start_gateway(decisions_max=10_000)
    shop = await gateway.new_shop()
    for _ in range(18):
        await shop.server.post("/admin/v1/journeys", a_journey(limits={"per_profile": 1}))
    await gateway.settled()
    await gateway.start_worker()
    phone = await shop.new_phone()
    await phone.upload(*(an_event() for _ in range(500)))
    await eventually(has_events(shop, phone, 500))
    await phone.upload(an_event())
    await eventually(has_events(shop, phone, 501))
    key = keyspace.decisions(partition_of(phone), shop.app_id, phone.profile_id)
    assert await gateway.valkey("LLEN", key) == 18 * 501


def test_command_too_long_for_lua_becomes_several_that_do_the_same() -> None:
    short = ("HSET", "inbox", "v", 1)
    assert list(_parts(short)) == [short]
    pairs = [word for n in range(5_000) for word in (f"field {n}", f"value {n}")]
    parts = list(_parts(("HSET", "inbox", *pairs)))
    assert all(part[:2] == ("HSET", "inbox") and len(part) % 2 == 0 for part in parts)
    assert max(map(len, parts)) < 8_000
    assert [word for part in parts for word in part[2:]] == pairs


# --- records that cannot be worked with ------------------------------------------------------


async def append_poison(gateway: Gateway, phone: Phone, number: int = 0) -> None:
    """A registration without a device: nobody can send one, and no model knows what to do with it."""
    record = DeviceRegistered(Sender(phone.shop.app_id, phone.profile_id), 0, "ios", "phone")
    await gateway.core.log.append(record, marks_of_causes("poison", number))


async def test_record_that_fails_is_set_aside_and_the_next_ones_count(
    gateway: Gateway, shop: Shop, phone: Phone
) -> None:
    await phone.upload(an_event())
    await append_poison(gateway, phone)
    await phone.upload(an_event())
    await append_poison(gateway, phone, 1)
    await phone.upload(an_event())
    await gateway.start_worker()
    await eventually(has_events(shop, phone, 3))
    dead = await gateway.valkey("XRANGE", keyspace.dead(partition_of(phone)), "-", "+")
    assert len(dead) == 2
    fields = dead[0][1]
    assert set(fields[::2]) == {b"id", b"record", b"error"}
    assert phone.profile_id.encode() in fields[3]
    assert b"AssertionError" in fields[5]


async def test_record_that_fails_keeps_no_timer_from_firing(
    gateway: Gateway, shop: Shop, phone: Phone, clock: SettableClock
) -> None:
    worker = await gateway.start_worker()
    await gateway.settled()
    message = a_message({"profile_id": phone.profile_id}, ttl_s=60)
    await shop.server.post("/admin/v1/messages", message)
    await gateway.settled()
    await stop(worker)
    await append_poison(gateway, phone)
    clock.forward(seconds=60)
    await gateway.start_worker("second")
    timers = keyspace.timers(partition_of(phone))

    async def is_done() -> bool:
        return int(await gateway.valkey("ZCARD", timers)) == 0

    await eventually(is_done, within_s=2)


async def test_entry_that_cannot_be_read_is_set_aside(
    gateway: Gateway, shop: Shop, phone: Phone
) -> None:
    await gateway.start_worker()
    await gateway.valkey("XADD", keyspace.log(partition_of(phone)), "*", "b", b"\xc1")
    await phone.upload(an_event())
    await eventually(has_events(shop, phone, 1), within_s=1)


# --- timers and the log ----------------------------------------------------------------------


async def test_message_that_expires_makes_room(
    start_gateway: StartGateway, clock: SettableClock
) -> None:
    gateway = await start_gateway(inbox_messages_max=1)
    await gateway.start_worker()
    shop = await gateway.new_shop()
    phone = await shop.new_phone()
    await gateway.settled()
    message = a_message({"profile_id": phone.profile_id}, ttl_s=60)

    async def send() -> int:
        await shop.server.post("/admin/v1/messages", message)
        await gateway.settled()
        phone.cursor = ""
        return len(await phone.messages())

    assert [await send(), await send()] == [1, 1]
    clock.forward(seconds=59)
    assert await send() == 1
    outcomes = [decision["outcome"] for decision in await shop.server.decisions(phone.profile_id)]
    assert sorted(outcomes) == ["sent", "stopped", "stopped"]
    clock.forward(seconds=1)
    timers = keyspace.timers(partition_of(phone))

    async def is_done() -> bool:
        return int(await gateway.valkey("ZCARD", timers)) == 0

    await eventually(is_done)
    assert await send() == 1


async def test_timers_survive_their_owner(
    gateway: Gateway, shop: Shop, phone: Phone, clock: SettableClock
) -> None:
    first = await gateway.start_worker("first")
    await gateway.settled()
    for _ in range(250):  # more than one turn takes
        message = a_message({"profile_id": phone.profile_id}, ttl_s=60)
        await shop.server.post("/admin/v1/messages", message)
    await gateway.settled()
    await stop(first)
    clock.forward(seconds=60)
    await gateway.start_worker("second")
    timers = keyspace.timers(partition_of(phone))

    async def is_done() -> bool:
        return int(await gateway.valkey("ZCARD", timers)) == 0

    await eventually(is_done)


async def test_log_is_trimmed_behind_its_reader(
    gateway: Gateway, worker: None, shop: Shop, phone: Phone
) -> None:
    for _ in range(450):
        await phone.upload(an_event())
    await gateway.settled()
    log = keyspace.log(partition_of(phone))
    assert 0 < await gateway.valkey("XLEN", log) <= 200
    assert (await shop.profile(phone.profile_id))["events"] == 450


async def test_log_without_a_reader_is_kept(gateway: Gateway, phone: Phone) -> None:
    for _ in range(150):
        await phone.upload(an_event())
    assert await gateway.valkey("XLEN", keyspace.log(partition_of(phone))) >= 150


async def test_all_that_an_event_does_is_one_transaction(
    gateway: Gateway, worker: None, shop: Shop, phone: Phone
) -> None:
    """State, inbox, timer, decision and cursor: what one connection sees of them, it sees at once."""
    await shop.server.post("/admin/v1/journeys", a_journey())
    await gateway.settled()
    p, app, profile = partition_of(phone), shop.app_id, phone.profile_id
    looked = (
        ("MULTI",),
        ("HLEN", keyspace.inbox(p, app, profile)),
        ("LLEN", keyspace.decisions(p, app, profile)),
        ("ZCARD", keyspace.timers(p)),
        ("EXEC",),
    )
    seen = set()

    async def all_is_there() -> bool:
        *_, found = await gateway.core.valkey.call_all(looked)
        assert isinstance(found, list)
        seen.add(msgspec.json.encode([bool(part) for part in found]))
        return bool(found[0])

    await phone.upload(an_event())
    await eventually(all_is_there)
    assert seen <= {b"[false,false,false]", b"[true,true,true]"}
