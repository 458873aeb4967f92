import asyncio
from typing import Any

import msgspec
import pytest

from tests.builders import (
    NOW,
    a_journey,
    a_message,
    a_registration,
    an_event,
    message_event,
)
from tests.clients import Gateway, Phone, SettableClock, Shop, code_of, eventually
from tests.conftest import StartGateway

# --- registration ----------------------------------------------------------------------------


async def test_new_device_gets_a_profile_a_token_and_a_configuration(
    worker: None, shop: Shop, clock: SettableClock
) -> None:
    answer = await shop.register(a_registration(platform="tvos", form_factor="tv"))
    assert answer.status_code == 201
    registered = answer.json()
    assert registered["server_time"] == clock.at
    assert registered["expires_at"] == clock.at + 30 * 86_400_000
    assert {"etag", "flush_at", "poll_wait_s", "trigger_events"} <= registered["config"].keys()
    profile = await shop.profile(registered["profile_id"])
    (device,) = profile["devices"]
    assert device == {
        "id": registered["device_id"],
        "platform": "tvos",
        "form_factor": "tv",
        "first_seen": NOW,
        "last_seen": NOW,
        "push": None,
    }
    assert profile["user_id"] is None


async def test_token_refreshes_the_same_device(shop: Shop, clock: SettableClock) -> None:
    phone = await shop.new_phone()
    clock.forward(days=1)
    answer = await shop.register(None, **{"X-Device-Token": phone.token})
    refreshed = answer.json()
    assert answer.status_code == 201
    assert (refreshed["device_id"], refreshed["profile_id"]) == (phone.device_id, phone.profile_id)
    assert refreshed["expires_at"] == clock.at + 30 * 86_400_000
    assert code_of(await phone.poll(token=refreshed["token"])) == "204"
    assert code_of(await phone.poll()) == "204"


async def test_expired_token_still_refreshes_for_ninety_days(
    shop: Shop, phone: Phone, clock: SettableClock
) -> None:
    clock.forward(days=30)
    assert code_of(await phone.poll()) == "401 token_expired"
    clock.forward(days=90, seconds=-1)
    answer = await shop.register(None, **{"X-Device-Token": phone.token})
    assert answer.json()["device_id"] == phone.device_id
    clock.forward(seconds=1)
    answer = await shop.register(None, **{"X-Device-Token": phone.token})
    assert code_of(answer) == "401 token_expired"


async def test_known_install_id_alone_gives_no_access_to_its_device(
    worker: None, shop: Shop
) -> None:
    body = a_registration()
    phone = await shop.new_phone(**body)
    await phone.login("u1")
    other = (await shop.register(body)).json()
    assert other["device_id"] != phone.device_id
    assert other["profile_id"] not in {phone.profile_id, phone.registered["profile_id"]}


async def test_refresh_keeps_the_user(worker: None, shop: Shop, phone: Phone) -> None:
    await phone.login("u1")
    answer = await shop.register(None, **{"X-Device-Token": phone.token})
    assert answer.json()["profile_id"] == phone.profile_id
    assert (await shop.profile(phone.profile_id))["user_id"] == "u1"
    phone.token = answer.json()["token"]
    await phone.login("u2")
    assert (await shop.profile(phone.profile_id))["links"] == []


async def test_refresh_with_a_token_from_before_a_login_is_refused(
    shop: Shop, phone: Phone
) -> None:
    old = await phone.login("u1")
    answer = await shop.register(None, **{"X-Device-Token": old})
    assert code_of(answer) == "401 token_superseded"


async def test_registration_speaks_messagepack(shop: Shop) -> None:
    answer = await shop.gateway.http.post(
        "/v1/devices",
        content=msgspec.msgpack.encode(a_registration()),
        headers={
            "Authorization": f"Bearer {shop.publishable_key}",
            "Content-Type": "application/msgpack",
            "Accept": "application/msgpack",
        },
    )
    assert answer.status_code == 201
    assert msgspec.msgpack.decode(answer.content)["config"]["flush_at"] == 20


# --- configuration ---------------------------------------------------------------------------


