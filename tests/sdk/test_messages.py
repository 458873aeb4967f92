import concurrent.futures
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.sdk.conftest import ClientFactory
from tests.sdk.fakes import Chance, ManualClock, Screen, a_message, until
from tests.sdk.scripted_gateway import CUT, Answer, ScriptedGateway, problem
from zuruf import Button, DisplayDecision, Message, Show
from zuruf.delivery import POLL_FAILURES_MAX, PROBE_AFTER_S
from zuruf.storage import Storage

POLL = "GET /v1/messages"


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
    client.on_message(screen)
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

    @client.on_message
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
    client.on_message(screen)
    gateway.deliver(a_message("m1"))
    screen.wait_for(1)
    gateway.deliver(a_message("m1"), a_message("m2"))
    screen.wait_for(2)
    assert screen.message_ids == ["m1", "m2"]
    client.flush()
    assert names_about(gateway, "m1") == ["message_received"]


def test_message_is_not_given_again_after_a_restart_and_the_cursor_goes_on(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client, screen = client_of(), Screen()
    client.on_message(screen)
    gateway.deliver(a_message("m1"))
    screen.wait_for(1)
    client.close()

    again, next_screen = client_of(), Screen()
    everything = {"cursor": "1", "messages": [a_message("m1")], "reset": True}
    gateway.will(POLL, Answer(200, everything))
    again.on_message(next_screen)
    gateway.deliver(a_message("m2"))
    next_screen.wait_for(1)
    assert next_screen.message_ids == ["m2"]


def test_message_that_no_callback_took_waits_across_a_restart(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client, screen = client_of(), Screen(DisplayDecision.DEFER)
    client.on_message(screen)
    gateway.deliver(a_message("m1"))
    screen.wait_for(1)
    client.flush()
    client.close()
    again, next_screen = client_of(), Screen()
    again.on_message(next_screen)
    next_screen.wait_for(1)
    assert next_screen.message_ids == ["m1"]


def test_deferred_message_is_offered_again_on_the_next_screen(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client, screen = client_of(clock=ManualClock()), Screen(DisplayDecision.DEFER)
    client.on_message(screen)
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
    client.on_message(screen)
    gateway.deliver(a_message("m1"))
    screen.wait_for(1)
    client.flush()
    clock.advance(31)
    screen.wait_for(2)


def test_discarded_message_is_reported_and_never_comes_back(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client, screen = client_of(), Screen(DisplayDecision.DISCARD)
    client.on_message(screen)
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
    client.on_message(screen)
    gateway.deliver(a_message("broken"), a_message("fine"))
    screen.wait_for(2)
    gateway.wait_for(lambda: "message_failed" in names_about(gateway, "broken"))
    assert screen.message_ids == ["broken", "fine"]
    client.track("alive")
    assert client.flush().is_complete


def test_withdrawn_message_is_not_shown(gateway: ScriptedGateway, client_of: ClientFactory) -> None:
    client, screen = client_of(), Screen(DisplayDecision.DEFER)
    client.on_message(screen)
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
    client.on_message(screen)
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
    client.on_message(screen)
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
    client.on_message(screen)
    gateway.deliver(a_message("old", expires_at=1_000), a_message("new"))
    screen.wait_for(1)
    assert screen.message_ids == ["new"]


def test_expiry_goes_by_the_clock_of_the_gateway(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    device_clock = ManualClock(wall_ms=1_000_000_000_000)
    client, screen = client_of(clock=device_clock), Screen()
    client.on_message(screen)
    gateway.deliver(a_message("old", expires_at=1_500_000_000_000), a_message("new"))
    screen.wait_for(1)
    assert screen.message_ids == ["new"]


def test_more_important_messages_come_first(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    gateway.deliver(a_message("low", priority=1), a_message("high", priority=99))
    client, screen = client_of(), Screen()
    client.on_message(screen)
    screen.wait_for(2)
    assert screen.message_ids == ["high", "low"]


def test_message_that_cannot_be_understood_does_not_hide_the_others(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client, screen = client_of(), Screen()
    client.on_message(screen)
    gateway.deliver({"content": "no id"}, {"id": "bare"}, a_message("fine"))
    screen.wait_for(2)
    assert set(screen.message_ids) == {"bare", "fine"}


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
        client.on_message(show)
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
    client.on_message(Screen())
    client.track("opened")
    client.flush()
    assert gateway.requests(POLL) == []


def test_held_polls_that_keep_failing_give_way_to_short_ones_and_are_tried_again_later(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    def no_held_polls(seen: object) -> Answer | None:
        return CUT if getattr(seen, "query", {})["wait"] != "0" else None

    gateway.always(POLL, no_held_polls)
    gateway.config["poll_interval_ms"] = 60_000
    clock = ManualClock()
    client, screen = client_of(clock=clock), Screen()
    client.on_message(screen)
    gateway.deliver(a_message("by a short poll"))
    screen.wait_for(1)
    assert client.diagnostics().stream_state == "poll"
    held = [one for one in gateway.requests(POLL) if one.query["wait"] != "0"]
    assert len(held) == POLL_FAILURES_MAX
    gateway.always(POLL, None)
    clock.advance(PROBE_AFTER_S)
    until(client, lambda now: now.stream_state == "long_poll")
    gateway.deliver(a_message("by a held poll"))
    screen.wait_for(2)


def test_polls_that_are_answered_early_with_nothing_do_not_become_a_storm(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    gateway.always(POLL, Answer(204))
    client = client_of(clock=ManualClock(), random=Chance(0.5))
    client.on_message(Screen())
    until(client, lambda now: now.stream_state == "retrying")
    client.flush()
    assert len(gateway.requests(POLL)) == 1


def test_poll_waits_as_long_as_the_gateway_asks(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    clock = ManualClock()
    gateway.will(POLL, problem(503, "draining", retry_after=20))
    client = client_of(clock=clock)
    client.on_message(Screen())
    until(client, lambda now: now.stream_state == "retrying")
    clock.advance(19)
    client.flush()
    assert len(gateway.requests(POLL)) == 1
    clock.advance(2)
    gateway.wait_for_requests(POLL, 2)


def test_poll_with_a_refused_token_goes_on_with_a_renewed_one(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    gateway.will(POLL, problem(401, "token_expired"))
    client, screen = client_of(clock=ManualClock()), Screen()
    client.on_message(screen)
    gateway.wait_for_poll(token="token-2")
    gateway.deliver(a_message())
    screen.wait_for(1)


@pytest.mark.parametrize("body", [b"not json", b"[]", b'{"messages": 7, "withdrawn": {}}'])
def test_unreadable_poll_answer_is_survived(
    gateway: ScriptedGateway, client_of: ClientFactory, body: bytes
) -> None:
    gateway.will(POLL, Answer(200, body))
    client, screen = client_of(), Screen()
    client.on_message(screen)
    gateway.deliver(a_message())
    screen.wait_for(1)


def test_message_is_marked_as_handed_over_before_the_app_sees_it(
    gateway: ScriptedGateway, client_of: ClientFactory, tmp_path: Path
) -> None:
    """An app that crashes on a message must not crash on it at every start."""
    jobs: list[Callable[[], None]] = []
    storage = Storage(tmp_path / "watched")
    client = client_of(storage=storage, callback_executor=jobs.append)
    client.on_message(Screen())
    gateway.deliver(a_message("m1"))
    gateway.wait_for_poll(after="1")
    client.close()
    storage.open()
    assert storage.waiting_messages() == []
    storage.close()
