"""Two apps on one gateway: whatever the route, one never reads or changes what the other has."""

from typing import Any

import pytest
from litestar.routes import HTTPRoute

from gateway.app import Application
from tests.builders import (
    NOW,
    a_batch,
    a_journey,
    a_message,
    a_registration,
    an_event,
    message_event,
)
from tests.clients import Gateway, Phone, Shop, code_of
from tests.conftest import StartGateway

Route = tuple[str, str]

INSTALL_ID = "7f0c0000-0000-4000-8000-000000000001"
PUBLIC: set[Route] = {
    ("GET", path)
    for path in (
        *("/healthz", "/readyz", "/metrics"),
        *("/docs", "/docs/openapi.json", "/docs/scalar", "/docs/{path}"),
    )
}
"""About the process and its reference, not about any app."""


class World:
    """An app with a person, a journey and a message, and what another app must not get at."""

    def __init__(self, shop: Shop, phone: Phone, journey_id: str, message_id: str) -> None:
        self.shop = shop
        self.phone = phone
        self.journey_id = journey_id
        self.message_id = message_id

    @property
    def secrets(self) -> list[str]:
        """Words that stand in no answer to anybody else."""
        shop, phone = self.shop, self.phone
        ids = [shop.app_id, phone.profile_id, phone.device_id, self.journey_id, self.message_id]
        told = ["Secret title", "secret_purpose", "secret_key", "push token of the victim"]
        return [*ids, *told, shop.secret_key, shop.publishable_key]

    async def snapshot(self) -> list[Any]:
        """Everything its own server and device see."""
        await self.shop.gateway.settled()
        server, profile_id = self.shop.server, self.phone.profile_id
        return [
            await server.get("/admin/v1/app"),
            await server.get("/admin/v1/journeys"),
            await server.get("/admin/v1/remote-config"),
            await server.get(f"/admin/v1/profiles/{profile_id}"),
            await server.decisions(profile_id),
            await server.get(f"/admin/v1/profiles/{profile_id}/messages"),
            (await self.phone.poll(after="")).json(),
            (await self.phone.ask("GET", "/v1/config")).json(),
        ]


@pytest.fixture
async def world(worker: None, gateway: Gateway) -> World:
    """The one who must be left alone."""
    shop = await gateway.new_shop("Victim")
    phone = await shop.new_phone(install_id=INSTALL_ID)
    await phone.login("u_of_victim")
    await phone.consent(secret_purpose=True)
    await phone.register_push("push token of the victim")
    await shop.server.put("/admin/v1/remote-config", {"values": {"secret_key": {"value": 1}}})
    content = a_journey()["message"]["content"] | {"title": "Secret title"}
    journey = await shop.server.post(
        "/admin/v1/journeys", a_journey("checkout_of_victim", message={"content": content})
    )
    await phone.upload(an_event("checkout_of_victim", props={"amount": 42}))
    await gateway.settled()
    (message,) = await phone.messages()
    return World(shop, phone, journey["id"], message["id"])


@pytest.fixture
async def stranger(world: World, gateway: Gateway) -> Phone:
    """A device of another app, logged in as a user of the same name."""
    phone = await (await gateway.new_shop("Stranger")).new_phone()
    await phone.login("u_of_victim")
    await gateway.settled()
    return phone


def routes_of(application: Application) -> set[Route]:
    """Every route of an application, from the tables that it serves by."""
    assert application.litestar is not None
    admin = {
        (method, route.path_format)
        for route in application.litestar.routes
        if isinstance(route, HTTPRoute)
        for method in route.methods - {"HEAD", "OPTIONS"}
    }
    return set(application._routes) | admin


