from typing import Any

import pytest

from tests.builders import a_content, a_journey, a_leaf, a_message, an_event, message_event
from tests.clients import Gateway, Phone, SettableClock, Shop, code_of, eventually
from tests.conftest import StartGateway

BIG = a_leaf("amount", "gte", 100)

# --- journeys --------------------------------------------------------------------------------


async def test_journey_is_kept_as_it_was_written(shop: Shop, clock: SettableClock) -> None:
    draft = a_journey(where=BIG, limits={"per_profile": 3, "cooldown_s": 60})
    made = await shop.server.post("/admin/v1/journeys", draft)
    assert made["id"].startswith("jny_")
    assert (made["version"], made["created_at"], made["updated_at"]) == (1, clock.at, clock.at)
    assert made["draft"]["entry"] == draft["entry"]
    assert made["draft"]["limits"] == {"per_profile": 3, "cooldown_s": 60, "max_age_s": None}
    assert await shop.server.get(f"/admin/v1/journeys/{made['id']}") == made
    assert await shop.server.get("/admin/v1/journeys") == [made]


async def test_new_version_replaces_the_one_before(
    worker: None, shop: Shop, phone: Phone, clock: SettableClock
) -> None:
    made = await shop.server.post("/admin/v1/journeys", a_journey("purchase"))
    clock.forward(seconds=1)
    changed = await shop.server.put(f"/admin/v1/journeys/{made['id']}", a_journey("checkout"))
    assert (changed["id"], changed["version"]) == (made["id"], 2)
    assert (changed["created_at"], changed["updated_at"]) == (clock.at - 1_000, clock.at)
    await phone.upload(an_event("purchase"), an_event("checkout"))
    await shop.gateway.settled()
    assert len(await phone.messages()) == 1


@pytest.mark.parametrize("status", ["paused", "archived"])
async def test_journey_that_is_not_live_sends_nothing(
    worker: None, shop: Shop, phone: Phone, status: str
) -> None:
    await shop.server.post("/admin/v1/journeys", a_journey(status=status))
    await phone.upload(an_event())
    await shop.gateway.settled()
    assert await phone.messages() == []


async def test_archived_journey_starts_no_more_and_stays_readable(
    worker: None, shop: Shop, phone: Phone
) -> None:
    made = await shop.server.post("/admin/v1/journeys", a_journey())
    await phone.upload(an_event())
    await shop.gateway.settled()
    await shop.server.delete(f"/admin/v1/journeys/{made['id']}")
    await phone.upload(an_event())
    await shop.gateway.settled()
    assert len(await phone.messages()) == 1
    archived = await shop.server.get(f"/admin/v1/journeys/{made['id']}")
    assert (archived["draft"]["status"], archived["version"]) == ("archived", 2)
    assert len(await shop.server.decisions(phone.profile_id)) == 1


async def test_journey_is_live_in_every_process_within_a_second(
    gateway: Gateway, start_gateway: StartGateway, shop: Shop, phone: Phone
) -> None:
    away = await start_gateway()
    await gateway.start_worker(core=away.core)
    await shop.server.post("/admin/v1/journeys", a_journey("new_event"))

    async def phone_is_told() -> bool:
        answer = await away.http.get("/v1/config", headers=phone.headers())
        return "new_event" in answer.json()["trigger_events"]

    await eventually(phone_is_told, within_s=1)
    await phone.upload(an_event("new_event"))
    assert len(await phone.messages(wait=5)) == 1


async def test_change_whose_announcement_is_lost_is_live_within_a_second(
    start_gateway: StartGateway, gateway: Gateway, shop: Shop, phone: Phone
) -> None:
    away = await start_gateway()
    await away.core.definitions._subscription.close()
    await shop.server.post("/admin/v1/journeys", a_journey("new_event"))

    async def phone_is_told() -> bool:
        answer = await away.http.get("/v1/config", headers=phone.headers())
        return "new_event" in answer.json()["trigger_events"]

    await eventually(phone_is_told, within_s=1.5)


