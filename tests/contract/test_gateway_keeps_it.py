"""The wire contract as data: whoever speaks it, gateway or SDK in any language, must keep these vectors."""

from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.edge import problem_headers
from gateway.errors import PROBLEMS, Problem
from gateway.rule import compile_rules, explain, parse
from tests.builders import a_journey, an_event
from tests.clients import Gateway, Phone, SettableClock, Shop, code_of

FOLDER = Path(__file__).parent


def vectors(name: str, part: str = "vectors") -> list[Any]:
    found: list[Any] = msgspec.json.decode((FOLDER / f"{name}.json").read_bytes())[part]
    return found


def name_of(vector: Any) -> str:
    name: str = vector["name"]
    return name


def clock_of(name: str) -> int:
    at: int = msgspec.json.decode((FOLDER / f"{name}.json").read_bytes())["clock"]
    return at


def kinds(value: Any) -> Any:
    """What kind of value stands where."""
    match value:
        case dict():
            return {name: kinds(member) for name, member in value.items()}
        case bool():
            return "boolean"
        case int():
            return "integer"
        case str():
            return "string"
        case None:
            return "null"
    return type(value).__name__


@pytest.mark.parametrize("is_json", [True, False], ids=["json", "msgpack"])
async def test_batches_get_the_verdicts_of_the_contract(
    phone: Phone, clock: SettableClock, is_json: bool
) -> None:
    """In order and from one device: some vectors are repeats of earlier ones."""
    clock.at = clock_of("batches")
    for vector in vectors("batches"):
        body = vector["body"]
        if is_json:
            answer = await phone.send(body)
        else:
            answer = await phone.send(
                msgspec.msgpack.encode(body), **{"Content-Type": "application/msgpack"}
            )
        told = answer.json()
        for rejection in told.get("rejected", []):
            assert rejection.pop("detail")
        wanted = vector["answer"]
        if answer.status_code >= 400:
            told = {name: told[name] for name in wanted}
        assert (answer.status_code, told) == (vector["status"], wanted), vector["name"]


async def test_messages_have_the_shape_of_the_contract(
    gateway: Gateway, worker: None, shop: Shop, clock: SettableClock
) -> None:
    clock.at = clock_of("messages")
    for vector in vectors("messages"):
        phone = await shop.new_phone()
        await gateway.settled()
        to = {"profile_id": phone.profile_id}
        await shop.server.post("/admin/v1/messages", {"to": to, **vector["request"]})
        await gateway.settled()
        (message,) = await phone.messages()
        for opaque in ("id", "decision_id"):
            assert isinstance(message.pop(opaque), str)
        assert message == vector["message"], vector["name"]


@pytest.mark.parametrize("vector", vectors("registrations"), ids=name_of)
async def test_registrations_are_answered_as_the_contract_says(shop: Shop, vector: Any) -> None:
    answer = await shop.register(vector["body"])
    assert (answer.status_code, kinds(answer.json())) == (vector["status"], vector["answer"])


async def test_consent_is_answered_as_the_contract_says(
    gateway: Gateway, worker: None, phone: Phone, clock: SettableClock
) -> None:
    """In order and from one device: what is known grows from step to step."""
    clock.at = clock_of("consent")
    for vector in vectors("consent"):
        await gateway.settled()
        answer = await phone.ask("PUT", "/v1/consent", json=vector["body"])
        told = {name: answer.json()[name] for name in vector["answer"]}
        assert (answer.status_code, told) == (vector["status"], vector["answer"]), vector["name"]


# --- rules -----------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", vectors("rules"), ids=name_of)
def test_rules_hold_as_the_contract_says(vector: Any) -> None:
    rule = parse(msgspec.json.encode(vector["rule"]))
    assert bool(compile_rules([rule])(vector["props"])) is vector["holds"]
    if not vector["holds"]:
        assert explain(rule, vector["props"])


def test_all_rules_of_the_contract_hold_together_as_they_do_alone() -> None:
    """As for the journeys of one event, whose rules become one function."""
    rules = [parse(msgspec.json.encode(vector["rule"])) for vector in vectors("rules")]
    match = compile_rules(rules)
    for place, vector in enumerate(vectors("rules")):
        assert (place in match(vector["props"])) is vector["holds"], vector["name"]