async def test_configuration_is_fetched_once_and_again_when_it_changes(
    shop: Shop, phone: Phone
) -> None:
    first = await phone.ask("GET", "/v1/config")
    etag = first.headers["ETag"]
    assert first.json() == phone.registered["config"]
    assert etag == f'"{first.json()["etag"]}"'
    same = await phone.ask("GET", "/v1/config", headers={"If-None-Match": etag})
    assert (same.status_code, same.content, same.headers["ETag"]) == (304, b"", etag)

    await shop.server.post("/admin/v1/journeys", a_journey("checkout"))
    changed = await phone.ask("GET", "/v1/config", headers={"If-None-Match": etag})
    assert changed.status_code == 200
    assert changed.json()["trigger_events"] == ["checkout"]
    assert changed.headers["ETag"] != etag


async def test_etag_is_compared_as_http_has_it(phone: Phone) -> None:
    etag = (await phone.ask("GET", "/v1/config")).headers["ETag"]
    for header in (f"W/{etag}", f'"other", {etag}'):
        answer = await phone.ask("GET", "/v1/config", headers={"If-None-Match": header})
        assert answer.status_code == 304, header


async def test_devices_are_not_told_to_wait_longer_than_a_poll_may(
    start_gateway: StartGateway,
) -> None:
    shop = await (await start_gateway(hold_s_max=10.0)).new_shop()
    phone = await shop.new_phone()
    wait_s = phone.registered["config"]["poll_wait_s"]
    assert wait_s == 10
    assert code_of(await phone.poll(wait=wait_s + 1)) == "400 invalid_query"


async def test_only_live_journeys_of_the_app_are_in_its_configuration(
    gateway: Gateway, shop: Shop, phone: Phone
) -> None:
    other = await gateway.new_shop("Other")
    await other.server.post("/admin/v1/journeys", a_journey("theirs"))
    await shop.server.post("/admin/v1/journeys", a_journey("paused", status="paused"))
    await shop.server.post("/admin/v1/journeys", a_journey("zebra"))
    await shop.server.post("/admin/v1/journeys", a_journey("apple"))
    config = (await phone.ask("GET", "/v1/config")).json()
    assert config["trigger_events"] == ["apple", "zebra"]


# --- login -----------------------------------------------------------------------------------


async def test_login_brings_along_what_the_anonymous_profile_did(
    worker: None, shop: Shop, phone: Phone
) -> None:
    await phone.upload(an_event(), an_event("screen_seen", session_id="s1"))
    await phone.upload(an_event("set", type="identify", props={"plan": "pro"}))
    anonymous = phone.profile_id
    await phone.login("u1")
    await phone.upload(an_event())
    known = await shop.profile(phone.profile_id)
    assert known["user_id"] == "u1"
    assert known["counts"] == {"purchase": 2, "screen_seen": 1, "set": 1}
    assert known["attributes"] == {"plan": "pro"}
    assert (known["sessions"], known["links"]) == (1, [anonymous])
    assert [device["id"] for device in known["devices"]] == [phone.device_id]
    assert (await shop.profile(anonymous))["linked_to"] == phone.profile_id


async def test_login_leads_to_the_same_profile_on_every_device(shop: Shop, phone: Phone) -> None:
    tablet = await shop.new_phone(form_factor="tablet")
    for device in (phone, tablet):
        await device.login("u1")
    assert phone.profile_id == tablet.profile_id


async def test_login_moves_the_unseen_messages(worker: None, shop: Shop, phone: Phone) -> None:
    await shop.server.post("/admin/v1/journeys", a_journey())
    await phone.upload(an_event())
    await shop.gateway.settled()
    (message,) = await phone.messages()
    await phone.login("u1")
    await shop.gateway.settled()
    assert [moved["id"] for moved in await phone.messages()] == [message["id"]]
    await phone.upload(message_event("message_shown", message["id"]))
    await shop.gateway.settled()
    phone.cursor = ""
    assert await phone.messages() == []


