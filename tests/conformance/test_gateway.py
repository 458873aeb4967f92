"""The mock gateway finds what breaks the contract. It is asked by hand here, as no SDK would."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.conformance import contract, seen
from tests.conformance.behaviour import CONFIG, Behaviour
from tests.conformance.gateway import MockGateway, a_gateway
from tests.conformance.runner import START_MS
from tests.conformance.seen import Seen

A = "019aa7b1-3580-726f-830e-08960cb9439d"
B = "019aa7b1-3580-73f1-a172-1327684220cf"
REGISTRATION = {"install_id": A, "platform": "android", "form_factor": "phone"}


class Caller:
    """A client by hand: numbers its requests and says what it is told to say."""

    def __init__(self, gateway: MockGateway) -> None:
        self._gateway = gateway
        self._address = urlsplit(gateway.url_of("a")).netloc
        self._number = 0

    def send(
        self, route: str, body: object = None, *, token: str = "", **headers: str
    ) -> tuple[int, Any]:
        self._number += 1
        method, path = route.split(" ")
        content = body if isinstance(body, bytes) else json.dumps(body).encode() if body else b""
        complete = {
            "Authorization": f"Bearer {token or contract.PUBLISHABLE_KEY}",
            "X-Conformance-Request": str(self._number),
            **({"Content-Type": "application/json"} if content else {}),
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        connection = http.client.HTTPConnection(self._address, timeout=5)
        try:
            connection.request(method, path, content, complete)
            answer = connection.getresponse()
            told = answer.read()
        finally:
            connection.close()
        return answer.status, json.loads(told) if told else None

    def register(self) -> str:
        _, told = self.send(seen.DEVICES, REGISTRATION)
        return str(told["token"])


def a_batch(*events: dict[str, Any], batch_id: str = B) -> dict[str, Any]:
    return {"batch_id": batch_id, "sent_at": START_MS, "events": list(events)}


def an_event(event_id: str = A, **more: Any) -> dict[str, Any]:
    return {"id": event_id, "type": "track", "name": "purchase", "ts": START_MS, **more}


@contextlib.contextmanager
def a_call(caller: Caller, route: str, token: str) -> Iterator[threading.Thread]:
    """Have a request wait for its answer in a thread."""
    waiting = threading.Thread(target=partial(caller.send, route, token=token))
    waiting.start()
    yield waiting
    waiting.join(5)


def wait_until(condition: Callable[[], bool]) -> None:
    ends_s = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < ends_s
        time.sleep(0.001)


@pytest.fixture
def gateway() -> Iterator[MockGateway]:
    with a_gateway(START_MS) as mock:
        yield mock


@pytest.fixture
def caller(gateway: MockGateway) -> Caller:
    return Caller(gateway)


def test_device_that_keeps_the_contract_is_served(gateway: MockGateway, caller: Caller) -> None:
    token = caller.register()
    assert caller.send(seen.EVENTS, a_batch(an_event()), token=token) == (
        200,
        {"accepted": 1, "duplicates": 0, "rejected": [], "durability": "fsync"},
    )
    assert caller.send(seen.EVENTS, a_batch(an_event()), token=token)[1]["duplicates"] == 1
    assert gateway.faults == []


@pytest.mark.parametrize(
    "body, fault",
    [
        ({**REGISTRATION, "install_id": "me"}, "body.install_id"),
        ({**REGISTRATION, "platform": "toaster"}, "body.platform"),
        ({**REGISTRATION, "formfactor": "phone"}, "body.formfactor: no such member"),
        ({"install_id": A}, "body.platform: missing"),
        (b"{", "the body is not JSON"),
        (None, "a body is missing"),
    ],
)
def test_bad_registration_is_a_fault(
    gateway: MockGateway, caller: Caller, body: object, fault: str
) -> None:
    caller.send(seen.DEVICES, body)
    assert fault in " ".join(gateway.faults)


@pytest.mark.parametrize(
    "event, fault",
    [
        (an_event(name=""), "body.events[0].name"),
        (an_event(ts=1.5), "body.events[0].ts"),
        (an_event(props={"a": {"b": {"c": {"d": {"e": {}}}}}}), "body.events[0].props.a.b.c.d"),
        (an_event(props={"text": "x" * 4097}), "body.events[0].props.text"),
        (an_event(props={str(n): "x" * 4000 for n in range(9)}), "an event of"),
        (an_event(colour="red"), "body.events[0].colour: no such member"),
    ],
)
def test_bad_event_is_a_fault(
    gateway: MockGateway, caller: Caller, event: dict[str, Any], fault: str
) -> None:
    token = caller.register()
    caller.send(seen.EVENTS, a_batch(event), token=token)
    assert fault in " ".join(gateway.faults)


@pytest.mark.parametrize(
    "headers, fault",
    [
        ({"Content_Type": "text/plain"}, "Content-Type"),
        ({"Content_Encoding": "br"}, "Content-Encoding is 'br'"),
        ({"Content_Encoding": "gzip"}, "the body is not"),
        ({"Authorization": "Basic x"}, "Authorization"),
        ({"X_Conformance_Request": ""}, "numbers its requests"),
    ],
)
def test_bad_header_is_a_fault(
    gateway: MockGateway, caller: Caller, headers: dict[str, str], fault: str
) -> None:
    caller.send(seen.DEVICES, REGISTRATION, **headers)
    assert fault in " ".join(gateway.faults)


def test_gzip_is_read(gateway: MockGateway, caller: Caller) -> None:
    body = gzip.compress(json.dumps(REGISTRATION).encode())
    assert caller.send(seen.DEVICES, body, Content_Encoding="gzip")[0] == 201
    assert gateway.faults == []


@pytest.mark.parametrize(
    "route, fault",
    [
        ("GET /v1/nothing", "there is no GET /v1/nothing"),
        ("GET /v1/messages?wait=56", "wait is '56'"),
        ("GET /v1/messages?wait=0&limit=5", "no such parameter: limit"),
    ],
)
def test_bad_route_or_query_is_a_fault(
    gateway: MockGateway, caller: Caller, route: str, fault: str
) -> None:
    caller.send(route, token=caller.register())
    assert fault in " ".join(gateway.faults)


def test_batch_that_changes_between_tries_is_a_fault(gateway: MockGateway, caller: Caller) -> None:
    token = caller.register()
    caller.send(seen.EVENTS, a_batch(an_event(A)), token=token)
    caller.send(seen.EVENTS, a_batch(an_event(A), an_event(B)), token=token)
    assert "had other events before" in gateway.faults[0]


def test_event_that_changes_between_tries_is_a_fault(gateway: MockGateway, caller: Caller) -> None:
    token = caller.register()
    caller.send(seen.EVENTS, a_batch(an_event(ts=START_MS), batch_id=A), token=token)
    caller.send(seen.EVENTS, a_batch(an_event(ts=START_MS + 1), batch_id=B), token=token)
    assert f"the event {A} was" in gateway.faults[0]


def test_number_that_does_not_grow_within_a_session_is_a_fault(
    gateway: MockGateway, caller: Caller
) -> None:
    token = caller.register()
    events = [an_event(A, seq=4, session_id="s"), an_event(B, seq=4, session_id="s")]
    caller.send(seen.EVENTS, a_batch(*events), token=token)
    assert "seq 4 after 4" in gateway.faults[0]


def test_second_upload_beside_an_unanswered_one_is_a_fault() -> None:
    upload = Seen("a", "POST", "/v1/events", {}, json.dumps(a_batch(an_event())).encode())
    poll = Seen("a", "GET", "/v1/messages", {}, b"")
    assert list(contract.Memory().faults(upload, [poll])) == []
    assert list(contract.Memory().faults(poll, [upload])) == []
    assert "under way" in next(contract.Memory().faults(upload, [upload]))


def test_held_poll_ends_when_its_time_has_come_and_not_before(gateway: MockGateway) -> None:
    assert gateway.next_ms() is None
    caller = Caller(gateway)
    token = caller.register()
    with a_call(caller, "GET /v1/messages?wait=25", token) as poll:
        wait_until(lambda: gateway.open_requests("a") == {"2": None})
        assert gateway.next_ms() == 25_000
        gateway.move_to(START_MS + 24_999)
        gateway.fire()
        assert gateway.open_requests("a") == {"2": None}
        gateway.move_to(START_MS + 25_000)
        gateway.fire()
        poll.join(5)
        assert not poll.is_alive()
    assert gateway.open_requests("a") == {}


def test_what_the_mock_gateway_answers_is_what_the_gateway_answers() -> None:
    """Its configuration and its answers are read by the gateway's own types."""
    behaviour = Behaviour(START_MS)
    registration = Seen("a", "POST", "/v1/devices", {}, json.dumps(REGISTRATION).encode())
    registered = behaviour.answer(registration)
    assert registered is not None
    assert contract.answer_faults(seen.DEVICES, registered.body) == []
    token = {"authorization": f"Bearer {registered.body['token']}"}
    for route, body in [
        (seen.EVENTS, a_batch(an_event())),
        (seen.IDENTITY, {"user_id": "u_42"}),
    ]:
        method, path = route.split(" ")
        answer = behaviour.answer(Seen("a", method, path, token, json.dumps(body).encode()))
        assert answer is not None
        assert contract.answer_faults(route, answer.body) == []
    assert contract.message_faults(behaviour.completed({"id": "m1"})) == []
    assert behaviour.config.keys() == {"etag", *CONFIG}
