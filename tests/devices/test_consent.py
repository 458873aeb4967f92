from typing import Any

import pytest

from tests.builders import (
    NOW,
    Json,
    a_batch,
    a_journey,
    a_message,
    a_registration,
    an_event,
    message_event,
)
from tests.clients import Gateway, Phone, SettableClock, Shop, code_of
from tests.conftest import StartGateway


async def consent_of(shop: Shop, phone: Phone) -> dict[str, Any]:
    """What the profile knows: purpose → (granted, at)."""
    known = (await shop.profile(phone.profile_id))["consent"]
    return {purpose: (answer["granted"], answer["at"]) for purpose, answer in known.items()}


async def last_decision(shop: Shop, phone: Phone) -> tuple[str, str | None]:
    await shop.gateway.settled()
    newest, *_ = await shop.server.decisions(phone.profile_id)
    return newest["outcome"], newest["failed_gate"]


# --- telling it ------------------------------------------------------------------------------


async def test_answers_are_kept_with_their_time_and_device(
    worker: None, shop: Shop, phone: Phone
) -> None:
    assert await phone.consent(analytics=True, own_purpose=False) == {
        "analytics": True,
        "own_purpose": False,
    }
    assert (await shop.profile(phone.profile_id))["consent"] == {
        "analytics": {"granted": True, "at": NOW, "device_id": phone.device_id},
        "own_purpose": {"granted": False, "at": NOW, "device_id": phone.device_id},
    }


async def test_answer_tells_all_that_is_known(worker: None, shop: Shop, phone: Phone) -> None:
    await phone.consent(analytics=True)
    await shop.gateway.settled()
    assert await phone.consent(messaging=False) == {"analytics": True, "messaging": False}
    await shop.gateway.settled()
    assert await phone.consent() == {"analytics": True, "messaging": False}


async def test_newer_answer_counts_in_whatever_order_they_arrive(
    worker: None, shop: Shop, phone: Phone
) -> None:
    await phone.consent(NOW - 10, analytics=False)
    await shop.gateway.settled()
    assert await phone.consent(NOW - 20, analytics=True, push=True) == {
        "analytics": False,
        "push": True,
    }
    assert await consent_of(shop, phone) == {
        "analytics": (False, NOW - 10),
        "push": (True, NOW - 20),
    }


async def test_answer_from_the_future_counts_as_given_when_it_arrived(
    worker: None, shop: Shop, phone: Phone, clock: SettableClock
) -> None:
    await phone.consent(NOW + 86_400_000, analytics=True)
    assert await consent_of(shop, phone) == {"analytics": (True, NOW)}
    clock.forward(seconds=1)
    await phone.consent(analytics=False)
    assert await consent_of(shop, phone) == {"analytics": (False, NOW + 1_000)}


async def test_new_device_may_bring_its_answers_along(worker: None, shop: Shop) -> None:
    phone = await shop.new_phone(consent={"messaging": False})
    assert await consent_of(shop, phone) == {"messaging": (False, NOW)}


async def test_refresh_of_a_token_is_no_answer(
    worker: None, shop: Shop, phone: Phone, clock: SettableClock
) -> None:
    await phone.consent(messaging=False)
    clock.forward(days=1)
    body = a_registration(consent={"messaging": True})
    answer = await shop.register(body, **{"X-Device-Token": phone.token})
    assert code_of(answer) == "201"
    assert await consent_of(shop, phone) == {"messaging": (False, NOW)}


async def test_repeated_answer_changes_nothing(worker: None, shop: Shop, phone: Phone) -> None:
    for _ in range(3):
        await phone.consent(NOW - 5, analytics=True)
    assert await consent_of(shop, phone) == {"analytics": (True, NOW - 5)}


async def test_answer_from_the_future_that_is_repeated_does_not_undo_what_came_after_it(
    worker: None, shop: Shop, phone: Phone, clock: SettableClock
) -> None:
    tablet = await shop.new_phone(form_factor="tablet")
    for device in (phone, tablet):
        await device.login("u1")
    ahead = clock.at + 86_400_000
    await phone.consent(ahead, messaging=False)
    clock.forward(seconds=1)
    await tablet.consent(messaging=True)
    clock.forward(seconds=1)
    await phone.consent(ahead, messaging=False)
    assert await consent_of(shop, phone) == {"messaging": (True, NOW + 1_000)}


