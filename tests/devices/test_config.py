from typing import Any

import msgspec
import pytest

from gateway.devices.config import REMOTE_CONFIG_BYTES_MAX
from tests.builders import NOW, Json, a_journey
from tests.clients import Gateway, Phone, SettableClock, Shop, code_of, eventually
from tests.conftest import StartGateway

PATH = "/admin/v1/remote-config"
QUIET: Json = {"from": "22:00", "to": "07:00"}
WHOLE: Json = {
    "values": {
        "checkout": {"value": "new", "percent": 12.5, "otherwise": "old"},
        "greeting": {"value": {"de": "Hallo", "n": [1, 2.5, None, True]}},
        "nothing": {"value": None},
    },
    "display": {"gap_ms": 30_000, "per_session_max": 2, "per_day_max": 0, "quiet_hours": QUIET},
    "sampling": {"scrolled": 0.1, "never": 0, "always": 1},
}
NO_CAPS: Json = {
    "gap_ms": 0,
    "per_session_max": None,
    "per_day_max": None,
    "quiet_hours": None,
}


async def config_of(phone: Phone) -> Json:
    config: Json = (await phone.ask("GET", "/v1/config")).json()
    return config


async def put(shop: Shop, body: Any) -> str:
    return code_of(await shop.server.ask("PUT", PATH, json=body))


# --- what devices are told -------------------------------------------------------------------


async def test_devices_are_told_the_defaults_until_somebody_decides(phone: Phone) -> None:
    config = phone.registered["config"]
    assert (config["session_idle_ms"], config["session_max_ms"]) == (1_800_000, 86_400_000)
    assert (config["display"], config["values"], config["sampling"]) == (NO_CAPS, {}, {})
    assert await phone.shop.server.get(PATH) == {
        "version": 0,
        "updated_at": None,
        "values": {},
        "display": NO_CAPS,
        "sampling": {},
    }


async def test_devices_are_told_what_was_decided(shop: Shop, phone: Phone) -> None:
    saved = await shop.server.put(PATH, WHOLE)
    assert saved == {"version": 1, "updated_at": NOW, **WHOLE}
    assert await shop.server.get(PATH) == saved
    for config in (await config_of(phone), (await shop.new_phone()).registered["config"]):
        assert {name: config[name] for name in WHOLE} == WHOLE


async def test_etag_changes_with_the_remote_configuration(shop: Shop, phone: Phone) -> None:
    etags = {phone.registered["config"]["etag"]}
    for body in (WHOLE, {"values": WHOLE["values"]}, {"display": {"gap_ms": 1}}):
        await shop.server.put(PATH, body)
        first = await phone.ask("GET", "/v1/config")
        etags.add(first.headers["ETag"])
        same = await phone.ask(
            "GET", "/v1/config", headers={"If-None-Match": first.headers["ETag"]}
        )
        assert same.status_code == 304
    assert len(etags) == 4


async def test_what_is_not_in_a_new_version_is_gone(shop: Shop, phone: Phone) -> None:
    await shop.server.put(PATH, WHOLE)
    await shop.server.put(PATH, {"sampling": {"scrolled": 0.5}})
    config = await config_of(phone)
    assert (config["display"], config["values"]) == (NO_CAPS, {})
    assert config["sampling"] == {"scrolled": 0.5}


async def test_every_process_knows_within_a_second(
    gateway: Gateway, start_gateway: StartGateway, shop: Shop, phone: Phone
) -> None:
    other = await start_gateway()

    async def is_told() -> bool:
        answer = await other.http.get("/v1/config", headers=phone.headers())
        return bool(answer.json()["values"])

    assert not await is_told()
    await shop.server.put(PATH, WHOLE)
    await eventually(is_told, within_s=1)


async def test_etag_is_the_same_in_every_process_and_after_a_restart(
    gateway: Gateway, start_gateway: StartGateway, shop: Shop, phone: Phone
) -> None:
    other = await start_gateway()
    # Out of order: what is stored and what is kept in memory must come out alike.
    values = {"z": {"value": {"b": 1, "a": 2.0}}, "a": {"value": 1, "percent": 100}}
    await shop.server.put(PATH, {"values": values, "sampling": {"y": 1, "b": 0.5}})
    await shop.server.post("/admin/v1/journeys", a_journey("zebra"))
    await shop.server.post("/admin/v1/journeys", a_journey("ant"))
    told = (await config_of(phone))["etag"]

    async def is_told_the_same() -> bool:
        headers = phone.headers() | {"If-None-Match": f'"{told}"'}
        return (await other.http.get("/v1/config", headers=headers)).status_code == 304

    await eventually(is_told_the_same, within_s=1)
    later = await start_gateway()
    answer = await later.http.get("/v1/config", headers=phone.headers())
    assert answer.json()["etag"] == told


async def test_remote_configuration_outlives_the_process(
    start_gateway: StartGateway, shop: Shop
) -> None:
    saved = await shop.server.put(PATH, WHOLE)
    later = await start_gateway()
    headers = {"Authorization": f"Bearer {shop.secret_key}"}
    assert (await later.http.get(PATH, headers=headers)).json() == saved


