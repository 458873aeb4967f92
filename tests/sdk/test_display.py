"""Which message the app is given when, and what becomes of it there."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.sdk.conftest import ClientFactory
from tests.sdk.fakes import ManualClock, Screen, a_message, until
from tests.sdk.scripted_gateway import CUT, ScriptedGateway, problem
from tests.sdk.test_storage import run_python
from zuruf import DisplayDecision, Message, Show, Zuruf
from zuruf.messages import Question
from zuruf.platform import SystemPlatform
from zuruf.presenter import DEFERRED_S, DISPLAYS_MAX, SHOWN_S_MAX, UNREPORTED_S_MAX
from zuruf.worker import COMPANY_LOOK_S

# A Saturday, 18:33 UTC.
START_MS = 1_763_750_000_000
DAY_S = 24 * 60 * 60.0


@pytest.fixture
def clock(gateway: ScriptedGateway) -> ManualClock:
    """The time of device and gateway alike."""
    clock = ManualClock(START_MS)
    gateway.now_ms = clock.wall_ms
    return clock


@pytest.fixture
def client_of(client_of: ClientFactory, clock: ManualClock) -> ClientFactory:
    """Clients that poll: a poll that goes on from a cursor says that everything before it was followed."""
    return lambda **settings: client_of(**{"stream": "long_poll", "clock": clock, **settings})


@pytest.fixture
def client(client_of: ClientFactory) -> Zuruf:
    return client_of()


@pytest.fixture
def deliver(gateway: ScriptedGateway) -> Callable[..., None]:
    """Deliver messages, and wait until the client that polls has followed them."""

    def deliver(*messages: dict[str, Any]) -> None:
        gateway.deliver(*messages)
        gateway.wait_for_poll(after=str(gateway.cursor))

    return deliver


Deliver = Callable[..., None]


class Executor:
    """An app's main thread: it runs what it was given when the test says so."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.jobs: list[Callable[[], None]] = []

    def __call__(self, job: Callable[[], None]) -> None:
        with self._changed:
            self.jobs.append(job)
            self._changed.notify_all()

    def wait_for(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.jobs) >= count, 5), self.jobs

    def run(self) -> None:
        for job in self.jobs:
            job()
        self.jobs.clear()


def ended_of(client: Zuruf) -> list[str]:
    ended: list[str] = []
    client.subscribe("message_ended", ended.append)
    return ended


def an_inline(message_id: str, **more: Any) -> dict[str, Any]:
    return a_message(message_id, content={"layout": "inline", "title": "Offer"}, **more)


# One overlay at a time


def test_one_overlay_at_a_time(client: Zuruf, clock: ManualClock, deliver: Deliver) -> None:
    screen = Screen(keeps=True)
    client.in_app.on_message(screen)
    deliver(a_message("first"))
    deliver(a_message("second"))
    screen.wait_for(1)
    clock.settle(client)
    assert screen.message_ids == ["first"]
    screen.shows[0].dismissed()
    screen.wait_for(2)
    assert screen.message_ids == ["first", "second"]


@pytest.mark.parametrize(
    "leave",
    [
        lambda show: show.dismissed(),
        lambda show: show.clicked("ok"),
        lambda show: show.failed("no image"),
    ],
    ids=["dismissed", "clicked", "failed"],
)
def test_next_overlay_comes_when_the_one_before_is_gone(
    client: Zuruf, deliver: Deliver, leave: Callable[[Show], None]
) -> None:
    screen = Screen(keeps=True)
    client.in_app.on_message(screen)
    deliver(a_message("first"), a_message("second"))
    screen.wait_for(1)
    leave(screen.shows[0])
    screen.wait_for(2)


@pytest.mark.parametrize(
    "decision", [DisplayDecision.DEFER, DisplayDecision.DISCARD, RuntimeError("a bug of the app")]
)
def test_overlay_that_the_app_does_not_show_keeps_no_other_waiting(
    client: Zuruf, deliver: Deliver, decision: Any
) -> None:
    screen = Screen(decision)
    client.in_app.on_message(screen)
    deliver(a_message("first"), a_message("second"))
    screen.wait_for(2)
    assert screen.message_ids == ["first", "second"]


