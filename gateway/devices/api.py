"""What devices tell of themselves and their people, and what they are told: all but events and messages."""

from typing import TypeVar

import msgspec
from msgspec.structs import replace

from gateway.apps.model import App
from gateway.apps.token import Claims
from gateway.clock import new_id
from gateway.devices.config import Config, RemoteConfig, new_config
from gateway.devices.model import (
    Answers,
    ConsentAnswers,
    Device,
    Identification,
    Identified,
    KnownAnswers,
    PushRegistration,
    Registered,
    Registration,
    check_proof,
)
from gateway.devices.store import Devices, Found, RemoteConfigs
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
from gateway.profiles.consent import PURPOSES_MAX, Consents, take_answers
from gateway.profiles.store import Profiles
from gateway.records import (
    ConsentGiven,
    DeviceDeparted,
    DeviceRegistered,
    ProfileLinked,
    PushToken,
    Sender,
    marks_of_causes,
)

T = TypeVar("T")
_BIND_TRIES = 8
_SUPERSEDED = "use the newer token of this device"
_TOO_MANY = "too many requests of this device at once"
_FORGOTTEN = "the device is not known any more: register again"
_Decoders = tuple[msgspec.json.Decoder[T], msgspec.msgpack.Decoder[T]]


class DeviceApi:
    """Registers devices, moves them between profiles, and notes what their people allow."""

    def __init__(
        self,
        edge: Edge,
        devices: Devices,
        profiles: Profiles,
        log: EventLog,
        watch: Watch,
        journeys: Journeys,
        remote_configs: RemoteConfigs,
    ) -> None:
        self._edge = edge
        self._devices = devices
        self._profiles = profiles
        self._log = log
        self._watch = watch
        self._journeys = journeys
        self._remote_configs = remote_configs
        self._configs: dict[str, tuple[RemoteConfig, Config]] = {}
        self._registration = _decoders(Registration)
        self._identification = _decoders(Identification)
        self._consent_answers = _decoders(ConsentAnswers)
        self._push_registration = _decoders(PushRegistration)

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
        answers = registration.consent if old is None else {}
        registration = replace(registration, consent={})
        claims, device = await self._bind(
            before, before.profile_id, registration, found, known=before.is_known
        )
        await self._tell(claims, device, None, answers)
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

    async def consent(self, scope: Scope, receive: Receive, send: Send) -> None:
        """`PUT /v1/consent`"""
        edge = self._edge
        headers = dict(scope["headers"])
        claims = edge.device(headers)
        told = await self._read(receive, headers, self._consent_answers)
        known = await self._known_answers(claims)
        now = edge.clock.now_ms()
        at = min(told.at, now)
        take_answers(known, told.consent, at, claims.device_id)
        if not told.consent.keys() <= known.keys():
            raise Problem("invalid_body", f"consent: at most {PURPOSES_MAX} purposes of a person")
        if told.consent:
            await self._log.append(
                ConsentGiven(_sender_of(claims), now, at, told.consent),
                # By what the device says: an answer from the future that is repeated is not given anew.
                marks_of_causes(
                    "consent", claims.profile_id, told.at, *sorted(told.consent.items())
                ),
            )
        answer = KnownAnswers({purpose: answer.granted for purpose, answer in known.items()})
        media = accepted_media(headers)
        await edge.answer(send, 200, media.encode(answer), media.name)

    async def _known_answers(self, claims: Claims) -> Consents:
        """What the person answered before; nothing is told to a device that has moved to another profile.

        What such a device tells is taken all the same, as its events are: it was answered before it moved.
        """
        shelf = await self._watch.shelf(claims.app_id, claims.profile_id)
        if shelf.refuses(claims.device_id, claims.issued_at):
            return {}
        profile = await self._profiles.get(claims.app_id, claims.profile_id)
        return profile.consent if profile is not None else {}

    async def register_push(self, scope: Scope, receive: Receive, send: Send) -> None:
        """`PUT /v1/push-token`"""
        headers = dict(scope["headers"])
        claims = self._edge.device(headers)
        body = await self._read(receive, headers, self._push_registration)
        await self._set_push(claims, PushToken(body.token, body.provider))
        await self._edge.answer(send, 204)

    async def forget_push(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """`DELETE /v1/push-token`"""
        claims = self._edge.device(dict(scope["headers"]))
        await self._set_push(claims, None)
        await self._edge.answer(send, 204)

    async def _set_push(self, claims: Claims, push: PushToken | None) -> None:
        found = await self._find(claims, claims.profile_id)
        for _ in range(_BIND_TRIES):
            device, packed = found
            if device is None:
                raise Problem("token_expired", _FORGOTTEN)
            after = replace(device, push=push, told_at=self._next_telling(device))
            if await self._devices.save(claims.app_id, after, packed):
                await self._tell(claims, after, None)
                return
            found = await self._devices.look_up(claims.app_id, claims.device_id)
            _refuse_moved(found[0], claims, claims.profile_id)
        raise Problem("overloaded", _TOO_MANY)

    # -- moving a device ----------------------------------------------------------------------

    async def _move(self, before: Claims, target: str, user_id: str | None) -> Claims:
        """Bind a device to a profile. Repeating it, after a crash or a lost answer, is harmless."""
        found = await self._find(before, target)
        device = found[0]
        if device is None:
            raise Problem("token_expired", _FORGOTTEN)
        app_id, device_id, old = before.app_id, before.device_id, before.profile_id
        if target != old:
            # First of all, and again below: a store that is full refuses what comes in between.
            await self._watch.depart(app_id, old, device_id, _first_mark(before))
        leaving = old if target != old else None
        after, device = await self._bind(
            before, target, device.registration, found, known=user_id is not None, leaving=leaving
        )
        await self._tell(after, device, user_id)
        if target != old:
            if user_id is not None and not before.is_known:
                await self._log.append(
                    ProfileLinked(_sender_of(before), after.issued_at, target, user_id),
                    marks_of_causes("link", old, target),
                )
            # A token that was refreshed meanwhile is older than the one we hand out.
            await self._watch.depart(app_id, old, device_id, after.issued_at)
        return after

    async def _bind(
        self,
        before: Claims,
        target: str,
        registration: Registration,
        found: Found,
        *,
        known: bool,
        leaving: str | None = None,
    ) -> tuple[Claims, Device]:
        """Store whose a device is now; the claims of its next token, later than all it was given before.

        Several requests of one device may come at once: each stores only over what it has found. The profile
        that it is `leaving` is told first: whatever breaks off, no push token stays behind there.
        """
        app_id, device_id = before.app_id, before.device_id
        for _ in range(_BIND_TRIES):
            device, packed = found
            now = self._next_telling(device)
            if leaving is not None:
                await self._log.append(
                    DeviceDeparted(Sender(app_id, leaving, device_id), now),
                    marks_of_causes("depart", leaving, now),
                )
            push = device.push if device is not None else None
            after = Device(device_id, target, registration, now, push, now)
            if await self._devices.save(app_id, after, packed):
                return self._claims(app_id, device_id, target, now, known=known), after
            found = await self._devices.look_up(app_id, device_id)
            _refuse_moved(found[0], before, target)
        raise Problem("overloaded", _TOO_MANY)

    def _next_telling(self, device: Device | None) -> int:
        """The time of the next thing to tell about a device, later than all before, ms.

        Later also than the first mark of a move, which lies between a token and the next one.
        """
        now = self._edge.clock.now_ms()
        return now if device is None else max(now, device.issued_at + 2, device.told_at + 1)

    async def _tell(
        self, claims: Claims, device: Device, user_id: str | None, answers: Answers | None = None
    ) -> None:
        """Tell the profile that this device is with it, and as what."""
        await self._log.append(
            DeviceRegistered(
                replace(_sender_of(claims), user_id=user_id),
                device.told_at,
                device.registration.platform,
                device.registration.form_factor,
                device.push,
                answers or {},
            ),
            marks_of_causes("device", claims.profile_id, device.told_at),
        )

    async def _read(self, receive: Receive, headers: Headers, decoders: _Decoders[T]) -> T:
        body = await self._edge.read(receive, headers)
        as_json, as_msgpack = decoders
        return decode_body(as_json if media_of(headers) is JSON else as_msgpack, body)

    async def _find(self, claims: Claims, target: str) -> Found:
        """The device as it is stored, if this token may still move it; else Problem `token_superseded`.

        A device that moved on can't come back with an old token: that would undo a logout. What goes
        through is a repeat: of the very move that it made, because the answer was lost, and of one that
        broke off between its first mark and the device, which is still with this profile then.
        """
        found = await self._devices.look_up(claims.app_id, claims.device_id)
        device = found[0]
        _refuse_moved(device, claims, target)
        stayed = device is not None and device.profile_id == claims.profile_id
        is_newest = device is not None and device.issued_at == claims.issued_at
        if device is None or (stayed and not is_newest):
            shelf = await self._watch.shelf(claims.app_id, claims.profile_id)
            if shelf.refuses(claims.device_id, _first_mark(claims)):
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
        """The configuration of an app's clients; made anew only when something in it has changed."""
        remote = self._remote_configs.of_app(app_id)
        triggers = self._journeys.trigger_events(app_id)
        made = self._configs.get(app_id)
        if made is not None and made[0] is remote and made[1].trigger_events == triggers:
            return made[1]
        settings = self._edge.settings
        config = new_config(
            settings.batch_events_max,
            settings.body_bytes_max,
            settings.hold_s_max,
            triggers,
            remote,
        )
        self._configs[app_id] = (remote, config)
        return config


def _decoders(body: type[T]) -> _Decoders[T]:
    return msgspec.json.Decoder(body), msgspec.msgpack.Decoder(body)


def _sender_of(claims: Claims) -> Sender:
    return Sender(claims.app_id, claims.profile_id, claims.device_id)


def _first_mark(claims: Claims) -> int:
    """From which time on tokens are good while a move with this one is under way, ms."""
    return claims.issued_at + 1


def _refuse_moved(device: Device | None, claims: Claims, target: str) -> None:
    if device is not None and device.profile_id not in {claims.profile_id, target}:
        raise Problem("token_superseded", _SUPERSEDED)
