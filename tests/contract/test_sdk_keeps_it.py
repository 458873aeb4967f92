"""The same vectors as `test_gateway_keeps_it.py`, from the other end: what the SDK makes of them."""

from __future__ import annotations

import json
import queue
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from _pytest.mark import ParameterSet

from tests.contract.test_gateway_keeps_it import name_of, vectors
from zuruf import (
    Config,
    Device,
    FormFactor,
    PlatformName,
    Screen,
    SystemPlatform,
    Zuruf,
)
from zuruf.decisions import canonical, delivery, settings
from zuruf.decisions.bucket import bucket, is_sampled
from zuruf.decisions.remote_config import resolved
from zuruf.decisions.rule import fits, is_rule
from zuruf.errors import InvalidEventError, TransportError
from zuruf.messages import read_message
from zuruf.wire import Request, Response

OURS = {"x-zuruf": "1"}
EXAMPLE = "019aa7b1-3580-726f-830e-08960cb9439d"

# --- events ----------------------------------------------------------------------------------


def is_made_by_an_sdk(event: dict[str, Any]) -> bool:
    """Tell whether an SDK could have made the envelope of an event: it gets no id, time or number wrong."""
    try:
        UUID(event["id"])
    except (KeyError, ValueError):
        return False
    number = event.get("seq") or 0
    return (
        isinstance(event["ts"], int)
        and event["ts"] >= 0
        and isinstance(event["name"], str)
        and event["type"] not in {"profile", "group", "alias"}
        and isinstance(number, int)
        and number >= 0
    )


def events() -> Iterator[ParameterSet]:
    """Give the events an SDK could have made, each with the gateway's verdict: a code, or None."""
    for vector in vectors("batches"):
        codes = {one["index"]: one["code"] for one in vector["answer"].get("rejected", [])}
        for place, event in enumerate(vector["body"].get("events", [])):
            if is_made_by_an_sdk(event):
                yield pytest.param(event, codes.get(place), id=f"{vector['name']}: {place}")


def made(event: dict[str, Any]) -> bytes:
    """Make an event as the SDK does; raises InvalidEventError."""
    return canonical.event_body(
        event["id"],
        event["type"],
        canonical.checked_name(event["name"]),
        event["ts"],
        event.get("session_id"),
        event.get("seq"),
        canonical.checked_props(event.get("props")).json,
    )


@pytest.mark.parametrize("event, code", list(events()))
def test_events_are_refused_at_the_call_with_the_code_of_the_gateway(
    event: dict[str, Any], code: str | None
) -> None:
    if code is not None:
        with pytest.raises(InvalidEventError) as refusal:
            made(event)
        assert refusal.value.code == code
        return
    known = {"id", "type", "name", "ts", "session_id", "seq", "props"}
    wanted = {key: event[key] for key in known & event.keys() if event[key] is not None}
    assert json.loads(made(event)) == {"props": {}, **wanted}


@pytest.mark.parametrize("vector", vectors("batches"), ids=name_of)
def test_answers_to_batches_are_understood(vector: Any) -> None:
    answer = vector["answer"]
    found = delivery.outcome(answered(vector["status"], answer), "")
    rejected = {one["id"]: one["code"] for one in answer.get("rejected", []) if one["id"]}
    match found:
        case delivery.Accepted() | delivery.PartlyRefused():
            assert dict(found.rejected) == rejected
            assert isinstance(found, delivery.Accepted) is (vector["status"] == 200)
        case delivery.Refused(code=code):
            assert (vector["status"], code) == (400, answer["code"])
        case _:
            pytest.fail(f"{found}")


# --- problems --------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", vectors("problems"), ids=lambda vector: vector["code"])
def test_problems_lead_to_what_the_contract_asks_of_a_client(vector: Any) -> None:
    code = vector["code"]
    body: dict[str, Any] = {"status": vector["status"], "code": code}
    if vector["client"] == "drop_rejected":
        body["rejected"] = [{"index": 0, "id": EXAMPLE, "code": "too_deep"}]
    found = delivery.outcome(answered(vector["status"], body, **vector["headers"]), "")
    floor_ms = delivery.retry_after_ms(vector["headers"].get("retry-after"))
    expected = {
        "retry": delivery.Retry(code, floor_ms),
        "slow_retry": delivery.Retry(code, delivery.SLOW_RETRY_MS),
        "drop": delivery.Refused(code),
        "drop_rejected": delivery.PartlyRefused({EXAMPLE: "too_deep"}),
        "halve": delivery.TooLarge(),
        "plain": delivery.Uncompressed(),
        "renew": delivery.Unauthorized(code),
        "newer_token": delivery.Unauthorized(code),
        "stop": delivery.Unauthorized(code),
        "new_proof": delivery.Unauthorized(code),
    }
    if isinstance(found, delivery.Retry):
        # What the cause was is another matter: here it counts what to do, and when.
        found = delivery.Retry(found.reason, found.floor_ms)
    assert found == expected[vector["client"]]


@pytest.mark.parametrize("vector", vectors("problems", "foreign"), ids=name_of)
def test_answers_of_others_are_failures_of_the_network(vector: Any) -> None:
    found = delivery.outcome(Response(vector["status"], vector["headers"], b"<html>"), "")
    assert found == delivery.Retry("foreign_answer")


# --- registrations and consent ---------------------------------------------------------------

GOOD_REGISTRATIONS = [one for one in vectors("registrations") if one["status"] == 201]


