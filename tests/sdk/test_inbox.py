"""The inbox: what the person on the device was sent, to be read again."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.sdk.conftest import ClientFactory
from tests.sdk.fakes import ManualClock, Screen, a_message, until
from tests.sdk.scripted_gateway import Answer, ScriptedGateway, problem
from zuruf import DisplayDecision, InboxMessage, Zuruf

START_MS = 1_763_750_000_000
POLL = "GET /v1/messages"


@pytest.fixture
def clock(gateway: ScriptedGateway) -> ManualClock:
    """The time of device and gateway alike."""
    clock = ManualClock(START_MS)
    gateway.now_ms = clock.wall_ms
    return clock


@pytest.fixture
def client_of(client_of: ClientFactory, clock: ManualClock) -> ClientFactory:
    return lambda **settings: client_of(**{"clock": clock, **settings})


@pytest.fixture
def client(client_of: ClientFactory) -> Zuruf:
    client = client_of()
    client.in_app.on_message(Screen())
    return client


def ids_in(client: Zuruf) -> list[str]:
    return [one.message.id for one in client.inbox.messages()]


def wait_for(client: Zuruf, condition: Callable[[], bool]) -> None:
    until(client, lambda _: condition())


def wait_for_ids(client: Zuruf, *ids: str) -> None:
    wait_for(client, lambda: ids_in(client) == list(ids))


def test_newest_message_comes_first_and_all_are_unread(
    gateway: ScriptedGateway, client: Zuruf
) -> None:
    gateway.deliver(
        a_message("older", created_at=START_MS - 2, priority=99),
        a_message("newer", created_at=START_MS - 1),
    )
    wait_for_ids(client, "newer", "older")
    assert client.inbox.unread == 2
    assert not any(one.is_read for one in client.inbox.messages())


def test_messages_that_were_shown_and_dismissed_stay(
    gateway: ScriptedGateway, client_of: ClientFactory, clock: ManualClock
) -> None:
    client, screen = client_of(), Screen(None, DisplayDecision.DISCARD)
    client.in_app.on_message(screen)
    gateway.deliver(a_message("dismissed"), a_message("discarded"))
    screen.wait_for(2)
    clock.settle(client)
    wait_for(client, lambda: set(ids_in(client)) == {"dismissed", "discarded"})


def test_what_was_read_and_removed_is_remembered(
    gateway: ScriptedGateway, client: Zuruf, client_of: ClientFactory
) -> None:
    gateway.deliver(*(a_message(f"m{n}", created_at=START_MS + n) for n in range(3)))
    wait_for_ids(client, "m2", "m1", "m0")
    client.inbox.mark_read("m1")
    client.inbox.remove("m0")
    client.inbox.mark_read("nobody knows this one")
    client.inbox.remove("nor this one")
    wait_for_ids(client, "m2", "m1")
    assert client.inbox.unread == 1
    client.shutdown(timeout_s=0)
    again = client_of()
    again.in_app.on_message(Screen())
    wait_for_ids(again, "m2", "m1")
    assert [one.is_read for one in again.inbox.messages()] == [False, True]


def test_removed_message_neither_comes_back_nor_up(
    gateway: ScriptedGateway, client_of: ClientFactory, clock: ManualClock
) -> None:
    client, screen = client_of(), Screen()
    with client.in_app.pause():
        client.in_app.on_message(screen)
        gateway.deliver(a_message("removed"), a_message("stays"))
        wait_for(client, lambda: len(ids_in(client)) == 2)
        client.inbox.remove("removed")
        wait_for_ids(client, "stays")
        gateway.deliver(a_message("removed"))
    screen.wait_for(1)
    clock.settle(client)
    assert screen.message_ids == ["stays"]
    assert ids_in(client) == ["stays"]


def test_withdrawn_message_leaves(gateway: ScriptedGateway, client: Zuruf) -> None:
    gateway.deliver(a_message("m1"))
    wait_for_ids(client, "m1")
    gateway.withdraw("m1")
    wait_for_ids(client)


def test_expired_message_leaves_in_its_moment(
    gateway: ScriptedGateway, client: Zuruf, clock: ManualClock
) -> None:
    gateway.deliver(a_message("m1", expires_at=START_MS + 5_000), a_message("m2"))
    wait_for(client, lambda: len(ids_in(client)) == 2)
    clock.settle(client)
    clock.run(4.9, client)
    clock.settle(client)
    assert len(ids_in(client)) == 2
    clock.run(0.1, client)
    wait_for_ids(client, "m2")


def test_triggered_message_is_there_once_its_event_was(
    gateway: ScriptedGateway, client: Zuruf
) -> None:
    content = {"layout": "modal", "title": "{{ event.item }}"}
    gateway.deliver(
        a_message("triggered", trigger={"event": "added"}, content=content), a_message("plain")
    )
    wait_for_ids(client, "plain")
    client.track("added", {"item": "Tea"})
    wait_for(client, lambda: len(ids_in(client)) == 2)
    titles = {one.message.content.title for one in client.inbox.messages()}
    assert titles == {"Tea", "Thank you"}


def test_app_is_told_of_every_change_with_all_there_is(
    gateway: ScriptedGateway, client_of: ClientFactory, clock: ManualClock
) -> None:
    told: list[tuple[InboxMessage, ...]] = []
    client = client_of()
    client.subscribe("inbox_changed", told.append)
    client.in_app.on_message(Screen())
    gateway.deliver(a_message("m1"))
    wait_for_ids(client, "m1")
    client.inbox.mark_read("m1")
    wait_for(client, lambda: client.inbox.unread == 0)
    client.inbox.mark_read("m1")
    client.inbox.remove("m1")
    wait_for_ids(client)
    wait_for(client, lambda: len(told) >= 4)
    seen = [[(one.message.id, one.is_read) for one in snapshot] for snapshot in told]
    assert seen == [[], [("m1", False)], [("m1", True)], []]


def test_nothing_of_the_person_before_is_there_after_a_logout(
    gateway: ScriptedGateway, client: Zuruf, client_of: ClientFactory
) -> None:
    gateway.deliver(a_message("theirs"))
    wait_for_ids(client, "theirs")
    gateway.always("DELETE /v1/identity", problem(503, "overloaded", retry_after=60))
    client.reset()
    assert client.inbox.messages() == ()
    assert client.inbox.unread == 0
    gateway.wait_for_requests("DELETE /v1/identity", 1)
    client.shutdown(timeout_s=0)
    again = client_of()
    again.in_app.on_message(Screen())
    gateway.wait_for_requests("DELETE /v1/identity", 2)
    assert again.inbox.messages() == ()


def test_login_of_somebody_anonymous_keeps_the_inbox(
    gateway: ScriptedGateway, client: Zuruf
) -> None:
    gateway.deliver(a_message("m1"))
    wait_for_ids(client, "m1")
    client.identify("u_42")
    gateway.wait_for_stream(token="token-2")
    assert ids_in(client) == ["m1"]


def test_complete_list_of_the_gateway_takes_away_what_is_not_in_it_and_was_not_shown(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client = client_of(stream="long_poll")
    client.in_app.on_message(Screen(None, DisplayDecision.DEFER))
    gateway.deliver(
        a_message("shown", created_at=START_MS), a_message("deferred", created_at=START_MS + 1)
    )
    wait_for_ids(client, "deferred", "shown")
    complete: dict[str, Any] = {"cursor": "9", "messages": [], "withdrawn": [], "reset": True}
    gateway.will(POLL, Answer(200, complete))
    gateway.deliver(a_message("wakes the poll"))
    gateway.wait_for_poll(after="9")
    wait_for(client, lambda: "deferred" not in ids_in(client))
    assert "shown" in ids_in(client)
