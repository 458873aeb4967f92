"""How messages are received: what the network and the app do to a stream, and what becomes of it."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.sdk.conftest import ClientFactory
from tests.sdk.fakes import Chance, ManualClock, Screen, a_message, until
from tests.sdk.scripted_gateway import (
    CAPTIVE_PORTAL,
    CUT,
    SILENT_STREAM,
    STREAM,
    Answer,
    ScriptedGateway,
    Seen,
    problem,
    stream_event,
)
from zuruf import Zuruf
from zuruf.decisions.sse import EVENT_BYTES_MAX
from zuruf.decisions.stream import (
    BACKGROUND_GRACE_MS,
    FAILURES_MAX,
    HERD_MS,
    PROBE_AFTER_MS,
    SILENT_STREAMS_MAX,
    Tuning,
)
from zuruf.leases import RETRY_S
from zuruf.storage import Storage

POLL = "GET /v1/messages"
DEAD_AFTER_S = Tuning().dead_after_ms / 1000
HEARTBEAT = b": still here\n\n"

NO_STREAMS = Answer(404, {"code": "not_found"})


def a_receiving(
    client_of: ClientFactory, screen: Screen, **settings: Any
) -> tuple[Zuruf, ManualClock]:
    clock = ManualClock()
    client = client_of(clock=clock, **settings)
    client.in_app.on_message(screen)
    return client, clock


def no_held_polls(seen: Seen) -> Answer | None:
    return CUT if seen.query["wait"] != "0" else None


# A stream


def test_message_comes_by_the_stream(gateway: ScriptedGateway, client_of: ClientFactory) -> None:
    screen = Screen()
    client, _ = a_receiving(client_of, screen)
    gateway.wait_for_stream()
    gateway.deliver(a_message("m1"))
    screen.wait_for(1)
    assert screen.message_ids == ["m1"]
    assert client.diagnostics().stream_state == "sse"
    assert gateway.requests(POLL) == []


def test_stream_that_was_cut_goes_on_where_it_ended(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    screen = Screen()
    client, clock = a_receiving(client_of, screen)
    gateway.wait_for_stream()
    gateway.deliver(a_message("m1"))
    screen.wait_for(1)
    gateway.cut_streams()
    gateway.wait_for(lambda: gateway.open_streams == 0)
    clock.run(0.1, client)
    gateway.wait_for_stream(last_event_id="1")
    gateway.deliver(a_message("m2"))
    screen.wait_for(2)
    assert screen.message_ids == ["m1", "m2"]


def test_devices_do_not_all_come_back_at_the_same_moment(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    screen = Screen()
    client, clock = a_receiving(client_of, screen, random=Chance(0.5))
    gateway.wait_for_stream()
    gateway.deliver(a_message("m1"))
    screen.wait_for(1)
    gateway.push_to_streams(stream_event({}, event="drain"))
    gateway.wait_for(lambda: gateway.open_streams == 0)
    clock.run(HERD_MS / 2000 - 0.1, client)
    assert len(gateway.requests(STREAM)) == 1
    clock.run(0.1, client)
    gateway.wait_for_stream(last_event_id="1")


def test_superseded_token_is_renewed_and_the_stream_reopened(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    a_receiving(client_of, Screen())
    gateway.wait_for_stream(token="token-1")
    gateway.push_to_streams(stream_event({}, event="superseded"))
    gateway.wait_for_stream(token="token-2")


def test_refused_token_is_renewed_and_the_stream_opened(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    gateway.will(STREAM, problem(401, "token_expired"))
    a_receiving(client_of, Screen())
    gateway.wait_for_stream(token="token-2")


def test_stream_without_heartbeats_is_given_up_in_its_time(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client, clock = a_receiving(client_of, Screen())
    gateway.wait_for_stream()
    gateway.push_to_streams(HEARTBEAT)
    until(client, lambda now: now.stream_state == "sse")
    clock.settle(client)
    clock.run(DEAD_AFTER_S - 1, client)
    assert gateway.open_streams == 1
    clock.run(2, client)
    gateway.wait_for_requests(STREAM, 2)


def test_heartbeats_keep_a_stream_alive(gateway: ScriptedGateway, client_of: ClientFactory) -> None:
    screen = Screen()
    client, clock = a_receiving(client_of, screen)
    gateway.wait_for_stream()
    for number in range(3):
        gateway.deliver(a_message(f"m{number}"))
        screen.wait_for(number + 1)
        clock.run(DEAD_AFTER_S - 1, client)
    assert len(gateway.requests(STREAM)) == 1


def test_event_that_is_too_large_ends_the_stream_and_not_the_client(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    gateway.will(STREAM, Answer(stream=(b"data: " + b"x" * EVENT_BYTES_MAX,)))
    screen = Screen()
    client, clock = a_receiving(client_of, screen)
    gateway.wait_for_requests(STREAM, 1)
    until(client, lambda now: now.stream_state == "retrying")
    clock.run(1, client)
    gateway.wait_for_stream()
    gateway.deliver(a_message("m1"))
    screen.wait_for(1)


@pytest.mark.parametrize("data", ["not json", "[]", '{"messages": 7, "withdrawn": {}}'])
def test_event_that_cannot_be_read_is_survived(
    gateway: ScriptedGateway, client_of: ClientFactory, data: str
) -> None:
    screen = Screen()
    a_receiving(client_of, screen)
    gateway.wait_for_stream()
    gateway.push_to_streams(f"event: messages\ndata: {data}\n\n".encode())
    gateway.push_to_streams(b"event: of a later version\ndata: {}\n\n")
    gateway.deliver(a_message("m1"))
    screen.wait_for(1)


def test_page_that_cannot_be_kept_is_fetched_again_before_what_comes_after_it(
    gateway: ScriptedGateway, client_of: ClientFactory, tmp_path: Path
) -> None:
    storage, screen = Failing(tmp_path / "failing"), Screen()
    client, clock = a_receiving(client_of, screen, storage=storage)
    gateway.wait_for_stream()
    clock.settle(client)
    storage.failures = 1
    gateway.deliver(a_message("m1"))
    wait_until(lambda: storage.failures == 0, client)
    gateway.deliver(a_message("m2"))
    clock.run(5, client)
    screen.wait_for(2)
    assert screen.message_ids == ["m1", "m2"]


class Failing(Storage):
    """A queue file that cannot take a message, so many times."""

    failures = 0

    def run(self, query: str, *parameters: Any) -> int:
        if self.failures and "INTO messages" in query:
            self.failures -= 1
            raise sqlite3.OperationalError("database or disk is full")
        return super().run(query, *parameters)


# Where streams do not work


@pytest.mark.parametrize("failure", [CUT, CAPTIVE_PORTAL, NO_STREAMS, problem(503, "overloaded")])
def test_streams_that_keep_failing_give_way_to_held_polls(
    gateway: ScriptedGateway, client_of: ClientFactory, failure: Answer
) -> None:
    gateway.always(STREAM, failure)
    screen = Screen()
    client, clock = a_receiving(client_of, screen)
    for _ in range(FAILURES_MAX):
        clock.run(1, client)
    gateway.wait_for_poll(wait="25")
    assert len(gateway.requests(STREAM)) == FAILURES_MAX
    gateway.deliver(a_message("m1"))
    screen.wait_for(1)


def test_streams_that_something_on_the_way_collects_give_way_to_held_polls(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    gateway.always(STREAM, SILENT_STREAM)
    client, clock = a_receiving(client_of, Screen())
    for number in range(SILENT_STREAMS_MAX):
        gateway.wait_for_requests(STREAM, number + 1)
        until(client, lambda now: now.stream_state in {"sse", "retrying"})
        clock.run(DEAD_AFTER_S + 1, client)
    gateway.wait_for_poll(wait="25")
    assert len(gateway.requests(STREAM)) == SILENT_STREAMS_MAX


def test_held_polls_that_keep_failing_give_way_to_short_ones(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    gateway.always(STREAM, CUT)
    gateway.always(POLL, no_held_polls)
    screen = Screen()
    client, clock = a_receiving(client_of, screen)
    gateway.deliver(a_message("by a short poll"))
    clock.run(1, client)
    screen.wait_for(1)
    assert client.diagnostics().stream_state == "poll"


def test_better_ways_are_tried_again_one_by_one(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    gateway.always(STREAM, CUT)
    gateway.always(POLL, no_held_polls)
    gateway.config["poll_interval_ms"] = 60_000
    client, clock = a_receiving(client_of, Screen())
    clock.run(1, client)
    until(client, lambda now: now.stream_state == "poll")
    gateway.always(STREAM, None)
    gateway.always(POLL, None)
    clock.run(PROBE_AFTER_MS / 1000, client)
    until(client, lambda now: now.stream_state == "long_poll")
    for number in range(1, PROBE_AFTER_MS // 20_000 + 1):
        gateway.deliver(a_message(f"m{number}"))
        gateway.wait_for_poll(after=str(number))
        clock.advance(20)
    gateway.deliver(a_message("the last one by a poll"))
    gateway.wait_for_stream()


def test_held_polls_that_are_answered_early_with_nothing_do_not_become_a_storm(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    gateway.always(POLL, Answer(204))
    client, _ = a_receiving(client_of, Screen(), stream="long_poll", random=Chance(0.5))
    until(client, lambda now: now.stream_state == "retrying")
    client.flush()
    assert len(gateway.requests(POLL)) == 1


@pytest.mark.parametrize("route, stream", [(STREAM, "auto"), (POLL, "long_poll"), (POLL, "poll")])
def test_receiving_waits_as_long_as_the_gateway_asks(
    gateway: ScriptedGateway, client_of: ClientFactory, route: str, stream: str
) -> None:
    gateway.will(route, problem(503, "draining", retry_after=20))
    client, clock = a_receiving(client_of, Screen(), stream=stream)
    until(client, lambda now: now.stream_state == "retrying")
    clock.run(19, client)
    assert len(gateway.requests(route)) == 1
    clock.run(2, client)
    gateway.wait_for_requests(route, 2)


def test_poll_that_is_never_answered_is_given_up(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client, clock = a_receiving(client_of, Screen(), stream="long_poll")
    gateway.wait_for_poll()
    clock.advance(120)
    gateway.wait_for(lambda: gateway.abandoned_polls == 1)
    clock.run(1, client)
    gateway.wait_for_requests(POLL, 2)


# The app


def test_in_the_background_nothing_is_held_open_after_a_while(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client, clock = a_receiving(client_of, Screen())
    gateway.wait_for_stream()
    until(client, lambda now: now.stream_state == "sse")
    client.on_background()
    clock.run(BACKGROUND_GRACE_MS / 1000 - 1, client)
    assert gateway.open_streams == 1
    clock.run(2, client)
    gateway.wait_for(lambda: gateway.open_streams == 0)
    until(client, lambda now: now.stream_state == "suspended")
    clock.run(3600, client)
    assert len(gateway.requests(STREAM)) == 1


def test_stream_is_open_again_as_soon_as_the_app_is(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client, clock = a_receiving(client_of, Screen())
    gateway.wait_for_stream()
    client.on_background()
    clock.run(60, client)
    gateway.wait_for(lambda: gateway.open_streams == 0)
    client.on_foreground()
    gateway.wait_for_stream()


def test_app_that_is_away_for_a_moment_keeps_its_stream(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client, clock = a_receiving(client_of, Screen())
    gateway.wait_for_stream()
    until(client, lambda now: now.stream_state == "sse")
    client.on_background()
    clock.run(BACKGROUND_GRACE_MS / 1000 - 1, client)
    client.on_foreground()
    clock.run(20, client)
    assert len(gateway.requests(STREAM)) == 1
    assert gateway.open_streams == 1


def test_what_comes_in_the_background_is_shown_when_the_app_is_back(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    screen = Screen()
    client, _ = a_receiving(client_of, screen)
    gateway.wait_for_stream()
    client.on_background()
    gateway.deliver(a_message("m1"))
    until(client, lambda _: bool(client.inbox.messages()))
    assert screen.message_ids == []
    client.on_foreground()
    screen.wait_for(1)


def test_silent_push_fetches_in_the_background_and_holds_nothing(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    screen = Screen()
    client, clock = a_receiving(client_of, screen)
    gateway.wait_for_stream()
    client.on_background()
    clock.run(60, client)
    gateway.wait_for(lambda: gateway.open_streams == 0)
    gateway.deliver(a_message("m1"))
    client.push.handle({"zuruf": {"sync": True}})
    gateway.wait_for_poll(wait="0")
    client.on_foreground()
    screen.wait_for(1)
    assert len(gateway.requests(POLL)) == 1


def test_app_is_told_how_messages_are_received(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    states: list[str] = []
    clock = ManualClock()
    client = client_of(clock=clock)
    client.subscribe("stream_state", states.append)
    client.in_app.on_message(Screen())
    gateway.wait_for_stream()
    until(client, lambda now: now.stream_state == "sse")
    client.on_background()
    clock.run(60, client)
    until(client, lambda now: now.stream_state == "suspended")
    wait_until(lambda: states[-1:] == ["suspended"], client)
    assert states == ["off", "sse", "suspended"]


def wait_until(condition: Callable[[], bool], client: Zuruf) -> None:
    """Wait until the thread of the callbacks has come as far as the worker."""
    until(client, lambda _: condition())


# The person


def test_page_of_the_person_before_that_is_on_its_way_reaches_nobody(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    screen = Screen()
    client, _ = a_receiving(client_of, screen)
    gateway.wait_for_stream(token="token-1")
    client.reset()
    gateway.push_to_streams(stream_event({"cursor": "7", "messages": [a_message("theirs")]}, "7"))
    gateway.wait_for_stream(token="token-2")
    assert "last-event-id" not in gateway.wait_for_stream(token="token-2").headers
    gateway.deliver(a_message("mine"))
    screen.wait_for(1)
    assert screen.message_ids == ["mine"]


def test_logout_ends_the_stream_before_the_gateway_knows_of_it(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client, _ = a_receiving(client_of, Screen())
    gateway.wait_for_stream()
    gateway.always("DELETE /v1/identity", problem(503, "overloaded", retry_after=60))
    client.reset()
    gateway.wait_for(lambda: gateway.open_streams == 0)
    gateway.wait_for_requests("DELETE /v1/identity", 1)
    assert len(gateway.requests(STREAM)) == 1


def test_login_goes_on_with_the_new_token_and_a_fresh_cursor(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    screen = Screen()
    client, _ = a_receiving(client_of, screen)
    gateway.wait_for_stream(token="token-1")
    gateway.deliver(a_message("m1"))
    screen.wait_for(1)
    client.identify("u_42")
    opened = gateway.wait_for_stream(token="token-2")
    assert "last-event-id" not in opened.headers


# Several processes


def test_one_of_several_clients_receives_and_another_takes_over(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    clock = ManualClock()
    first, second = client_of(clock=clock), client_of(clock=clock)
    screens = Screen(), Screen()
    first.in_app.on_message(screens[0])
    gateway.wait_for_stream()
    second.in_app.on_message(screens[1])
    gateway.deliver(a_message("m1"))
    screens[0].wait_for(1)
    clock.settle(second)
    assert gateway.open_streams == 1
    first.shutdown(timeout_s=0)
    clock.run(RETRY_S, second)
    gateway.wait_for_stream(last_event_id="1")
    gateway.deliver(a_message("m2"))
    screens[1].wait_for(1)
    assert screens[1].message_ids == ["m2"]
