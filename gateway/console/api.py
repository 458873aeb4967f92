"""`/admin/v1`: the API for an app's own servers.

The tenant comes from the secret key, never from the body or the path.
"""

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import msgspec
from litestar import Controller, Request, delete, get, post, put
from litestar.di import NamedDependency, Provide
from litestar.openapi.spec import SecurityRequirement
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import UNSET
from msgspec.structs import replace

from gateway.apps.model import App
from gateway.apps.store import Apps
from gateway.clock import Clock
from gateway.console.model import (
    AppChange,
    AppView,
    KeyView,
    MessageAccepted,
    MessageRequest,
    MessageView,
    ProfileView,
    Recipient,
    view_profile,
)
from gateway.devices.config import RemoteConfig, RemoteConfigChange, next_version
from gateway.devices.store import Devices, RemoteConfigs
from gateway.edge import Edge, Scope
from gateway.errors import Problem
from gateway.eventlog import EventLog
from gateway.inbox.model import check_message, encode_content
from gateway.inbox.store import Watch
from gateway.ingest.api import Ingest
from gateway.ingest.model import UploadAnswer
from gateway.journeys.model import (
    Decision,
    Draft,
    Journey,
    cause_id,
    check,
    message_id_of,
    profile_id_of_message,
)
from gateway.journeys.store import Journeys
from gateway.openapi import (
    NEEDS_SECRET_KEY,
    NEEDS_STORE,
    READS_ADMIN_BODY,
    READS_BATCH,
    SECRET_KEY,
    answers,
)
from gateway.profiles.model import Profile
from gateway.profiles.store import Profiles
from gateway.records import MessageRequested, MessageWithdrawn, Sender, marks_of_causes

_SECURITY: Sequence[SecurityRequirement] = ({SECRET_KEY: []},)
_READS = (*NEEDS_SECRET_KEY, *READS_ADMIN_BODY, *NEEDS_STORE)
_LOOKS_UP = (*NEEDS_SECRET_KEY, "not_found", *NEEDS_STORE)


class Console(msgspec.Struct, frozen=True):
    """What the admin routes work with."""

    edge: Edge
    apps: Apps
    devices: Devices
    journeys: Journeys
    remote_configs: RemoteConfigs
    profiles: Profiles
    watch: Watch
    log: EventLog
    ingest: Ingest
    clock: Clock
    journeys_max: int

    def dependencies(self) -> dict[str, Provide]:
        """What the routes below ask for by name."""
        return {
            "console": Provide(lambda: self, sync_to_thread=False),
            "app": Provide(self._provide_app, sync_to_thread=False),
        }

    def _provide_app(self, request: Request[Any, Any, Any]) -> App:
        scope: Scope = request.scope  # type: ignore[assignment]  # Litestar's own type of the same
        return self.app_of(scope)

    def app_of(self, scope: Scope) -> App:
        """The app whose secret key the request carries, looked at once. Raises Problem `key_invalid`."""
        app: App | None = scope.get("zuruf.app")
        if app is None:
            app = scope["zuruf.app"] = self.edge.app(dict(scope["headers"]), "secret")
        return app


class AppRoutes(Controller):
    """The app of the key."""

    path = "/admin/v1/app"
    tags: Sequence[str] | None = ("app",)
    security: Sequence[SecurityRequirement] | None = _SECURITY

    @get(operation_class=answers(*NEEDS_SECRET_KEY))
    async def show(self, app: NamedDependency[App], console: NamedDependency[Console]) -> AppView:
        """The app, its settings and its keys (without their secrets)."""
        return _view_app(app, console.apps)

    @put(operation_class=answers(*_READS, "conflict"))
    async def change(
        self,
        data: JSONBody[AppChange],
        app: NamedDependency[App],
        console: NamedDependency[Console],
    ) -> AppView:
        """Change name or settings; what is not given stays."""
        given = {
            name: value for name, value in msgspec.structs.asdict(data).items() if value is not None
        }
        changed = replace(app, **given)
        await console.apps.save(changed, replacing=app)
        return _view_app(changed, console.apps)


class RemoteConfigRoutes(Controller):
    """What the app's devices are told to do, as far as its owners decide."""

    path = "/admin/v1/remote-config"
    tags: Sequence[str] | None = ("remote configuration",)
    security: Sequence[SecurityRequirement] | None = _SECURITY

    @get(operation_class=answers(*NEEDS_SECRET_KEY))
    async def show(
        self, app: NamedDependency[App], console: NamedDependency[Console]
    ) -> RemoteConfig:
        """The remote configuration; of version 0 while there is none."""
        return console.remote_configs.of_app(app.id)

    @put(operation_class=answers(*_READS, "conflict"))
    async def save(
        self,
        data: JSONBody[RemoteConfigChange],
        app: NamedDependency[App],
        console: NamedDependency[Console],
    ) -> RemoteConfig:
        """Replace the remote configuration; 409 when `version` is given and not the last one."""
        before = console.remote_configs.of_app(app.id)
        after = next_version(before, data, console.clock.now_ms())
        await console.remote_configs.save(app.id, after, replacing=before)
        return after


