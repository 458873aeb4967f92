"""A device: what it tells about itself, what it is told."""

from typing import Annotated, Literal
from uuid import UUID

import jwt
from msgspec import Meta, Struct

from gateway.devices.config import Config
from gateway.errors import Problem
from gateway.profiles.consent import PURPOSES_MAX
from gateway.records import Purpose, PushProvider, PushToken, Time, UserId

Platform = Literal[
    "ios",
    "android",
    "tvos",
    "androidtv",
    "firetv",
    "tizen",
    "webos",
    "roku",
    "web",
    "desktop",
]
FormFactor = Literal["phone", "tablet", "tv", "desktop"]
Text = Annotated[str, Meta(max_length=128)]
Size = Annotated[int, Meta(ge=0, le=100_000)]

Answers = Annotated[dict[Purpose, bool], Meta(max_length=PURPOSES_MAX)]
"""Purpose → whether the person agrees."""

_PROOF_AGE_MAX_S = 86_400
_PROOF_LEEWAY_S = 30


class Screen(Struct, frozen=True, omit_defaults=True):
    """Pixels, and pixels per density-independent pixel."""

    width: Size | None = None
    height: Size | None = None
    density: Annotated[float, Meta(ge=0, le=100)] | None = None


class DeviceInfo(Struct, frozen=True, omit_defaults=True):
    """What the device is."""

    manufacturer: Text | None = None
    model: Text | None = None
    os_version: Text | None = None
    app_version: Text | None = None
    locale: Text | None = None
    timezone: Text | None = None
    screen: Screen | None = None


class Sdk(Struct, frozen=True, omit_defaults=True):
    """The client library."""

    name: Text | None = None
    version: Text | None = None


class Registration(Struct, frozen=True):
    """The body of `POST /v1/devices`."""

    install_id: UUID
    platform: Platform
    form_factor: FormFactor
    device: DeviceInfo = DeviceInfo()
    sdk: Sdk = Sdk()
    consent: Answers = {}


class Device(Struct, frozen=True):
    """A device as it is stored.

    `profile_id`: whose it is now; `issued_at`: when its newest token was issued, later than all before, ms;
    `push`: where pushes reach it; `told_at`: when its profile was last told of it, later than all before, ms.
    """

    id: str
    profile_id: str
    registration: Registration
    issued_at: int
    push: PushToken | None = None
    told_at: int = 0


class Identification(Struct, frozen=True):
    """The body of `POST /v1/identity`."""

    user_id: UserId
    proof: Annotated[str, Meta(max_length=4096)] | None = None


class ConsentAnswers(Struct, frozen=True):
    """The body of `PUT /v1/consent`. `at`: when the person answered, by the device's clock, ms UTC."""

    consent: Answers
    at: Time


class KnownAnswers(Struct, frozen=True):
    """All that is known of a person's consent."""

    consent: dict[str, bool]


class PushRegistration(Struct, frozen=True):
    """The body of `PUT /v1/push-token`."""

    token: Annotated[str, Meta(min_length=1, max_length=4096)]
    provider: PushProvider


class Registered(Struct, frozen=True):
    """The answer to a registration."""

    device_id: str
    profile_id: str
    token: str
    expires_at: int
    server_time: int
    config: Config


class Identified(Struct, frozen=True):
    """The answer to a login or logout."""

    profile_id: str
    token: str
    expires_at: int
    server_time: int


def check_proof(proof: str | None, secret: str, app_id: str, user_id: str, now_s: float) -> None:
    """Check that the app's own server vouches for this user: HS256, `sub`, `aud`, `exp` within a day.

    Raises Problem `proof_required` or `proof_invalid`.
    """
    if proof is None:
        raise Problem("proof_required", "send a JWT of the app's server as `proof`")
    try:
        # Times are checked by our own clock below.
        claims = jwt.decode(
            proof,
            secret,
            algorithms=["HS256"],
            audience=app_id,
            options={
                "require": ["sub", "aud", "exp"],
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
            },
        )
    except jwt.PyJWTError as error:
        raise Problem("proof_invalid", str(error)) from None
    expires_at = claims["exp"]
    if not isinstance(expires_at, int | float) or isinstance(expires_at, bool):
        raise Problem("proof_invalid", "exp is not a number")
    if not now_s - _PROOF_LEEWAY_S < expires_at <= now_s + _PROOF_AGE_MAX_S + _PROOF_LEEWAY_S:
        raise Problem("proof_invalid", "exp is past, or more than a day ahead")
    if claims["sub"] != user_id:
        raise Problem("proof_invalid", "sub is not this user_id")