def test_slot_is_claimed_before_the_app_is_asked(
    client_of: ClientFactory, clock: ManualClock, deliver: Deliver
) -> None:
    executor, screen = Executor(), Screen(keeps=True)
    client = client_of(callback_executor=executor)
    client.in_app.on_message(screen)
    deliver(a_message("first"))
    deliver(a_message("second"))
    clock.settle(client)
    assert len(executor.jobs) == 1
    executor.run()
    assert screen.message_ids == ["first"]


def test_app_that_says_nothing_about_an_overlay_loses_the_slot_after_a_while(
    client: Zuruf, clock: ManualClock, deliver: Deliver
) -> None:
    screen = Screen(DisplayDecision.SHOW)
    client.in_app.on_message(screen)
    deliver(a_message("a silent one"), a_message("the next"))
    screen.wait_for(1)
    clock.settle(client)
    clock.run(UNREPORTED_S_MAX - 0.1, client)
    clock.settle(client)
    assert screen.message_ids == ["a silent one"]
    clock.run(0.1, client)
    screen.wait_for(2)


def test_overlay_that_is_never_reported_as_gone_loses_the_slot_in_the_end(
    client: Zuruf, clock: ManualClock, deliver: Deliver
) -> None:
    screen = Screen(keeps=True)
    client.in_app.on_message(screen)
    deliver(a_message("forgotten"), a_message("next"))
    screen.wait_for(1)
    clock.settle(client)
    clock.run(SHOWN_S_MAX - 0.1, client)
    clock.settle(client)
    assert screen.message_ids == ["forgotten"]
    clock.run(0.2, client)
    screen.wait_for(2)


def test_inline_messages_need_no_slot(client: Zuruf, clock: ManualClock, deliver: Deliver) -> None:
    screen = Screen(keeps=True)
    client.in_app.on_message(screen)
    deliver(a_message("overlay"))
    deliver(an_inline("one"), an_inline("two"), a_message("waits"))
    screen.wait_for(3)
    clock.settle(client)
    assert screen.message_ids == ["overlay", "one", "two"]


def test_important_messages_come_first_and_then_the_older_ones(
    client: Zuruf, deliver: Deliver
) -> None:
    screen = Screen()
    with client.in_app.pause("until all are there"):
        client.in_app.on_message(screen)
        deliver(
            a_message("young", created_at=START_MS + 1),
            a_message("old", created_at=START_MS),
            a_message("important", priority=99, created_at=START_MS + 2),
        )
    screen.wait_for(3)
    assert screen.message_ids == ["important", "old", "young"]


# The app's thread


def test_pause_holds_from_the_moment_of_the_call(
    client_of: ClientFactory, clock: ManualClock, deliver: Deliver
) -> None:
    executor, screen = Executor(), Screen()
    client = client_of(callback_executor=executor)
    client.in_app.on_message(screen)
    deliver(a_message("m1"))
    executor.wait_for(1)
    pause = client.in_app.pause("checkout")
    executor.run()
    assert screen.message_ids == []
    clock.settle(client)
    assert executor.jobs == []
    pause.resume()
    executor.wait_for(1)
    executor.run()
    assert screen.message_ids == ["m1"]


def test_messages_come_when_the_last_pause_has_ended(
    client: Zuruf, clock: ManualClock, deliver: Deliver
) -> None:
    screen = Screen()
    client.in_app.on_message(screen)
    with client.in_app.pause("checkout"):
        with client.in_app.pause("camera"):
            deliver(a_message("m1"))
        clock.settle(client)
        assert screen.message_ids == []
        assert client.in_app.is_paused
    screen.wait_for(1)
    assert not client.in_app.is_paused