async def test_several_journeys_of_one_event_all_send(
    worker: None, shop: Shop, phone: Phone
) -> None:
    for priority in (10, 90):
        content = a_content(str(priority))
        message = {"priority": priority, "content": content}
        await shop.server.post("/admin/v1/journeys", a_journey(message=message))
    await phone.upload(an_event())
    await shop.gateway.settled()
    titles = [message["content"]["title"] for message in await phone.messages()]
    assert titles == ["90", "10"]


# --- decisions -------------------------------------------------------------------------------


async def test_decision_tells_every_gate_of_a_message_that_was_sent(
    worker: None, shop: Shop, phone: Phone, clock: SettableClock
) -> None:
    limits = {"per_profile": 2, "cooldown_s": 60, "max_age_s": 3_600}
    journey = await shop.server.post("/admin/v1/journeys", a_journey(where=BIG, limits=limits))
    event = an_event(props={"amount": 100})
    await phone.upload(event)
    await shop.gateway.settled()
    (message,) = await phone.messages()
    (decision,) = await shop.server.decisions(phone.profile_id)
    assert [gate["gate"] for gate in decision["gates"]] == [
        "where",
        "max_age",
        "limit",
        "cooldown",
        "inbox",
    ]
    assert all(gate["passed"] for gate in decision["gates"])
    told = {name: decision[name] for name in ("outcome", "failed_gate", "journey_id", "event")}
    assert told == {
        "outcome": "sent",
        "failed_gate": None,
        "journey_id": journey["id"],
        "event": "purchase",
    }
    assert decision["event_id"].replace("-", "") == event["id"].replace("-", "")
    assert (decision["message_id"], decision["at"]) == (message["id"], clock.at)
    assert decision["id"] == message["decision_id"]


@pytest.mark.parametrize(
    "limits, gate",
    [
        ({"per_profile": 1}, "limit"),
        ({"cooldown_s": 60}, "cooldown"),
        ({"max_age_s": 60}, "max_age"),
    ],
)
async def test_decision_tells_what_stopped_a_message(
    worker: None, shop: Shop, phone: Phone, clock: SettableClock, limits: Any, gate: str
) -> None:
    await shop.server.post("/admin/v1/journeys", a_journey(limits=limits))
    await phone.upload(an_event())
    late = an_event(ts=clock.at - 3_600_000) if gate == "max_age" else an_event()
    await phone.upload(late)
    await shop.gateway.settled()
    decisions = await shop.server.decisions(phone.profile_id)
    assert sorted(d["outcome"] for d in decisions) == ["sent", "stopped"]
    (stopped,) = [d for d in decisions if d["outcome"] == "stopped"]
    assert (stopped["failed_gate"], stopped["message_id"]) == (gate, None)
    assert stopped["gates"][-1]["passed"] is False
    assert len(await phone.messages()) == 1


async def test_decision_tells_why_an_event_did_not_fit(
    worker: None, shop: Shop, phone: Phone
) -> None:
    journey = await shop.server.post("/admin/v1/journeys", a_journey(where=BIG))
    event = an_event(props={"amount": 99})
    await phone.upload(event)
    await shop.gateway.settled()
    assert await phone.messages() == []
    (decision,) = await shop.server.decisions(phone.profile_id)
    assert (decision["outcome"], decision["failed_gate"]) == ("stopped", "where")
    assert decision["journey_id"] == journey["id"]
    (gate,) = decision["gates"]
    assert gate == {"gate": "where", "passed": False, "detail": "amount gte 100, was 99"}


async def test_event_before_a_journey_was_saved_was_no_candidate(
    worker: None, shop: Shop, phone: Phone, clock: SettableClock
) -> None:
    await phone.upload(an_event(props={"amount": 1}))
    await shop.gateway.settled()
    clock.forward(seconds=1)
    await shop.server.post("/admin/v1/journeys", a_journey(where=BIG))
    assert await shop.server.decisions(phone.profile_id) == []


async def test_decisions_come_newest_first_and_are_bounded(
    start_gateway: StartGateway, clock: SettableClock
) -> None:
    gateway = await start_gateway(decisions_max=3)
    await gateway.start_worker()
    shop = await gateway.new_shop()
    phone = await shop.new_phone()
    await shop.server.post("/admin/v1/journeys", a_journey(limits={"per_profile": 1}))
    for _ in range(5):
        clock.forward(seconds=1)
        await phone.upload(an_event())
    await gateway.settled()
    times = [decision["at"] for decision in await shop.server.decisions(phone.profile_id)]
    assert times == [clock.at, clock.at - 1_000, clock.at - 2_000]


