"""The wire contract as data: whoever speaks it, gateway or SDK in any language, must keep these vectors."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.clients import Gateway, Phone, SettableClock, Shop

FOLDER = Path(__file__).parent


def vectors(name: str) -> list[Any]:
    found: list[Any] = msgspec.json.decode((FOLDER / f"{name}.json").read_bytes())["vectors"]
    return found


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


@pytest.mark.parametrize("vector", vectors("registrations"), ids=lambda vector: vector["name"])
async def test_registrations_are_answered_as_the_contract_says(shop: Shop, vector: Any) -> None:
    answer = await shop.register(vector["body"])
    assert (answer.status_code, kinds(answer.json())) == (vector["status"], vector["answer"])
