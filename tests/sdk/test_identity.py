import threading

from tests.sdk.conftest import ClientFactory
from tests.sdk.fakes import Chance, ManualClock, Screen, a_message, until
from tests.sdk.scripted_gateway import Answer, ScriptedGateway, Seen, problem
from zuruf import DisplayDecision

EVENTS = "POST /v1/events"
LOGIN = "POST /v1/identity"
LOGOUT = "DELETE /v1/identity"


def steps(gateway: ScriptedGateway) -> list[tuple[str, str, list[str]]]:
    """What the gateway saw of events and identities, in order: route, token, names of events."""
    return [
        (one.route, one.token, one.event_names)
        for one in gateway.seen
        if one.route in {EVENTS, LOGIN, LOGOUT}
    ]


def test_events_before_and_after_a_login_go_out_with_their_own_tokens(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client = client_of()
    client.track("anonymous")
    client.identify("u_42", {"plan": "pro"}, proof="e30.e30.c2ln")
    client.track("known")
    client.reset()
    client.track("nobody")
    assert client.flush().is_complete

    assert steps(gateway) == [
        (EVENTS, "token-1", ["anonymous"]),
        (LOGIN, "token-1", []),
        (EVENTS, "token-2", ["identify", "known"]),
        (LOGOUT, "token-2", []),
        (EVENTS, "token-3", ["nobody"]),
    ]
    (login,) = gateway.requests(LOGIN)
    assert login.body == {"user_id": "u_42", "proof": "e30.e30.c2ln"}
    identify = gateway.batches()[1].body["events"][0]
    assert (identify["type"], identify["props"]) == ("identify", {"plan": "pro"})


def test_failing_upload_holds_the_login_back(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    clock = ManualClock()
    client = client_of(clock=clock)
    gateway.will(EVENTS, problem(503, "overloaded", retry_after=5))
    client.track("anonymous")
    client.identify("u_42")
    client.flush(timeout_s=1.0)
    assert gateway.requests(LOGIN) == []
    clock.advance(6)
    gateway.wait_for_requests(LOGIN, 1)
    assert [name for name, _, _ in steps(gateway)] == [EVENTS, EVENTS, LOGIN]


def test_failing_login_holds_the_events_after_it_back_and_is_repeated(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client = client_of()
    gateway.will(LOGIN, problem(503, "store_unavailable"), problem(500, "internal"))
    client.identify("u_42")
    client.track("known")
    assert client.flush().is_complete
    assert [name for name, _, _ in steps(gateway)] == [LOGIN, LOGIN, LOGIN, EVENTS]
    assert gateway.batches()[0].token == "token-2"


def test_login_survives_a_restart_before_it_was_sent(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    down = problem(503, "overloaded", retry_after=60)
    gateway.always("POST /v1/devices", down)
    client = client_of(queue_events_max=3)
    client.track("anonymous")
    client.identify("u_42")
    client.track("known")
    client.shutdown()
    gateway.always("POST /v1/devices", None)
    again = client_of()
    assert again.flush().is_complete
    assert steps(gateway) == [
        (EVENTS, "token-1", ["anonymous"]),
        (LOGIN, "token-1", []),
        (EVENTS, "token-2", ["known"]),
    ]


def test_full_queue_never_drops_a_login(gateway: ScriptedGateway, client_of: ClientFactory) -> None:
    gateway.always("POST /v1/devices", problem(503, "overloaded", retry_after=60))
    client = client_of(queue_events_max=2)
    client.identify("u_42")
    for number in range(6):
        client.track(f"event-{number}")
    until(client, lambda now: now.dropped == {"queue_overflow": 4})
    client.shutdown()
    gateway.always("POST /v1/devices", None)
    client_of().flush()
    assert [one.body["user_id"] for one in gateway.requests(LOGIN)] == ["u_42"]


def test_login_of_the_same_person_at_every_start_changes_nothing(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client = client_of()
    client.identify("u_42")
    client.flush()
    client.shutdown()
    again = client_of()
    again.identify("u_42")
    again.track("still me")
    again.flush()
    assert len(gateway.requests(LOGIN)) == 1
    assert gateway.batches()[-1].token == "token-2"
    assert again.diagnostics().user_id == "u_42"


def test_events_of_an_unproven_person_wait_for_a_proof(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    def verify(seen: Seen) -> Answer | None:
        proven = seen.body.get("proof") == "good"
        return None if proven else problem(401, "proof_invalid")

    gateway.always(LOGIN, verify)
    client = client_of()
    client.track("anonymous")
    client.identify("u_42", proof="bad")
    client.track("unproven")
    result = client.flush()
    assert (result.remaining, result.last_error) == (1, "proof_invalid")
    assert client.diagnostics().is_identity_refused
    assert gateway.accepted_names() == ["anonymous"]

    client.identify("u_42", proof="good")
    assert client.flush().is_complete
    assert gateway.accepted_names() == ["anonymous", "unproven"]
    assert gateway.batches()[-1].token == "token-2"


def test_events_of_a_person_who_never_proved_who_they_are_count_for_nobody_else(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    gateway.always(LOGIN, problem(401, "proof_required"))
    client = client_of()
    client.track("anonymous")
    client.identify("u_42")
    client.track("unproven")
    client.flush()
    client.reset()
    client.track("nobody")
    assert client.flush().is_complete
    assert gateway.accepted_names() == ["anonymous", "nobody"]
    assert client.diagnostics().dropped == {"identity_refused": 1}
    assert gateway.batches()[-1].body["client_report"] == [
        {"reason": "identity_refused", "quantity": 1}
    ]


def test_refused_login_that_was_followed_by_a_logout_while_offline_is_given_up(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    gateway.always("POST /v1/devices", problem(503, "overloaded", retry_after=60))
    gateway.always(LOGIN, problem(401, "proof_required"))
    client = client_of()
    client.identify("u_42")
    client.track("unproven")
    client.reset()
    client.track("nobody")
    client.shutdown()
    gateway.always("POST /v1/devices", None)
    again = client_of()
    assert again.flush().is_complete
    assert gateway.accepted_names() == ["nobody"]


def test_login_and_logout_begin_new_sessions_but_a_first_login_does_not(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client = client_of()
    sessions = []

    def visit() -> None:
        client.track("seen")
        sessions.append(client.diagnostics().session_id)

    visit()
    client.identify("u_1")
    visit()
    client.identify("u_2")
    visit()
    client.reset()
    visit()
    anonymous, first, second, nobody = sessions
    assert anonymous == first
    assert len({first, second, nobody}) == 3


def test_after_a_logout_the_app_is_given_nothing_of_the_person_before(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client, screen = client_of(stream="long_poll"), Screen(DisplayDecision.DEFER)
    client.in_app.on_message(screen)
    gateway.deliver(a_message("deferred"))
    screen.wait_for(1)
    gateway.will(LOGOUT, problem(503, "overloaded", retry_after=60))
    client.reset()
    client.screen("home")
    gateway.wait_for_requests(LOGOUT, 1)
    gateway.deliver(a_message("for the person before"))
    client.flush(timeout_s=0.2)
    assert client.diagnostics().stream_state == "off"
    assert screen.message_ids == ["deferred"]


def test_logout_ends_the_held_poll_at_once(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    gateway.always(LOGOUT, problem(503, "overloaded", retry_after=60))
    client = client_of(stream="long_poll")
    client.in_app.on_message(Screen())
    gateway.wait_for_requests("GET /v1/messages", 1)
    client.reset()
    gateway.wait_for(lambda: gateway.abandoned_polls == 1)


def test_next_person_receives_with_the_new_token_and_an_empty_cursor(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client, screen = client_of(stream="long_poll"), Screen()
    client.in_app.on_message(screen)
    gateway.deliver(a_message("for the first"))
    screen.wait_for(1)
    gateway.wait_for_poll(after="1")
    gateway.clear_messages()
    client.reset()
    gateway.wait_for_poll(token="token-2")
    first = next(one for one in gateway.requests("GET /v1/messages") if one.token == "token-2")
    assert "after" not in first.query
    gateway.deliver(a_message("for the second"))
    screen.wait_for(2)
    assert screen.message_ids == ["for the first", "for the second"]


def test_answer_that_was_on_its_way_during_a_logout_is_thrown_away(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    release = threading.Event()
    late = {"cursor": "9", "messages": [a_message("too late")], "withdrawn": []}
    gateway.will("GET /v1/messages", Answer(200, late, after=release))
    gateway.will(LOGOUT, problem(503, "overloaded", retry_after=60))
    client, screen = client_of(stream="long_poll"), Screen()
    client.in_app.on_message(screen)
    gateway.wait_for_requests("GET /v1/messages", 1)
    client.reset()
    release.set()
    gateway.wait_for_requests(LOGOUT, 1)
    client.flush(timeout_s=0.2)
    assert screen.message_ids == []


def test_reports_about_a_message_of_the_person_before_are_not_sent_for_the_next(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client, screen = client_of(), Screen(keeps=True)
    client.in_app.on_message(screen)
    gateway.deliver(a_message("m1"))
    screen.wait_for(1)
    (show,) = screen.shows
    assert show.is_current
    show.shown()
    client.reset()
    assert not show.is_current
    show.clicked("ok")
    show.dismissed("closed")
    assert client.flush().is_complete
    assert sorted(gateway.accepted_names()) == ["message_received", "message_shown"]


def test_switching_between_two_known_people_isolates_them_like_a_logout(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client, screen = client_of(stream="long_poll"), Screen(DisplayDecision.DEFER)
    client.identify("u_1")
    client.in_app.on_message(screen)
    client.flush()
    gateway.deliver(a_message("for u_1"))
    screen.wait_for(1)
    gateway.clear_messages()
    gateway.will(LOGIN, problem(503, "overloaded", retry_after=60))
    client.identify("u_2")
    client.screen("home")
    gateway.wait_for_requests(LOGIN, 2)
    client.flush(timeout_s=0.1)
    assert screen.message_ids == ["for u_1"]
    assert client.diagnostics().stream_state == "off"


def test_logout_holds_across_a_restart(gateway: ScriptedGateway, client_of: ClientFactory) -> None:
    client, screen = client_of(stream="long_poll"), Screen(DisplayDecision.DEFER)
    client.in_app.on_message(screen)
    gateway.deliver(a_message("for the person before"))
    screen.wait_for(1)
    gateway.always(LOGOUT, problem(503, "overloaded", retry_after=60))
    client.reset()
    client.shutdown(timeout_s=0.2)

    again, next_screen = client_of(stream="long_poll"), Screen()
    again.in_app.on_message(next_screen)
    gateway.wait_for_requests(LOGOUT, 2)
    again.flush(timeout_s=0.1)
    assert next_screen.message_ids == []
    assert again.diagnostics().stream_state == "off"


def test_lost_answer_to_a_login_is_recovered(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client = client_of(random=Chance(0.0))
    gateway.will(LOGIN, problem(401, "token_superseded"))
    client.identify("u_42")
    client.track("known")
    assert client.flush().is_complete
    assert [one.headers.get("x-device-token") for one in gateway.requests("POST /v1/devices")] == [
        None,
        "token-1",
    ]
    assert gateway.batches()[-1].token == "token-3"


def test_restored_backup_does_not_undo_a_logout(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client = client_of()
    client.identify("u_42")
    client.flush()
    superseded = problem(401, "token_superseded")
    gateway.will(EVENTS, superseded)
    gateway.will("POST /v1/devices", superseded)
    new_device = {"device_id": "new", "profile_id": "p", "token": "fresh", "config": {}}
    gateway.will("POST /v1/devices", Answer(201, new_device))
    client.track("somebody")
    assert client.flush().is_complete
    assert len(gateway.requests(LOGIN)) == 1
    assert client.diagnostics().user_id is None


def test_user_id_out_of_bounds_is_ignored(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client = client_of()
    client.identify("")
    client.identify("x" * 257)
    client.track("still anonymous")
    client.flush()
    assert gateway.requests(LOGIN) == []
