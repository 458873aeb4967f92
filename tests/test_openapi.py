"""The reference at `/docs` is true: its routes are the real ones, and real answers are as it says."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import msgspec
import pytest

from gateway.errors import PROBLEMS
from tests.builders import (
    NOW,
    Json,
    a_batch,
    a_content,
    a_journey,
    a_leaf,
    a_message,
    a_registration,
    an_event,
)
from tests.clients import Gateway, Phone, Shop
from tests.schemas import Reference
from tests.test_isolation import PUBLIC, Route, routes_of

Ask = Callable[..., Awaitable[httpx2.Response]]

UNDOCUMENTED = PUBLIC
"""For those who run the gateway, and the reference itself."""


@pytest.fixture
async def reference(gateway: Gateway) -> Reference:
    return Reference((await gateway.http.get("/docs/openapi.json")).json())


class Stage:
    """An app in which every route has something to answer."""

    def __init__(self, shop: Shop, phone: Phone, journey_id: str, message_id: str) -> None:
        self.shop = shop
        self.phone = phone
        self.journey_id = journey_id
        self.message_id = message_id


@pytest.fixture
async def stage(worker: None, gateway: Gateway, shop: Shop, phone: Phone) -> Stage:
    await phone.login("u1")
    content = a_content(
        layout="survey",
        image="https://example.org/i.png",
        theme={"colour": "#ff8800"},
        survey={"questions": [{"id": "q", "kind": "rating", "label": "?", "scale": 5}]},
        buttons=[
            {"id": "a", "label": "A", "action": {"type": "dismiss"}},
            {"id": "b", "label": "B", "action": {"type": "deep_link", "url": "shop://cart"}},
            {"id": "c", "label": "C", "action": {"type": "open_url", "url": "https://e.org"}},
            {"id": "d", "label": "D", "action": {"type": "event", "name": "n", "props": {"a": 1}}},
        ],
    )
    message = {
        "content": content,
        "trigger": {"event": "cart_left", "where": a_leaf("amount", "gt", 1)},
        "display": {"once_per": "device", "limit": {"count": 3}, "ignores_caps": True},
    }
    journey = await shop.server.post(
        "/admin/v1/journeys",
        a_journey(message=message, where=a_leaf("amount", "gt", 1), limits={"max_age_s": 60}),
    )
    await shop.server.put("/admin/v1/remote-config", REMOTE_CONFIG)
    await phone.consent(analytics=True, messaging=True)
    await phone.register_push("a push token of some length")
    await gateway.settled()
    await phone.upload(
        an_event(props={"amount": 5}),
        an_event(props={"amount": 0}),
        an_event("set", type="profile", props={"plan": "pro", "tags": ["a", 1, None]}),
        an_event("company", type="group", props={"group_id": "acme", "size": 10}),
        an_event("alias", type="alias", props={"alias": "crm-7"}),
        an_event("increment", type="profile", props={"plan": 1}),
    )
    await gateway.settled()
    (waiting,) = await phone.messages()
    phone.cursor = ""
    return Stage(shop, phone, journey["id"], waiting["id"])


REMOTE_CONFIG: Json = {
    "values": {"a": {"value": {"b": [1, None]}, "percent": 12.5, "otherwise": None}},
    "display": {"per_day_max": 3, "quiet_hours": {"from": "22:00", "to": "07:00"}},
    "sampling": {"scrolled": 0.5},
}


def good_requests(stage: Stage) -> dict[Route, list[tuple[str, Any, int]]]:
    """Route → requests (path, body, status) that are served; in an order in which all of them are."""
    profile, journeys = f"/admin/v1/profiles/{stage.phone.profile_id}", "/admin/v1/journeys"
    to_user = a_message({"user_id": "u1"})
    push = {"token": "t" * 20, "provider": "apns"}
    bad_event = an_event("")
    return {
        ("POST", "/v1/devices"): [("/v1/devices", a_registration(consent={"own": True}), 201)],
        ("POST", "/v1/events"): [
            ("/v1/events", a_batch(an_event(seq=1)), 200),
            ("/v1/events", a_batch(an_event(), bad_event, "no event"), 200),
        ],
        ("GET", "/v1/messages"): [
            ("/v1/messages", None, 200),
            (f"/v1/messages?after={stage.phone.profile_id[:8]}.99", None, 200),
            ("/v1/messages?after=x", None, 200),
        ],
        ("GET", "/v1/config"): [("/v1/config", None, 200)],
        ("PUT", "/v1/consent"): [("/v1/consent", {"consent": {"own": True}, "at": NOW}, 200)],
        ("PUT", "/v1/push-token"): [("/v1/push-token", push, 204)],
        ("DELETE", "/v1/push-token"): [("/v1/push-token", None, 204)],
        ("GET", "/admin/v1/app"): [("/admin/v1/app", None, 200)],
        ("PUT", "/admin/v1/app"): [("/admin/v1/app", {"name": "Renamed"}, 200)],
        ("GET", "/admin/v1/remote-config"): [("/admin/v1/remote-config", None, 200)],
        ("PUT", "/admin/v1/remote-config"): [("/admin/v1/remote-config", REMOTE_CONFIG, 200)],
        ("GET", journeys): [(journeys, None, 200)],
        ("POST", journeys): [(journeys, a_journey(), 201)],
        ("GET", f"{journeys}/{{journey_id}}"): [(f"{journeys}/{stage.journey_id}", None, 200)],
        ("PUT", f"{journeys}/{{journey_id}}"): [
            (f"{journeys}/{stage.journey_id}", a_journey(status="paused"), 200)
        ],
        ("DELETE", f"{journeys}/{{journey_id}}"): [(f"{journeys}/{stage.journey_id}", None, 204)],
        ("POST", "/admin/v1/messages"): [("/admin/v1/messages", to_user, 202)],
        ("GET", "/admin/v1/profiles"): [("/admin/v1/profiles?user_id=u1", None, 200)],
        ("GET", "/admin/v1/profiles/{profile_id}"): [(profile, None, 200)],
        ("GET", "/admin/v1/profiles/{profile_id}/decisions"): [(f"{profile}/decisions", None, 200)],
        ("GET", "/admin/v1/profiles/{profile_id}/messages"): [(f"{profile}/messages", None, 200)],
        ("DELETE", "/admin/v1/messages/{message_id}"): [
            (f"/admin/v1/messages/{stage.message_id}", None, 202)
        ],
        ("POST", "/admin/v1/events"): [
            ("/admin/v1/events", a_batch(an_event(user_id="u1"), bad_event), 200)
        ],
        # Last: afterwards the device has another token.
        ("POST", "/v1/identity"): [("/v1/identity", {"user_id": "u1"}, 200)],
        ("DELETE", "/v1/identity"): [("/v1/identity", None, 200)],
    }


def bad_requests(stage: Stage) -> dict[Route, list[tuple[str, Any, str]]]:
    """Route → requests (path, body, code) that are refused for another reason than who asks."""
    nobody, no_journey = f"/admin/v1/profiles/{'0' * 32}", "/admin/v1/journeys/jny_0"
    journeys, remote_config = "/admin/v1/journeys", "/admin/v1/remote-config"
    bad_rule = a_journey(where=a_leaf("p", "like", 1))
    return {
        ("POST", "/v1/devices"): [("/v1/devices", {}, "invalid_body")],
        ("POST", "/v1/events"): [
            ("/v1/events", b"{", "malformed_body"),
            ("/v1/events", a_batch(), "empty_batch"),
            ("/v1/events", a_batch(*[an_event()] * 501), "too_many_events"),
        ],
        ("GET", "/v1/messages"): [("/v1/messages?wait=56", None, "invalid_query")],
        ("POST", "/v1/identity"): [("/v1/identity", {"user_id": ""}, "invalid_body")],
        ("PUT", "/v1/consent"): [("/v1/consent", {"consent": {"": True}}, "invalid_body")],
        ("PUT", "/v1/push-token"): [("/v1/push-token", b"{", "malformed_body")],
        ("PUT", "/admin/v1/app"): [("/admin/v1/app", {"name": ""}, "invalid_body")],
        ("PUT", remote_config): [
            (remote_config, {"display": {"gap_ms": -1}}, "invalid_body"),
            (remote_config, {"version": 99}, "conflict"),
        ],
        ("POST", journeys): [
            (journeys, bad_rule, "invalid_rule"),
            (journeys, b"{", "malformed_body"),
        ],
        ("GET", f"{journeys}/{{journey_id}}"): [(no_journey, None, "not_found")],
        ("PUT", f"{journeys}/{{journey_id}}"): [
            (no_journey, a_journey(), "not_found"),
            (f"{journeys}/{stage.journey_id}", bad_rule, "invalid_rule"),
        ],
        ("DELETE", f"{journeys}/{{journey_id}}"): [(no_journey, None, "not_found")],
        ("POST", "/admin/v1/messages"): [
            ("/admin/v1/messages", a_message({}), "invalid_body"),
            ("/admin/v1/messages", a_message({"profile_id": "0" * 32}), "not_found"),
        ],
        ("DELETE", "/admin/v1/messages/{message_id}"): [
            ("/admin/v1/messages/m", None, "not_found")
        ],
        ("POST", "/admin/v1/events"): [("/admin/v1/events", a_batch(), "empty_batch")],
        ("GET", "/admin/v1/profiles"): [
            ("/admin/v1/profiles", None, "invalid_query"),
            ("/admin/v1/profiles?user_id=nobody", None, "not_found"),
        ],
        ("GET", "/admin/v1/profiles/{profile_id}"): [(nobody, None, "not_found")],
        ("GET", "/admin/v1/profiles/{profile_id}/decisions"): [
            (f"{nobody}/decisions", None, "not_found")
        ],
        ("GET", "/admin/v1/profiles/{profile_id}/messages"): [
            (f"{nobody}/messages", None, "not_found")
        ],
    }


async def ask(stage: Stage, method: str, path: str, body: Any) -> httpx2.Response:
    """Ask as the one whom the route is for."""
    content = body if isinstance(body, bytes | None) else msgspec.json.encode(body)
    if path.startswith("/admin"):
        return await stage.shop.server.ask(method, path, content=content)
    if path == "/v1/devices":
        headers = {"Authorization": f"Bearer {stage.shop.publishable_key}"}
        return await stage.shop.gateway.http.request(method, path, content=content, headers=headers)
    answer = await stage.phone.ask(method, path, content=content)
    if path == "/v1/identity" and answer.status_code == 200:
        stage.phone._take(answer)
    return answer


def faults(reference: Reference, method: str, path: str, answer: httpx2.Response) -> list[str]:
    """What of a real answer is not as the reference says."""
    operation = reference.operation(method, path.partition("?")[0])
    assert operation is not None, (method, path)
    media = answer.headers.get("Content-Type")
    body = answer.json() if answer.content else None
    return reference.faults(operation, answer.status_code, media, body)


async def test_reference_describes_the_routes_that_there_are_and_all_of_them(
    gateway: Gateway, reference: Reference
) -> None:
    documented = {
        (method.upper(), path)
        for path, operations in reference.document["paths"].items()
        for method in operations
    }
    assert documented == routes_of(gateway.application) - UNDOCUMENTED
    assert (await gateway.http.get("/docs")).status_code == 200


async def test_good_answer_of_every_route_is_as_documented(
    gateway: Gateway, reference: Reference, stage: Stage
) -> None:
    requests = good_requests(stage)
    stream = {("GET", "/v1/messages/stream")}  # endless; its pages are those of polls
    assert requests.keys() | stream | UNDOCUMENTED == routes_of(gateway.application)
    for (method, _), variants in requests.items():
        for path, body, status in variants:
            answer = await ask(stage, method, path, body)
            assert answer.status_code == status, (method, path, answer.text)
            assert faults(reference, method, path, answer) == [], (method, path)


async def test_page_of_a_stream_is_as_documented(reference: Reference, stage: Stage) -> None:
    poll = reference.operation("GET", "/v1/messages")
    assert poll is not None
    async with stage.phone.stream() as stream:
        page = await stream.page()
        assert len(page["messages"]) == 1
        assert reference.faults(poll, 200, "application/json", page) == []
        head = dict(stream.head["headers"])
        assert (
            head[b"content-type"].decode()
            in reference.document["paths"]["/v1/messages/stream"]["get"]["responses"]["200"][
                "content"
            ]
        )


async def test_refusal_of_every_route_is_as_documented(
    gateway: Gateway, reference: Reference, stage: Stage
) -> None:
    for (method, _), variants in bad_requests(stage).items():
        for path, body, code in variants:
            answer = await ask(stage, method, path, body)
            assert answer.json()["code"] == code, (method, path, answer.text)
            found = faults(reference, method, path, answer)
            assert found == [], (method, path)


async def test_every_route_refuses_strangers_as_documented(
    gateway: Gateway, reference: Reference, stage: Stage
) -> None:
    for method, template in routes_of(gateway.application) - UNDOCUMENTED:
        path = template.replace("{", "").replace("}", "") + "?user_id=u"
        for key in ("", "nobody"):
            headers = {"Authorization": f"Bearer {key}"} if key else {}
            answer = await gateway.http.request(method, path, headers=headers)
            assert answer.status_code == 401, (method, path)
            assert faults(reference, method, path, answer) == [], (method, path)


async def test_every_refusal_of_another_kind_is_documented_somewhere(reference: Reference) -> None:
    """Each problem code stands with a route, or belongs to no route in particular."""
    told = {
        code
        for operations in reference.document["paths"].values()
        for operation in operations.values()
        for status, answer in operation["responses"].items()
        if status >= "4"
        for code in answer["content"]["application/problem+json"]["schema"]["properties"]["code"][
            "enum"
        ]
    }
    assert set(PROBLEMS) - told == {"method_not_allowed", "draining"}


async def test_whoever_is_asked_for_a_key_is_told_which(reference: Reference) -> None:
    schemes = reference.document["components"]["securitySchemes"]
    for path, operations in reference.document["paths"].items():
        for operation in operations.values():
            ((scheme,),) = operation["security"]
            assert scheme in schemes
            wanted = "secretKey" if path.startswith("/admin") else "deviceToken"
            assert scheme == ("publishableKey" if path == "/v1/devices" else wanted)


def test_check_of_schemas_finds_what_does_not_fit() -> None:
    thing: Json = {
        "type": "object",
        "properties": {
            "n": {"type": "integer", "minimum": 1, "maximum": 3},
            "s": {"oneOf": [{"type": "string", "minLength": 2}, {"type": "null"}]},
            "l": {"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 2},
        },
        "required": ["n"],
    }
    reference = Reference({"paths": {}, "components": {"schemas": {"Thing": thing}}})
    schema = {"$ref": "#/components/schemas/Thing"}
    good: list[Any] = [
        {"n": 1},
        {"n": 3, "s": None, "l": []},
        {"n": 2, "s": "ab", "l": ["a", "b"]},
    ]
    bad: list[Any] = [
        [],
        {},
        {"n": 0},
        {"n": 4},
        {"n": 1.5},
        {"n": True},
        {"n": 1, "s": "a"},
        {"n": 1, "l": ["c"]},
        {"n": 1, "l": ["a"] * 3},
        {"n": 1, "more": 1},
    ]
    assert [value for value in good if reference.faults_of(value, schema, "x")] == []
    assert [value for value in bad if not reference.faults_of(value, schema, "x")] == []
