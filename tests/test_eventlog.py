from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import keyspace
from gateway.errors import StoreUnavailable
from gateway.eventlog import EventLog, Place
from gateway.records import (
    ConsentGiven,
    DeviceDeparted,
    DeviceRegistered,
    Event,
    EventsUploaded,
    MessageRequested,
    MessageWithdrawn,
    ProfileLinked,
    ProfileMerged,
    PushToken,
    Record,
    Sender,
    marks_of,
    marks_of_causes,
)
from gateway.settings import Settings
from gateway.valkey import Valkey
from tests.builders import NOW, a_read_event, uuid_of

PROFILE, DEVICE = "0" * 32, "d" * 32
SENDER = Sender("app1", PROFILE, DEVICE)


@pytest.fixture
async def store(settings: Settings) -> AsyncIterator[Valkey]:
    client = Valkey(settings.valkey_url)
    await client.connect()
    yield client
    await client.close()


@pytest.fixture
def log(store: Valkey, settings: Settings) -> EventLog:
    return EventLog(store, settings)


def an_upload(*events: Event, sender: Sender = SENDER) -> EventsUploaded:
    return EventsUploaded(sender, NOW, 0, list(events))


async def append(log: EventLog, *events: Event, batch: int = 1, sender: Sender = SENDER) -> int:
    """Append a batch; how many of its events were there already."""
    marks = marks_of(str(uuid_of(batch)), [event.id for event in events])
    return await log.append(an_upload(*events, sender=sender), marks)


async def read(log: EventLog, after: bytes = b"", count: int = 100) -> list[Any]:
    found = await log.read({0: Place(after, count)})
    return [entry.record for entry in found.get(0, [])]


async def events_in(log: EventLog) -> list[str]:
    return [event.id for record in await read(log) for event in record.events]


RECORDS: list[Record] = [
    an_upload(a_read_event(props={"a": [1, {"b": "ä"}]}, session_id="s")),
    DeviceRegistered(SENDER, NOW, "ios", "phone", PushToken("t" * 20, "apns"), {"analytics": True}),
    DeviceDeparted(SENDER, NOW),
    ConsentGiven(SENDER, NOW, NOW - 1, {"messaging": False}),
    ProfileLinked(SENDER, NOW, "f" * 32, "u1"),
    ProfileMerged(Sender("app1", PROFILE), NOW, "u1", "e" * 32, b"state", [b"one", b"two"]),
    MessageRequested(
        SENDER,
        NOW,
        "m1",
        50,
        60,
        {"once_per": "device", "limit": {"count": 2, "period_s": None}},
        b'{"layout":"modal"}',
        b'{"event":"e"}',
    ),
    MessageWithdrawn(SENDER, NOW, "m1"),
]


async def test_what_is_appended_is_read_in_order(log: EventLog) -> None:
    for record in RECORDS:
        await log.append(record, marks_of_causes(repr(record)))
    assert msgspec.to_builtins(await read(log)) == msgspec.to_builtins(RECORDS)


async def test_reading_goes_on_after_the_cursor_as_far_as_was_asked(log: EventLog) -> None:
    for number in range(5):
        await append(log, a_read_event(str(number)), batch=number)
    names: list[str] = []
    after = b""
    while found := await log.read({0: Place(after, 2)}):
        assert len(found[0]) <= 2
        after = found[0][-1].id
        for entry in found[0]:
            assert isinstance(entry.record, EventsUploaded)
            names += [event.name for event in entry.record.events]
    assert names == list("01234")


async def test_partitions_are_read_apart(log: EventLog, settings: Settings) -> None:
    for number in range(settings.partitions):
        sender = Sender("app1", f"{number:08x}" + "0" * 24, DEVICE)
        await append(log, a_read_event(), sender=sender)
    found = await log.read({p: Place(b"", 10) for p in range(settings.partitions)})
    assert {p: len(entries) for p, entries in found.items()} == {0: 1, 1: 1, 2: 1, 3: 1}
    for p, entries in found.items():
        record = entries[0].record
        assert isinstance(record, EventsUploaded)
        assert log.partition_of(record.sender.profile_id) == p


async def test_large_batch_is_stored_small_and_read_whole(log: EventLog, store: Valkey) -> None:
    events = [a_read_event(props={"text": "hello " * 100}) for _ in range(100)]
    await append(log, *events)
    assert await events_in(log) == [event.id for event in events]
    used = await store.call("MEMORY", "USAGE", keyspace.log(0))
    assert isinstance(used, int)
    assert used < len(msgspec.msgpack.encode(events)) / 3