@pytest.mark.parametrize("next_user", [None, "u2"])
async def test_device_that_left_a_person_is_not_told_what_they_answered(
    worker: None, shop: Shop, phone: Phone, next_user: str | None
) -> None:
    await phone.login("u1")
    await phone.consent(NOW, messaging=False, secret_purpose=True)
    previous = phone.profile_id
    await shop.gateway.settled()
    old = await (phone.logout() if next_user is None else phone.login(next_user))
    answers: list[Json] = [{}, {"analytics": False}]
    for answer in answers:
        body = {"consent": answer, "at": NOW}
        told = await phone.ask("PUT", "/v1/consent", token=old, json=body)
        assert told.json() == {"consent": answer}
    consent = (await shop.profile(previous))["consent"]
    assert consent["analytics"]["granted"] is False, "it was answered before the device left"
    assert len(consent) == 3


# --- analytics -------------------------------------------------------------------------------


async def test_nothing_a_device_does_is_folded_while_analytics_is_denied(
    worker: None, gateway: Gateway, shop: Shop, phone: Phone
) -> None:
    await shop.server.post("/admin/v1/journeys", a_journey())
    await phone.consent(analytics=False)
    before = await shop.profile(phone.profile_id)
    report = await phone.upload(
        an_event(session_id="s1"),
        an_event("identify", type="identify", props={"plan": "pro"}),
        an_event("increment", type="profile", props={"visits": 1}),
    )
    assert report["accepted"] == 3
    assert await shop.profile(phone.profile_id) == before
    assert await shop.server.decisions(phone.profile_id) == []
    assert gateway.core.metrics.counts.events_withheld == 3


async def test_denied_on_one_device_is_denied_on_all_of_the_person(
    worker: None, shop: Shop, phone: Phone
) -> None:
    tablet = await shop.new_phone(form_factor="tablet")
    for device in (phone, tablet):
        await device.login("u1")
    await phone.consent(analytics=False)
    await shop.gateway.settled()
    await tablet.upload(an_event())
    assert (await shop.profile(phone.profile_id))["events"] == 0


async def test_what_a_device_did_before_the_login_stays_away_from_who_denies_analytics(
    worker: None, shop: Shop, phone: Phone
) -> None:
    await phone.login("u1")
    await phone.consent(analytics=False)
    other = await shop.new_phone()
    await other.upload(an_event(), an_event("identify", type="identify", props={"plan": "pro"}))
    await other.login("u1")
    profile = await shop.profile(phone.profile_id)
    assert (profile["events"], profile["counts"], profile["attributes"]) == (0, {}, {})
    assert len(profile["devices"]) == 2


async def test_what_happens_after_a_new_grant_is_folded_again(
    worker: None, shop: Shop, phone: Phone, clock: SettableClock
) -> None:
    await phone.consent(analytics=False)
    await phone.upload(an_event("while denied"))
    clock.forward(seconds=1)
    await phone.consent(analytics=True)
    await phone.upload(an_event("after the grant"))
    assert (await shop.profile(phone.profile_id))["counts"] == {"after the grant": 1}


async def test_events_of_messages_are_folded_although_analytics_is_denied(
    worker: None, shop: Shop, phone: Phone
) -> None:
    await phone.consent(analytics=False)
    await shop.gateway.settled()
    sent = await shop.server.post("/admin/v1/messages", a_message({"profile_id": phone.profile_id}))
    await phone.upload(message_event("message_shown", sent["message_id"]), an_event())
    profile = await shop.profile(phone.profile_id)
    assert profile["counts"] == {"message_shown": 1}
    assert await phone.messages() == []


