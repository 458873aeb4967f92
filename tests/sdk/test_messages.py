import concurrent.futures
import threading
from collections.abc import Callable

import pytest

from tests.sdk.conftest import ClientFactory
from tests.sdk.fakes import ManualClock, Screen, a_message
from tests.sdk.scripted_gateway import Answer, ScriptedGateway, problem
from zuruf import Button, DisplayDecision, Message, Show
from zuruf.presenter import DEFERRED_S
from zuruf.receiver import CURSOR_CHARACTERS_MAX

POLL = "GET /v1/messages"


@pytest.fixture
def client_of(client_of: ClientFactory) -> ClientFactory:
    """Clients that poll: a poll that goes on from a cursor says that everything before it was followed."""
    return lambda **settings: client_of(**{"stream": "long_poll", **settings})


def names_about(gateway: ScriptedGateway, message_id: str) -> list[str]:
    return [
        event["name"]
        for batch in gateway.batches()
        for event in batch.body["events"]
        if event["type"] == "message" and event["props"]["message_id"] == message_id
    ]


def test_message_arrives_as_it_was_written(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client, screen = client_of(), Screen()
    client.in_app.on_message(screen)
    gateway.deliver(a_message("m1", journey_id="jny_1", priority=70, unknown="ignored"))
    screen.wait_for(1)
    message: Message = screen.shows[0].message
    assert (message.id, message.journey_id, message.priority) == ("m1", "jny_1", 70)
    assert (message.content.layout, message.content.title) == ("modal", "Thank you")
    assert message.content.buttons == (Button("ok", "OK", {"type": "dismiss"}),)


def test_what_the_app_reports_becomes_events(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client = client_of()
    done = threading.Event()

    @client.in_app.on_message
    def show_it(_: Message, show: Show) -> None:
        show.shown()
        show.shown()
        show.clicked("ok")
        show.dismissed("button")
        done.set()

    gateway.deliver(a_message("m1"))
    assert done.wait(5)
    client.flush()
    assert names_about(gateway, "m1") == [
        "message_received",
        "message_shown",
        "message_clicked",
        "message_dismissed",
    ]
    props = [event["props"] for batch in gateway.batches() for event in batch.body["events"]]
    assert {"message_id": "m1", "button": "ok"} in props
    assert {"message_id": "m1", "reason": "button"} in props


def test_message_that_arrives_twice_is_given_to_the_app_once(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client, screen = client_of(), Screen()
    client.in_app.on_message(screen)
    gateway.deliver(a_message("m1"))
    screen.wait_for(1)
    gateway.deliver(a_message("m1"), a_message("m2"))
    screen.wait_for(2)
    assert screen.message_ids == ["m1", "m2"]
    client.flush()
    assert names_about(gateway, "m1").count("message_received") == 1


def test_message_is_not_given_again_after_a_restart_and_the_cursor_goes_on(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client, screen = client_of(), Screen()
    client.in_app.on_message(screen)
    gateway.deliver(a_message("m1"))
    screen.wait_for(1)
    client.shutdown()

    again, next_screen = client_of(), Screen()
    everything = {"cursor": "1", "messages": [a_message("m1")], "reset": True}
    gateway.will(POLL, Answer(200, everything))
    again.in_app.on_message(next_screen)
    gateway.deliver(a_message("m2"))
    next_screen.wait_for(1)
    assert next_screen.message_ids == ["m2"]


def test_message_that_no_callback_took_waits_across_a_restart(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client, screen = client_of(), Screen(DisplayDecision.DEFER)
    client.in_app.on_message(screen)
    gateway.deliver(a_message("m1"))
    screen.wait_for(1)
    client.flush()
    client.shutdown()
    again, next_screen = client_of(), Screen()
    again.in_app.on_message(next_screen)
    next_screen.wait_for(1)
    assert next_screen.message_ids == ["m1"]


def test_deferred_message_is_offered_again_on_the_next_screen(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client, screen = client_of(clock=ManualClock()), Screen(DisplayDecision.DEFER)
    client.in_app.on_message(screen)
    gateway.deliver(a_message("m1"))
    screen.wait_for(1)
    client.flush()
    client.screen("home")
    screen.wait_for(2)
    client.screen("cart")
    client.flush()
    assert screen.message_ids == ["m1", "m1"]


def test_deferred_message_is_offered_again_after_a_while(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    clock = ManualClock()
    client, screen = client_of(clock=clock), Screen(DisplayDecision.DEFER)
    client.in_app.on_message(screen)
    gateway.deliver(a_message("m1"))
    screen.wait_for(1)
    client.flush()
    clock.run(DEFERRED_S, client)
    screen.wait_for(2)


def test_discarded_message_is_reported_and_never_comes_back(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client, screen = client_of(), Screen(DisplayDecision.DISCARD)
    client.in_app.on_message(screen)
    gateway.deliver(a_message("m1"))
    screen.wait_for(1)
    gateway.wait_for(lambda: "message_dismissed" in names_about(gateway, "m1"))
    client.screen("home")
    client.flush()
    assert screen.message_ids == ["m1"]


def test_failing_callback_harms_nothing_and_is_reported(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client, screen = client_of(), Screen(ValueError("no such layout"))
    client.in_app.on_message(screen)
    gateway.deliver(a_message("broken"), a_message("fine"))
    screen.wait_for(2)
    gateway.wait_for(lambda: "message_failed" in names_about(gateway, "broken"))
    assert screen.message_ids == ["broken", "fine"]
    client.track("alive")
    assert client.flush().is_complete


def test_withdrawn_message_is_not_shown(gateway: ScriptedGateway, client_of: ClientFactory) -> None:
    client, screen = client_of(), Screen(DisplayDecision.DEFER)
    client.in_app.on_message(screen)
    gateway.deliver(a_message("m1"))
    screen.wait_for(1)
    client.flush()
    gateway.withdraw("m1")
    gateway.wait_for_poll(after="2")
    assert not screen.shows[0].is_current
    client.screen("home")
    client.flush()
    assert screen.message_ids == ["m1"]


def test_message_withdrawn_between_two_polls_is_not_shown_by_a_slow_app(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    jobs: list[Callable[[], None]] = []
    client, screen = client_of(callback_executor=jobs.append), Screen()
    client.in_app.on_message(screen)
    gateway.deliver(a_message("m1"))
    gateway.wait_for_poll(after="1")
    gateway.withdraw("m1")
    gateway.wait_for_poll(after="2")
    assert len(jobs) == 1
    jobs[0]()
    assert screen.message_ids == []


def test_reset_forgets_what_waits_and_is_not_in_the_list(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client = client_of()
    screen = Screen(DisplayDecision.DEFER, DisplayDecision.DEFER)
    client.in_app.on_message(screen)
    gateway.deliver(a_message("gone"), a_message("stays"))
    screen.wait_for(2)
    client.flush()
    complete = {"cursor": "9", "messages": [a_message("stays")], "withdrawn": [], "reset": True}
    gateway.will(POLL, Answer(200, complete))
    gateway.deliver(a_message("new"))
    gateway.wait_for_poll(after="9")
    client.screen("home")
    screen.wait_for(4)
    client.flush()
    assert screen.message_ids == ["gone", "stays", "new", "stays"]


def test_expired_message_is_not_shown(gateway: ScriptedGateway, client_of: ClientFactory) -> None:
    client, screen = client_of(), Screen()
    client.in_app.on_message(screen)
    gateway.deliver(a_message("old", expires_at=1_000), a_message("new"))
    screen.wait_for(1)
    assert screen.message_ids == ["new"]


def test_expiry_goes_by_the_clock_of_the_gateway(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    device_clock = ManualClock(wall_ms=1_000_000_000_000)
    client, screen = client_of(clock=device_clock), Screen()
    client.in_app.on_message(screen)
    gateway.deliver(a_message("old", expires_at=1_500_000_000_000), a_message("new"))
    screen.wait_for(1)
    assert screen.message_ids == ["new"]


def test_more_important_messages_come_first(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    gateway.deliver(a_message("low", priority=1), a_message("high", priority=99))
    client, screen = client_of(), Screen()
    client.in_app.on_message(screen)
    screen.wait_for(2)
    assert screen.message_ids == ["high", "low"]


def test_message_that_cannot_be_understood_does_not_hide_the_others(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client, screen = client_of(), Screen()
    client.in_app.on_message(screen)
    gateway.deliver({"content": "no id"}, {"id": "bare"}, a_message("fine"))
    screen.wait_for(2)
    assert set(screen.message_ids) == {"bare", "fine"}


@pytest.mark.parametrize(
    "strange",
    [
        {"priority": 2**63, "created_at": -(2**64), "expires_at": 10**30},
        {"content": {"layout": "modal", "title": "half an emoji: \ud83d"}},
        {"id": "half an emoji: \ud83d"},
        {"content": 7, "display": [], "trigger": None, "journey_id": 3},
        {"content": {"layout": 7, "title": [], "buttons": {"id": 1}, "survey": {"questions": 1}}},
    ],
)
def test_message_of_strange_values_is_survived_and_the_next_one_comes(
    gateway: ScriptedGateway, client_of: ClientFactory, strange: dict[str, object]
) -> None:
    client, screen = client_of(), Screen()
    client.in_app.on_message(screen)
    gateway.deliver({**a_message("strange"), **strange})
    gateway.wait_for_poll(after="1")
    gateway.deliver(a_message("fine"))
    gateway.wait_for_poll(after="2")
    screen.wait_for(2)
    assert screen.message_ids[1] == "fine"
    assert client.flush().is_complete


@pytest.mark.parametrize(
    "cursor", [7, "line\nbreak", "ü", "c" * (CURSOR_CHARACTERS_MAX + 1), {"a": 1}]
)
def test_cursor_that_cannot_be_sent_back_is_not_kept(
    gateway: ScriptedGateway, client_of: ClientFactory, cursor: object
) -> None:
    client, screen = client_of(), Screen()
    gateway.will(POLL, Answer(200, {"cursor": cursor, "messages": [a_message("m1")]}))
    client.in_app.on_message(screen)
    screen.wait_for(1)
    gateway.deliver(a_message("m2"))
    screen.wait_for(2)
    assert "after" not in gateway.wait_for_requests(POLL, 2)[1].query


def test_longest_cursor_is_sent_back(gateway: ScriptedGateway, client_of: ClientFactory) -> None:
    cursor = "1" * CURSOR_CHARACTERS_MAX
    gateway.will(POLL, Answer(200, {"cursor": cursor, "messages": [a_message("m1")]}))
    gateway.always(POLL, Answer(204))
    client_of(clock=ManualClock()).in_app.on_message(Screen())
    gateway.wait_for_poll(after=cursor)


def test_callbacks_run_where_the_app_wants_them(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    threads: list[str] = []
    done = threading.Event()

    def show(_: Message, __: Show) -> None:
        threads.append(threading.current_thread().name)
        done.set()

    with concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="app") as executor:
        client = client_of(callback_executor=executor)
        client.in_app.on_message(show)
        gateway.deliver(a_message())
        assert done.wait(5)
    assert threads[0].startswith("app")


def test_without_a_callback_nothing_is_fetched(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client = client_of()
    client.track("opened")
    client.flush()
    assert gateway.requests(POLL) == []
    assert client.diagnostics().stream_state == "off"


def test_receiving_can_be_switched_off(gateway: ScriptedGateway, client_of: ClientFactory) -> None:
    client = client_of(stream="off")
    client.in_app.on_message(Screen())
    client.track("opened")
    client.flush()
    assert gateway.requests(POLL) == []


def test_poll_with_a_refused_token_goes_on_with_a_renewed_one(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    gateway.will(POLL, problem(401, "token_expired"))
    client, screen = client_of(clock=ManualClock()), Screen()
    client.in_app.on_message(screen)
    gateway.wait_for_poll(token="token-2")
    gateway.deliver(a_message())
    screen.wait_for(1)


@pytest.mark.parametrize("body", [b"not json", b"[]", b'{"messages": 7, "withdrawn": {}}'])
def test_unreadable_poll_answer_is_survived(
    gateway: ScriptedGateway, client_of: ClientFactory, body: bytes
) -> None:
    gateway.will(POLL, Answer(200, body))
    client, screen = client_of(), Screen()
    client.in_app.on_message(screen)
    gateway.deliver(a_message())
    screen.wait_for(1)
