"""A device over hours and days: sessions, tokens, bad networks, wrong clocks. Time is moved by hand."""

import queue
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.sdk.conftest import ClientFactory
from tests.sdk.fakes import Chance, ManualClock, Screen, a_message, until
from tests.sdk.scripted_gateway import (
    CAPTIVE_PORTAL,
    CUT,
    Answer,
    ScriptedGateway,
    Seen,
    problem,
)
from zuruf.database import FILE_NAME
from zuruf.decisions.token import TokenLife, kept, told

DEVICES, EVENTS = "POST /v1/devices", "POST /v1/events"
MINUTE, HOUR, DAY = 60, 3_600, 86_400


def events(gateway: ScriptedGateway) -> list[dict[str, Any]]:
    return [event for batch in gateway.batches() for event in batch.body["events"]]


# Sessions


def test_events_of_a_visit_are_numbered_and_a_new_visit_begins_anew(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    clock = ManualClock()
    client = client_of(clock=clock)
    sessions: queue.SimpleQueue[str] = queue.SimpleQueue()
    client.subscribe("session_changed", sessions.put)
    client.track("first")
    clock.advance(29 * MINUTE)
    client.track("second")
    clock.advance(30 * MINUTE)
    client.track("third")
    client.flush()
    first, second, third = events(gateway)
    assert [first["seq"], second["seq"], third["seq"]] == [0, 1, 0]
    assert first["session_id"] == second["session_id"] != third["session_id"]
    assert [sessions.get(timeout=5), sessions.get(timeout=5)] == [
        first["session_id"],
        third["session_id"],
    ]


@pytest.mark.parametrize("where", ["app", "gateway"])
def test_length_of_a_visit_is_set_by_the_app_or_told_by_the_gateway(
    gateway: ScriptedGateway, client_of: ClientFactory, where: str
) -> None:
    clock = ManualClock()
    if where == "gateway":
        gateway.config["session_idle_ms"] = 60_000
        client = client_of(clock=clock)
    else:
        client = client_of(clock=clock, session_idle_s=60)
    client.start()
    until(client, lambda now: now.device_id is not None)
    clock.settle(client)
    client.track("first")
    clock.advance(59)
    client.track("second")
    clock.advance(61)
    client.track("third")
    client.flush()
    assert [event["seq"] for event in events(gateway)] == [0, 1, 0]


def test_what_happens_without_the_person_is_numbered_too(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client, screen = client_of(), Screen(keeps=True)
    client.in_app.on_message(screen)
    client.track("first")
    client.flush()
    gateway.deliver(a_message("m1"))
    screen.wait_for(1)
    client.flush()
    client.track("last")
    client.flush()
    by_name = {event["name"]: event["seq"] for event in events(gateway)}
    assert by_name == {"first": 0, "message_received": 1, "message_shown": 2, "last": 3}


def test_texts_that_are_too_long_are_cut_and_counted_but_not_dropped(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client = client_of()
    client.track("long", {"text": "ä" * 3_000, "short": "ä"})
    assert client.flush().is_complete
    assert events(gateway)[0]["props"] == {"text": "ä" * 2_048, "short": "ä"}
    assert client.diagnostics().truncated == 1
    assert client.diagnostics().dropped == {}


# Sampling


def test_gateway_has_a_share_of_the_devices_upload_an_event(
    gateway: ScriptedGateway, client_of: ClientFactory, tmp_path: Path
) -> None:
    gateway.config |= {
        "sampling": {"scrolled": 0.5, "bought": 0.0, "home": 0.0, "set": 0.0},
        "trigger_events": ["bought"],
    }
    counts: list[int] = []
    for number in range(30):
        client = client_of(storage_dir=tmp_path / str(number))
        client.start()
        until(client, lambda now: now.device_id is not None)
        client.track("scrolled")
        client.track("bought")
        client.screen("home")
        client.set_user_properties({"city": "Bonn"})
        assert client.flush().is_complete
        counts.append(client.diagnostics().dropped["sampled"])
        client.shutdown()
    names = gateway.accepted_names()
    assert names.count("scrolled") == 60 - sum(counts)
    assert 4 < names.count("scrolled") < 26
    assert (names.count("bought"), names.count("set"), names.count("home")) == (30, 30, 0)


# Tokens


def registered(clock: ManualClock, number: int, *, days: float) -> Answer:
    return Answer(
        201,
        {
            "device_id": "device",
            "profile_id": "profile",
            "token": f"token-{number}",
            "expires_at": clock.wall_ms() + round(days * DAY * 1000),
            "config": {},
        },
    )


def test_app_in_daily_use_never_meets_a_refused_token(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    clock = ManualClock()
    renewals = 0

    def register(_: Seen) -> Answer:
        nonlocal renewals
        renewals += 1
        return registered(clock, renewals, days=30)

    gateway.now_ms = clock.wall_ms
    gateway.always(DEVICES, register)
    client = client_of(clock=clock)
    for _ in range(100):
        client.track("daily")
        assert client.flush().is_complete
        clock.run(DAY, client)
    assert [one.headers.get("x-device-token") for one in gateway.requests(DEVICES)] == [
        None,
        "token-1",
        "token-2",
        "token-3",
    ]


def test_early_renewal_that_fails_holds_nothing_up(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    clock = ManualClock()
    gateway.now_ms = clock.wall_ms
    gateway.will(DEVICES, registered(clock, 1, days=30))
    client = client_of(clock=clock)
    client.track("first")
    client.flush()
    clock.run(25 * DAY, client)
    gateway.always(DEVICES, problem(503, "overloaded", retry_after=900))
    for _ in range(3):
        client.track("later")
        assert client.flush().is_complete
        clock.run(2, client)
    assert len(gateway.requests(DEVICES)) == 2
    assert client.diagnostics().failures_in_a_row == 0


@pytest.mark.parametrize(
    "life, now, is_due",
    [
        (TokenLife(), 10**15, False),
        (TokenLife(0, 1_000), 800, False),
        (TokenLife(0, 1_000), 801, True),
        (TokenLife(None, 4 * DAY * 1000), DAY * 1000, False),
        (TokenLife(None, 4 * DAY * 1000), DAY * 1000 + 1, True),
        (TokenLife(0, 1_000), 2_000, True),
    ],
)
def test_token_is_renewed_in_the_last_fifth_of_its_life(
    life: TokenLife, now: int, is_due: bool
) -> None:
    assert life.is_renewal_due(now) == is_due
    assert kept(list(life)) == (life if None not in life else TokenLife())


@pytest.mark.parametrize("nonsense", [None, "soon", True, 0, -1, 1.5, []])
def test_end_of_a_token_that_cannot_be_meant_says_nothing(nonsense: object) -> None:
    assert told(nonsense, 1_000) == TokenLife()


# Background and foreground


def test_going_into_the_background_sends_what_waits_and_leaves_a_whole_file(
    gateway: ScriptedGateway, client_of: ClientFactory, tmp_path: Path
) -> None:
    clock = ManualClock()
    client = client_of(clock=clock, random=Chance(0.9))
    client.track("waiting for company")
    client.on_background()
    gateway.wait_for_requests(EVENTS, 1)
    clock.settle(client)
    client.track("in the background")
    client.on_background()
    clock.settle(client)
    assert gateway.accepted_names() == ["waiting for company", "in the background"]
    client.on_foreground()
    client.track("not yet sent")
    until(client, lambda now: now.queue_events == 1)
    gateway.always(EVENTS, CUT)
    client.on_background()
    clock.settle(client)
    wal = tmp_path / "zuruf" / (FILE_NAME + "-wal")
    assert wal.stat().st_size < 10_000


def test_receipts_written_while_closing_still_go_out(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    release = threading.Event()
    client, screen = client_of(), Screen(keeps=True)
    client.in_app.on_message(screen)
    gateway.deliver(a_message("m1"))
    screen.wait_for(1)
    client.flush()

    def report_meanwhile(_: Seen) -> None:
        gateway.always(EVENTS, None)
        screen.shows[0].clicked("ok")
        release.set()

    gateway.always(EVENTS, report_meanwhile)
    client.track("last")
    assert client.shutdown().is_complete
    assert release.is_set()
    assert gateway.accepted_names()[-2:] == ["last", "message_clicked"]


# Bad days


def test_day_offline_loses_nothing_and_does_not_burn_the_battery(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    clock = ManualClock()
    client = client_of(clock=clock, random=Chance(0.99), flush_at=1_000)
    client.start()
    until(client, lambda now: now.device_id is not None)
    for route in (EVENTS, "GET /v1/config"):
        gateway.always(route, CUT)
    ids = []
    for _ in range(48):
        ids.append(client.track("offline"))
        clock.run(30 * MINUTE, client)
    attempts = len(gateway.batches())
    assert attempts < DAY / 300 + 20
    gateway.always(EVENTS, None)
    clock.run(10 * MINUTE, client)
    accepted = [event_id for batch in gateway.batches()[attempts:] for event_id in batch.event_ids]
    assert accepted == ids
    assert client.diagnostics().dropped == {}


def test_ten_thousand_events_arrive_in_order_and_once(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    gateway.always(DEVICES, problem(503, "overloaded", retry_after=60))
    clock = ManualClock()
    client = client_of(clock=clock)
    ids = [client.track("one of many", {"number": number}) for number in range(10_000)]
    until(client, lambda now: now.queue_events == 10_000)
    gateway.always(DEVICES, None)
    clock.run(15 * MINUTE, client)
    assert [event_id for batch in gateway.batches() for event_id in batch.event_ids] == ids
    assert len(gateway.batches()) == 20
    assert client.diagnostics().dropped == {}


def test_outage_of_an_hour_is_waited_out_as_the_gateway_asks(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    clock = ManualClock()
    client = client_of(clock=clock, random=Chance(0.5))
    gateway.always(EVENTS, problem(503, "overloaded", retry_after=120))
    event_id = client.track("patient")
    client.start()
    until(client, lambda now: now.device_id is not None)
    clock.run(HOUR, client)
    attempts = len(gateway.batches())
    assert 10 < attempts <= 30
    assert len({batch.body["batch_id"] for batch in gateway.batches()}) == 1
    gateway.always(EVENTS, None)
    clock.run(5 * MINUTE, client)
    assert gateway.batches()[-1].event_ids == [event_id]
    assert client.diagnostics().queue_events == 0


def test_captive_portal_costs_neither_events_nor_identity(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    clock = ManualClock()
    client = client_of(clock=clock, random=Chance(0.5))
    client.identify("u_42")
    assert client.flush().is_complete
    routes = (EVENTS, DEVICES, "POST /v1/identity", "DELETE /v1/identity", "GET /v1/config")
    for route in routes:
        gateway.always(route, CAPTIVE_PORTAL)
    client.track("behind the portal")
    client.reset()
    clock.run(2 * HOUR, client)
    assert client.diagnostics().last_error == "foreign_answer"
    for route in routes:
        gateway.always(route, None)
    clock.run(10 * MINUTE, client)
    last = [one for one in gateway.seen if one.route in {EVENTS, "DELETE /v1/identity"}][-2:]
    assert [one.route for one in last] == [EVENTS, "DELETE /v1/identity"]
    assert last[0].event_names == ["behind the portal"]


def test_clock_that_is_three_days_wrong_changes_no_outcome(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    clock = ManualClock()
    behind_ms = 3 * DAY * 1000
    gateway.now_ms = lambda: clock.wall_ms() + behind_ms
    client = client_of(clock=clock)
    for number in range(3):
        client.track(f"event-{number}")
        assert client.flush().is_complete
        clock.run(HOUR, client)
    assert gateway.batches()[-1].body["clock"]["offset_ms"] == behind_ms
    # Somebody notices, and sets the clock much too far back.
    gateway.now_ms = lambda: clock.wall_ms() + 2 * behind_ms
    clock.set_wall(clock.wall_ms() - behind_ms)
    for number in range(3, 6):
        client.track(f"event-{number}")
        assert client.flush().is_complete
        clock.run(HOUR, client)
    assert gateway.batches()[-1].body["clock"]["offset_ms"] == 2 * behind_ms
    assert gateway.accepted_names() == [f"event-{number}" for number in range(6)]
    assert client.diagnostics().dropped == {}


def test_second_person_gets_neither_events_nor_messages_of_the_first(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    """Offline while the people change: everything is sorted out by the queue."""
    clock = ManualClock()
    client, screen = client_of(clock=clock, random=Chance(0.5)), Screen(keeps=True)
    client.in_app.on_message(screen)
    client.identify("u_1")
    client.flush()
    gateway.deliver(a_message("of u_1", priority=90), a_message("also of u_1", priority=1))
    screen.wait_for(1)
    client.flush()
    for route in (EVENTS, "POST /v1/identity", "DELETE /v1/identity", "GET /v1/messages/stream"):
        gateway.always(route, CUT)
    client.track("by u_1")
    client.reset()
    client.track("by nobody")
    client.identify("u_2")
    client.track("by u_2")
    clock.run(HOUR, client)
    assert not screen.shows[0].is_current
    screen.shows[0].clicked("ok")
    gateway.clear_messages()
    for route in (EVENTS, "POST /v1/identity", "DELETE /v1/identity", "GET /v1/messages/stream"):
        gateway.always(route, None)
    before = len(gateway.batches())
    clock.run(10 * MINUTE, client)
    by_token = [(one.token, one.event_names) for one in gateway.batches()[before:]]
    assert by_token == [
        ("token-2", ["by u_1"]),
        ("token-3", ["by nobody"]),
        ("token-4", ["by u_2"]),
    ]
    assert screen.message_ids == ["of u_1"]