def test_executor_that_refuses_is_asked_again_later(
    client_of: ClientFactory, clock: ManualClock, deliver: Deliver
) -> None:
    refused: list[object] = []
    accepts = threading.Event()

    def run(job: Callable[[], None]) -> None:
        if not accepts.is_set():
            refused.append(job)
            raise RuntimeError("the window is not there yet")
        job()

    screen = Screen()
    client = client_of(callback_executor=run)
    client.in_app.on_message(screen)
    deliver(a_message("m1"))
    clock.settle(client)
    assert refused
    accepts.set()
    clock.run(DEFERRED_S, client)
    clock.settle(client)
    assert screen.message_ids == ["m1"]


def test_executor_that_hangs_shows_nothing_twice_and_nothing_out_of_turn(
    client_of: ClientFactory, clock: ManualClock, deliver: Deliver
) -> None:
    executor, screen = Executor(), Screen(keeps=True)
    client = client_of(callback_executor=executor)
    client.in_app.on_message(screen)
    deliver(a_message("first", priority=99), a_message("second"))
    executor.wait_for(1)
    for _ in range(5):
        clock.run(UNREPORTED_S_MAX, client)
    clock.settle(client)
    executor.run()
    clock.settle(client)
    executor.run()
    assert len(screen.message_ids) == 1


def test_callback_that_blocks_holds_up_nothing_but_callbacks(
    gateway: ScriptedGateway, client: Zuruf, deliver: Deliver
) -> None:
    is_asked, may_go_on = threading.Event(), threading.Event()

    @client.in_app.on_message
    def show(_: Message, __: Show) -> None:
        is_asked.set()
        may_go_on.wait(5)

    deliver(a_message("m1"))
    assert is_asked.wait(5)
    client.track("while it blocks")
    assert client.flush().is_complete
    may_go_on.set()


# Rules


def test_gap_between_two_overlays(
    client_of: ClientFactory, clock: ManualClock, deliver: Deliver
) -> None:
    client, screen = client_of(display_gap_s=30.0), Screen()
    client.in_app.on_message(screen)
    deliver(a_message("first"), a_message("second"))
    screen.wait_for(1)
    clock.settle(client)
    clock.run(29.9, client)
    clock.settle(client)
    assert screen.message_ids == ["first"]
    clock.run(0.2, client)
    screen.wait_for(2)


def test_message_that_was_not_shown_begins_no_gap(
    client_of: ClientFactory, deliver: Deliver
) -> None:
    client, screen = client_of(display_gap_s=30.0), Screen(DisplayDecision.DEFER)
    client.in_app.on_message(screen)
    deliver(a_message("deferred"), a_message("shown"))
    screen.wait_for(2)
    assert screen.message_ids == ["deferred", "shown"]


@pytest.mark.parametrize("decision", [DisplayDecision.DISCARD, RuntimeError("a bug of the app")])
def test_message_that_was_not_shown_counts_for_no_cap(
    gateway: ScriptedGateway, client: Zuruf, deliver: Deliver, decision: Any
) -> None:
    gateway.config["display"] = {"per_day_max": 1}
    screen = Screen(decision)
    client.in_app.on_message(screen)
    deliver(a_message("1 not shown"), a_message("2 shown"))
    screen.wait_for(2)
    assert screen.message_ids == ["1 not shown", "2 shown"]


def test_inline_messages_come_while_overlays_are_paused(client: Zuruf, deliver: Deliver) -> None:
    screen = Screen()
    client.in_app.on_message(screen)
    with client.in_app.pause():
        deliver(an_inline("offer"), a_message("overlay"))
        screen.wait_for(1)
        assert screen.message_ids == ["offer"]
    screen.wait_for(2)