# --- two people at once ----------------------------------------------------------------------


async def test_change_of_an_old_version_is_refused(shop: Shop, clock: SettableClock) -> None:
    read = await shop.server.get(PATH)
    first = await shop.server.put(PATH, {**read, "values": {"a": {"value": 1}}})
    assert first["version"] == 1
    assert await put(shop, {**read, "values": {"b": {"value": 2}}}) == "409 conflict"
    clock.forward(seconds=1)
    second = await shop.server.put(PATH, {**first, "sampling": {"e": 0.5}})
    assert second == {**first, "version": 2, "updated_at": NOW + 1_000, "sampling": {"e": 0.5}}


async def test_two_processes_never_save_the_same_version(
    start_gateway: StartGateway, shop: Shop
) -> None:
    """Both read version 1; the copy in memory of the one that is late must not hide that."""
    other = await start_gateway()
    headers = {"Authorization": f"Bearer {shop.secret_key}"}
    assert await put(shop, {"values": {"a": {"value": 1}}, "version": 0}) == "200"
    late = {"values": {"b": {"value": 2}}, "version": 0}
    answer = await other.http.put(PATH, json=late, headers=headers)
    assert code_of(answer) == "409 conflict"


# --- what makes no sense ---------------------------------------------------------------------

WRONG: dict[str, Json] = {
    "a value that is none": {"values": {"k": 1}},
    "an entry without a value": {"values": {"k": {"percent": 50}}},
    "an empty key": {"values": {"": {"value": 1}}},
    "a long key": {"values": {"k" * 129: {"value": 1}}},
    "a negative percentage": {"values": {"k": {"value": 1, "percent": -0.1}}},
    "more than all": {"values": {"k": {"value": 1, "percent": 100.1}}},
    "another value for nobody": {"values": {"k": {"value": 1, "otherwise": 2}}},
    "a number of 65 bits": {"values": {"k": {"value": 2**63}}},
    "nine levels": {"values": {"k": {"value": [[[[[[[[[]]]]]]]]]}}},
    "nine levels otherwise": {
        "values": {"k": {"value": 1, "percent": 1, "otherwise": [[[[[[[[{}]]]]]]]]}}
    },
    "a negative gap": {"display": {"gap_ms": -1}},
    "a gap of more than a day": {"display": {"gap_ms": 86_400_001}},
    "less than none a session": {"display": {"per_session_max": -1}},
    "too many a day": {"display": {"per_day_max": 1_001}},
    "half of quiet hours": {"display": {"quiet_hours": {"from": "22:00"}}},
    "a time without a zero": {"display": {"quiet_hours": {"from": "7:00", "to": "08:00"}}},
    "24 o'clock": {"display": {"quiet_hours": {"from": "22:00", "to": "24:00"}}},
    "a time with a line break": {"display": {"quiet_hours": {"from": "22:00\n", "to": "07:00"}}},
    "no quiet time at all": {"display": {"quiet_hours": {"from": "22:00", "to": "22:00"}}},
    "a share above one": {"sampling": {"e": 1.01}},
    "a negative share": {"sampling": {"e": -0.01}},
    "an event without a name": {"sampling": {"": 0.5}},
}


@pytest.mark.parametrize("case", WRONG)
async def test_remote_configuration_that_makes_no_sense_is_refused(shop: Shop, case: str) -> None:
    assert await put(shop, WRONG[case]) == "400 invalid_body"
    assert (await shop.server.get(PATH))["version"] == 0


async def test_remote_configuration_takes_what_is_just_within_its_limits(shop: Shop) -> None:
    values = {
        "k" * 128: {"value": 2**63 - 1, "percent": 0, "otherwise": -(2**63)},
        "deep": {"value": [[[[[[[[]]]]]]]], "percent": 100},
    }
    display = {"gap_ms": 86_400_000, "per_session_max": 1_000, "per_day_max": 0}
    assert await put(shop, {"values": values, "display": display}) == "200"


@pytest.mark.parametrize("part", ["values", "sampling"])
@pytest.mark.parametrize("count, expected", [(255, "200"), (256, "200"), (257, "400 invalid_body")])
async def test_keys_have_a_limit(shop: Shop, part: str, count: int, expected: str) -> None:
    entry = {"value": 1} if part == "values" else 0.5
    body = {part: {f"k{number}": entry for number in range(count)}}
    assert await put(shop, body) == expected


@pytest.mark.parametrize("over, expected", [(-1, "200"), (0, "200"), (1, "400 invalid_body")])
async def test_remote_configuration_has_a_limit_of_bytes(
    shop: Shop, over: int, expected: str
) -> None:
    empty = [{"k": {"value": ""}}, NO_CAPS, {}]
    room = REMOTE_CONFIG_BYTES_MAX - len(msgspec.json.encode(empty))
    assert await put(shop, {"values": {"k": {"value": "v" * (room + over)}}}) == expected