async def test_batch_counts_once(log: EventLog) -> None:
    events = [a_read_event() for _ in range(3)]
    assert [await append(log, *events) for _ in range(3)] == [0, 3, 3]
    assert await events_in(log) == [event.id for event in events]


async def test_only_what_is_new_of_a_batch_is_read(log: EventLog) -> None:
    first, second, third, fourth = (a_read_event() for _ in range(4))
    await append(log, second, third, batch=1)
    assert await append(log, first, second, fourth, third, batch=2) == 2
    assert await events_in(log) == [second.id, third.id, first.id, fourth.id]


async def test_batch_with_nothing_new_leaves_no_entry(log: EventLog) -> None:
    events = [a_read_event() for _ in range(2)]
    await append(log, *events, batch=1)
    assert await append(log, *reversed(events), batch=2) == 2
    assert len(await read(log)) == 1


async def test_event_may_have_the_id_of_its_batch(log: EventLog) -> None:
    event = a_read_event(id=str(uuid_of(7)))
    assert await append(log, event, batch=7) == 0
    assert await append(log, event, batch=8) == 1


async def test_ids_are_the_same_in_capitals(log: EventLog) -> None:
    event = a_read_event()
    await append(log, event, batch=1)
    shouted = msgspec.structs.replace(event, id=event.id.upper())
    assert await append(log, shouted, batch=2) == 1


async def test_sources_have_memories_of_their_own(log: EventLog) -> None:
    event = a_read_event()
    senders = [SENDER, Sender("app1", PROFILE, "other"), Sender("app2", PROFILE, DEVICE)]
    assert [await append(log, event, sender=sender) for sender in senders] == [0, 0, 0]


async def test_memory_is_bounded_and_keeps_the_newest_half(log: EventLog, store: Valkey) -> None:
    batches = [[a_read_event() for _ in range(100)] for _ in range(15)]
    for number, events in enumerate(batches):
        await append(log, *events, batch=number)
    size = await store.call("STRLEN", keyspace.seen(0, "app1", DEVICE))
    assert isinstance(size, int)
    assert size <= 8 * 1024 + 15
    for number in (-1, -2, -3, -4, -5):
        assert await append(log, *batches[number], batch=100 + number) == 100


async def test_memory_lasts_a_week_from_the_last_upload(log: EventLog, store: Valkey) -> None:
    key, week_ms, day_ms = keyspace.seen(0, "app1", DEVICE), 7 * 86_400_000, 86_400_000
    left_ms = 0
    for number in range(20):
        await append(log, a_read_event(), batch=number)
        ttl = await store.call("PTTL", key)
        assert isinstance(ttl, int)
        assert week_ms - 60_000 <= ttl <= 2 * week_ms
        left_ms = ttl - day_ms  # a day goes by
        await store.call("PEXPIRE", key, left_ms)
    assert left_ms > 0


async def test_append_to_a_store_that_is_gone_is_not_acknowledged(settings: Settings) -> None:
    client = Valkey(settings.valkey_url)
    log = EventLog(client, settings)
    with pytest.raises(StoreUnavailable):
        await append(log, a_read_event())


@pytest.mark.parametrize(
    "id",
    [
        "",
        "x" * 36,
        "0" * 36,
        "0192-0000-0000-7000-8000-00000000000001"[:36],
        "00000000-0000-4000-8000-00000000000g",
        "00000000-0000-4000-8000-00000000 000",
        " 0000000-0000-4000-8000-000000000000",
        "00000000_0000_4000_8000_000000000000",
        "٠0000000-0000-4000-8000-000000000000",
        "{0000000-0000-4000-8000-00000000000}",
    ],
)
def test_id_that_is_no_uuid_has_no_marks(id: str) -> None:
    good = str(uuid_of(1))
    for batch, events in ((id, []), (good, [id]), (good, [good, id]), (good, [id, good])):
        with pytest.raises(ValueError, match=r"UUID|fromhex|hexadecimal"):
            marks_of(batch, events)


@given(st.lists(st.uuids(), unique=True, min_size=2, max_size=20))
def test_different_ids_have_different_marks(ids: list[Any]) -> None:
    marks = marks_of(str(ids[0]), [str(id) for id in ids])
    prints = [marks.fingerprints[at : at + 8] for at in range(0, len(marks.fingerprints), 8)]
    assert len(set(prints)) == len(prints) == len(ids) + 1
    assert marks.oldest <= marks.newest
