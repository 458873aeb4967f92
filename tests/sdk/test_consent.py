"""What a person allows, and what therefore neither is kept nor leaves the device."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.sdk.conftest import ClientFactory
from tests.sdk.fakes import Chance, ManualClock, Screen, a_message, until
from tests.sdk.scripted_gateway import Answer, ScriptedGateway, problem
from zuruf import Zuruf
from zuruf.database import FILE_NAME

DEVICES, EVENTS, CONSENT, PUSH = (
    "POST /v1/devices",
    "POST /v1/events",
    "PUT /v1/consent",
    "PUT /v1/push-token",
)
NO_PUSH = "DELETE /v1/push-token"
LOGIN, LOGOUT = "POST /v1/identity", "DELETE /v1/identity"


def routes(gateway: ScriptedGateway) -> list[str]:
    """What was asked of the gateway, but for its configuration."""
    return [one.route for one in gateway.seen if one.route != "GET /v1/config"]


def bodies(gateway: ScriptedGateway, route: str) -> list[dict[str, Any]]:
    return [one.body for one in gateway.requests(route)]


def test_consent_stands_between_the_events_in_the_order_of_the_calls(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client = client_of()
    client.track("before")
    client.consent.revoke("messaging")
    client.track("after")
    assert client.flush().is_complete
    assert routes(gateway) == [DEVICES, EVENTS, CONSENT, EVENTS]
    (told,) = bodies(gateway, CONSENT)
    assert told["consent"] == {"messaging": False}
    assert isinstance(told["at"], int)


def test_registration_carries_the_consent_that_is_known(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client = client_of()
    client.consent.grant("analytics", "newsletter")
    client.consent.revoke("push")
    client.flush()
    (registration,) = bodies(gateway, DEVICES)
    assert registration["consent"] == {"analytics": True, "newsletter": True, "push": False}


def test_revoking_analytics_deletes_what_was_not_sent_and_refuses_what_comes(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    gateway.will(DEVICES, problem(503, "overloaded"))
    client = client_of(clock=ManualClock())
    client.track("unsent")
    client.set_user_properties({"city": "Bonn"})
    client.consent.revoke("analytics")
    client.screen("home")
    assert client.flush().is_complete
    assert client.diagnostics().dropped == {"consent": 3}
    assert gateway.accepted_names() == []
    client.consent.grant("analytics")
    client.track("allowed again")
    assert client.flush().is_complete
    assert gateway.accepted_names() == ["allowed again"]
    assert gateway.batches()[0].body["client_report"] == [{"reason": "consent", "quantity": 3}]


def test_batch_that_waits_for_its_next_attempt_is_deleted_too(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    gateway.will(EVENTS, problem(503, "overloaded", retry_after=5))
    clock = ManualClock()
    client = client_of(clock=clock)
    client.track("tried once")
    client.flush(timeout_s=1)
    client.consent.revoke("analytics")
    clock.run(60, client)
    assert len(gateway.batches()) == 1
    assert client.diagnostics().queue_events == 0


def test_answer_to_an_upload_that_was_revoked_meanwhile_means_nothing(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client = client_of()
    delivered: list[object] = []
    client.subscribe("delivered", delivered.append)

    def revoke_meanwhile(_: object) -> None:
        client.consent.revoke("analytics")
        until(client, lambda now: now.queue_events == 0)

    gateway.always(EVENTS, revoke_meanwhile)
    client.track("on its way")
    client.flush()
    assert client.diagnostics().dropped == {"consent": 1}
    assert delivered == []


def test_without_required_consent_nothing_at_all_goes_over_the_network(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    clock = ManualClock()
    client = client_of(clock=clock, consent_required=True)
    client.in_app.on_message(Screen())
    client.track("not allowed")
    client.identify("u_42")
    client.push.register("token")
    client.consent.revoke("messaging")
    clock.run(86_400, client)
    assert client.flush(timeout_s=0.1).is_complete
    assert gateway.seen == []
    client.consent.grant("analytics")
    client.track("allowed")
    assert client.flush().is_complete
    assert routes(gateway) == [DEVICES, LOGIN, CONSENT, CONSENT, EVENTS]
    assert gateway.accepted_names() == ["allowed"]


def test_messages_are_neither_fetched_nor_shown_without_their_consent(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client, screen = client_of(), Screen(keeps=True)
    client.in_app.on_message(screen)
    gateway.deliver(a_message("m1"))
    screen.wait_for(1)
    (show,) = screen.shows
    client.consent.revoke("messaging")
    client.flush()
    assert not show.is_current
    until(client, lambda now: now.stream_state == "off")
    show.clicked("ok")
    client.flush()
    assert "message_clicked" not in gateway.accepted_names()


def test_newer_consent_replaces_what_still_waits(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    gateway.will(DEVICES, problem(503, "overloaded"))
    client = client_of(clock=ManualClock())
    client.consent.grant("messaging", "push")
    client.consent.revoke("messaging")
    client.consent.grant("messaging")
    client.consent.revoke("messaging")
    client.flush()
    assert [told["consent"] for told in bodies(gateway, CONSENT)] == [
        {"push": True},
        {"messaging": False},
    ]


def test_consent_of_one_person_does_not_replace_that_of_another(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client = client_of()
    client.identify("u_1")
    client.consent.grant("messaging")
    client.reset()
    client.consent.revoke("messaging")
    client.flush()
    told = [(one.token, one.body["consent"]) for one in gateway.requests(CONSENT)]
    assert told == [("token-2", {"messaging": True}), ("token-3", {"messaging": False})]


def test_next_person_is_told_what_was_said_on_this_device_and_when(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    clock = ManualClock()
    client = client_of(clock=clock)
    client.consent.grant("analytics")
    client.flush()
    clock.advance(3_600)
    client.consent.revoke("push")
    client.flush()
    before = bodies(gateway, CONSENT)
    clock.advance(3_600)
    client.reset()
    client.flush()
    assert routes(gateway)[-3:] == [LOGOUT, CONSENT, CONSENT]
    assert bodies(gateway, CONSENT)[2:] == before


def test_opting_out_tells_it_once_and_then_is_silent(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    clock = ManualClock()
    client = client_of(clock=clock)
    client.consent.grant("analytics", "newsletter")
    client.flush()
    gateway.will(EVENTS, problem(503, "overloaded", retry_after=1))
    client.track("unsent")
    client.flush(timeout_s=0.1)
    before = len(gateway.seen)
    client.opt_out()
    out = client.is_opted_out
    client.track("unheard")
    client.identify("u_42")
    clock.run(86_400, client)
    assert routes(gateway)[before:] == [CONSENT]
    assert bodies(gateway, CONSENT)[-1]["consent"] == {
        "analytics": False,
        "messaging": False,
        "push": False,
        "newsletter": False,
    }
    client.opt_in()
    client.track("heard")
    assert client.flush().is_complete
    assert (out, client.is_opted_out) == (True, False)
    assert routes(gateway)[before + 1 :] == [LOGIN, CONSENT, EVENTS]
    assert bodies(gateway, CONSENT)[-1]["consent"]["newsletter"]


def test_opting_out_before_the_first_contact_is_never_heard_of(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    clock = ManualClock()
    gateway.always(DEVICES, problem(503, "overloaded", retry_after=5))
    client = client_of(clock=clock)
    client.track("unsent")
    gateway.wait_for_requests(DEVICES, 1)
    client.opt_out()
    clock.run(86_400, client)
    assert routes(gateway) == [DEVICES]
    assert client.diagnostics().queue_events == 0


def test_choices_are_known_at_once_and_at_the_next_start(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client = client_of()
    client.consent.grant("analytics")
    client.consent.revoke("push")
    assert client.consent.status == {"analytics": True, "push": False}
    client.opt_out()
    client.shutdown()
    again = client_of()
    again.start()
    until(again, lambda now: now.storage == "disk")
    assert again.consent.status == {"analytics": True, "push": False}
    assert again.is_opted_out


@pytest.mark.parametrize("purpose", ["", "x" * 65, 7])
def test_purpose_that_cannot_be_one_is_refused(client_of: ClientFactory, purpose: str) -> None:
    client = client_of(debug=True)
    with pytest.raises(ValueError, match="purpose"):
        client.consent.grant(purpose)


# Push


def test_push_token_is_told_once(gateway: ScriptedGateway, client_of: ClientFactory) -> None:
    client = client_of()
    client.push.register("t-1", provider="apns")
    client.flush()
    client.push.register("t-1", provider="apns")
    client.flush()
    client.push.register("t-2", provider="apns")
    client.flush()
    client.shutdown()
    again = client_of()
    again.push.register("t-2", provider="apns")
    again.flush()
    assert bodies(gateway, PUSH) == [
        {"token": "t-1", "provider": "apns"},
        {"token": "t-2", "provider": "apns"},
    ]
    again.push.unregister()
    again.push.unregister()
    again.flush()
    assert len(gateway.requests(NO_PUSH)) == 1


def test_newer_push_token_replaces_one_that_waits(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    gateway.will(DEVICES, problem(503, "overloaded"))
    client = client_of(clock=ManualClock())
    client.push.register("t-1")
    client.push.unregister()
    client.push.register("t-2")
    client.flush()
    assert [one["token"] for one in bodies(gateway, PUSH)] == ["t-2"]
    assert gateway.requests(NO_PUSH) == []


def test_push_token_is_told_only_while_that_is_allowed(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client = client_of()
    client.consent.revoke("push")
    client.push.register("t-1")
    client.flush()
    assert gateway.requests(PUSH) == []
    client.consent.grant("push")
    client.flush()
    assert [one["token"] for one in bodies(gateway, PUSH)] == ["t-1"]
    client.consent.revoke("push")
    client.flush()
    assert len(gateway.requests(NO_PUSH)) == 1


@pytest.mark.parametrize(
    "token, provider", [("", "fcm"), ("x" * 4097, "fcm"), ("t", "pigeon"), (7, "fcm")]
)
def test_push_token_that_cannot_be_one_is_refused(
    client_of: ClientFactory, token: Any, provider: Any
) -> None:
    client = client_of(debug=True)
    with pytest.raises(ValueError, match="push"):
        client.push.register(token, provider)


# Operations in general


@pytest.mark.parametrize(
    "operate, route",
    [
        (lambda client: client.consent.revoke("messaging"), CONSENT),
        (lambda client: client.push.register("t-1"), PUSH),
    ],
    ids=["consent", "push"],
)
def test_operation_that_an_older_gateway_does_not_know_is_told_at_the_next_start(
    gateway: ScriptedGateway,
    client_of: ClientFactory,
    operate: Callable[[Zuruf], None],
    route: str,
) -> None:
    gateway.always(route, problem(404, "not_found"))
    client = client_of()
    operate(client)
    client.track("not held up")
    assert client.flush().is_complete
    assert gateway.accepted_names() == ["not held up"]
    client.shutdown()
    gateway.always(route, None)
    again = client_of()
    again.start()
    first, second = gateway.wait_for_requests(route, 2)
    assert first.body == second.body
    again.flush()
    again.shutdown()
    client_of().flush()
    assert len(gateway.requests(route)) == 2


def test_operations_are_retried_like_everything(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    gateway.will(CONSENT, problem(503, "overloaded"), Answer(cut=True), problem(500, "internal"))
    gateway.will(PUSH, problem(401, "token_expired"))
    client = client_of()
    client.consent.grant("messaging")
    client.push.register("t-1")
    client.track("after")
    assert client.flush().is_complete
    assert routes(gateway)[-6:] == [CONSENT, CONSENT, PUSH, DEVICES, PUSH, EVENTS]


def test_operations_survive_a_restart_and_are_not_evicted(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    gateway.always(DEVICES, problem(503, "overloaded", retry_after=60))
    client = client_of(queue_events_max=2)
    client.consent.revoke("messaging")
    client.push.register("t-1")
    for number in range(9):
        client.track(f"event-{number}")
    client.shutdown()
    gateway.always(DEVICES, None)
    client_of().flush()
    assert len(gateway.requests(CONSENT)) == len(gateway.requests(PUSH)) == 1


# Forgetting


def test_deleting_local_data_begins_anew_and_leaves_nothing_in_the_file(
    gateway: ScriptedGateway, client_of: ClientFactory, tmp_path: Path
) -> None:
    gateway.config["values"] = {"colour": {"value": "green"}}
    client, screen = client_of(clock=ManualClock(), random=Chance(0.9)), Screen(keeps=True)
    client.in_app.on_message(screen)
    gateway.deliver(a_message("secret message"))
    screen.wait_for(1)
    client.identify("secret person")
    client.consent.revoke("secret purpose")
    client.push.register("secret token")
    client.flush()
    gateway.clear_messages()
    gateway.always(EVENTS, problem(503, "overloaded"))
    client.track("secret event")
    client.flush(timeout_s=0.5)
    install_id = bodies(gateway, DEVICES)[0]["install_id"]
    client.delete_local_data()
    assert client.consent.status == {}
    assert not screen.shows[0].is_current
    second = gateway.wait_for_requests(DEVICES, 2)[1]
    assert second.body["install_id"] != install_id
    assert "x-device-token" not in second.headers
    gateway.always(EVENTS, None)
    client.track("of somebody new")
    client.flush()
    assert gateway.batches()[-1].event_names == ["of somebody new"]
    client.shutdown()
    assert b"secret" not in b"".join(
        (tmp_path / "zuruf" / name).read_bytes()
        for name in (FILE_NAME, FILE_NAME + "-wal")
        if (tmp_path / "zuruf" / name).exists()
    )


def test_answer_that_comes_after_the_data_was_deleted_is_ignored(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client = client_of()

    def delete_meanwhile(_: object) -> Answer | None:
        gateway.always(LOGIN, None)
        client.delete_local_data()
        gateway.wait_for_requests(DEVICES, 2)
        return None

    gateway.always(LOGIN, delete_meanwhile)
    client.identify("u_42")
    until(client, lambda _: len(gateway.requests(DEVICES)) == 2)
    client.flush()
    assert client.diagnostics().user_id is None
    assert json.dumps(client.diagnostics().dropped) == "{}"