class Ear:
    """A transport that hears the requests and answers none of them."""

    def __init__(self) -> None:
        self.heard: queue.SimpleQueue[Request] = queue.SimpleQueue()

    def request(self, request: Request) -> Response:
        self.heard.put(request)
        raise TransportError("nobody there")

    def stream(self, request: Request, take: object) -> Response:
        return self.request(request)

    def interrupt(self, request: Request) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.mark.parametrize("vector", GOOD_REGISTRATIONS, ids=name_of)
def test_devices_register_as_the_contract_says(tmp_path: Path, vector: Any) -> None:
    told, ear = vector["body"], Ear()
    with Zuruf(
        Config(
            endpoint="http://127.0.0.1",
            publishable_key="pk_test",
            storage_dir=tmp_path,
            platform=a_platform(told),
            transport=ear,
        )
    ) as client:
        answers = told.get("consent", {})
        client.consent.grant(*(purpose for purpose, allowed in answers.items() if allowed))
        client.consent.revoke(*(purpose for purpose, allowed in answers.items() if not allowed))
        while (request := ear.heard.get(timeout=5)).path != "/v1/devices" or (
            json.loads(request.body).get("consent", {}) != answers
        ):
            pass
    found = json.loads(request.body)
    assert (request.method, request.path) == ("POST", "/v1/devices")
    assert UUID(found.pop("install_id")).version == 7
    assert found.pop("sdk").keys() == {"name", "version"}
    wanted = {name: told[name] for name in told.keys() - {"install_id", "sdk"}}
    assert found == {"device": {}, **wanted}


def a_platform(told: dict[str, Any]) -> SystemPlatform:
    described = dict(told.get("device", {}))
    if "screen" in described:
        described["screen"] = Screen(**described["screen"])
    name: PlatformName = told["platform"]
    form_factor: FormFactor = told["form_factor"]
    return SystemPlatform(name, form_factor, Device(**described))


@pytest.mark.parametrize("vector", vectors("consent"), ids=name_of)
def test_answers_about_consent_are_understood(vector: Any) -> None:
    found = delivery.outcome(answered(vector["status"], vector["answer"]), "")
    if vector["status"] == 200:
        assert found == delivery.Accepted({}, vector["answer"])
    else:
        assert found == delivery.Refused(vector["answer"]["code"])


# --- messages --------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", vectors("messages"), ids=name_of)
def test_messages_are_read_whole(vector: Any) -> None:
    told = {"id": "m1", "decision_id": "d1", **vector["message"]}
    message = read_message(told, 0)
    assert message is not None
    for name in ("id", "decision_id", "channel", "priority", "created_at", "expires_at"):
        assert getattr(message, name) == told[name]
    assert message.display == told["display"]
    wanted, content = told["content"], message.content
    assert content.raw == wanted
    for name in ("layout", "title", "body"):
        assert getattr(content, name) == wanted[name]
    assert content.image == wanted.get("image")
    assert content.theme == wanted.get("theme", {})
    buttons = [(one.id, one.label, one.action) for one in content.buttons]
    assert buttons == [(one["id"], one["label"], one["action"]) for one in wanted["buttons"]]


@pytest.mark.parametrize("vector", vectors("messages"), ids=name_of)
def test_triggers_and_surveys_are_read_whole(vector: Any) -> None:
    message = read_message({"id": "m1", **vector["message"]}, 0)
    assert message is not None
    trigger, survey = vector["message"].get("trigger"), vector["message"]["content"].get("survey")
    if trigger is None:
        assert message.trigger is None
    else:
        assert message.trigger is not None
        assert message.trigger.event == trigger["event"]
        assert message.trigger.where == trigger.get("where")
    if survey is None:
        assert message.content.survey is None
        return
    assert message.content.survey is not None
    for asked, told in zip(message.content.survey.questions, survey["questions"], strict=True):
        assert (asked.id, asked.kind, asked.label) == (told["id"], told["kind"], told["label"])
        assert asked.options == tuple(told.get("options", ()))
        assert "scale" not in told or asked.scale == told["scale"]


# --- rules -----------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", vectors("rules"), ids=name_of)
def test_rules_hold_on_the_device_as_on_the_gateway(vector: Any) -> None:
    assert is_rule(vector["rule"])
    assert fits(vector["rule"], vector["props"]) is vector["holds"]


@pytest.mark.parametrize("vector", vectors("rules", "wrong"), ids=name_of)
def test_rules_nobody_can_understand_never_hold(vector: Any) -> None:
    assert not is_rule(vector["rule"])
    assert not fits(vector["rule"], {"p": "x", "n": 1})


# --- configuration ---------------------------------------------------------------------------


def test_devices_are_divided_as_the_contract_says() -> None:
    for vector in vectors("config", "buckets"):
        assert bucket(vector["unit"], vector["salt"]) == vector["bucket"]


@pytest.mark.parametrize("vector", vectors("config"), ids=name_of)
def test_configuration_means_on_the_device_what_was_decided(vector: Any) -> None:
    followed = settings.merged({}, vector["config"])
    for device in vector["devices"]:
        install_id = device["install_id"]
        assert resolved(followed.values, install_id) == device["values"]
        for name, uploads in device["uploads"].items():
            share = followed.sampling[name]
            assert is_sampled(install_id, "track", name, share, is_trigger=False) is uploads
            assert is_sampled(install_id, "track", name, share, is_trigger=True)


def answered(status: int, body: dict[str, Any], **headers: str) -> Response:
    return Response(status, OURS | headers, json.dumps(body).encode())
