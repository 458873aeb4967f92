"""What the gateway stored before people had consent, push tokens and groups is read as ever."""

from typing import Any

import msgspec
import pytest

from gateway import keyspace
from gateway.inbox.model import read_shelf
from gateway.pipeline import decode_state
from tests.builders import NOW, Json
from tests.clients import Gateway, Phone, Shop

_pack = msgspec.msgpack.encode


def a_state(profile_id: str, app_id: str, **messages: str) -> bytes:
    """A person as they were stored; `messages`: id → once per what."""
    items: Json = {id: [1, NOW + 1_000, once_per, ["d1"]] for id, once_per in messages.items()}
    device = ["ios", "phone", NOW - 9, NOW - 1]
    known: list[Any] = ["u1", NOW - 9, NOW - 1, 3, {"purchase": 3}, {"plan": "pro"}, {"d1": device}]
    profile = [profile_id, app_id, *known, 1, ["s1"], None, ["e" * 32]]
    standings = [{"jny_1": [1, NOW - 1]}, {"purchase": [["e1", NOW - 1, {"amount": 5}]]}]
    return _pack([profile, standings, [4, items, [["gone", 4]]]])


async def test_person_is_known_as_before(gateway: Gateway, shop: Shop) -> None:
    profile_id = "a" * 32
    key = keyspace.profile(gateway.core.log.partition_of(profile_id), shop.app_id, profile_id)
    await gateway.valkey("SET", key, a_state(profile_id, shop.app_id))
    profile = await shop.server.get(f"/admin/v1/profiles/{profile_id}")
    assert (profile["user_id"], profile["events"], profile["attributes"]) == (
        "u1",
        3,
        {"plan": "pro"},
    )
    assert [device["push"] for device in profile["devices"]] == [None]
    assert (profile["consent"], profile["groups"], profile["aliases"]) == ({}, {}, [])


def test_messages_are_shown_once_as_before() -> None:
    items = decode_state(a_state("a" * 32, "app1", m1="person", m2="device")).inbox.items
    assert [(item.showings, item.shown, item.holder) for item in items.values()] == [
        (1, {}, None)
    ] * 2


def test_withdrawn_messages_are_told_to_every_device() -> None:
    shelf = read_shelf({b"v": b"4", b"w:gone": b"4", b"s:m2": b"d1,d2"})
    assert shelf.withdrawn_since(3, "d1") == ["gone"]
    assert shelf.withdrawn_since(4, "d1") == []
    assert not shelf.has("gone")


@pytest.mark.parametrize("once_per", ["person", "device"])
async def test_message_that_was_asked_for_is_sent(
    gateway: Gateway, shop: Shop, phone: Phone, once_per: str
) -> None:
    sender = [shop.app_id, phone.profile_id, None, None]
    message_id = f"{phone.profile_id}-{0:016}"
    content = b'{"layout":"modal","title":"Hello","body":"","buttons":[]}'
    record = ["message", sender, NOW, message_id, 50, 60, once_per, content]
    log = keyspace.log(gateway.core.log.partition_of(phone.profile_id))
    await gateway.valkey("XADD", log, "*", "b", _pack(record))
    await gateway.start_worker()
    await gateway.settled()
    (message,) = await phone.messages()
    assert (message["id"], message["display"]) == (message_id, {"once_per": once_per})


async def test_device_is_known_as_before(
    worker: None, gateway: Gateway, shop: Shop, phone: Phone
) -> None:
    key = keyspace.device(
        gateway.core.log.partition_of(phone.device_id), shop.app_id, phone.device_id
    )
    device = msgspec.msgpack.decode(await gateway.valkey("GET", key))
    for name in ("push", "told_at"):
        del device[name]
    del device["registration"]["consent"]
    await gateway.valkey("SET", key, _pack(device))
    await phone.register_push("a push token that is long enough")
    (known,) = (await shop.profile(phone.profile_id))["devices"]
    assert known["push"] == {"provider": "fcm", "token": "…ough"}