@pytest.mark.parametrize("vector", vectors("rules", "wrong"), ids=name_of)
def test_rules_that_nobody_can_understand_are_refused(vector: Any) -> None:
    with pytest.raises(Problem, match="invalid_rule"):
        parse(msgspec.json.encode(vector["rule"]))


async def test_journeys_start_as_the_rules_of_the_contract_say(
    gateway: Gateway, worker: None, shop: Shop, phone: Phone
) -> None:
    for place, vector in enumerate(vectors("rules")):
        journey = a_journey(f"event {place}", where=vector["rule"])
        await shop.server.post("/admin/v1/journeys", journey)
    for place, vector in enumerate(vectors("rules")):
        await phone.upload(an_event(f"event {place}", props=vector["props"]))
    await gateway.settled()
    started = {
        decision["event"]
        for decision in await shop.server.decisions(phone.profile_id)
        if decision["failed_gate"] != "where"
    }
    # 100 decisions are kept, fewer than fit.
    wanted = {f"event {place}" for place, vector in enumerate(vectors("rules")) if vector["holds"]}
    assert started <= wanted
    assert len(started) == min(len(wanted), gateway.settings.decisions_max)


# --- configuration ---------------------------------------------------------------------------


@pytest.mark.parametrize("vector", vectors("config"), ids=name_of)
async def test_configuration_tells_devices_what_was_decided(
    shop: Shop, phone: Phone, vector: Any
) -> None:
    await shop.server.put("/admin/v1/remote-config", vector["body"])
    config = (await phone.ask("GET", "/v1/config")).json()
    assert {name: config[name] for name in vector["config"]} == vector["config"]


@pytest.mark.parametrize("vector", vectors("config", "wrong"), ids=name_of)
async def test_configuration_that_makes_no_sense_is_refused(shop: Shop, vector: Any) -> None:
    answer = await shop.server.ask("PUT", "/admin/v1/remote-config", json=vector["body"])
    assert code_of(answer) == "400 invalid_body"


def bucket(unit: str, salt: str) -> int:
    """As docs/protocol.md has it; the gateway itself leaves it to the devices."""
    return int(sha256(f"{salt}:{unit}".encode()).hexdigest()[:8], 16) % 10_000


def test_shares_of_the_contract_are_those_of_the_protocol() -> None:
    for vector in vectors("config", "buckets"):
        assert bucket(vector["unit"], vector["salt"]) == vector["bucket"]
    for vector in vectors("config"):
        config = vector["config"]
        for device in vector["devices"]:
            unit = device["install_id"]
            for key, entry in config["values"].items():
                share = int(entry.get("percent", 100) * 100 + 0.5)
                word = "value" if bucket(unit, key) < share else "otherwise"
                assert device["values"].get(key) == entry.get(word), (vector["name"], key)
                assert (key in device["values"]) is (word in entry)
            for event, share in config["sampling"].items():
                uploads = bucket(unit, f"sampling:{event}") < int(share * 10_000 + 0.5)
                assert device["uploads"][event] is uploads


# --- problems --------------------------------------------------------------------------------


def test_problems_of_the_contract_are_those_of_the_gateway() -> None:
    told = {vector["code"]: vector["status"] for vector in vectors("problems")}
    assert told == {code: status for code, (status, _) in PROBLEMS.items()}


@pytest.mark.parametrize("vector", vectors("problems"), ids=lambda vector: vector["code"])
def test_problems_come_with_the_headers_of_the_contract(vector: Any) -> None:
    problem = Problem(vector["code"], allow=vector["headers"].get("allow", ""))
    headers = {name.decode(): value.decode() for name, value in problem_headers(problem)}
    assert headers == vector["headers"]


def test_clients_are_told_the_same_to_do_for_the_same_kind_of_problem() -> None:
    """What may pass by itself is tried again; what never will is dropped; nothing else costs an event."""
    by_status: dict[int, set[str]] = {}
    for vector in vectors("problems"):
        by_status.setdefault(vector["status"], set()).add(vector["client"])
    assert by_status[400] == {"drop", "drop_rejected"}
    assert by_status[413] == {"halve"}
    assert all(by_status[status] == {"retry"} for status in (408, 409, 429, 500, 503))
    others = set().union(*(by_status[status] for status in (401, 404, 405, 415)))
    assert others & {"drop", "drop_rejected", "halve"} == set()