def test_cap_of_a_session(
    gateway: ScriptedGateway, client: Zuruf, clock: ManualClock, deliver: Deliver
) -> None:
    gateway.config["display"] = {"per_session_max": 2}
    screen = Screen()
    client.track("a session begins")
    client.in_app.on_message(screen)
    deliver(*(a_message(f"m{number}") for number in range(5)))
    deliver(a_message("urgent", display={"ignores_caps": True}))
    screen.wait_for(3)
    clock.settle(client)
    assert screen.message_ids == ["m0", "m1", "urgent"]
    clock.run(3600, client)
    client.track("another session begins")
    screen.wait_for(5)
    clock.settle(client)
    assert len(screen.shows) == 5


def test_cap_of_a_day(
    gateway: ScriptedGateway, client_of: ClientFactory, clock: ManualClock, deliver: Deliver
) -> None:
    """It is 23:33 on the device."""
    gateway.config["display"] = {"per_day_max": 2}
    client, screen = client_of(platform=East(hours=5)), Screen()
    client.in_app.on_message(screen)
    deliver(*(a_message(f"m{number}") for number in range(5)))
    screen.wait_for(2)
    clock.run(26 * 60, client)
    clock.settle(client)
    assert screen.message_ids == ["m0", "m1"]
    clock.run(60, client)
    screen.wait_for(4)
    clock.settle(client)
    assert len(screen.shows) == 4


def test_caps_are_remembered_over_a_restart(
    gateway: ScriptedGateway, client_of: ClientFactory, clock: ManualClock, deliver: Deliver
) -> None:
    gateway.config["display"] = {"per_day_max": 1}
    client, screen = client_of(), Screen()
    client.in_app.on_message(screen)
    deliver(a_message("first"))
    screen.wait_for(1)
    client.shutdown(timeout_s=0)
    again, next_screen = client_of(), Screen()
    again.in_app.on_message(next_screen)
    deliver(a_message("second"))
    clock.settle(again)
    assert next_screen.message_ids == []
    clock.advance(DAY_S)
    next_screen.wait_for(1)


def test_nothing_comes_up_in_the_quiet_hours_of_the_device(
    gateway: ScriptedGateway, client_of: ClientFactory, clock: ManualClock, deliver: Deliver
) -> None:
    """18:33 UTC is 19:33 here."""
    gateway.config["display"] = {"quiet_hours": {"from": "19:00", "to": "07:30"}}
    client, screen = client_of(platform=East(hours=1)), Screen()
    client.in_app.on_message(screen)
    until(client, lambda now: now.device_id is not None)
    deliver(a_message("m1"))
    clock.settle(client)
    minutes_left = (24 - 19.5) * 60 + 7.5 * 60 - 3
    clock.run((minutes_left - 2) * 60, client)
    clock.settle(client)
    assert screen.message_ids == []
    clock.run(3 * 60, client)
    screen.wait_for(1)


@dataclass(frozen=True, slots=True)
class East(SystemPlatform):
    """A device some hours east of Greenwich."""

    hours: int = 0

    def utc_offset_s(self, wall_ms: int) -> int:
        return self.hours * 3600


def test_how_long_a_fresh_message_took_is_known(
    gateway: ScriptedGateway, client: Zuruf, clock: ManualClock, deliver: Deliver
) -> None:
    """By the gateway's clock, which is an hour ahead of the device's."""
    gateway.now_ms = lambda: clock.wall_ms() + 3_600_000
    screen = Screen()
    client.in_app.on_message(screen)
    deliver(a_message("m1", created_at=gateway.now_ms() - 7))
    until(client, lambda now: now.message_latency_ms == 7)
    with client.in_app.pause():
        deliver(a_message("m2", created_at=gateway.now_ms()))
        clock.run(60, client)
    screen.wait_for(2)
    assert client.diagnostics().message_latency_ms == 7


# The end of a message


def test_app_is_told_when_a_message_on_the_screen_is_withdrawn(
    gateway: ScriptedGateway, client: Zuruf, clock: ManualClock, deliver: Deliver
) -> None:
    screen, ended = Screen(keeps=True), ended_of(client)
    client.in_app.on_message(screen)
    deliver(a_message("m1"), a_message("m2"))
    screen.wait_for(1)
    gateway.withdraw("m1")
    screen.wait_for(2)
    clock.settle(client)
    assert ended == ["m1"]
    assert not screen.shows[0].is_current
    assert screen.shows[1].is_current