class JourneyRoutes(Controller):
    """Which event leads to which message."""

    path = "/admin/v1/journeys"
    tags: Sequence[str] | None = ("journeys",)
    security: Sequence[SecurityRequirement] | None = _SECURITY

    @get(operation_class=answers(*NEEDS_SECRET_KEY))
    async def index(
        self, app: NamedDependency[App], console: NamedDependency[Console]
    ) -> list[Journey]:
        """All journeys, the oldest first."""
        return console.journeys.of_app(app.id)

    @post(operation_class=answers(*_READS, "invalid_rule", "conflict"))
    async def create(
        self, data: JSONBody[Draft], app: NamedDependency[App], console: NamedDependency[Console]
    ) -> Journey:
        """Create a journey; if its status is live, it is so everywhere within a second."""
        if len(console.journeys.of_app(app.id)) >= console.journeys_max:
            raise Problem("conflict", f"at most {console.journeys_max} journeys: archive some")
        now = console.clock.now_ms()
        journey = Journey(f"jny_{uuid4().hex[:16]}", app.id, 1, now, now, check(data))
        await console.journeys.save(journey)
        return journey

    @get("/{journey_id:str}", operation_class=answers(*NEEDS_SECRET_KEY, "not_found"))
    async def show(
        self,
        journey_id: FromPath[str],
        app: NamedDependency[App],
        console: NamedDependency[Console],
    ) -> Journey:
        """One journey."""
        return _journey(console, app, journey_id)

    @put(
        "/{journey_id:str}",
        operation_class=answers(*_READS, "invalid_rule", "conflict", "not_found"),
    )
    async def save(
        self,
        journey_id: FromPath[str],
        data: JSONBody[Draft],
        app: NamedDependency[App],
        console: NamedDependency[Console],
    ) -> Journey:
        """Save a new version; it replaces the one before for all that happens from now on."""
        return await _revise(console, _journey(console, app, journey_id), check(data))

    @delete(
        "/{journey_id:str}",
        operation_class=answers(*_LOOKS_UP, "conflict"),
    )
    async def archive(
        self,
        journey_id: FromPath[str],
        app: NamedDependency[App],
        console: NamedDependency[Console],
    ) -> None:
        """Archive a journey: it starts no more, its decisions stay readable."""
        journey = _journey(console, app, journey_id)
        await _revise(console, journey, replace(journey.draft, status="archived"))


class MessageRoutes(Controller):
    """Messages that no journey sends."""

    path = "/admin/v1/messages"
    tags: Sequence[str] | None = ("messages",)
    security: Sequence[SecurityRequirement] | None = _SECURITY

    @post(
        status_code=202,
        operation_class=answers(*_READS, "invalid_rule", "not_found"),
    )
    async def send(
        self,
        data: JSONBody[MessageRequest],
        app: NamedDependency[App],
        console: NamedDependency[Console],
    ) -> MessageAccepted:
        """Send a message to a user, a profile or a device. With an `id` a repeat is harmless."""
        check_message(data.content, data.trigger)
        recipient = await _recipient(console, app, data.to)
        profile_id = recipient.profile_id
        request_id = data.id or uuid4()
        message_id = message_id_of(profile_id, cause_id(app.id, "request", request_id.hex))
        record = MessageRequested(
            recipient,
            console.clock.now_ms(),
            message_id,
            data.priority,
            data.ttl_s,
            msgspec.to_builtins(data.display),
            encode_content(data.content),
            b"" if data.trigger is UNSET else msgspec.json.encode(data.trigger),
        )
        await console.log.append(record, marks_of_causes("send", message_id), source=profile_id)
        return MessageAccepted(message_id)

    @delete("/{message_id:str}", status_code=202, operation_class=answers(*_LOOKS_UP))
    async def withdraw(
        self,
        message_id: FromPath[str],
        app: NamedDependency[App],
        console: NamedDependency[Console],
    ) -> MessageAccepted:
        """Withdraw a message: gone from every device within one poll. 404 when no device has it."""
        profile_id = profile_id_of_message(message_id)
        if profile_id is None:
            raise Problem("not_found", "no such message")
        shelf = await console.watch.shelf(app.id, profile_id)
        if not shelf.has(message_id):
            raise Problem("not_found", "no such message waits for anybody")
        record = MessageWithdrawn(Sender(app.id, profile_id), console.clock.now_ms(), message_id)
        await console.log.append(record, marks_of_causes("withdraw", message_id), source=profile_id)
        return MessageAccepted(message_id)