async def test_events_from_a_server_are_folded_although_analytics_is_denied(
    worker: None, shop: Shop, phone: Phone
) -> None:
    """What an app's own server knows of its customers is not for the device to allow."""
    await phone.consent(analytics=False)
    await shop.gateway.settled()
    event = an_event("order_shipped", profile_id=phone.profile_id)
    await shop.server.post("/admin/v1/events", a_batch(event))
    assert (await shop.profile(phone.profile_id))["counts"] == {"order_shipped": 1}


# --- messaging -------------------------------------------------------------------------------


async def test_journey_is_stopped_by_denied_messaging(
    worker: None, shop: Shop, phone: Phone
) -> None:
    await shop.server.post("/admin/v1/journeys", a_journey(limits={"per_profile": 1}))
    await phone.consent(messaging=False)
    await phone.upload(an_event())
    assert await last_decision(shop, phone) == ("stopped", "consent")
    assert await phone.messages() == []
    (decision,) = await shop.server.decisions(phone.profile_id)
    assert [gate["gate"] for gate in decision["gates"]] == ["where", "consent"]


async def test_message_from_a_server_is_stopped_by_denied_messaging(
    worker: None, shop: Shop, phone: Phone
) -> None:
    await phone.consent(messaging=False)
    await shop.gateway.settled()
    to = {"profile_id": phone.profile_id}
    assert "message_id" in await shop.server.post("/admin/v1/messages", a_message(to))
    assert await last_decision(shop, phone) == ("stopped", "consent")
    assert await phone.messages() == []


async def test_granted_messaging_is_a_gate_that_is_passed(
    worker: None, shop: Shop, phone: Phone, clock: SettableClock
) -> None:
    await shop.server.post("/admin/v1/journeys", a_journey())
    await phone.consent(messaging=False)
    clock.forward(seconds=1)
    await phone.consent(messaging=True)
    await phone.upload(an_event())
    assert await last_decision(shop, phone) == ("sent", None)
    (decision,) = await shop.server.decisions(phone.profile_id)
    assert [gate["gate"] for gate in decision["gates"]] == ["where", "consent", "inbox"]


async def test_denied_messaging_takes_back_what_waits_on_all_devices(
    worker: None, shop: Shop, phone: Phone
) -> None:
    tablet = await shop.new_phone(form_factor="tablet")
    for device in (phone, tablet):
        await device.login("u1")
    sent = await shop.server.post("/admin/v1/messages", a_message({"user_id": "u1"}))
    await shop.gateway.settled()
    assert len(await tablet.messages()) == 1
    poll = await tablet.waits()
    await phone.consent(messaging=False)
    assert (await poll)["withdrawn"] == [sent["message_id"]]
    assert await phone.messages() == []


async def test_denied_messaging_takes_back_what_a_device_still_shows(
    worker: None, shop: Shop, phone: Phone
) -> None:
    tablet = await shop.new_phone(form_factor="tablet")
    for device in (phone, tablet):
        await device.login("u1")
    sent = await shop.server.post("/admin/v1/messages", a_message({"user_id": "u1"}))
    await shop.gateway.settled()
    await tablet.receive()
    await tablet.upload(message_event("message_shown", sent["message_id"]))
    await shop.gateway.settled()
    await tablet.receive()
    await phone.consent(messaging=False)
    await shop.gateway.settled()
    assert (await tablet.receive())["withdrawn"] == [sent["message_id"]]
    await phone.consent(push=True)
    await shop.gateway.settled()
    assert (await tablet.receive())["withdrawn"] == [], "once is enough"


# --- logging in and out ----------------------------------------------------------------------


@pytest.mark.parametrize("known, anonymous", [(True, False), (False, True), (False, False)])
async def test_denial_on_either_side_of_a_login_wins(
    worker: None, shop: Shop, phone: Phone, clock: SettableClock, known: bool, anonymous: bool
) -> None:
    await phone.login("u1")
    await phone.consent(messaging=known)
    await phone.logout()
    clock.forward(seconds=1)
    await phone.consent(messaging=anonymous, analytics=True)
    await phone.login("u1")
    consent = await consent_of(shop, phone)
    assert consent["messaging"][0] is False
    assert consent["analytics"] == (True, NOW + 1_000)