def test_app_is_told_when_a_message_on_the_screen_expires(
    client: Zuruf, clock: ManualClock, deliver: Deliver
) -> None:
    screen, ended = Screen(keeps=True), ended_of(client)
    client.in_app.on_message(screen)
    deliver(a_message("m1", expires_at=START_MS + 60_000))
    screen.wait_for(1)
    clock.settle(client)
    assert screen.shows[0].is_current
    clock.run(60, client)
    clock.settle(client)
    assert not screen.shows[0].is_current
    assert ended == ["m1"]


def test_app_is_told_when_another_person_takes_over_the_screen(
    gateway: ScriptedGateway, client: Zuruf, clock: ManualClock, deliver: Deliver
) -> None:
    screen, ended = Screen(keeps=True), ended_of(client)
    client.in_app.on_message(screen)
    deliver(a_message("m1"), a_message("m2"))
    screen.wait_for(1)
    gateway.always("DELETE /v1/identity", problem(503, "overloaded", retry_after=60))
    client.reset()
    assert not screen.shows[0].is_current
    gateway.wait_for_requests("DELETE /v1/identity", 1)
    wait_until(client, lambda: ended == ["m1"])
    assert screen.message_ids == ["m1"]


def test_message_that_is_gone_is_not_reported_as_ended(
    gateway: ScriptedGateway, client: Zuruf, clock: ManualClock, deliver: Deliver
) -> None:
    screen, ended = Screen(), ended_of(client)
    client.in_app.on_message(screen)
    deliver(a_message("m1"))
    screen.wait_for(1)
    clock.settle(client)
    gateway.withdraw("m1")
    gateway.wait_for_poll(after="2")
    clock.settle(client)
    assert ended == []


def test_messages_on_the_screen_are_followed_up_to_a_number(
    gateway: ScriptedGateway, client: Zuruf, clock: ManualClock, deliver: Deliver
) -> None:
    screen, ended = Screen(keeps=True), ended_of(client)
    client.in_app.on_message(screen)
    deliver(*(an_inline(f"{number:03}") for number in range(DISPLAYS_MAX)))
    screen.wait_for(DISPLAYS_MAX)
    gateway.withdraw("000")
    wait_until(client, lambda: ended == ["000"])
    deliver(an_inline("a new one"), an_inline("one more"))
    screen.wait_for(DISPLAYS_MAX + 2)
    clock.settle(client)
    gateway.withdraw("001")
    gateway.withdraw("002")
    wait_until(client, lambda: ended == ["000", "002"])


def test_logout_between_handing_over_and_asking_shows_nothing(
    client_of: ClientFactory, clock: ManualClock, deliver: Deliver
) -> None:
    executor, screen = Executor(), Screen()
    client = client_of(callback_executor=executor)
    client.in_app.on_message(screen)
    deliver(a_message("theirs"))
    executor.wait_for(1)
    client.reset()
    executor.run()
    client.flush()
    executor.run()
    assert screen.message_ids == []


def test_revoked_consent_takes_everything_off_the_screen_and_out_of_the_file(
    gateway: ScriptedGateway, client: Zuruf, clock: ManualClock, deliver: Deliver
) -> None:
    screen, ended = Screen(keeps=True), ended_of(client)
    client.in_app.on_message(screen)
    deliver(a_message("m1"), a_message("m2"))
    screen.wait_for(1)
    client.consent.revoke("messaging")
    assert not screen.shows[0].is_current
    until(client, lambda now: now.stream_state == "off")
    wait_until(client, lambda: ended == ["m1"])
    screen.shows[0].dismissed()
    clock.settle(client)
    assert screen.message_ids == ["m1"]
    polls = len(gateway.requests("GET /v1/messages"))
    client.consent.grant("messaging")
    gateway.wait_for_requests("GET /v1/messages", polls + 1)
    screen.wait_for(2)
    assert screen.message_ids == ["m1", "m2"]


