"""What an app is told about the client's own life."""

import threading
from collections.abc import Callable
from typing import Any

from tests.sdk.conftest import ClientFactory
from tests.sdk.fakes import until
from tests.sdk.scripted_gateway import ScriptedGateway, problem
from zuruf.callbacks import Callbacks
from zuruf.subscriptions import Subscriptions


class Ear:
    """A listener that remembers."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.heard: list[Any] = []

    def __call__(self, value: object) -> None:
        with self._changed:
            self.heard.append(value)
            self._changed.notify_all()

    def wait_for(self, value: object) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: value in self.heard, 5), self.heard


def test_app_hears_which_events_are_on_the_gateway(client_of: ClientFactory) -> None:
    client, ear = client_of(), Ear()
    client.subscribe("delivered", ear)
    first, second = client.track("a"), client.track("b")
    client.flush()
    ear.wait_for((first, second))


def test_app_hears_what_was_dropped_and_why(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client, ear = client_of(), Ear()
    client.subscribe("dropped", ear)
    gateway.will("POST /v1/events", problem(400, "invalid_body"))
    client.track("a")
    client.flush()
    ear.wait_for({"invalid_body": 1})


def test_app_hears_of_a_new_session_and_of_the_person(client_of: ClientFactory) -> None:
    client, sessions, people = client_of(), Ear(), Ear()
    client.subscribe("session_changed", sessions)
    client.subscribe("identity_changed", people)
    client.track("a")
    sessions.wait_for(client.diagnostics().session_id)
    client.identify("u_1")
    client.flush()
    people.wait_for("u_1")
    client.reset()
    client.flush()
    people.wait_for(None)


def test_cancelled_subscription_hears_nothing_more(client_of: ClientFactory) -> None:
    client, ear, other = client_of(), Ear(), Ear()
    subscription = client.subscribe("delivered", ear)
    client.subscribe("delivered", other)
    subscription.cancel()
    event = client.track("a")
    client.flush()
    other.wait_for((event,))
    assert ear.heard == []


def test_listener_that_fails_harms_nobody(client_of: ClientFactory) -> None:
    client, ear = client_of(), Ear()

    def fail(_: object) -> None:
        raise RuntimeError("the app's own mistake")

    client.subscribe("delivered", fail)
    client.subscribe("delivered", ear)
    event = client.track("a")
    client.flush()
    ear.wait_for((event,))


def test_executor_that_refuses_does_not_stop_the_client(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    def refuse(_: object) -> None:
        raise RuntimeError("shut down")

    client = client_of(callback_executor=refuse)
    client.subscribe("delivered", Ear())
    client.track("a")
    client.flush()
    client.track("b")
    client.flush()
    assert len(gateway.batches()) == 2


def test_latest_value_of_a_topic_is_kept() -> None:
    subscriptions, callbacks = Subscriptions(), Callbacks(None)
    assert subscriptions.latest("stream_state") is None
    subscriptions.publish(callbacks, "stream_state", "stream")
    subscriptions.publish(callbacks, "stream_state", "poll")
    assert subscriptions.latest("stream_state") == "poll"


def test_value_that_holds_no_longer_reaches_nobody() -> None:
    jobs: list[Callable[[], None]] = []
    subscriptions, ear, is_current = Subscriptions(), Ear(), True
    subscriptions.add("inbox_changed", ear)
    subscriptions.publish(Callbacks(jobs.append), "inbox_changed", "theirs", lambda: is_current)
    assert subscriptions.latest("inbox_changed") == "theirs"
    is_current = False
    for job in jobs:
        job()
    assert (ear.heard, subscriptions.latest("inbox_changed")) == ([], None)


def test_remote_config_gives_what_the_gateway_says_and_defaults_otherwise(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    gateway.config["values"] = {
        "limit": {"value": 7},
        "everybody": {"value": "new", "percent": 100, "otherwise": "old"},
        "nobody": {"value": "new", "percent": 0, "otherwise": "old"},
        "nobody yet": {"value": "new", "percent": 0},
    }
    client, ear = client_of(), Ear()
    client.subscribe("config_changed", ear)
    assert client.remote_config.get("limit", 3) == 3
    client.flush()
    until(client, lambda now: now.device_id is not None)
    ear.wait_for({"limit": 7, "everybody": "new", "nobody": "old"})
    assert client.remote_config.get("limit", 3) == 7
    assert client.remote_config.get("nobody yet", "default") == "default"
    client.shutdown()

    again = client_of()
    again.start()
    until(again, lambda now: now.storage == "disk")
    assert again.remote_config.get("limit", 3) == 7
