"""The device routes as the interactive reference at `/docs` shows them.

The real ones are raw ASGI handlers that answer before Litestar is asked; these only lend them their types.
"""

from collections.abc import Sequence

from litestar import Controller, delete, get, post, put
from litestar.openapi.spec import SecurityRequirement
from litestar.params import FromQuery, JSONBody
from msgspec import Struct

from gateway.console.model import MessageView
from gateway.devices.config import Config
from gateway.devices.model import (
    ConsentAnswers,
    Identification,
    Identified,
    KnownAnswers,
    PushRegistration,
    Registered,
    Registration,
)
from gateway.errors import Problem
from gateway.ingest.model import Batch, UploadAnswer
from gateway.openapi import (
    DEVICE_TOKEN,
    NEEDS_DEVICE_TOKEN,
    NEEDS_STORE,
    PUBLISHABLE_KEY,
    READS_BATCH,
    READS_BODY,
    answers,
)
from gateway.records import Event


class MessagesPage(Struct, frozen=True):
    """What is new to a device."""

    cursor: str
    messages: list[MessageView]
    withdrawn: list[str]
    reset: bool


def _answered_elsewhere() -> Problem:
    return Problem("not_found", "this process does not serve devices")


class RegistrationReference(Controller):
    """What devices ask before they have a token."""

    path = "/v1/devices"
    tags: Sequence[str] | None = ("device",)
    security: Sequence[SecurityRequirement] | None = ({PUBLISHABLE_KEY: []},)

    @post(
        operation_class=answers(
            "key_invalid",
            "registration_rate_limited",
            "token_malformed",
            "token_forged",
            "token_expired",
            "token_superseded",
            *READS_BODY,
            *NEEDS_STORE,
        ),
    )
    async def register(self, data: JSONBody[Registration]) -> Registered:
        """Register a device, or refresh one with its token in `X-Device-Token`."""
        raise _answered_elsewhere()


class DeviceReference(Controller):
    """What devices ask with their token."""

    path = "/v1"
    tags: Sequence[str] | None = ("device",)
    security: Sequence[SecurityRequirement] | None = ({DEVICE_TOKEN: []},)

    @post(
        "/events",
        status_code=200,
        operation_class=answers(*NEEDS_DEVICE_TOKEN, *READS_BODY, *READS_BATCH, *NEEDS_STORE),
    )
    async def upload(self, data: JSONBody[Batch[Event]]) -> UploadAnswer:
        """Upload a batch; answered after it is on disk. `nothing_acceptable` also has `rejected`."""
        raise _answered_elsewhere()

    @get(
        "/messages",
        operation_class=answers(
            *NEEDS_DEVICE_TOKEN,
            "token_superseded",
            "invalid_query",
            *NEEDS_STORE,
            empty={204: "Nothing new"},
        ),
    )
    async def poll(self, after: FromQuery[str] = "", wait: FromQuery[float] = 0) -> MessagesPage:
        """What is new after a cursor, waiting up to `wait` seconds; 204 when there is nothing."""
        raise _answered_elsewhere()

    @get(
        "/messages/stream",
        media_type="text/event-stream",
        operation_class=answers(*NEEDS_DEVICE_TOKEN, "token_superseded", *NEEDS_STORE),
    )
    async def stream(self) -> str:
        """The same as server-sent events; `Last-Event-ID` is the cursor."""
        raise _answered_elsewhere()

    @post(
        "/identity",
        status_code=200,
        operation_class=answers(
            *NEEDS_DEVICE_TOKEN,
            "token_superseded",
            "proof_required",
            "proof_invalid",
            *READS_BODY,
            *NEEDS_STORE,
        ),
    )
    async def identify(self, data: JSONBody[Identification]) -> Identified:
        """Log in: the device belongs to this user from now on."""
        raise _answered_elsewhere()

    @delete(
        "/identity",
        status_code=200,
        operation_class=answers(*NEEDS_DEVICE_TOKEN, "token_superseded", *NEEDS_STORE),
    )
    async def forget(self) -> Identified:
        """Log out: a fresh anonymous profile."""
        raise _answered_elsewhere()

    @get(
        "/config",
        operation_class=answers(*NEEDS_DEVICE_TOKEN, empty={304: "What the client has is current"}),
    )
    async def config(self) -> Config:
        """The configuration of the app's clients; answers `If-None-Match`."""
        raise _answered_elsewhere()

    @put("/consent", operation_class=answers(*NEEDS_DEVICE_TOKEN, *READS_BODY, *NEEDS_STORE))
    async def consent(self, data: JSONBody[ConsentAnswers]) -> KnownAnswers:
        """Tell what the person agreed to or denied; answered with all that is known."""
        raise _answered_elsewhere()

    @put(
        "/push-token",
        status_code=204,
        operation_class=answers(*NEEDS_DEVICE_TOKEN, "token_superseded", *READS_BODY, *NEEDS_STORE),
    )
    async def register_push(self, data: JSONBody[PushRegistration]) -> None:
        """Tell where pushes reach this device."""
        raise _answered_elsewhere()

    @delete(
        "/push-token",
        operation_class=answers(*NEEDS_DEVICE_TOKEN, "token_superseded", *NEEDS_STORE),
    )
    async def forget_push(self) -> None:
        """Pushes reach this device no more."""
        raise _answered_elsewhere()