async def test_who_is_logged_in_may_agree_anew(
    worker: None, shop: Shop, phone: Phone, clock: SettableClock
) -> None:
    await phone.consent(messaging=False)
    await phone.login("u1")
    await shop.gateway.settled()
    clock.forward(seconds=1)
    await phone.consent(messaging=True)
    assert await consent_of(shop, phone) == {"messaging": (True, NOW + 1_000)}


async def test_waiting_messages_of_the_known_person_go_when_the_device_had_denied(
    worker: None, shop: Shop, phone: Phone
) -> None:
    await shop.server.post("/admin/v1/messages", a_message({"user_id": "u1"}))
    await phone.consent(messaging=False)
    await phone.login("u1")
    await shop.gateway.settled()
    assert await phone.messages() == []


async def test_messages_do_not_move_to_a_person_who_denies_them(
    worker: None, shop: Shop, phone: Phone
) -> None:
    await phone.login("u1")
    await phone.consent(messaging=False)
    await phone.logout()
    await shop.gateway.settled()
    await shop.server.post("/admin/v1/messages", a_message({"profile_id": phone.profile_id}))
    await phone.login("u1")
    await shop.gateway.settled()
    assert await phone.messages() == []


async def test_fresh_profile_after_a_logout_knows_of_no_answer(
    worker: None, shop: Shop, phone: Phone
) -> None:
    await phone.login("u1")
    await phone.consent(analytics=False)
    await phone.logout()
    assert await consent_of(shop, phone) == {}
    await phone.login("u2")
    assert await consent_of(shop, phone) == {}


@pytest.mark.parametrize("partitions", [1, 64])
async def test_answer_that_arrives_with_the_token_from_before_the_login_is_one_from_before_it(
    start_gateway: StartGateway, clock: SettableClock, partitions: int
) -> None:
    gateway = await start_gateway(partitions=partitions)
    await gateway.start_worker()
    shop = await gateway.new_shop()
    phone, other = await shop.new_phone(), await shop.new_phone()
    await other.login("u1")
    await other.consent(messaging=False)
    old = await phone.login("u1")
    await gateway.settled()
    clock.forward(seconds=1)
    body = {"consent": {"messaging": True, "analytics": True}, "at": clock.at}
    assert code_of(await phone.ask("PUT", "/v1/consent", token=old, json=body)) == "200"
    assert await consent_of(shop, phone) == {
        "messaging": (False, NOW),
        "analytics": (True, NOW + 1_000),
    }


# --- limits ----------------------------------------------------------------------------------


def purposes(count: int) -> dict[str, bool]:
    return {f"purpose {number}": True for number in range(count)}


@pytest.mark.parametrize("count, expected", [(31, "200"), (32, "200"), (33, "400 invalid_body")])
async def test_request_has_a_limit_of_purposes(phone: Phone, count: int, expected: str) -> None:
    body = {"consent": purposes(count), "at": NOW}
    assert code_of(await phone.ask("PUT", "/v1/consent", json=body)) == expected
    registration = a_registration(consent=purposes(count))
    answer = await phone.shop.register(registration)
    assert code_of(answer) == {"200": "201"}.get(expected, expected)


async def test_person_has_a_limit_of_purposes_but_those_obeyed_always_fit(
    worker: None, shop: Shop, phone: Phone
) -> None:
    await phone.consent(**purposes(31))
    for name, expected in (("one", "200"), ("two", "400 invalid_body"), ("purpose 0", "200")):
        await shop.gateway.settled()
        body = {"consent": {name: False}, "at": NOW}
        assert code_of(await phone.ask("PUT", "/v1/consent", json=body)) == expected
    await phone.consent(analytics=False, messaging=False, push=False)
    assert len(await consent_of(shop, phone)) == 35


@pytest.mark.parametrize(
    "length, expected",
    [(0, "400 invalid_body"), (1, "200"), (63, "200"), (64, "200"), (65, "400 invalid_body")],
)
async def test_name_of_a_purpose_has_a_limit(phone: Phone, length: int, expected: str) -> None:
    body = {"consent": {"ü" * length: True}, "at": NOW}
    assert code_of(await phone.ask("PUT", "/v1/consent", json=body)) == expected
