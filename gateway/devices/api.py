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
from gateway.devices.store import Devices, Found
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
_BIND_TRIES = 8
_SUPERSEDED = "use the newer token of this device"
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
            before = self._claims(app.id, new_id(), new_id(), now, known=False)
            found: Found = (None, b"")
        else:
            before = edge.refreshed_device(old, app)
            found = await self._find(before, before.profile_id)
        claims = await self._bind(
            before, before.profile_id, registration, found, known=before.is_known
        )
        await self._tell(claims, registration, None)
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
        moved = await self._move(claims, known, wanted.user_id)
        await self._answer_identified(send, moved, headers)

    async def forget(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """`DELETE /v1/identity`"""
        edge = self._edge
        headers = dict(scope["headers"])
        claims = edge.device(headers)
        fresh = edge.apps.next_profile_id(
            claims.app_id, claims.device_id, claims.profile_id, claims.issued_at
        )
        moved = await self._move(claims, fresh, None)
        await self._answer_identified(send, moved, headers)

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

    async def _move(self, before: Claims, target: str, user_id: str | None) -> Claims:
        """Bind a device to a profile. Repeating it, after a crash or a lost answer, is harmless."""
        found = await self._find(before, target)
        device = found[0]
        if device is None:
            raise Problem("token_expired", "the device is not known any more: register again")
        app_id, device_id, old = before.app_id, before.device_id, before.profile_id
        if target != old:
            # First of all, and again below: a store that is full refuses what comes in between.
            await self._watch.depart(app_id, old, device_id, before.issued_at + 1)
        registration = device.registration
        after = await self._bind(before, target, registration, found, known=user_id is not None)
        await self._tell(after, registration, user_id)
        if target != old:
            if user_id is not None and not before.is_known:
                sender = Sender(app_id, old, device_id)
                await self._log.append(
                    ProfileLinked(sender, after.issued_at, target, user_id),
                    marks_of_causes("link", old, target),
                )
            # A token that was refreshed meanwhile is older than the one we hand out.
            await self._watch.depart(app_id, old, device_id, after.issued_at)
        return after

    async def _bind(
        self, before: Claims, target: str, registration: Registration, found: Found, *, known: bool
    ) -> Claims:
        """Store whose a device is now; the claims of its next token, later than all it was given before.

        Several requests of one device may come at once: each stores only over what it has found.
        """
        app_id, device_id = before.app_id, before.device_id
        for _ in range(_BIND_TRIES):
            device, packed = found
            now = self._edge.clock.now_ms()
            if device is not None:
                now = max(now, device.issued_at + 1)
            if await self._devices.save(
                app_id, Device(device_id, target, registration, now), packed
            ):
                return self._claims(app_id, device_id, target, now, known=known)
            found = await self._devices.look_up(app_id, device_id)
            _refuse_moved(found[0], before, target)
        raise Problem("overloaded", "too many requests of this device at once")

    async def _tell(self, claims: Claims, registration: Registration, user_id: str | None) -> None:
        """Tell the profile that this device is with it now."""
        sender = Sender(claims.app_id, claims.profile_id, claims.device_id, user_id)
        await self._log.append(
            DeviceRegistered(
                sender,
                claims.issued_at,
                registration.platform,
                registration.form_factor,
            ),
            marks_of_causes("device", claims.profile_id, claims.issued_at),
        )

    async def _read(self, receive: Receive, headers: Headers, decoders: _Decoders[T]) -> T:
        body = await self._edge.read(receive, headers)
        as_json, as_msgpack = decoders
        return decode_body(as_json if media_of(headers) is JSON else as_msgpack, body)

    async def _find(self, claims: Claims, target: str) -> Found:
        """The device as it is stored, if this token may still move it; else Problem `token_superseded`.

        A device that moved on can't come back with an old token: that would undo a logout. What goes
        through is a repeat: of the very move that it made, because the answer was lost, and of one that
        broke off between its first mark and the device, which then still has this token as its newest.
        """
        found = await self._devices.look_up(claims.app_id, claims.device_id)
        device = found[0]
        _refuse_moved(device, claims, target)
        stayed = device is not None and device.profile_id == claims.profile_id
        is_newest = device is not None and device.issued_at == claims.issued_at
        if device is None or (stayed and not is_newest):
            shelf = await self._watch.shelf(claims.app_id, claims.profile_id)
            if shelf.refuses(claims.device_id, claims.issued_at):
                raise Problem("token_superseded", _SUPERSEDED)
        return found

    def _claims(
        self, app_id: str, device_id: str, profile_id: str, now: int, *, known: bool
    ) -> Claims:
        expires_at = now + self._edge.settings.token_ttl_s * 1000
        return Claims(app_id, device_id, profile_id, now, expires_at, known)

    async def _answer_identified(self, send: Send, claims: Claims, headers: Headers) -> None:
        media = accepted_media(headers)
        token = self._edge.apps.tokens.mint(claims)
        now = self._edge.clock.now_ms()
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


def _refuse_moved(device: Device | None, claims: Claims, target: str) -> None:
    if device is not None and device.profile_id not in {claims.profile_id, target}:
        raise Problem("token_superseded", _SUPERSEDED)
