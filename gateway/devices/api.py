"""`POST /v1/devices`, `POST|DELETE /v1/identity`, `GET /v1/config`."""

from typing import TypeVar

import msgspec

from gateway.apps.model import App
from gateway.apps.token import Claims
from gateway.clock import new_id
from gateway.devices.model import (
    Config,
    Device,
    Identification,
    Identified,
    Registered,
    Registration,
    check_proof,
    new_config,
)
from gateway.devices.store import Devices
from gateway.edge import (
    JSON,
    Edge,
    Headers,
    Receive,
    Scope,
    Send,
    accepted_media,
    decode_body,
    media_of,
)
from gateway.errors import Problem
from gateway.eventlog import EventLog
from gateway.inbox.store import Watch
from gateway.journeys.store import Journeys
from gateway.records import DeviceRegistered, ProfileLinked, Sender, marks_of_causes

T = TypeVar("T")
_Decoders = tuple[msgspec.json.Decoder[T], msgspec.msgpack.Decoder[T]]


class DeviceApi:
    """Registers devices and moves them between profiles."""

    def __init__(
        self, edge: Edge, devices: Devices, log: EventLog, watch: Watch, journeys: Journeys
    ) -> None:
        self._edge = edge
        self._devices = devices
        self._log = log
        self._watch = watch
        self._journeys = journeys
        self._registration = (
            msgspec.json.Decoder(Registration),
            msgspec.msgpack.Decoder(Registration),
        )
        self._identification = (
            msgspec.json.Decoder(Identification),
            msgspec.msgpack.Decoder(Identification),
        )

    async def register(self, scope: Scope, receive: Receive, send: Send) -> None:
        """`POST /v1/devices`"""
        edge = self._edge
        headers = dict(scope["headers"])
        edge.registration(scope)
        app = edge.app(headers, "publishable")
        registration = await self._read(receive, headers, self._registration)
        old = headers.get(b"x-device-token")
        now = edge.clock.now_ms()
        if old is None:
            claims = self._claims(app.id, new_id(), new_id(), now, known=False)
        else:
            before = edge.refreshed_device(old, app)
            claims = self._claims(
                app.id, before.device_id, before.profile_id, now, known=before.is_known
            )
            await self._refuse_superseded(before, claims.profile_id)
        await self._settle(claims, registration, None)
        edge.metrics.counts.devices_registered += 1
        media = accepted_media(headers)
        answer = Registered(
            claims.device_id,
            claims.profile_id,
            edge.apps.tokens.mint(claims),
            claims.expires_at,
            now,
            self._config(app.id),
        )
        await edge.answer(send, 201, media.encode(answer), media.name)

    async def identify(self, scope: Scope, receive: Receive, send: Send) -> None:
        """`POST /v1/identity`"""
        edge = self._edge
        headers = dict(scope["headers"])
        claims = edge.device(headers)
        wanted = await self._read(receive, headers, self._identification)
        app = self._app_of(claims)
        now = edge.clock.now_ms()
        if app.verify_identity:
            secret = edge.apps.identity_secret(app)
            check_proof(wanted.proof, secret, app.id, wanted.user_id, now / 1000)
        known = edge.apps.known_profile_id(app.id, wanted.user_id)
        await self._refuse_superseded(claims, known)
        moved = self._claims(app.id, claims.device_id, known, now, known=True)
        if known != claims.profile_id:
            await self._move(claims, moved, wanted.user_id)
        await self._answer_identified(send, moved, now, headers)

    async def forget(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """`DELETE /v1/identity`"""
        edge = self._edge
        headers = dict(scope["headers"])
        claims = edge.device(headers)
        now = edge.clock.now_ms()
        fresh = edge.apps.next_profile_id(
            claims.app_id, claims.device_id, claims.profile_id, claims.issued_at
        )
        await self._refuse_superseded(claims, fresh)
        moved = self._claims(claims.app_id, claims.device_id, fresh, now, known=False)
        await self._move(claims, moved, None)
        await self._answer_identified(send, moved, now, headers)

    async def config(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """`GET /v1/config`"""
        headers = dict(scope["headers"])
        claims = self._edge.device(headers)
        config = self._config(claims.app_id)
        etag = f'"{config.etag}"'.encode()
        # Inside, because a proxy that compresses makes it weak: W/"…".
        if etag in headers.get(b"if-none-match", b""):
            await self._edge.answer(send, 304, extra=[(b"etag", etag)])
            return
        media = accepted_media(headers)
        await self._edge.answer(send, 200, media.encode(config), media.name, [(b"etag", etag)])

    # -- moving a device ----------------------------------------------------------------------

    async def _move(self, before: Claims, after: Claims, user_id: str | None) -> None:
        """Bind a device to another profile. Repeating it, after a crash or a lost answer, is harmless."""
        device = await self._devices.get(before.app_id, before.device_id)
        if device is None:
            raise Problem("token_expired", "the device is not known any more: register again")
        await self._settle(after, device.registration, user_id)
        if user_id is not None and not before.is_known:
            sender = Sender(before.app_id, before.profile_id, before.device_id)
            await self._log.append(
                ProfileLinked(sender, after.issued_at, after.profile_id, user_id),
                marks_of_causes("link", before.profile_id, after.profile_id),
            )
        await self._watch.depart(before.app_id, before.profile_id, before.device_id)

    async def _settle(
        self, claims: Claims, registration: Registration, user_id: str | None
    ) -> None:
        """Store that this device is with this profile now, and tell the profile."""
        sender = Sender(claims.app_id, claims.profile_id, claims.device_id, user_id)
        await self._devices.save(
            claims.app_id,
            Device(claims.device_id, claims.profile_id, registration, claims.issued_at),
        )
        await self._log.append(
            DeviceRegistered(
                sender,
                claims.issued_at,
                registration.platform,
                registration.form_factor,
            ),
            marks_of_causes("device", claims.profile_id, claims.issued_at),
        )
        await self._watch.arrive(claims.app_id, claims.profile_id, claims.device_id)

    async def _read(self, receive: Receive, headers: Headers, decoders: _Decoders[T]) -> T:
        body = await self._edge.read(receive, headers)
        as_json, as_msgpack = decoders
        return decode_body(as_json if media_of(headers) is JSON else as_msgpack, body)

    async def _refuse_superseded(self, claims: Claims, target: str) -> None:
        """A device that moved on can't come back with an old token: that would undo a logout.

        A repeat of the very move that it made, because the answer was lost, goes through.
        """
        device = await self._devices.get(claims.app_id, claims.device_id)
        if device is not None and device.profile_id not in {claims.profile_id, target}:
            raise Problem("token_superseded", "use the newer token of this device")

    def _claims(
        self, app_id: str, device_id: str, profile_id: str, now: int, *, known: bool
    ) -> Claims:
        expires_at = now + self._edge.settings.token_ttl_s * 1000
        return Claims(app_id, device_id, profile_id, now, expires_at, known)

    async def _answer_identified(
        self, send: Send, claims: Claims, now: int, headers: Headers
    ) -> None:
        media = accepted_media(headers)
        token = self._edge.apps.tokens.mint(claims)
        answer = Identified(claims.profile_id, token, claims.expires_at, now)
        await self._edge.answer(send, 200, media.encode(answer), media.name)

    def _app_of(self, claims: Claims) -> App:
        app = self._edge.apps.get(claims.app_id)
        assert app is not None, "a verified token names an app"
        return app

    def _config(self, app_id: str) -> Config:
        settings = self._edge.settings
        return new_config(
            settings.batch_events_max,
            settings.body_bytes_max,
            settings.hold_s_max,
            self._journeys.trigger_events(app_id),
        )