def admin_attacks(world: World) -> dict[Route, list[tuple[str, Any, int]]]:
    """Route → requests (path, body, status) by another app's server that name what is not its own."""
    journeys, profiles = "/admin/v1/journeys/{journey_id}", "/admin/v1/profiles"
    profile_id, user = world.phone.profile_id, "u_of_victim"
    one = f"{profiles}/{profile_id}"
    journey = f"/admin/v1/journeys/{world.journey_id}"
    to_device = a_message({"device_id": world.phone.device_id})
    to_profile = a_message({"profile_id": profile_id})
    event = an_event(profile_id=profile_id)
    messages, remote_config = "/admin/v1/messages", "/admin/v1/remote-config"
    return {
        ("GET", "/admin/v1/app"): [("/admin/v1/app", None, 200)],
        ("PUT", "/admin/v1/app"): [
            ("/admin/v1/app", {"id": world.shop.app_id, "name": "Taken over"}, 200)
        ],
        ("GET", remote_config): [(remote_config, None, 200)],
        ("PUT", remote_config): [
            (remote_config, {"app_id": world.shop.app_id, "values": {"k": {"value": 2}}}, 200)
        ],
        ("GET", "/admin/v1/journeys"): [("/admin/v1/journeys", None, 200)],
        ("POST", "/admin/v1/journeys"): [
            ("/admin/v1/journeys", a_journey() | {"app_id": world.shop.app_id}, 201),
            ("/admin/v1/journeys", a_journey() | {"id": world.journey_id}, 201),
        ],
        ("GET", journeys): [(journey, None, 404)],
        ("PUT", journeys): [(journey, a_journey(), 404)],
        ("DELETE", journeys): [(journey, None, 404)],
        ("POST", messages): [
            (messages, to_device, 404),
            (messages, to_profile, 404),
            (messages, a_message({"user_id": user}), 202),
        ],
        ("DELETE", f"{messages}/{{message_id}}"): [(f"{messages}/{world.message_id}", None, 404)],
        ("GET", profiles): [(f"{profiles}?user_id={user}", None, 200)],
        ("GET", f"{profiles}/{{profile_id}}"): [(one, None, 404)],
        ("GET", f"{profiles}/{{profile_id}}/decisions"): [(f"{one}/decisions", None, 404)],
        ("GET", f"{profiles}/{{profile_id}}/messages"): [(f"{one}/messages", None, 404)],
        # Last: they make people of the same ids in the stranger's own world.
        ("POST", "/admin/v1/events"): [
            ("/admin/v1/events", a_batch(event), 200),
            ("/admin/v1/events", a_batch(an_event(user_id=user)), 200),
        ],
    }


def device_attacks(world: World) -> dict[Route, list[tuple[Any, int]]]:
    """Route → requests (body, status) by a device of another app that name what is not its own."""
    seen = message_event("message_shown", world.message_id)
    return {
        ("POST", "/v1/devices"): [(a_registration(install_id=INSTALL_ID), 401)],
        ("POST", "/v1/events"): [(a_batch(seen, app_id=world.shop.app_id), 200)],
        ("GET", "/v1/messages"): [(None, 204)],
        ("GET", "/v1/messages/stream"): [],  # endless; see test_stream_of_another_app
        ("POST", "/v1/identity"): [({"user_id": "u_of_victim"}, 200)],
        ("DELETE", "/v1/identity"): [(None, 200)],
        ("GET", "/v1/config"): [(None, 200)],
        ("PUT", "/v1/consent"): [
            (
                {"consent": {"messaging": False}, "at": NOW, "profile_id": world.phone.profile_id},
                200,
            )
        ],
        ("PUT", "/v1/push-token"): [
            ({"token": "t", "provider": "fcm", "device_id": world.phone.device_id}, 204)
        ],
        ("DELETE", "/v1/push-token"): [(None, 204)],
    }


async def test_every_route_takes_part(world: World, gateway: Gateway) -> None:
    """A new route must be added to the attacks above, or to what is public."""
    attacked = set(admin_attacks(world)) | set(device_attacks(world))
    assert routes_of(gateway.application) == attacked | PUBLIC


