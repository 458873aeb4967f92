"""Code of the app that sees every event before it is kept."""

import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.sdk.conftest import ClientFactory
from tests.sdk.fakes import until
from tests.sdk.scripted_gateway import ScriptedGateway
from zuruf.plugins import Event


class Each:
    """A plugin that is one function."""

    name = "each"

    def __init__(self, on_event: Callable[[Event], Any]) -> None:
        self.on_event = on_event
        self.seen: list[str] = []
        self.is_shut_down = False

    def setup(self, client: Any) -> None:
        self.client = client

    def shutdown(self) -> None:
        self.is_shut_down = True


class Witness(Each):
    """Remembers what it saw, and changes nothing."""

    def __init__(self, what: Callable[[Event], str] = lambda event: event.name) -> None:
        super().__init__(self._see)
        self._what = what

    def _see(self, event: Event) -> Event:
        self.seen.append(self._what(event))
        return event


def events(gateway: ScriptedGateway) -> list[dict[str, Any]]:
    return [event for batch in gateway.batches() for event in batch.body["events"]]


def test_plugin_sees_the_event_and_changes_it(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    def enrich(event: Event) -> Event:
        return event.replace(name=event.name.upper(), props={**event.props, "type": event.type})

    client = client_of(plugins=[Each(enrich)])
    event_id = client.track("purchase", {"amount": 12.5})
    client.screen("home")
    assert client.flush().is_complete
    first, second = events(gateway)
    assert (first["id"], first["name"], first["seq"]) == (event_id, "PURCHASE", 0)
    assert first["props"] == {"amount": 12.5, "type": "track"}
    assert (second["name"], second["type"], second["seq"]) == ("HOME", "screen", 1)


def test_plugins_work_one_after_the_other_in_their_order(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    first = Each(lambda event: event.replace(name=event.name + "1"))
    second = Each(lambda event: event.replace(name=event.name + "2"))
    client = client_of(plugins=[first, second])
    client.track("event-")
    client.flush()
    assert gateway.accepted_names() == ["event-12"]


def test_dropped_event_is_counted_and_no_later_plugin_sees_it(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    censor, witness = Each(lambda event: None if event.name == "secret" else event), Witness()
    client = client_of(plugins=[censor, witness])
    client.track("secret")
    client.track("public")
    client.flush()
    assert gateway.accepted_names() == witness.seen == ["public"]
    assert client.diagnostics().dropped == {"plugin": 1}


def test_failing_plugin_is_logged_once_and_costs_no_event(
    gateway: ScriptedGateway, client_of: ClientFactory, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(event: Event) -> Event:
        raise ValueError(event.name)

    client = client_of(plugins=[Each(fail), Each(lambda event: "no event")])
    with caplog.at_level(logging.ERROR, logger="zuruf"):
        for number in range(3):
            client.track(f"event-{number}")
        client.flush()
    assert gateway.accepted_names() == ["event-0", "event-1", "event-2"]
    assert len([one for one in caplog.records if "plugin each failed" in one.message]) == 2


@pytest.mark.parametrize(
    "changes, code",
    [({"name": ""}, "invalid_event"), ({"props": {"nan": float("nan")}}, "invalid_event")],
)
def test_what_a_plugin_makes_is_held_to_the_limits(
    gateway: ScriptedGateway, client_of: ClientFactory, changes: dict[str, Any], code: str
) -> None:
    client = client_of(plugins=[Each(lambda event: event.replace(**changes))])
    client.track("fine")
    client.flush()
    assert gateway.accepted_names() == []
    assert client.diagnostics().dropped == {code: 1}


def test_plugin_is_not_shown_what_nobody_allowed(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    plugin = Witness()
    client = client_of(plugins=[plugin])
    client.track("allowed")
    client.consent.revoke("analytics")
    client.track("denied")
    client.consent.grant("analytics")
    client.track("allowed again")
    client.flush()
    assert plugin.seen == ["allowed", "allowed again"]
    assert client.diagnostics().dropped["consent"] >= 1


def test_plugins_run_on_the_worker_and_hear_of_the_end(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    plugin = Witness(lambda _: threading.current_thread().name)
    client = client_of(plugins=[plugin])
    assert plugin.client is client
    client.track("opened")
    until(client, lambda now: now.queue_events + now.sent_events == 1)
    client.shutdown()
    assert plugin.seen == ["zuruf-worker"]
    assert plugin.is_shut_down