def test_consent_that_is_revoked_and_granted_in_one_breath_begins_anew_at_once(
    gateway: ScriptedGateway, client: Zuruf, deliver: Deliver
) -> None:
    screen = Screen()
    client.in_app.on_message(screen)
    deliver(a_message("m1"))
    screen.wait_for(1)
    client.consent.revoke("messaging")
    client.consent.grant("messaging")
    deliver(a_message("m2"))
    screen.wait_for(2)
    assert screen.message_ids == ["m1", "m2"]


def test_consent_that_is_revoked_between_handing_over_and_asking_shows_nothing(
    client_of: ClientFactory, deliver: Deliver
) -> None:
    executor, screen = Executor(), Screen()
    client = client_of(callback_executor=executor)
    client.in_app.on_message(screen)
    deliver(a_message("m1"))
    executor.wait_for(1)
    client.consent.revoke("messaging")
    executor.run()
    assert screen.message_ids == []


def test_message_that_a_person_has_seen_does_not_come_up_again_when_they_are_back(
    gateway: ScriptedGateway, client: Zuruf, clock: ManualClock
) -> None:
    screen = Screen()
    client.identify("u_42")
    client.in_app.on_message(screen)
    gateway.deliver(a_message("m1"))
    screen.wait_for(1)
    gateway.clear_messages()
    client.reset()
    gateway.wait_for_poll(token="token-3")
    client.identify("u_42")
    gateway.deliver(a_message("m1"), a_message("m2"))
    screen.wait_for(2)
    clock.settle(client)
    assert screen.message_ids == ["m1", "m2"]
    assert len(client.inbox.messages()) == 2


def test_person_changed_by_another_process_clears_the_screen_of_this_one(
    gateway: ScriptedGateway, client_of: ClientFactory, clock: ManualClock, deliver: Deliver
) -> None:
    client, other = client_of(), client_of()
    screen, ended = Screen(keeps=True), ended_of(client)
    client.in_app.on_message(screen)
    deliver(a_message("theirs"), a_message("theirs too"))
    screen.wait_for(1)
    gateway.always("DELETE /v1/identity", problem(503, "overloaded", retry_after=60))
    other.reset()
    clock.settle(other)
    clock.run(COMPANY_LOOK_S, client)
    wait_until(client, lambda: ended == ["theirs"])
    assert not screen.shows[0].is_current
    assert client.inbox.messages() == ()
    screen.shows[0].dismissed()
    clock.settle(client)
    assert screen.message_ids == ["theirs"]


# Crashes


PREAMBLE = """
import os, pathlib, sys, time
from zuruf import Config, Zuruf
client = Zuruf(Config(endpoint=sys.argv[1], publishable_key="pk_test",
                      storage_dir=pathlib.Path(sys.argv[2])))
"""


def test_app_that_crashes_on_a_message_does_not_crash_on_it_at_every_start(
    gateway: ScriptedGateway, client_of: ClientFactory, tmp_path: Path
) -> None:
    gateway.deliver(a_message("crashes", priority=99), a_message("fine"))
    run_python(
        PREAMBLE
        + """
@client.in_app.on_message
def show(message, show):
    os._exit(0)

time.sleep(10)
os._exit(1)
""",
        gateway.url,
        str(tmp_path / "zuruf"),
    )
    screen = Screen()
    client_of().in_app.on_message(screen)
    screen.wait_for(1)
    assert screen.message_ids == ["fine"]


def test_message_that_the_app_was_not_asked_about_waits_for_the_next_start(
    client_of: ClientFactory, deliver: Deliver
) -> None:
    executor, screen = Executor(), Screen()
    client = client_of(callback_executor=executor)
    client.in_app.on_message(screen)
    deliver(a_message("m1"))
    executor.wait_for(1)
    client.shutdown(timeout_s=0)
    executor.run()
    assert screen.message_ids == []
    client_of().in_app.on_message(screen)
    screen.wait_for(1)
    assert screen.message_ids == ["m1"]


