import asyncio
import subprocess
import sys

import pytest

from gateway import keyspace
from gateway.eventlog import Place
from gateway.pipeline import Effects, Grounds, new_state, react
from gateway.records import (
    DeviceDeparted,
    DeviceRegistered,
    ProfileLinked,
    ProfileMerged,
    PushToken,
    Sender,
)
from tests.builders import Json, an_event
from tests.clients import Gateway, Phone, SettableClock, Shop, code_of
from tests.conftest import StartGateway

TOKEN = "a push token that is long enough 1234"


async def push_of(shop: Shop, profile_id: str) -> list[Json | None]:
    """What the profile shows of the push tokens of its devices."""
    return [device["push"] for device in (await shop.profile(profile_id))["devices"]]


async def test_push_token_is_kept_and_shown_masked(worker: None, shop: Shop, phone: Phone) -> None:
    assert await push_of(shop, phone.profile_id) == [None]
    await phone.register_push(TOKEN, "apns")
    assert await push_of(shop, phone.profile_id) == [{"provider": "apns", "token": "…1234"}]
    await phone.register_push("short")
    assert await push_of(shop, phone.profile_id) == [{"provider": "fcm", "token": "…"}]


async def test_push_token_that_was_taken_back_is_gone(
    worker: None, shop: Shop, phone: Phone
) -> None:
    await phone.register_push(TOKEN)
    assert code_of(await phone.ask("DELETE", "/v1/push-token")) == "204"
    assert await push_of(shop, phone.profile_id) == [None]
    assert code_of(await phone.ask("DELETE", "/v1/push-token")) == "204"


async def test_last_of_several_push_tokens_counts_although_they_come_at_once(
    worker: None, shop: Shop, phone: Phone
) -> None:
    for _ in range(5):
        await asyncio.gather(*[phone.register_push(f"{TOKEN}{n}") for n in range(5)])
        (push,) = await push_of(shop, phone.profile_id)
        device = await shop.gateway.core.valkey.call(
            "GET",
            keyspace.device(
                shop.gateway.core.log.partition_of(phone.device_id), shop.app_id, phone.device_id
            ),
        )
        assert isinstance(device, bytes)
        assert push is not None
        assert f"{TOKEN}{push['token'][-1]}".encode() in device


async def test_push_token_goes_along_with_a_login(worker: None, shop: Shop, phone: Phone) -> None:
    await phone.register_push(TOKEN)
    anonymous = phone.profile_id
    await phone.login("u1")
    assert await push_of(shop, phone.profile_id) == [{"provider": "fcm", "token": "…1234"}]
    assert await push_of(shop, anonymous) == [None]


@pytest.mark.parametrize("target", ["login", "switch", "logout"])
async def test_profile_that_a_device_leaves_is_told_before_any_other(
    start_gateway: StartGateway, target: str
) -> None:
    """Whatever breaks off in between, and is never repeated, the push token does not stay behind."""
    gateway = await start_gateway(partitions=1)
    phone = await (await gateway.new_shop()).new_phone()
    if target != "login":
        await phone.login("u1")
    await phone.register_push(TOKEN)
    left = phone.profile_id
    await (phone.logout() if target == "logout" else phone.login("u2"))
    records = [entry.record for entry in (await gateway.core.log.read({0: Place(b"", 100)}))[0]]
    *_, departed, registered = [
        record for record in records if isinstance(record, DeviceRegistered | DeviceDeparted)
    ]
    assert isinstance(departed, DeviceDeparted)
    assert isinstance(registered, DeviceRegistered)
    assert (departed.sender.profile_id, registered.sender.profile_id) == (left, phone.profile_id)


def test_logout_that_loses_against_the_login_takes_no_push_token_from_the_known_person() -> None:
    """Both came at once, and the clock of the one that lost was ahead: its departure counts nowhere."""
    anonymous, known = "a" * 32, "b" * 32
    state, effects = new_state(Sender("app1", anonymous)), Effects()
    grounds = Grounds({}, 50)
    react(state, ProfileLinked(Sender("app1", anonymous, "d"), 10, known, "u1"), effects, grounds)
    react(state, DeviceDeparted(Sender("app1", anonymous, "d"), 11), effects, grounds)
    assert [type(record) for record in effects.forwards] == [ProfileMerged]


@pytest.mark.parametrize("next_user", [None, "u2"])
async def test_push_token_never_stays_with_who_left_the_device(
    worker: None, shop: Shop, phone: Phone, next_user: str | None
) -> None:
    await phone.login("u1")
    await phone.register_push(TOKEN)
    previous = phone.profile_id
    await (phone.logout() if next_user is None else phone.login(next_user))
    assert await push_of(shop, previous) == [None]
    assert await push_of(shop, phone.profile_id) == [{"provider": "fcm", "token": "…1234"}]