async def test_events_from_before_the_login_are_accepted_with_the_old_token(
    worker: None, shop: Shop, phone: Phone
) -> None:
    event = an_event()
    old = await phone.login("u1")
    await shop.gateway.settled()
    for expected in (1, 0):
        answer = await phone.ask(
            "POST", "/v1/events", token=old, json={**_batch(event), "batch_id": BATCH_ID}
        )
        assert answer.json()["accepted"] == expected
    assert (await shop.profile(phone.profile_id))["counts"] == {"purchase": 1}


BATCH_ID = "01920000-0000-7000-8000-000000000001"


def _batch(*events: Any) -> dict[str, Any]:
    return {"sent_at": NOW, "events": list(events)}


@pytest.mark.parametrize("partitions", [1, 64])
async def test_late_event_from_before_the_login_triggers_for_the_known_profile(
    start_gateway: StartGateway, partitions: int
) -> None:
    """Whether or not the two profiles share a partition, and with it the memory of the device's ids."""
    gateway = await start_gateway(partitions=partitions)
    await gateway.start_worker()
    shop = await gateway.new_shop()
    phone = await shop.new_phone()
    await shop.server.post("/admin/v1/journeys", a_journey(limits={"per_profile": 1}))
    old = await phone.login("u1")
    poll = await phone.waits()
    late = {**_batch(an_event()), "batch_id": BATCH_ID}
    await phone.ask("POST", "/v1/events", token=old, json=late)
    assert len((await poll)["messages"]) == 1
    decisions = await shop.server.decisions(phone.profile_id)
    assert [decision["outcome"] for decision in decisions] == ["sent"]
    for token in (old, phone.token):
        again = await phone.ask("POST", "/v1/events", token=token, json=late)
        assert again.json()["accepted"] == 0
    assert (await shop.profile(phone.profile_id))["events"] == 1


async def test_login_that_is_repeated_after_a_lost_answer_is_harmless(
    worker: None, shop: Shop, phone: Phone
) -> None:
    await phone.upload(an_event())
    first, again = await phone.identify("u1"), await phone.identify("u1")
    assert first.json()["profile_id"] == again.json()["profile_id"]
    for answer in (first, again):
        assert code_of(await phone.poll(token=answer.json()["token"])) in {"200", "204"}
    known = await shop.profile(again.json()["profile_id"])
    assert (known["events"], len(known["links"]), len(known["devices"])) == (1, 1, 1)


async def test_login_as_oneself_changes_nothing(worker: None, shop: Shop, phone: Phone) -> None:
    await phone.login("u1")
    await phone.login("u1")
    assert code_of(await phone.poll()) == "204"
    assert len((await shop.profile(phone.profile_id))["links"]) == 1


async def test_known_device_is_switched_and_never_merged(
    worker: None, shop: Shop, phone: Phone
) -> None:
    await phone.login("u1")
    await phone.upload(an_event())
    first = phone.profile_id
    old = await phone.login("u2")
    second = await shop.profile(phone.profile_id)
    assert (second["events"], second["links"]) == (0, [])
    assert (await shop.profile(first))["linked_to"] is None
    assert code_of(await phone.poll(token=old)) == "401 token_superseded"


async def test_messages_of_the_previous_user_do_not_follow_a_switch(
    worker: None, shop: Shop, phone: Phone
) -> None:
    await phone.login("u1")
    await shop.server.post("/admin/v1/messages", a_message({"user_id": "u1"}))
    await shop.gateway.settled()
    cursor = (await phone.receive())["cursor"]
    await phone.login("u2")
    for after in ("", cursor):
        answer = await phone.poll(after=after)
        assert answer.status_code == 204 or answer.json()["messages"] == []


async def test_old_token_cannot_take_the_device_anywhere_else(
    worker: None, shop: Shop, phone: Phone
) -> None:
    old = await phone.login("u1")
    await phone.login("u2")
    answer = await phone.ask("POST", "/v1/identity", token=old, json={"user_id": "u3"})
    assert code_of(answer) == "401 token_superseded"
    answer = await phone.ask("DELETE", "/v1/identity", token=old)
    assert code_of(answer) == "401 token_superseded"
    assert code_of(await phone.poll()) == "204"


# --- logout ----------------------------------------------------------------------------------