# Triggered messages


def a_triggered(message_id: str, event: str, where: Any = None, **more: Any) -> dict[str, Any]:
    trigger = {"event": event} if where is None else {"event": event, "where": where}
    return a_message(message_id, trigger=trigger, **more)


def test_triggered_message_waits_for_its_event(
    client: Zuruf, clock: ManualClock, deliver: Deliver
) -> None:
    screen = Screen()
    client.in_app.on_message(screen)
    deliver(a_triggered("m1", "checkout"))
    client.track("something else")
    clock.settle(client)
    assert screen.message_ids == []
    client.track("checkout")
    screen.wait_for(1)
    client.track("checkout")
    clock.settle(client)
    assert screen.message_ids == ["m1"]


def test_triggered_message_comes_only_when_its_rule_fits(
    client: Zuruf, clock: ManualClock, deliver: Deliver
) -> None:
    screen = Screen()
    client.in_app.on_message(screen)
    where = {"prop": "amount", "op": "gte", "value": 100}
    deliver(a_triggered("m1", "purchase", where))
    client.track("purchase", {"amount": 99})
    client.track("purchase")
    clock.settle(client)
    assert screen.message_ids == []
    client.track("purchase", {"amount": 100})
    screen.wait_for(1)


@pytest.mark.parametrize(
    "trigger", [{}, "purchase", {"event": 7}, {"event": "purchase", "where": {"op": "magic"}}]
)
def test_trigger_that_cannot_be_understood_never_fires(
    client: Zuruf, clock: ManualClock, deliver: Deliver, trigger: Any
) -> None:
    screen = Screen()
    client.in_app.on_message(screen)
    deliver(a_message("m1", trigger=trigger), a_message("plain"))
    client.track("purchase")
    screen.wait_for(1)
    clock.settle(client)
    assert screen.message_ids == ["plain"]


def test_texts_of_a_triggered_message_say_what_happened(client: Zuruf, deliver: Deliver) -> None:
    screen = Screen()
    client.in_app.on_message(screen)
    content = {
        "layout": "modal",
        "title": 'Hello {{ event.name|default("you") }}',
        "body": "{{ event.item }} is in your cart",
        "buttons": [{"id": "ok", "label": "Buy {{ event.item }}", "action": {"type": "dismiss"}}],
    }
    deliver(a_triggered("m1", "added", content=content))
    client.track("added", {"item": "Tea"})
    screen.wait_for(1)
    shown = screen.shows[0].message.content
    assert (shown.title, shown.body) == ("Hello you", "Tea is in your cart")
    assert shown.buttons[0].label == "Buy Tea"


def test_triggered_message_comes_offline_and_after_a_restart(
    gateway: ScriptedGateway, client_of: ClientFactory, deliver: Deliver
) -> None:
    client = client_of()
    client.in_app.on_message(Screen())
    deliver(a_triggered("m1", "checkout"))
    client.shutdown(timeout_s=0)
    gateway.always("GET /v1/messages", CUT)
    gateway.always("POST /v1/events", CUT)
    again, screen = client_of(), Screen()
    again.in_app.on_message(screen)
    again.track("checkout")
    screen.wait_for(1)


def test_fired_message_survives_the_end_of_the_process(
    client_of: ClientFactory, clock: ManualClock, deliver: Deliver
) -> None:
    client = client_of()
    client.in_app.on_message(Screen())
    deliver(a_triggered("m1", "checkout"))
    with client.in_app.pause():
        client.track("checkout")
        clock.settle(client)
        client.shutdown(timeout_s=0)
    again, screen = client_of(), Screen()
    again.in_app.on_message(screen)
    screen.wait_for(1)