class EventRoutes(Controller):
    """Events that a server knows of."""

    path = "/admin/v1/events"
    tags: Sequence[str] | None = ("events",)
    security: Sequence[SecurityRequirement] | None = _SECURITY

    @post(
        status_code=200,
        operation_class=answers(*_READS, *READS_BATCH),
    )
    async def upload(
        self,
        request: Request[Any, Any, Any],
        app: NamedDependency[App],
        console: NamedDependency[Console],
    ) -> UploadAnswer:
        """The batch of `POST /v1/events`; each event also names its `user_id` or `profile_id`."""
        return await console.ingest.take_addressed(app, await request.body())


class ProfileRoutes(Controller):
    """What is known of people, and why they were (not) sent messages."""

    path = "/admin/v1/profiles"
    tags: Sequence[str] | None = ("profiles",)
    security: Sequence[SecurityRequirement] | None = _SECURITY

    @get(operation_class=answers(*_LOOKS_UP, "invalid_query"))
    async def find(
        self,
        user_id: FromQuery[str],
        app: NamedDependency[App],
        console: NamedDependency[Console],
    ) -> ProfileView:
        """The profile of a known user."""
        profile_id = console.apps.known_profile_id(app.id, user_id)
        return view_profile(await _profile(console, app, profile_id))

    @get("/{profile_id:str}", operation_class=answers(*_LOOKS_UP))
    async def show(
        self,
        profile_id: FromPath[str],
        app: NamedDependency[App],
        console: NamedDependency[Console],
    ) -> ProfileView:
        """One profile."""
        return view_profile(await _profile(console, app, profile_id))

    @get("/{profile_id:str}/decisions", operation_class=answers(*_LOOKS_UP))
    async def decisions(
        self,
        profile_id: FromPath[str],
        app: NamedDependency[App],
        console: NamedDependency[Console],
    ) -> list[Decision]:
        """Every candidate message, sent or not, with the gates it passed and the one that stopped it."""
        await _profile(console, app, profile_id)
        return await console.journeys.decisions(app.id, profile_id)

    @get("/{profile_id:str}/messages", operation_class=answers(*_LOOKS_UP))
    async def messages(
        self,
        profile_id: FromPath[str],
        app: NamedDependency[App],
        console: NamedDependency[Console],
    ) -> list[MessageView]:
        """What waits in the inbox."""
        await _profile(console, app, profile_id)
        shelf = await console.watch.shelf(app.id, profile_id)
        now = console.clock.now_ms()
        return [
            msgspec.json.decode(shelved.json, type=MessageView)
            for shelved in shelf.messages.values()
            if shelved.expires_at > now
        ]


def _view_app(app: App, apps: Apps) -> AppView:
    keys = [KeyView(key.id, key.kind, key.created_at, key.expires_at) for key in app.keys]
    return AppView(
        app.id,
        app.name,
        app.created_at,
        app.verify_identity,
        apps.identity_secret(app),
        keys,
    )


def _journey(console: Console, app: App, journey_id: str) -> Journey:
    journey = console.journeys.get(app.id, journey_id)
    if journey is None:
        raise Problem("not_found", "no such journey")
    return journey


async def _revise(console: Console, journey: Journey, draft: Draft) -> Journey:
    """Save the next version of a journey."""
    after = replace(
        journey, version=journey.version + 1, updated_at=console.clock.now_ms(), draft=draft
    )
    await console.journeys.save(after, replacing=journey)
    return after


async def _profile(console: Console, app: App, profile_id: str) -> Profile:
    profile = None
    if is_profile_id(profile_id):
        profile = await console.profiles.get(app.id, profile_id)
    if profile is None:
        raise Problem("not_found", "no such profile")
    return profile


async def _recipient(console: Console, app: App, to: Recipient) -> Sender:
    """Whom the message is for; with a device only if just that one is meant."""
    match to:
        case Recipient(user_id=str(user_id), profile_id=None, device_id=None):
            known = console.apps.known_profile_id(app.id, user_id)
            return Sender(app.id, known, user_id=user_id)
        case Recipient(user_id=None, profile_id=str(profile_id), device_id=None):
            await _profile(console, app, profile_id)
            return Sender(app.id, profile_id)
        case Recipient(user_id=None, profile_id=None, device_id=str(device_id)):
            device = await console.devices.get(app.id, device_id)
            if device is None:
                raise Problem("not_found", "no such device")
            return Sender(app.id, device.profile_id, device_id)
    raise Problem("invalid_body", "to: exactly one of user_id, profile_id and device_id")


def is_profile_id(text: str) -> bool:
    """Whether this has the form of a profile id."""
    return len(text) == 32 and all(digit in "0123456789abcdef" for digit in text)