async def test_limits_count_across_the_login(worker: None, shop: Shop, phone: Phone) -> None:
    await shop.server.post("/admin/v1/journeys", a_journey(limits={"per_profile": 1}))
    await phone.upload(an_event())
    await phone.login("u1")
    await shop.gateway.settled()
    await phone.upload(an_event())
    await shop.gateway.settled()
    assert len(await phone.messages()) == 1


async def test_event_that_is_uploaded_twice_sends_once(
    worker: None, shop: Shop, phone: Phone
) -> None:
    await shop.server.post("/admin/v1/journeys", a_journey())
    event = an_event()
    for _ in range(3):
        await phone.upload(event)
    await shop.gateway.settled()
    assert len(await phone.messages()) == 1


# --- messages --------------------------------------------------------------------------------


async def test_message_reaches_the_user_on_every_device(
    worker: None, shop: Shop, phone: Phone
) -> None:
    tablet = await shop.new_phone()
    for device in (phone, tablet):
        await device.login("u1")
    sent = await shop.server.post("/admin/v1/messages", a_message({"user_id": "u1"}))
    await shop.gateway.settled()
    for device in (phone, tablet):
        (message,) = await device.messages()
        assert message["id"] == sent["message_id"]
        assert "journey_id" not in message


async def test_message_reaches_a_user_who_comes_later(worker: None, shop: Shop) -> None:
    sent = await shop.server.post("/admin/v1/messages", a_message({"user_id": "u1"}))
    await shop.gateway.settled()
    phone = await shop.new_phone()
    await phone.login("u1")
    await shop.gateway.settled()
    assert [message["id"] for message in await phone.messages()] == [sent["message_id"]]


async def test_message_reaches_an_anonymous_profile(worker: None, shop: Shop, phone: Phone) -> None:
    await shop.gateway.settled()
    await shop.server.post("/admin/v1/messages", a_message({"profile_id": phone.profile_id}))
    await shop.gateway.settled()
    assert len(await phone.messages()) == 1


async def test_message_to_a_device_reaches_that_device_only(
    worker: None, shop: Shop, phone: Phone
) -> None:
    tablet = await shop.new_phone()
    for device in (phone, tablet):
        await device.login("u1")
    await shop.server.post("/admin/v1/messages", a_message({"device_id": tablet.device_id}))
    await shop.gateway.settled()
    assert (len(await phone.messages()), len(await tablet.messages())) == (0, 1)


@pytest.mark.parametrize("to", ["profile_id", "device_id"])
async def test_message_to_somebody_unknown_is_refused(shop: Shop, to: str) -> None:
    answer = await shop.server.ask("POST", "/admin/v1/messages", json=a_message({to: "0" * 32}))
    assert code_of(answer) == "404 not_found"


async def test_message_with_an_id_is_sent_once(worker: None, shop: Shop, phone: Phone) -> None:
    await phone.login("u1")
    body = a_message({"user_id": "u1"}, id="01920000-0000-7000-8000-000000000001")
    ids = {(await shop.server.post("/admin/v1/messages", body))["message_id"] for _ in range(3)}
    await shop.gateway.settled()
    assert [message["id"] for message in await phone.messages()] == list(ids)


async def test_message_carries_what_was_asked_for(
    worker: None, shop: Shop, phone: Phone, clock: SettableClock
) -> None:
    await phone.login("u1")
    content = a_content(
        image="https://example.org/i.png",
        theme={"colour": "#ff0000"},
        buttons=[
            {"id": "a", "label": "A", "action": {"type": "dismiss"}},
            {"id": "b", "label": "B", "action": {"type": "deep_link", "url": "shop://cart"}},
            {"id": "c", "label": "C", "action": {"type": "open_url", "url": "https://e.org"}},
            {"id": "d", "label": "D", "action": {"type": "event", "name": "n", "props": {"a": 1}}},
        ],
    )
    body = a_message(
        {"user_id": "u1"},
        content=content,
        ttl_s=90,
        priority=7,
        display={"once_per": "device"},
    )
    await shop.server.post("/admin/v1/messages", body)
    await shop.gateway.settled()
    (message,) = await phone.messages()
    assert message["content"] == content
    assert (message["priority"], message["display"]) == (7, {"once_per": "device"})
    assert message["expires_at"] == clock.at + 90_000