def test_triggered_message_comes_as_often_as_its_limit_says(
    client: Zuruf, clock: ManualClock, deliver: Deliver
) -> None:
    screen = Screen()
    client.in_app.on_message(screen)
    deliver(a_triggered("m1", "opened", display={"limit": {"count": 2, "period_s": None}}))
    for _ in range(4):
        client.track("opened")
        clock.settle(client)
        clock.run(1, client)
    clock.settle(client)
    assert screen.message_ids == ["m1", "m1"]


def test_limit_of_a_period_slides(client: Zuruf, clock: ManualClock, deliver: Deliver) -> None:
    screen = Screen()
    client.in_app.on_message(screen)
    deliver(a_triggered("m1", "opened", display={"limit": {"count": 1, "period_s": 3600}}))
    client.track("opened")
    screen.wait_for(1)
    clock.run(1800, client)
    client.track("opened")
    clock.settle(client)
    assert len(screen.shows) == 1
    clock.run(1801, client)
    screen.wait_for(2)


def test_triggered_message_that_has_expired_does_not_come(
    client: Zuruf, clock: ManualClock, deliver: Deliver
) -> None:
    screen = Screen()
    client.in_app.on_message(screen)
    deliver(a_triggered("m1", "checkout", expires_at=START_MS + 60_000))
    clock.run(61, client)
    client.track("checkout")
    clock.settle(client)
    assert screen.message_ids == []


def test_event_that_comes_while_the_message_does_is_not_missed(
    gateway: ScriptedGateway, client_of: ClientFactory, clock: ManualClock
) -> None:
    """Both are in the worker's mailbox before it looks at either."""
    client, screen = client_of(), Screen()
    client.in_app.on_message(screen)
    gateway.wait_for_poll()
    clock.settle(client)
    is_held, may_go_on = threading.Event(), threading.Event()

    def hold(_: object) -> None:
        is_held.set()
        may_go_on.wait(5)

    client._core.post(hold)
    assert is_held.wait(5)
    client.track("checkout")
    gateway.deliver(a_triggered("m1", "checkout"))
    wait_until(client, lambda: client._core.mailbox.qsize() >= 2)
    may_go_on.set()
    screen.wait_for(1)


def test_revoked_consent_disarms_triggers(
    client: Zuruf, clock: ManualClock, deliver: Deliver
) -> None:
    screen = Screen()
    client.in_app.on_message(screen)
    deliver(a_triggered("m1", "checkout"))
    client.consent.revoke("messaging")
    client.track("checkout")
    clock.settle(client)
    assert screen.message_ids == []


# Surveys


def test_answers_of_a_survey_become_one_event(
    gateway: ScriptedGateway, client: Zuruf, deliver: Deliver
) -> None:
    screen = Screen(keeps=True)
    client.in_app.on_message(screen)
    survey = {
        "questions": [
            {"id": "q1", "kind": "rating", "label": "How was it?", "scale": 5},
            {"id": "q2", "kind": "choice", "label": "Which one?", "options": ["a", "b"]},
            {"id": "q3", "kind": "text", "label": "Anything else?"},
        ]
    }
    deliver(a_message("m1", content={"layout": "survey", "survey": survey}))
    screen.wait_for(1)
    asked = screen.shows[0].message.content.survey
    assert asked.questions == (
        Question("q1", "rating", "How was it?", scale=5),
        Question("q2", "choice", "Which one?", options=("a", "b")),
        Question("q3", "text", "Anything else?"),
    )
    screen.shows[0].answered({"q1": 4, "q2": "b"})
    screen.shows[0].answered({"q1": 1})
    client.flush()
    events = [event for batch in gateway.batches() for event in batch.body["events"]]
    answers = [event for event in events if event["name"] == "survey_answered"]
    assert [(one["type"], one["props"]) for one in answers] == [
        ("message", {"message_id": "m1", "answers": {"q1": 4, "q2": "b"}})
    ]


def wait_until(client: Zuruf, condition: Callable[[], bool]) -> None:
    """Wait until the thread of the callbacks has come as far as the worker."""
    until(client, lambda _: condition())