async def test_no_admin_route_reaches_into_another_app(world: World, stranger: Phone) -> None:
    before = await world.snapshot()
    for (method, _), attacks in admin_attacks(world).items():
        for path, body, status in attacks:
            answer = await stranger.shop.server.ask(method, path, json=body)
            assert answer.status_code == status, (method, path, answer.text)
            assert [word for word in world.secrets if word in answer.text] == [], (method, path)
    assert await world.snapshot() == before


async def test_no_device_route_reaches_into_another_app(world: World, stranger: Phone) -> None:
    before = await world.snapshot()
    for (method, path), attacks in device_attacks(world).items():
        for body, status in attacks:
            if path == "/v1/devices":
                answer = await stranger.shop.register(body, **{"X-Device-Token": world.phone.token})
            else:
                answer = await stranger.ask(method, path, json=body)
            assert answer.status_code == status, (method, path, answer.text)
            told = [word for word in world.secrets if word in answer.text]
            assert told == [], (method, path)
            if answer.status_code == 200 and "token" in answer.json():
                stranger._take(answer)
    assert await world.snapshot() == before


async def test_cursor_of_another_app_opens_nothing(world: World, stranger: Phone) -> None:
    page = (await stranger.poll(after=world.phone.cursor)).json()
    assert (page["messages"], page["withdrawn"], page["reset"]) == ([], [], True)


async def test_stream_of_another_app_shows_its_own_messages_only(
    world: World, stranger: Phone
) -> None:
    async with stranger.stream(after=world.phone.cursor) as stream:
        assert (await stream.page())["messages"] == []
        server = world.shop.server
        await server.post("/admin/v1/messages", a_message({"user_id": "u_of_victim"}))
        own = await stranger.shop.server.post(
            "/admin/v1/messages", a_message({"profile_id": stranger.profile_id})
        )
        (message,) = (await stream.page())["messages"]
        assert message["id"] == own["message_id"]


async def test_users_of_the_same_name_are_different_people(world: World, stranger: Phone) -> None:
    assert stranger.profile_id != world.phone.profile_id
    theirs = await world.shop.server.get("/admin/v1/profiles", user_id="u_of_victim")
    assert theirs["id"] == world.phone.profile_id


async def test_keys_open_only_what_they_are_for(world: World, gateway: Gateway) -> None:
    """Device tokens, publishable keys and foreign or made-up keys are refused by every admin route."""
    app_id = world.shop.app_id
    keys = [
        "",
        world.shop.publishable_key,
        world.phone.token,
        f"sk_{app_id}_{'0' * 32}",
        world.shop.secret_key[:-1],
        world.shop.secret_key + "0",
        world.shop.secret_key.upper(),
        world.shop.publishable_key.replace("pk_", "sk_"),
        f"sk_{'0' * 12}_{world.shop.secret_key.split('_')[2]}",
        "sk_é_ü",
    ]
    for (method, _), attacks in admin_attacks(world).items():
        for path, body, _ in attacks:
            for key in keys:
                answer = await gateway.http.request(
                    method, path, json=body, headers={b"Authorization": f"Bearer {key}".encode()}
                )
                assert code_of(answer) == "401 key_invalid", (method, path, key)


async def test_registration_wants_a_publishable_key(world: World, gateway: Gateway) -> None:
    for key in ("", "x", world.shop.secret_key, world.phone.token, world.shop.publishable_key[:-1]):
        answer = await gateway.http.post(
            "/v1/devices", json=a_registration(), headers={"Authorization": f"Bearer {key}"}
        )
        assert code_of(answer) == "401 key_invalid"


async def test_device_process_serves_no_admin_route(
    world: World, start_gateway: StartGateway
) -> None:
    edge = await start_gateway(serve=("device",))
    for (method, _), attacks in admin_attacks(world).items():
        for path, body, _ in attacks:
            answer = await edge.http.request(
                method,
                path,
                json=body,
                headers={"Authorization": f"Bearer {world.shop.secret_key}"},
            )
            assert code_of(answer) == "404 not_found"
