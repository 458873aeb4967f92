"""The twin: the gateway's device routes as a good engineer would write them in a day.

FastAPI, pydantic, redis-py, and a Valkey that syncs every write before it answers. It
does the work of `POST /v1/events` with the same promises (signed token, limits, a verdict for each
event, duplicates by batch and event id, acknowledged after fsync) and stops there: nothing reads
its log. It is here to be compared with, so it must not be slow on purpose; mend it if it is.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import time
import uuid
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from fastapi import Depends, FastAPI, Header, HTTPException, Query, Request, Response
from pydantic import AfterValidator, BaseModel, Field, StringConstraints, ValidationError
from pydantic_core import from_json
from redis.asyncio import BlockingConnectionPool, Redis

BODY_BYTES_MAX = 512 * 1024
INFLATED_BYTES_MAX = 4 * 1024 * 1024
EVENT_BYTES_MAX = 32 * 1024
BATCH_EVENTS_MAX = 500
STRING_BYTES_MAX = 4096
DEPTH_MAX = 5
IDS_KEPT = 1024
TOKEN_TTL_S = 30 * 86400
PARTITIONS = 64
DEVICE_REQUESTS_PER_S = 1_000_000.0
RECHECK_S = 0.25

Text = Annotated[str, StringConstraints(min_length=1, max_length=128)]
Milliseconds = Annotated[int, Field(ge=0, le=4102444800000)]


def within_limits(props: dict[str, Any]) -> dict[str, Any]:
    for value in props.values():
        kind = type(value)
        if kind is str:
            if len(value) > STRING_BYTES_MAX // 4 and len(value.encode()) > STRING_BYTES_MAX:
                message = "value_too_long"
                raise ValueError(message)
        elif kind is dict or kind is list:
            _check_nested(value, 2)
    return props


def _check_nested(value: object, depth: int) -> None:
    if isinstance(value, str):
        within_limits({"": value})
    elif isinstance(value, dict | list):
        if depth > DEPTH_MAX or len(value) > 256 or any(len(key) > 128 for key in value):
            message = "too_deep" if depth > DEPTH_MAX else "too_many_props"
            raise ValueError(message)
        for item in value.values() if isinstance(value, dict) else value:
            _check_nested(item, depth + 1)


class Event(BaseModel):
    id: uuid.UUID
    type: Text
    name: Text
    ts: Milliseconds
    session_id: Text | None = None
    props: Annotated[
        dict[Annotated[str, StringConstraints(max_length=128)], Any],
        Field(max_length=256),
        AfterValidator(within_limits),
    ] = {}


class Batch(BaseModel):
    batch_id: uuid.UUID
    sent_at: Milliseconds
    events: Annotated[list[Event], Field(min_length=1, max_length=BATCH_EVENTS_MAX)]


class Rejected(BaseModel):
    index: int
    id: str | None
    code: str
    detail: str


class Accepted(BaseModel):
    accepted: int
    duplicates: int
    rejected: list[Rejected]
    durability: Literal["fsync"] = "fsync"


class Registration(BaseModel):
    install_id: uuid.UUID
    platform: Text
    form_factor: Text
    device: dict[str, Any] = {}
    sdk: dict[str, str] = {}


class Device(NamedTuple):
    app: str
    device_id: str
    profile_id: str


SECRET = os.environ.get("TWIN_SECRET", "only for benchmarks").encode()
PUBLISHABLE_KEY = "pk_twin"

redis = Redis(
    connection_pool=BlockingConnectionPool.from_url(
        f"unix://{os.environ.get('TWIN_VALKEY_SOCKET', 'valkey.sock')}", max_connections=128
    )
)
append_batch = redis.register_script(Path(__file__).with_suffix(".lua").read_text())
buckets: dict[str, tuple[float, float]] = {}


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    yield
    await redis.aclose()


# Without the tracing that FastAPI turns on by itself where OpenTelemetry happens to be installed.
app = FastAPI(
    lifespan=lifespan,
    openapi_url=None,
    telemetry={"tracing": False, "metrics": False, "logs": False},
)


def sign(claims: str) -> str:
    return hmac.digest(SECRET, claims.encode(), hashlib.sha256).hex()


async def device(authorization: Annotated[str, Header()] = "") -> Device:
    claims, _, signature = authorization.removeprefix("Bearer ").rpartition(".")
    if not hmac.compare_digest(sign(claims).encode(), signature.encode()):
        raise HTTPException(401, "token_forged")
    tenant, device_id, profile_id, expires_at = claims.split(".")
    if int(expires_at) < time.time():
        raise HTTPException(401, "token_expired")
    now = time.monotonic()
    left, since = buckets.get(device_id, (DEVICE_REQUESTS_PER_S, now))
    left = min(left + (now - since) * DEVICE_REQUESTS_PER_S, DEVICE_REQUESTS_PER_S) - 1
    if left < 0:
        raise HTTPException(429, "device_rate_limited", {"Retry-After": "1"})
    buckets[device_id] = left, now
    return Device(tenant, device_id, profile_id)


@app.get("/readyz")
async def ready() -> dict[str, str]:
    await redis.ping()
    return {"status": "ready"}


@app.post("/v1/devices", status_code=201)
async def register(
    registration: Registration, authorization: Annotated[str, Header()] = ""
) -> dict[str, Any]:
    if authorization != f"Bearer {PUBLISHABLE_KEY}":
        raise HTTPException(401, "key_invalid")
    device_id, profile_id = uuid.uuid4().hex, uuid.uuid4().hex
    expires_at = int(time.time()) + TOKEN_TTL_S
    claims = f"twin.{device_id}.{profile_id}.{expires_at}"
    await redis.set(f"device:{device_id}", registration.model_dump_json())
    return {
        "device_id": device_id,
        "profile_id": profile_id,
        "token": f"{claims}.{sign(claims)}",
        "expires_at": expires_at * 1000,
        "server_time": now_ms(),
    }


@app.post("/v1/events")
async def upload(request: Request, sender: Annotated[Device, Depends(device)]) -> Response:
    body = await read(request)
    batch, rejected = validated(body)
    ids = [event.id.bytes for event in batch.events]
    partition = int(sender.profile_id[:8], 16) % PARTITIONS
    tag = f"{{{partition}}}"
    found: list[int] = await append_batch(
        keys=[
            f"{tag}:ids:{sender.device_id}",
            f"{tag}:ids-before:{sender.device_id}",
            f"{tag}:events",
        ],
        args=[
            sender.device_id,
            sender.profile_id,
            now_ms(),
            body,
            IDS_KEPT,
            batch.batch_id.bytes,
            *ids,
        ],
    )
    duplicates = len(ids) if found == [-1] else len(found)
    answer = Accepted(accepted=len(ids) - duplicates, duplicates=duplicates, rejected=rejected)
    return Response(answer.model_dump_json(), headers=headers(), media_type="application/json")


@app.get("/v1/messages")
async def messages(
    sender: Annotated[Device, Depends(device)],
    after: str = "",
    wait: Annotated[float, Query(ge=0, le=55)] = 0,
) -> Response:
    deadline = time.monotonic() + wait
    while True:
        entries = await redis.xrange(f"inbox:{sender.profile_id}", f"({after or '0'}", "+", 50)
        if entries:
            found = [entry[b"message"].decode() for _, entry in entries]
            text = f'{{"cursor":"{entries[-1][0].decode()}","messages":[{",".join(found)}]}}'
            return Response(text, headers=headers(), media_type="application/json")
        left = deadline - time.monotonic()
        if left <= 0:
            return Response(status_code=204, headers=headers())
        await asyncio.sleep(min(left, RECHECK_S))


async def read(request: Request) -> bytes:
    if int(request.headers.get("content-length", 0)) > BODY_BYTES_MAX:
        raise HTTPException(413, "body_too_large")
    body: bytes = await request.body()
    if len(body) > BODY_BYTES_MAX:
        raise HTTPException(413, "body_too_large")
    encoding = request.headers.get("content-encoding")
    if encoding is None:
        return body
    if encoding != "gzip":
        raise HTTPException(415, "unsupported_encoding")
    unpacker = zlib.decompressobj(31)
    try:
        inflated = unpacker.decompress(body, INFLATED_BYTES_MAX + 1)
    except zlib.error as error:
        raise HTTPException(400, "malformed_compression") from error
    if len(inflated) > INFLATED_BYTES_MAX:
        raise HTTPException(413, "inflated_body_too_large")
    if not unpacker.eof or unpacker.unused_data:
        raise HTTPException(400, "malformed_compression")
    return inflated


def validated(body: bytes) -> tuple[Batch, list[Rejected]]:
    """The batch with its good events; the usual one is valid and is read only once."""
    try:
        batch = Batch.model_validate_json(body)
    except ValidationError as error:
        return without_bad_events(body, error)
    if len(body) <= EVENT_BYTES_MAX:
        return batch, []
    sizes = [len(event.model_dump_json()) for event in batch.events]
    rejected = [
        Rejected(index=index, id=str(event.id), code="event_too_large", detail="")
        for index, event in enumerate(batch.events)
        if sizes[index] > EVENT_BYTES_MAX
    ]
    if len(rejected) == len(batch.events):
        raise HTTPException(400, "nothing_acceptable")
    batch.events = [
        event for event, size in zip(batch.events, sizes, strict=True) if size <= EVENT_BYTES_MAX
    ]
    return batch, rejected


def without_bad_events(body: bytes, error: ValidationError) -> tuple[Batch, list[Rejected]]:
    reasons: dict[int, str] = {}
    for problem in error.errors(include_url=False, include_context=False, include_input=False):
        where = problem["loc"]
        if len(where) < 2 or where[0] != "events":
            raise HTTPException(400, "invalid_body") from error
        reasons.setdefault(int(where[1]), problem["msg"])
    raw = from_json(body)
    events = raw["events"]
    rejected = [
        Rejected(index=index, id=read_id(events[index]), code="invalid_event", detail=reason)
        for index, reason in reasons.items()
    ]
    if len(rejected) == len(events):
        raise HTTPException(400, "nothing_acceptable")
    raw["events"] = [event for index, event in enumerate(events) if index not in reasons]
    return Batch.model_validate(raw), rejected


def read_id(event: object) -> str | None:
    known = event.get("id") if isinstance(event, dict) else None
    return known if isinstance(known, str) else None


def headers() -> dict[str, str]:
    return {"X-Zuruf": "1", "X-Server-Time": str(now_ms())}


def now_ms() -> int:
    return int(time.time() * 1000)
