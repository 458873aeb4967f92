"""The device routes as the interactive reference at `/docs` shows them.

The real ones are raw ASGI handlers that answer before Litestar is asked; these only lend them their types.
"""

from collections.abc import Sequence
from typing import Annotated

from litestar import Controller, delete, get, post
from litestar.params import FromQuery, HeaderParameter, JSONBody
from msgspec import Struct

from gateway.devices.model import Config, Identification, Identified, Registered, Registration
from gateway.errors import Problem
from gateway.inbox.model import Message
from gateway.ingest.model import Batch, UploadAnswer
from gateway.records import Event

Bearer = Annotated[str, HeaderParameter(name="Authorization", description="Bearer <token or key>")]


class MessagesPage(Struct, frozen=True):
    """What is new to a device."""

    cursor: str
    messages: list[Message]
    withdrawn: list[str]
    reset: bool


def _answered_elsewhere() -> Problem:
    return Problem("not_found", "this process does not serve devices")


class DeviceReference(Controller):
    """What devices ask."""

    path = "/v1"
    tags: Sequence[str] | None = ("device",)

    @post("/devices")
    async def register(self, data: JSONBody[Registration], authorization: Bearer) -> Registered:
        """Register a device, or refresh one with its token in `X-Device-Token`."""
        raise _answered_elsewhere()

    @post("/events", status_code=200)
    async def upload(self, data: JSONBody[Batch[Event]], authorization: Bearer) -> UploadAnswer:
        """Upload a batch; answered after it is on disk."""
        raise _answered_elsewhere()

    @get("/messages")
    async def poll(
        self, authorization: Bearer, after: FromQuery[str] = "", wait: FromQuery[float] = 0
    ) -> MessagesPage:
        """What is new after a cursor, waiting up to `wait` seconds; 204 when there is nothing."""
        raise _answered_elsewhere()

    @get("/messages/stream", media_type="text/event-stream")
    async def stream(self, authorization: Bearer) -> str:
        """The same as server-sent events; `Last-Event-ID` is the cursor."""
        raise _answered_elsewhere()

    @post("/identity", status_code=200)
    async def identify(self, data: JSONBody[Identification], authorization: Bearer) -> Identified:
        """Log in: the device belongs to this user from now on."""
        raise _answered_elsewhere()

    @delete("/identity", status_code=200)
    async def forget(self, authorization: Bearer) -> Identified:
        """Log out: a fresh anonymous profile."""
        raise _answered_elsewhere()

    @get("/config")
    async def config(self, authorization: Bearer) -> Config:
        """The configuration of the app's clients; answers `If-None-Match`."""
        raise _answered_elsewhere()