async def test_push_token_that_is_told_while_its_person_logs_out_does_not_stay(
    worker: None, shop: Shop
) -> None:
    for number in range(20):
        phone = await shop.new_phone()
        await phone.login(f"u{number}")
        previous, old = phone.profile_id, phone.token
        body = {"token": TOKEN, "provider": "fcm"}
        told, logout = await asyncio.gather(
            phone.ask("PUT", "/v1/push-token", token=old, json=body),
            phone.ask("DELETE", "/v1/identity", token=old),
        )
        assert code_of(logout) == "200"
        assert code_of(told) in {"204", "401 token_superseded"}
        assert await push_of(shop, previous) == [None]


async def test_push_token_is_back_when_its_person_is(
    worker: None, shop: Shop, phone: Phone, clock: SettableClock
) -> None:
    await phone.login("u1")
    await phone.register_push(TOKEN)
    await phone.logout()
    clock.forward(seconds=1)
    await phone.login("u1")
    assert await push_of(shop, phone.profile_id) == [{"provider": "fcm", "token": "…1234"}]


async def test_refresh_keeps_the_push_token(
    worker: None, shop: Shop, phone: Phone, clock: SettableClock
) -> None:
    await phone.register_push(TOKEN)
    clock.forward(days=1)
    await shop.register(None, **{"X-Device-Token": phone.token})
    assert await push_of(shop, phone.profile_id) == [{"provider": "fcm", "token": "…1234"}]


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_push_token_cannot_be_told_with_a_token_from_before_a_logout(
    phone: Phone, method: str
) -> None:
    await phone.login("u1")
    old = await phone.logout()
    body = {"token": TOKEN, "provider": "fcm"}
    answer = await phone.ask(method, "/v1/push-token", token=old, json=body)
    assert code_of(answer) == "401 token_superseded"
    await phone.login("u1")
    answer = await phone.ask(method, "/v1/push-token", token=old, json=body)
    assert code_of(answer) == "401 token_superseded"


async def test_device_that_was_forgotten_registers_again_before_it_tells_its_push_token(
    gateway: Gateway, phone: Phone
) -> None:
    (key,) = await gateway.valkey("KEYS", "device:*")
    await gateway.valkey("DEL", key)
    body = {"token": TOKEN, "provider": "fcm"}
    answer = await phone.ask("PUT", "/v1/push-token", json=body)
    assert code_of(answer) == "401 token_expired"


@pytest.mark.parametrize(
    "length, expected",
    [
        (0, "400 invalid_body"),
        (1, "204"),
        (4_095, "204"),
        (4_096, "204"),
        (4_097, "400 invalid_body"),
    ],
)
async def test_push_token_has_a_limit(phone: Phone, length: int, expected: str) -> None:
    body = {"token": "t" * length, "provider": "web"}
    assert code_of(await phone.ask("PUT", "/v1/push-token", json=body)) == expected


def test_push_token_is_never_printed() -> None:
    push = PushToken(TOKEN, "fcm")
    record = DeviceRegistered(Sender("app1", "f" * 32, "d"), 1, "ios", "phone", push)
    for printed in (repr(push), str(push), f"{push}", repr(record)):
        assert TOKEN not in printed
    assert "…1234" in repr(record)


async def test_record_that_is_set_aside_shows_no_push_token(
    gateway: Gateway, shop: Shop, phone: Phone
) -> None:
    """What could not be worked with is kept for people to read."""
    await phone.register_push(TOKEN)
    partition = gateway.core.log.partition_of(phone.profile_id)
    key = keyspace.profile(partition, shop.app_id, phone.profile_id)
    await gateway.valkey("SET", key, b"damaged")
    await gateway.start_worker()
    await phone.upload(an_event())
    await gateway.settled()
    dead = await gateway.valkey("XRANGE", keyspace.dead(partition), "-", "+")
    assert b"DeviceRegistered" in str(dead).encode()
    assert TOKEN not in str(dead)


FAILS = """
import sys, structlog
from gateway.logs import configure_logs

def handle(token):
    raise ValueError("something broke")

configure_logs("edge", "info")
try:
    handle(sys.argv[1])
except ValueError as error:
    structlog.get_logger().error("request failed", exc_info=error)
"""


def test_traceback_in_the_log_shows_no_values() -> None:
    """What a request brought along stands in the variables of the code that failed."""
    done = subprocess.run(
        [sys.executable, "-c", FAILS, TOKEN], capture_output=True, text=True, check=True
    )
    assert "something broke" in done.stderr
    assert "in handle" in done.stderr
    assert TOKEN not in done.stderr + done.stdout