async def test_logout_leads_to_a_fresh_anonymous_profile(
    worker: None, shop: Shop, phone: Phone
) -> None:
    await phone.login("u1")
    known = phone.profile_id
    await phone.logout()
    assert phone.profile_id not in {known, phone.registered["profile_id"]}
    fresh = await shop.profile(phone.profile_id)
    assert (fresh["user_id"], fresh["events"], fresh["links"]) == (None, 0, [])


async def test_from_logout_on_nothing_of_the_previous_person_is_handed_out(
    worker: None, shop: Shop, phone: Phone
) -> None:
    await phone.login("u1")
    to_user = a_message({"user_id": "u1"})
    await shop.server.post("/admin/v1/messages", to_user)
    await shop.gateway.settled()
    cursor = (await phone.receive())["cursor"]
    old = await phone.logout()
    await shop.server.post("/admin/v1/messages", to_user)
    await shop.gateway.settled()
    for after in ("", cursor):
        assert code_of(await phone.poll(after=after, token=old)) == "401 token_superseded"
        assert code_of(await phone.poll(after=after, token=old, wait=30)) == "401 token_superseded"
        answer = await phone.poll(after=after)
        assert answer.status_code == 204 or answer.json()["messages"] == []


async def test_logout_ends_polls_that_are_held(worker: None, shop: Shop, phone: Phone) -> None:
    await phone.login("u1")
    await shop.gateway.settled()
    poll = await phone.waits()
    await phone.logout()
    with pytest.raises(AssertionError, match="token_superseded"):
        await poll


async def test_logout_holds_on_an_edge_that_knew_the_device(
    worker: None, shop: Shop, phone: Phone
) -> None:
    """An edge answers empty polls from memory; a logout must reach that memory."""
    await phone.login("u1")
    await shop.gateway.settled()
    await phone.receive()
    cursor = phone.cursor
    for _ in range(2):
        assert code_of(await phone.poll()) == "204"
    old = await phone.logout()
    for after in ("", cursor):
        assert code_of(await phone.poll(after=after, token=old)) == "401 token_superseded"


async def test_logout_that_is_repeated_after_a_lost_answer_leads_to_the_same_profile(
    worker: None, shop: Shop, phone: Phone
) -> None:
    await phone.login("u1")
    first = await phone.ask("DELETE", "/v1/identity")
    again = await phone.ask("DELETE", "/v1/identity")
    assert first.json()["profile_id"] == again.json()["profile_id"]
    for answer in (first, again):
        assert code_of(await phone.poll(token=answer.json()["token"])) == "204"


async def test_every_logout_leads_to_another_profile(
    shop: Shop, phone: Phone, clock: SettableClock
) -> None:
    profiles = {phone.profile_id}
    for _ in range(3):
        clock.forward(seconds=1)
        await phone.login("u1")
        await phone.logout()
        profiles.add(phone.profile_id)
    assert len(profiles) == 4


async def test_same_user_may_come_back(worker: None, shop: Shop, phone: Phone) -> None:
    await phone.login("u1")
    await phone.logout()
    await phone.upload(an_event("while_away"))
    await phone.login("u1")
    await shop.server.post("/admin/v1/messages", a_message({"user_id": "u1"}))
    await shop.gateway.settled()
    assert len(await phone.messages()) == 1
    assert (await shop.profile(phone.profile_id))["counts"] == {"while_away": 1}


async def test_events_from_before_the_logout_count_for_the_previous_person(
    worker: None, shop: Shop, phone: Phone
) -> None:
    await phone.login("u1")
    known = phone.profile_id
    old = await phone.logout()
    answer = await phone.ask(
        "POST", "/v1/events", token=old, json={**_batch(an_event()), "batch_id": BATCH_ID}
    )
    assert answer.json()["accepted"] == 1
    assert (await shop.profile(known))["events"] == 1
    assert (await shop.profile(phone.profile_id))["events"] == 0


async def test_anonymous_device_may_log_out_too(worker: None, shop: Shop, phone: Phone) -> None:
    before = phone.profile_id
    await phone.logout()
    assert phone.profile_id != before
    assert (await shop.profile(before))["linked_to"] is None