async def test_withdrawn_message_is_gone_within_one_poll(
    worker: None, shop: Shop, phone: Phone
) -> None:
    await phone.login("u1")
    sent = await shop.server.post("/admin/v1/messages", a_message({"user_id": "u1"}))
    await shop.gateway.settled()
    await phone.receive()
    poll = await phone.waits()
    path = f"/admin/v1/messages/{sent['message_id']}"
    assert code_of(await shop.server.ask("DELETE", path)) == "202"
    assert (await poll)["withdrawn"] == [sent["message_id"]]
    await shop.gateway.settled()
    assert code_of(await shop.server.ask("DELETE", path)) == "404 not_found"


async def test_message_that_was_shown_can_still_be_withdrawn_from_the_device_that_shows_it(
    worker: None, shop: Shop, phone: Phone
) -> None:
    await phone.login("u1")
    sent = await shop.server.post("/admin/v1/messages", a_message({"user_id": "u1"}))
    await shop.gateway.settled()
    await phone.receive()
    await phone.upload(message_event("message_shown", sent["message_id"]))
    await shop.gateway.settled()
    poll = await phone.waits()
    path = f"/admin/v1/messages/{sent['message_id']}"
    assert code_of(await shop.server.ask("DELETE", path)) == "202"
    assert (await poll)["withdrawn"] == [sent["message_id"]]
    await shop.gateway.settled()
    assert code_of(await shop.server.ask("DELETE", path)) == "404 not_found"


async def test_message_that_moved_with_a_login_can_still_be_withdrawn(
    worker: None, shop: Shop, phone: Phone
) -> None:
    await shop.gateway.settled()
    body = a_message({"profile_id": phone.profile_id})
    sent = await shop.server.post("/admin/v1/messages", body)
    await phone.login("u1")
    await shop.gateway.settled()
    assert len(await phone.messages()) == 1
    await shop.server.delete(f"/admin/v1/messages/{sent['message_id']}")
    await shop.gateway.settled()
    assert (await phone.receive())["withdrawn"] == [sent["message_id"]]


async def test_what_waits_in_an_inbox_can_be_looked_at(
    worker: None, shop: Shop, phone: Phone, clock: SettableClock
) -> None:
    await phone.login("u1")
    await shop.server.post("/admin/v1/messages", a_message({"user_id": "u1"}, ttl_s=60))
    sent = await shop.server.post("/admin/v1/messages", a_message({"user_id": "u1"}))
    await shop.gateway.settled()
    path = f"/admin/v1/profiles/{phone.profile_id}/messages"
    assert len(await shop.server.get(path)) == 2
    clock.forward(seconds=60)
    assert [message["id"] for message in await shop.server.get(path)] == [sent["message_id"]]
    await phone.upload(message_event("message_shown", sent["message_id"]))
    await shop.gateway.settled()
    assert await shop.server.get(path) == []


# --- the app and people ----------------------------------------------------------------------


async def test_app_changes_only_what_is_given(shop: Shop) -> None:
    before = await shop.server.get("/admin/v1/app")
    after = await shop.server.put("/admin/v1/app", {"name": "New name"})
    assert after == before | {"name": "New name"}
    after = await shop.server.put("/admin/v1/app", {"verify_identity": True})
    assert after == before | {"name": "New name", "verify_identity": True}
    assert await shop.server.get("/admin/v1/app") == after


async def test_profile_is_found_by_its_user(worker: None, shop: Shop, phone: Phone) -> None:
    for user in ("u1", "Ü & ?=#/ 1"):
        await phone.login(user)
        await shop.gateway.settled()
        found = await shop.server.get("/admin/v1/profiles", user_id=user)
        assert (found["id"], found["user_id"]) == (phone.profile_id, user)


async def test_unknown_user_is_not_found(shop: Shop) -> None:
    answer = await shop.server.ask("GET", "/admin/v1/profiles", params={"user_id": "nobody"})
    assert code_of(answer) == "404 not_found"
