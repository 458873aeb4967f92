"""What is kept of messages, and for how long."""

import queue
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sdk.fakes import ManualClock, a_message
from zuruf import Config, Message
from zuruf.decisions.identity import Identity
from zuruf.decisions.settings import Settings
from zuruf.decisions.values import DAY_MS
from zuruf.events import Uuid7Source
from zuruf.handover import ENDED_KEPT_MAX as ENDED_IN_HANDOVER_MAX
from zuruf.handover import Handover
from zuruf.leases import Leases
from zuruf.message_store import ENDED_KEPT_MAX, IMPRESSIONS_KEPT_MS, MessageStore
from zuruf.messages import read_message
from zuruf.recorder import Recorder
from zuruf.storage import Storage
from zuruf.workspace import USER, Workspace

NOW_MS = 1_763_750_000_000


@pytest.fixture
def storage() -> Iterator[Storage]:
    storage = Storage(None)
    storage.open()
    yield storage
    storage.close()


@pytest.fixture
def store(storage: Storage, tmp_path: Path) -> MessageStore:
    clock, ids = ManualClock(NOW_MS), Uuid7Source()
    config = Config(endpoint="http://gateway", publishable_key="pk", storage_dir=tmp_path)
    work = Workspace(
        config=config,
        clock=clock,
        random=random.Random(0),
        ids=ids,
        storage=storage,
        leases=Leases(storage, clock, "this client"),
        identity=Identity(install_id=""),
        settings=Settings(),
        tell=lambda *_: None,
    )
    return MessageStore(work)


def add(store: MessageStore, message_id: str = "m1", **more: Any) -> Message:
    value = a_message(message_id, **more)
    message = read_message(value, NOW_MS)
    assert message is not None
    store.add(message, value)
    return message


def give(store: MessageStore, message: Message, now_ms: int = NOW_MS) -> bool:
    return store.claim(message, session_id="s1", now_ms=now_ms)


def waiting(store: MessageStore) -> list[str]:
    return [message.id for message in store.waiting(NOW_MS)]


def test_message_is_claimed_once(store: MessageStore) -> None:
    message = add(store)
    assert give(store, message)
    assert not give(store, message)
    assert waiting(store) == []
    store.release(message.id)
    assert store.impressions() == []
    assert give(store, message)


def test_id_of_an_ended_message_is_known_until_a_day_after_its_end(store: MessageStore) -> None:
    message = add(store, expires_at=NOW_MS + 1_000)
    store.end(message.id)
    store.end_expired(message.expires_at + DAY_MS - 1)
    add(store)
    assert waiting(store) == []
    store.end_expired(message.expires_at + DAY_MS)
    add(store)
    assert waiting(store) == ["m1"]


def test_ended_messages_are_remembered_up_to_a_number(store: MessageStore) -> None:
    for number in range(ENDED_KEPT_MAX):
        add(store, f"m{number}")
        store.end(f"m{number}")
    store.end_expired(NOW_MS)
    add(store, "m0")
    assert waiting(store) == []
    add(store, "one more")
    store.end("one more")
    store.end_expired(NOW_MS)
    add(store, "m0")
    add(store, "m1")
    assert waiting(store) == ["m0"]


def test_nothing_of_an_ended_message_is_kept_but_its_id(
    store: MessageStore, storage: Storage
) -> None:
    add(store, content={"layout": "modal", "title": "a secret"})
    store.end("m1")
    assert "secret" not in str(storage.rows("SELECT * FROM messages"))


@pytest.mark.parametrize("age_ms, is_kept", [(-1, True), (0, False)])
def test_impressions_of_expired_messages_are_kept_as_long_as_they_may_count(
    store: MessageStore, age_ms: int, is_kept: bool
) -> None:
    give(store, add(store, expires_at=NOW_MS + 1_000))
    store.end_expired(NOW_MS + IMPRESSIONS_KEPT_MS + age_ms)
    assert bool(store.impressions()) is is_kept


def test_impressions_of_live_messages_are_kept_for_their_limit(store: MessageStore) -> None:
    give(store, add(store, expires_at=NOW_MS + 90 * DAY_MS))
    store.end_expired(NOW_MS + 89 * DAY_MS)
    assert len(store.impressions()) == 1


def test_impressions_are_those_of_the_person_on_the_device(
    store: MessageStore, storage: Storage
) -> None:
    storage.put(USER, "u_1")
    give(store, add(store, "seen by u_1"))
    storage.put(USER, "u_2")
    assert store.impressions() == []
    give(store, add(store, "seen by u_2"))
    storage.put(USER, "u_1")
    assert [one.message_id for one in store.impressions()] == ["seen by u_1"]


def test_what_somebody_anonymous_has_seen_counts_for_whom_they_turn_out_to_be(
    store: MessageStore, storage: Storage
) -> None:
    give(store, add(store))
    storage.put(USER, "u_1")
    assert len(store.impressions()) == 1
    store.forget_the_anonymous()
    assert store.impressions() == []


def test_discarded_message_is_never_fired_again(store: MessageStore) -> None:
    message = add(store, trigger={"event": "opened"})
    assert list(store.triggers()) == ["opened"]
    store.fire(message.id, {}, NOW_MS)
    give(store, message)
    store.discard(message.id)
    assert store.triggers() == {}
    assert [kept.message.id for kept in store.inbox(NOW_MS)] == ["m1"]


def test_withdrawn_messages_are_remembered_up_to_a_number(tmp_path: Path) -> None:
    """Where the app is asked, too: there it costs no look into the file."""
    clock = ManualClock(NOW_MS)
    recorder = Recorder(
        clock,
        Uuid7Source(),
        queue.SimpleQueue(),
        mailbox_length_max=1,
        session_changed=lambda _: None,
    )
    handover = Handover(recorder, clock, lambda _: None, lambda _: None)
    message = read_message(a_message("m1"), NOW_MS)
    assert message is not None
    handed = handover.give(message, recorder.person)
    assert handover.is_current(handed)
    handover.end("m1")
    for number in range(ENDED_IN_HANDOVER_MAX - 1):
        handover.end(f"another {number}")
    assert not handover.is_current(handed)
    handover.end("one more")
    assert handover.is_current(handed)