async def test_device_that_was_forgotten_registers_again(
    gateway: Gateway, shop: Shop, phone: Phone
) -> None:
    (key,) = await gateway.valkey("KEYS", "device:*")
    await gateway.valkey("DEL", key)
    assert code_of(await phone.identify("u1")) == "401 token_expired"
    answer = await shop.register(None, **{"X-Device-Token": phone.token})
    assert answer.json()["device_id"] == phone.device_id
    await phone.login("u1")


async def test_login_reaches_the_profile_without_any_event(
    worker: None, shop: Shop, phone: Phone
) -> None:
    await phone.login("u1")
    await eventually(lambda: phone.profile_id)
    found = await shop.profile(phone.profile_id)
    assert (found["user_id"], found["events"]) == ("u1", 0)


async def test_logout_on_one_edge_holds_on_the_others(
    worker: None, shop: Shop, phone: Phone, start_gateway: StartGateway
) -> None:
    other_edge = await start_gateway()
    await phone.login("u1")
    await shop.server.post("/admin/v1/messages", a_message({"user_id": "u1"}))
    await shop.gateway.settled()
    await phone.receive()
    for after in ("", phone.cursor):
        await other_edge.http.get("/v1/messages", params={"after": after}, headers=phone.headers())
    cursor, old = phone.cursor, await phone.logout()

    async def is_refused() -> bool:
        codes = set()
        for after in ("", cursor):
            answer = await other_edge.http.get(
                "/v1/messages", params={"after": after}, headers=phone.headers(old)
            )
            assert answer.status_code != 200, "a message of the previous person"
            codes.add(code_of(answer))
        return codes == {"401 token_superseded"}

    await eventually(is_refused, within_s=1)


async def test_token_refresh_that_meets_a_logout_never_undoes_it(shop: Shop) -> None:
    """Both read the device as it was; whichever stores second must notice."""
    for _ in range(20):
        phone = await shop.new_phone()
        await phone.login("u1")
        old = phone.token
        refresh, logout = await asyncio.gather(
            shop.register(None, **{"X-Device-Token": old}), phone.ask("DELETE", "/v1/identity")
        )
        assert code_of(logout) == "200"
        tokens = [old]
        if refresh.status_code == 201:
            tokens.append(refresh.json()["token"])
        else:
            assert code_of(refresh) == "401 token_superseded"
        for token in tokens:
            assert code_of(await phone.poll(token=token)) == "401 token_superseded"


async def test_old_token_stays_dead_after_the_same_person_logs_in_again(phone: Phone) -> None:
    await phone.login("u1")
    old = await phone.logout()
    await phone.login("u1")
    assert code_of(await phone.poll()) == "204"
    assert code_of(await phone.poll(token=old)) == "401 token_superseded"
    logout = await phone.ask("DELETE", "/v1/identity", token=old)
    assert code_of(logout) == "401 token_superseded"


@pytest.mark.parametrize("lost_refreshes", [0, 1, 2])
@pytest.mark.parametrize("method, body", [("DELETE", {}), ("POST", {"user_id": "u2"})])
async def test_move_that_broke_off_after_its_first_mark_can_be_repeated(
    shop: Shop, phone: Phone, method: str, body: dict[str, str], lost_refreshes: int
) -> None:
    """As if the process had died there: the token reads nothing any more, but it is all the device has.

    Also when newer ones were issued, whose answers did not reach it.
    """
    await phone.login("u1")
    for _ in range(lost_refreshes):
        answer = await shop.register(None, **{"X-Device-Token": phone.token})
        assert code_of(answer) == "201"
    watch = phone.shop.gateway.application._watch
    assert watch is not None
    claims = phone.shop.gateway.core.apps.tokens.verify(phone.token.encode(), 0)
    await watch.depart(claims.app_id, claims.profile_id, claims.device_id, claims.issued_at + 1)
    assert code_of(await phone.poll()) == "401 token_superseded"
    old = phone.token
    phone._take(await phone.ask(method, "/v1/identity", json=body))
    assert code_of(await phone.poll()) == "204"
    assert code_of(await phone.poll(token=old)) == "401 token_superseded"
