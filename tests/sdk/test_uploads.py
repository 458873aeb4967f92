import queue
import threading
from pathlib import Path

import pytest

from tests.sdk.conftest import ClientFactory
from tests.sdk.fakes import Chance, ManualClock, until
from tests.sdk.scripted_gateway import (
    CAPTIVE_PORTAL,
    CUT,
    Answer,
    ScriptedGateway,
    Seen,
    problem,
)
from zuruf import Device, Screen, SystemPlatform
from zuruf.storage import Storage

EVENTS = "POST /v1/events"


def test_event_reaches_the_gateway_as_it_was_recorded(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client = client_of()
    event_id = client.track("purchase", {"amount": 12.5, "items": ["ä", 3, None, True]})
    assert client.flush().is_complete

    (batch,) = gateway.batches()
    (event,) = batch.body["events"]
    assert event["id"] == event_id
    assert event["type"] == "track"
    assert event["name"] == "purchase"
    assert event["props"] == {"amount": 12.5, "items": ["ä", 3, None, True]}
    assert event["session_id"]
    assert batch.body["sent_at"] >= event["ts"]
    assert batch.token == "token-1"


def test_props_are_those_of_the_call_even_if_the_app_changes_them_afterwards(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client = client_of()
    props = {"step": 1}
    client.track("checkout", props)
    props["step"] = 2
    client.flush()
    assert gateway.batches()[0].body["events"][0]["props"] == {"step": 1}


def test_device_registers_with_what_is_known_about_it(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client = client_of(
        platform=SystemPlatform(
            "androidtv", "tv", Device(model="Shield", screen=Screen(1920, 1080))
        ),
    )
    client.start()
    (registration,) = gateway.wait_for_requests("POST /v1/devices", 1)
    assert registration.token == "pk_test"
    assert registration.body["platform"] == "androidtv"
    assert registration.body["form_factor"] == "tv"
    assert registration.body["device"] == {
        "model": "Shield",
        "screen": {"width": 1920, "height": 1080, "density": 1.0},
    }
    assert registration.body["sdk"]["name"] == "zuruf-python"


def test_endpoint_may_have_a_path(gateway: ScriptedGateway, client_of: ClientFactory) -> None:
    client = client_of(endpoint=f"{gateway.url}/engage/")
    gateway.always(
        "POST /engage/v1/devices",
        Answer(201, {"device_id": "d", "profile_id": "p", "token": "t", "config": {}}),
    )
    client.track("opened")
    client.flush()
    assert len(gateway.requests("POST /engage/v1/events")) == 1


def test_events_wait_until_a_batch_is_full(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client = client_of(flush_at=3, clock=ManualClock())
    client.track("one")
    client.track("two")
    until(client, lambda now: now.queue_events == 2 and now.device_id is not None)
    assert gateway.batches() == []
    client.track("three")
    gateway.wait_for_requests(EVENTS, 1)
    assert gateway.accepted_names() == ["one", "two", "three"]


def test_events_wait_no_longer_than_the_interval(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    clock = ManualClock()
    client = client_of(flush_interval_s=30.0, clock=clock)
    client.track("one")
    until(client, lambda now: now.queue_events == 1 and now.device_id is not None)
    clock.advance(29.0)
    assert gateway.batches() == []
    clock.advance(1.0)
    gateway.wait_for_requests(EVENTS, 1)


def test_trigger_event_is_sent_at_once_together_with_what_waits(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    gateway.config["trigger_events"] = ["checkout_started"]
    client = client_of(clock=ManualClock())
    client.start()
    until(client, lambda now: now.trigger_events == {"checkout_started"})
    client.track("browsed")
    client.track("checkout_started")
    gateway.wait_for_requests(EVENTS, 1)
    assert gateway.accepted_names() == ["browsed", "checkout_started"]


def test_event_turns_out_to_be_a_trigger_when_the_device_registers(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    gateway.config["trigger_events"] = ["checkout_started"]
    client = client_of(clock=ManualClock())
    client.track("checkout_started")
    gateway.wait_for_requests(EVENTS, 1)


def test_next_start_asks_for_a_newer_configuration_only(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client = client_of()
    client.start()
    until(client, lambda now: now.device_id is not None)
    client.shutdown()
    gateway.will("GET /v1/config", Answer(304))
    again = client_of()
    again.start()
    (request,) = gateway.wait_for_requests("GET /v1/config", 1)
    assert request.headers["if-none-match"] == '"c1"'
    assert len(gateway.requests("POST /v1/devices")) == 1


@pytest.mark.parametrize(
    "failure",
    [
        CUT,
        CAPTIVE_PORTAL,
        Answer(302, b"", {"Location": "http://portal.example/"}, foreign=True),
        problem(503, "overloaded"),
        problem(500, "internal"),
        problem(429, "device_rate_limited"),
        problem(408, "body_timeout"),
    ],
    ids=["cut", "captive portal", "redirect", "503", "500", "429", "408"],
)
def test_batch_keeps_its_ids_on_every_retry(
    gateway: ScriptedGateway, client_of: ClientFactory, failure: Answer
) -> None:
    client = client_of()
    ids = [client.track("first"), client.track("second")]
    gateway.will(EVENTS, failure, failure, failure)
    assert client.flush().is_complete
    batches = gateway.batches()
    assert len(batches) >= 4
    assert len({batch.body["batch_id"] for batch in batches}) == 1
    assert all(batch.event_ids == ids for batch in batches)
    assert client.diagnostics().dropped == {}


def test_events_recorded_meanwhile_do_not_slip_into_a_batch_that_is_tried_again(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client = client_of()
    release = threading.Event()
    gateway.will(EVENTS, Answer(503, {"code": "overloaded"}, after=release))
    client.track("first")
    client.start()
    flushing = threading.Thread(target=client.flush)
    flushing.start()
    gateway.wait_for_requests(EVENTS, 1)
    client.track("second")
    release.set()
    flushing.join()
    client.flush()
    assert [batch.event_names for batch in gateway.batches()] == [["first"], ["first"], ["second"]]


def test_retry_after_is_obeyed_also_by_flush(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    clock = ManualClock()
    client = client_of(clock=clock)
    gateway.will(EVENTS, problem(503, "draining", retry_after=7))
    client.track("patient")
    result = client.flush(timeout_s=5.0)
    assert (result.sent, result.remaining, result.last_status) == (0, 1, 503)
    clock.advance(6.9)
    assert client.flush(timeout_s=0.05).remaining == 1
    assert len(gateway.batches()) == 1
    clock.advance(0.2)
    gateway.wait_for_requests(EVENTS, 2)


def test_flush_gives_up_early_when_the_next_attempt_would_come_too_late(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client = client_of(clock=ManualClock(), random=Chance(0.9))
    gateway.always(EVENTS, problem(503, "overloaded", retry_after=60))
    client.track("unlucky")
    assert client.flush(timeout_s=30.0).remaining == 1


def test_flush_tries_again_without_waiting_for_the_back_off(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client = client_of(clock=ManualClock(), random=Chance(0.9))
    gateway.will(EVENTS, problem(503, "overloaded"))
    client.track("hurried")
    assert client.flush(timeout_s=0.5).remaining == 1
    assert client.flush(timeout_s=0.5).remaining == 0


def test_too_large_a_batch_is_halved_until_it_passes(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    def at_most_two(seen: Seen) -> Answer | None:
        return problem(413, "too_many_events") if len(seen.event_ids) > 2 else None

    gateway.always(EVENTS, at_most_two)
    client = client_of()
    names = [f"event-{number}" for number in range(8)]
    for name in names:
        client.track(name)
    assert client.flush().is_complete
    passed = [batch for batch in gateway.batches() if len(batch.event_ids) <= 2]
    assert [name for batch in passed for name in batch.event_names] == names
    assert len({batch.body["batch_id"] for batch in gateway.batches()}) == len(gateway.batches())


def test_single_event_that_is_too_large_is_dropped_and_reported(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    def no_giants(seen: Seen) -> Answer | None:
        return problem(413, "body_too_large") if "giant" in seen.event_names else None

    gateway.always(EVENTS, no_giants)
    client = client_of()
    for name in ["one", "two", "giant", "three"]:
        client.track(name)
    assert client.flush().is_complete
    assert client.diagnostics().dropped == {"too_large": 1}
    passed = [batch for batch in gateway.batches() if "giant" not in batch.event_names]
    assert [name for batch in passed for name in batch.event_names] == ["one", "two", "three"]
    assert passed[-1].body["client_report"] == [{"reason": "too_large", "quantity": 1}]


def test_rejected_event_is_dropped_without_its_neighbours(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client = client_of()
    client.track("good")
    bad = client.track("bad")
    rejected = [{"index": 1, "id": bad, "code": "too_many_props", "detail": "…"}]
    gateway.will(EVENTS, Answer(200, {"accepted": 1, "duplicates": 0, "rejected": rejected}))
    result = client.flush()
    assert (result.sent, result.remaining) == (1, 0)
    assert client.diagnostics().dropped == {"too_many_props": 1}
    client.track("next")
    client.flush()
    assert gateway.batches()[-1].body["client_report"] == [
        {"reason": "too_many_props", "quantity": 1}
    ]


def test_batch_in_which_nothing_is_acceptable_is_dropped_event_by_event(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client = client_of()
    ids = [client.track("bad"), client.track("worse")]
    rejected = [
        {"index": index, "id": event_id, "code": "invalid_event"}
        for index, event_id in enumerate(ids)
    ]
    gateway.will(EVENTS, problem(400, "nothing_acceptable", rejected=rejected))
    assert client.flush().remaining == 0
    assert len(gateway.batches()) == 1
    assert client.diagnostics().dropped == {"invalid_event": 2}


def test_event_that_spoils_its_batch_is_found_by_halving(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    def malformed(seen: Seen) -> Answer | None:
        return problem(400, "malformed_body") if "poison" in seen.event_names else None

    gateway.always(EVENTS, malformed)
    client = client_of()
    names = [f"event-{number}" for number in range(10)]
    for name in [*names[:6], "poison", *names[6:]]:
        client.track(name)
    assert client.flush().is_complete
    passed = [batch for batch in gateway.batches() if "poison" not in batch.event_names]
    assert [name for batch in passed for name in batch.event_names] == names
    assert client.diagnostics().dropped == {"malformed_body": 1}


def test_large_bodies_are_compressed_and_small_ones_are_not(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client = client_of()
    client.track("small")
    client.flush()
    client.track("large", {"text": "x" * 3000})
    client.flush()
    small, large = gateway.batches()
    assert "content-encoding" not in small.headers
    assert large.headers["content-encoding"] == "gzip"
    assert int(large.headers["content-length"]) < 1000


def test_refused_compression_is_given_up(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    gateway.will(EVENTS, problem(415, "unsupported_encoding"))
    client = client_of()
    client.track("large", {"text": "x" * 3000})
    assert client.flush().is_complete
    first, second = gateway.batches()
    assert "content-encoding" not in second.headers
    assert first.body["batch_id"] == second.body["batch_id"]


def test_batches_respect_the_smaller_of_both_limits(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    gateway.config["batch_events_max"] = 3
    client = client_of(batch_events_max=4)
    for number in range(7):
        client.track(f"event-{number}")
    client.flush()
    assert [len(batch.event_ids) for batch in gateway.batches()] == [3, 3, 1]


def test_batches_stay_within_their_bytes(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client = client_of(batch_bytes_max=10_000)
    for _ in range(6):
        client.track("heavy", {"text": "x" * 3000})
    client.flush()
    assert [len(batch.event_ids) for batch in gateway.batches()] == [2, 2, 2]


def test_full_queue_drops_the_oldest_counts_them_and_reports_them(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    gateway.config["trigger_events"] = ["precious"]
    client = client_of(queue_events_max=5)
    client.start()
    until(client, lambda now: now.trigger_events == {"precious"})
    gateway.always(EVENTS, problem(503, "overloaded", retry_after=600))
    client.track("precious")
    until(client, lambda now: now.last_status == 503)
    for number in range(8):
        client.track(f"event-{number}")
    until(client, lambda now: now.dropped.get("queue_overflow") == 4)
    assert client.diagnostics().queue_events == 5
    client.shutdown()

    gateway.always(EVENTS, None)
    again = client_of()
    assert again.flush().is_complete
    kept = gateway.batches()[-2:]
    assert kept[0].event_names == ["precious"]
    assert kept[1].event_names == ["event-4", "event-5", "event-6", "event-7"]
    assert kept[1].body["client_report"] == [{"reason": "queue_overflow", "quantity": 4}]


def test_events_expire_unless_the_clock_was_never_set(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    gateway.always("POST /v1/devices", problem(503, "overloaded", retry_after=900))
    clock = ManualClock()
    client = client_of(clock=clock, queue_ttl_days=30)
    clock.set_wall(86_400_000)
    client.track("before the first network time")
    clock.set_wall(1_763_750_000_000)
    client.track("old")
    clock.advance(29 * 86_400)
    client.track("young")
    until(client, lambda now: now.queue_events == 3)
    clock.advance(2 * 86_400)
    until(client, lambda now: now.dropped == {"expired": 1})
    attempts = len(gateway.requests("POST /v1/devices"))
    until(client, lambda now: now.failures_in_a_row == attempts)
    gateway.always("POST /v1/devices", None)
    clock.advance(900)
    client.flush()
    assert gateway.accepted_names() == ["before the first network time", "young"]


def test_clock_offset_comes_from_the_fastest_exchange(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    clock = ManualClock()
    client = client_of(clock=clock)
    ahead = {"X-Server-Time": str(clock.wall_ms() + 90_000)}
    gateway.will(
        "POST /v1/devices",
        Answer(201, {"device_id": "d", "profile_id": "p", "token": "t", "config": {}}, ahead),
    )
    client.track("timed")
    client.flush()
    assert gateway.batches()[0].body["clock"] == {"offset_ms": 90_000, "rtt_ms": 0}
    assert client.diagnostics().clock_offset_ms is not None


def test_refused_token_is_renewed_with_the_old_one_and_the_batch_sent_again(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    gateway.will(EVENTS, problem(401, "token_expired"))
    client = client_of()
    client.track("late")
    assert client.flush().is_complete
    first, renewal = gateway.requests("POST /v1/devices")
    assert "x-device-token" not in first.headers
    assert renewal.headers["x-device-token"] == "token-1"
    refused, accepted = gateway.batches()
    assert (refused.token, accepted.token) == ("token-1", "token-2")
    assert refused.body["batch_id"] == accepted.body["batch_id"]


def test_token_that_keeps_being_refused_is_not_renewed_in_a_loop(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    gateway.always(EVENTS, problem(401, "token_forged"))
    client = client_of(clock=ManualClock())
    client.track("stubborn")
    result = client.flush(timeout_s=1.0)
    assert (result.remaining, result.last_error) == (1, "token_forged")
    assert len(gateway.requests("POST /v1/devices")) == 2


def test_forgotten_device_registers_anew_and_logs_its_person_in_again(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client = client_of()
    client.identify("u_42")
    client.flush()
    gateway.will(EVENTS, problem(401, "token_forged"))
    gateway.will("POST /v1/devices", problem(401, "token_forged"))
    new_device = {"device_id": "new", "profile_id": "p", "token": "fresh", "config": {}}
    gateway.will("POST /v1/devices", Answer(201, new_device))
    client.track("loyal")
    assert client.flush().is_complete
    assert [one.body["user_id"] for one in gateway.requests("POST /v1/identity")] == ["u_42"] * 2
    assert client.diagnostics().user_id == "u_42"
    assert client.diagnostics().device_id == "new"


def test_wrong_key_loses_nothing(gateway: ScriptedGateway, client_of: ClientFactory) -> None:
    gateway.always("POST /v1/devices", problem(401, "key_invalid"))
    client = client_of(clock=ManualClock())
    client.track("kept")
    result = client.flush(timeout_s=1.0)
    assert (result.remaining, result.last_error) == (1, "key_invalid")
    assert len(gateway.requests("POST /v1/devices")) == 1


def test_closed_keep_alive_connection_costs_no_retry(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client = client_of(clock=ManualClock(), random=Chance(0.9))
    gateway.will(EVENTS, Answer(200, {"accepted": 1}, {"Connection": "close"}))
    client.track("one")
    assert client.flush().is_complete
    client.track("two")
    assert client.flush(timeout_s=2.0).is_complete
    assert client.diagnostics().failures_in_a_row == 0


def test_close_says_what_is_left_and_the_next_client_sends_it(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    gateway.always(EVENTS, problem(503, "draining", retry_after=60))
    client = client_of()
    event_id = client.track("postponed")
    assert client.shutdown().remaining == 1
    assert client.shutdown().remaining == 1
    gateway.always(EVENTS, None)
    client_of().flush()
    first, *_, last = gateway.batches()
    assert first.event_ids == last.event_ids == [event_id]
    assert first.body["batch_id"] == last.body["batch_id"]


def test_closing_does_not_wait_for_an_upload_that_hangs(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    never = threading.Event()
    gateway.will(EVENTS, Answer(200, {}, after=never))
    client = client_of()
    client.track("stuck")
    assert client.shutdown(timeout_s=0.1).remaining == 1
    never.set()


def test_events_are_on_disk_while_an_upload_hangs(
    gateway: ScriptedGateway, client_of: ClientFactory, tmp_path: Path
) -> None:
    never = threading.Event()
    gateway.will(EVENTS, Answer(200, {}, after=never))
    storage = Storage(tmp_path / "watched")
    client = client_of(storage=storage, flush_at=1)
    client.track("stuck")
    gateway.wait_for_requests(EVENTS, 1)
    client.track("meanwhile")
    until(client, lambda now: now.queue_events == 2)
    assert client.diagnostics().storage == "disk"
    never.set()


def test_call_after_close_is_ignored(client_of: ClientFactory) -> None:
    client = client_of()
    client.shutdown()
    assert client.track("too late") == ""
    client.identify("u_42")
    client.reset()
    assert client.flush().sent == 0


def test_events_keep_their_order_in_a_compressed_batch(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client = client_of()
    for number in range(30):
        client.track("many", {"number": number})
    client.flush()
    numbers = [
        event["props"]["number"] for one in gateway.batches() for event in one.body["events"]
    ]
    assert numbers == list(range(30))


def test_app_is_told_what_was_delivered_and_what_was_dropped_and_why(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client = client_of()
    delivered: queue.SimpleQueue[tuple[str, ...]] = queue.SimpleQueue()
    dropped: queue.SimpleQueue[dict[str, int]] = queue.SimpleQueue()
    client.subscribe("delivered", delivered.put)
    client.subscribe("dropped", dropped.put)
    good, bad = client.track("good"), client.track("bad")
    rejected = [{"index": 1, "id": bad, "code": "too_many_props"}]
    gateway.will(EVENTS, Answer(200, {"accepted": 1, "rejected": rejected}))
    client.flush()
    assert delivered.get(timeout=5) == (good,)
    assert dropped.get(timeout=5) == {"too_many_props": 1}


def test_app_is_told_of_values_at_the_start_and_when_they_change(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    gateway.config["values"] = {
        "colour": {"value": "green"},
        "nobody": {"value": 1, "percent": 0, "otherwise": 2},
    }
    client = client_of()
    client.start()
    until(client, lambda now: now.device_id is not None)
    until(client, lambda _: client.remote_config.all() == {"colour": "green", "nobody": 2})
    client.shutdown()
    again = client_of()
    values: queue.SimpleQueue[dict[str, object]] = queue.SimpleQueue()
    gateway.config = {"etag": "c2", "values": {"colour": {"value": "blue"}}}
    again.subscribe("config_changed", values.put)
    assert values.get(timeout=5) == {"colour": "green", "nobody": 2}
    assert values.get(timeout=5) == {"colour": "blue"}
    assert again.remote_config.get("colour") == "blue"


def test_app_is_told_who_is_on_the_device(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client = client_of()
    people: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    client.subscribe("identity_changed", people.put)
    client.identify("u_1")
    client.identify("u_1")
    client.flush()
    client.identify("u_2")
    client.flush()
    client.reset()
    client.flush()
    assert [people.get(timeout=5) for _ in range(3)] == ["u_1", "u_2", None]
    assert people.empty()
