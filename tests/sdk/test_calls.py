"""The verbs of the client: what each of them puts on the wire, and that none of them ever raises."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sdk.conftest import ClientFactory
from tests.sdk.fakes import until
from tests.sdk.scripted_gateway import ScriptedGateway
from zuruf import Config, PushHandling, Zuruf
from zuruf.errors import InvalidEventError

VERBS: list[tuple[Callable[[Zuruf], object], dict[str, Any]]] = [
    (
        lambda client: client.track("viewed", {"sku": "A"}),
        {"type": "track", "name": "viewed", "props": {"sku": "A"}},
    ),
    (lambda client: client.screen("home"), {"type": "screen", "name": "home", "props": {}}),
    (
        lambda client: client.identify("u_1", {"plan": "pro"}),
        {"type": "identify", "name": "identify", "props": {"plan": "pro"}},
    ),
    (
        lambda client: client.alias("crm-77"),
        {"type": "alias", "name": "alias", "props": {"alias": "crm-77"}},
    ),
    (
        lambda client: client.group("company", "acme", {"size": 3}),
        {"type": "group", "name": "company", "props": {"size": 3, "group_id": "acme"}},
    ),
    (
        lambda client: client.set_user_properties({"city": "Bonn", "old": None}),
        {"type": "profile", "name": "set", "props": {"city": "Bonn", "old": None}},
    ),
    (
        lambda client: client.set_once({"first_shop": "Bonn"}),
        {"type": "profile", "name": "set_once", "props": {"first_shop": "Bonn"}},
    ),
    (
        lambda client: client.increment("visits"),
        {"type": "profile", "name": "increment", "props": {"visits": 1}},
    ),
    (
        lambda client: client.increment("balance", -2.5),
        {"type": "profile", "name": "increment", "props": {"balance": -2.5}},
    ),
    (
        lambda client: client.unset("city", "old"),
        {"type": "profile", "name": "unset", "props": {"city": None, "old": None}},
    ),
    (
        lambda client: client.deep_link("shop://p/7?utm_source=mail&token=secret&message_id=m1"),
        {
            "type": "track",
            "name": "deep_link_opened",
            "props": {
                "url": "shop://p/7?utm_source=mail&token=secret&message_id=m1",
                "utm_source": "mail",
                "message_id": "m1",
            },
        },
    ),
    (
        lambda client: client.push.handle({"zuruf": {"message_id": "m1", "sound": "ding"}}),
        {"type": "message", "name": "push_opened", "props": {"message_id": "m1"}},
    ),
]


@pytest.mark.parametrize("verb", VERBS, ids=range(len(VERBS)))
def test_verb_becomes_this_event(
    gateway: ScriptedGateway,
    client_of: ClientFactory,
    verb: tuple[Callable[[Zuruf], object], dict[str, Any]],
) -> None:
    call, expected = verb
    client = client_of(debug=True)
    call(client)
    client.flush()
    (event,) = [event for batch in gateway.batches() for event in batch.body["events"]]
    assert {name: event[name] for name in expected} == expected


NONSENSE: list[Callable[[Zuruf], str]] = [
    lambda client: client.alias(""),
    lambda client: client.alias(7),  # type: ignore[arg-type]
    lambda client: client.group("company", ""),
    lambda client: client.group("company", None),  # type: ignore[arg-type]
    lambda client: client.increment("visits", "1"),  # type: ignore[arg-type]
    lambda client: client.increment("visits", True),
    lambda client: client.increment("visits", float("nan")),
]


@pytest.mark.parametrize("call", NONSENSE, ids=range(len(NONSENSE)))
def test_what_makes_no_sense_of_a_person_is_refused_at_the_call(
    client_of: ClientFactory, call: Callable[[Zuruf], str]
) -> None:
    client = client_of()
    client.start()
    assert call(client) == ""
    until(client, lambda now: now.dropped == {"invalid_event": 1})


def test_push_of_somebody_else_is_left_to_the_app(client_of: ClientFactory) -> None:
    client = client_of()
    for payload in (
        {},
        {"aps": {"alert": "Hi"}},
        {"zuruf": 7},
        {"zuruf": "{"},
        {"zuruf": "[]"},
        None,
    ):
        assert client.push.handle(payload) is PushHandling.IGNORED  # type: ignore[arg-type]
    assert client.diagnostics().queue_events == 0


def test_push_whose_values_are_texts_is_understood(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client = client_of()
    assert client.push.handle({"zuruf": '{"message_id": "m1"}'}) is PushHandling.OPENED
    client.flush()
    assert gateway.batches()[0].body["events"][0]["props"] == {"message_id": "m1"}


def test_mistake_is_counted_and_raises_only_in_debug(client_of: ClientFactory) -> None:
    client = client_of()
    assert client.track("") == ""
    assert client.track("typed", 7) == ""  # type: ignore[arg-type]
    assert client.group("company", "acme", 7) == ""  # type: ignore[arg-type]
    client.track("good")
    until(client, lambda now: now.dropped == {"invalid_event": 3})

    with pytest.raises(InvalidEventError):
        client_of(debug=True).track("")
    with pytest.raises(ValueError, match="no topic"):
        client_of(debug=True).subscribe("weather", print)  # type: ignore[arg-type]


ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.binary(max_size=8),
    st.builds(object),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.one_of(st.text(max_size=3), st.integers()), st.floats(), max_size=3),
)
CALLS: list[Callable[[Zuruf, Any, Any], object]] = [
    lambda client, a, b: client.track(a, b),
    lambda client, a, b: client.screen(a, b),
    lambda client, a, b: client.identify(a, b),
    lambda client, a, b: client.identify("u_1", proof=a),
    lambda client, a, _: client.alias(a),
    lambda client, a, b: client.group(a, b, a),
    lambda client, a, _: client.set_user_properties(a),
    lambda client, a, _: client.set_once(a),
    lambda client, a, b: client.increment(a, b),
    lambda client, a, b: client.unset(a, b),
    lambda client, a, _: client.deep_link(a),
    lambda client, a, b: client.consent.grant(a, b),
    lambda client, a, b: client.consent.revoke(a, b),
    lambda client, a, b: client.push.register(a, b),
    lambda client, a, b: client.push.handle({"zuruf": {"message_id": a, "url": b}}),
    lambda client, a, _: client.push.handle(a),
    lambda client, a, _: client.inbox.mark_read(a),
    lambda client, a, _: client.inbox.remove(a),
    lambda client, a, b: client.remote_config.get(a, b) if isinstance(a, str) else None,
    lambda client, a, b: client.subscribe(a, b).cancel(),
    lambda client, a, _: client.in_app.pause(a).resume(),
]


@settings(max_examples=60, deadline=None)
@given(calls=st.lists(st.tuples(st.sampled_from(CALLS), ANYTHING, ANYTHING), max_size=12))
def test_no_call_raises_whatever_it_is_given_and_the_next_event_is_kept(
    tmp_path_factory: pytest.TempPathFactory, calls: list[tuple[Any, Any, Any]]
) -> None:
    folder: Path = tmp_path_factory.mktemp("zuruf")
    client = Zuruf(
        Config(endpoint="http://127.0.0.1:9", publishable_key="pk_test", storage_dir=folder)
    )
    for call, first, second in calls:
        call(client, first, second)
    client.consent.grant("analytics")
    assert client.track("still here")
    assert client.shutdown(timeout_s=0).remaining >= 1


def test_client_that_has_ended_takes_every_call_and_does_nothing(client_of: ClientFactory) -> None:
    client = client_of()
    client.start()
    client.shutdown()
    for call, _ in VERBS:
        call(client)
    client.opt_out()
    client.opt_in()
    client.reset()
    client.delete_local_data()
    client.on_background()
    client.on_foreground()
    client.start()
    assert client.track("late") == ""
    assert client.flush().sent == 0
    assert client.shutdown().sent == 0


def test_properties_of_a_login_that_was_refused_are_nobodys(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client = client_of()
    client.identify("anna")
    client.identify("", {"email": "ben@example.org"})
    client.identify(None, {"email": "ben@example.org"})  # type: ignore[arg-type]
    client.flush()
    assert gateway.batches() == []
