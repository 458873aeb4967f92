"""What every device request passes: token or key, rate and size limits, decoding, answers, problems.

The device routes are raw ASGI handlers: verify, read within limits, decode, commit, answer.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, TypeVar

import msgspec
import structlog
from isal import igzip_lib, isal_zlib

from gateway.apps.model import App, KeyKind
from gateway.apps.store import Apps
from gateway.apps.token import Claims
from gateway.clock import Clock, new_id
from gateway.errors import Problem, StoreRefused, StoreUnavailable
from gateway.metrics import Metrics, add_label
from gateway.settings import Settings
from gateway.zstd import ZstdError, inflate_zstd

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Handler = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = dict[bytes, bytes]

T = TypeVar("T")

_LOG = structlog.get_logger("edge")
_JSON: Final = b"application/json"
_MSGPACK: Final = b"application/msgpack"
_MSGPACK_NAMES: Final = (_MSGPACK, b"application/x-msgpack", b"application/vnd.msgpack")
_BUCKETS_MAX = 100_000
# So many times the limit is still read of a body that is refused.
_PATIENCE = 16

encode_json = msgspec.json.Encoder().encode
encode_msgpack = msgspec.msgpack.Encoder().encode


class Buckets:
    """Token buckets by key, as one number each: when the bucket will be full again (GCRA)."""

    def __init__(self, rate: float, burst: int) -> None:
        self._interval = 1.0 / rate
        self._tolerance = burst / rate
        self._full_at: dict[str, float] = {}

    def take(self, key: str, now: float) -> float:
        """Take one token; the answer is 0, or how many seconds to wait for one. `now` in seconds."""
        full_at = self._full_at.get(key, 0.0)
        full_at = (full_at if full_at > now else now) + self._interval
        wait = full_at - now - self._tolerance
        # The slack absorbs rounding: a full bucket holds `burst` tokens, not one less.
        if wait > 1e-6:
            return wait
        if len(self._full_at) >= _BUCKETS_MAX:
            self._full_at.clear()
        self._full_at[key] = full_at
        return 0.0


class Media:
    """A body's format, and what encodes it."""

    __slots__ = ("encode", "name")

    def __init__(self, name: bytes, encode: Callable[[object], bytes]) -> None:
        self.name = name
        self.encode = encode


JSON: Final = Media(_JSON, encode_json)
MSGPACK: Final = Media(_MSGPACK, encode_msgpack)


class _HungUpError(Exception):
    """The client is gone before its body was there: an everyday thing with phones, and no answer is due."""


class Edge:
    """The checks and answers that all device routes share."""

    def __init__(self, settings: Settings, apps: Apps, clock: Clock, metrics: Metrics) -> None:
        self.settings = settings
        self.apps = apps
        self.clock = clock
        self.metrics = metrics
        self.draining = asyncio.Event()
        self._time = asyncio.get_running_loop().time
        self._arriving_bytes = 0
        self._devices = Buckets(settings.device_rate, settings.device_burst)
        self._apps_rate = Buckets(settings.app_rate, settings.app_burst)
        self._addresses = Buckets(settings.registration_rate, settings.registration_burst)

    # -- who ----------------------------------------------------------------------------------

    def device(self, headers: Headers) -> Claims:
        """The claims of the request's device token, within the rates of device and app."""
        authorization = headers.get(b"authorization")
        if authorization is None:
            raise Problem("token_missing", "send Authorization: Bearer <device token>")
        if authorization[:7] != b"Bearer ":
            raise Problem("token_malformed", "send Authorization: Bearer <device token>")
        claims = self.apps.tokens.verify(authorization[7:], self.clock.now_ms())
        now = self._time()
        if wait := self._devices.take(claims.device_id, now):
            raise Problem("device_rate_limited", "slow down", retry_after_s=whole_seconds(wait))
        self._hold_to_rate(claims.app_id)
        return claims

    def refreshed_device(self, token: bytes, app: App) -> Claims:
        """The claims of an `X-Device-Token` of this app; it may have expired a while ago."""
        claims = self.apps.tokens.verify(
            token, self.clock.now_ms(), grace_ms=self.settings.token_refresh_s * 1000
        )
        if claims.app_id != app.id:
            raise Problem("token_forged", "this token belongs to another app")
        return claims

    def app(self, headers: Headers, kind: KeyKind) -> App:
        """The app whose key the request carries."""
        authorization = headers.get(b"authorization", b"")
        text = authorization[7:].decode("latin-1") if authorization[:7] == b"Bearer " else ""
        app = self.apps.by_key(kind, text, self.clock.now_ms())
        if app is None:
            raise Problem("key_invalid", f"send Authorization: Bearer <{kind} key>")
        if kind == "secret":  # registrations have a rate of their own
            self._hold_to_rate(app.id)
        return app

    def _hold_to_rate(self, app_id: str) -> None:
        if wait := self._apps_rate.take(app_id, self._time()):
            raise Problem("app_rate_limited", "slow down", retry_after_s=whole_seconds(wait))

    def registration(self, scope: Scope) -> None:
        """Hold one address to the rate of registrations."""
        client = scope.get("client")
        if client and (wait := self._addresses.take(client[0], self._time())):
            raise Problem(
                "registration_rate_limited", "slow down", retry_after_s=whole_seconds(wait)
            )

    # -- what ---------------------------------------------------------------------------------

    async def read(self, receive: Receive, headers: Headers) -> bytes:
        """The body, whole and inflated, within the limits. The caller counts it as in flight."""
        limit = self.settings.body_bytes_max
        declared = headers.get(b"content-length")
        if declared is not None and int(declared) > limit:
            await discard(receive, limit * _PATIENCE)
            raise Problem("body_too_large", f"at most {limit} bytes")
        if self.metrics.gauges.in_flight_bytes > self.settings.in_flight_bytes_max:
            raise Problem("overloaded", "too many bodies are being worked on")
        message = await receive()
        body: bytes = message.get("body", b"")
        if message.get("more_body"):
            body = await self._read_on(receive, body, limit)
        elif message["type"] == "http.disconnect":
            raise _HungUpError
        if len(body) > limit:
            raise Problem("body_too_large", f"at most {limit} bytes")
        encoding = headers.get(b"content-encoding")
        if encoding is not None and encoding != b"identity":
            body = inflate(body, encoding, self.settings.inflated_bytes_max)
        return body

    async def _read_on(self, receive: Receive, begun: bytes, limit: int) -> bytes:
        """A body that comes in pieces. What has come of all such bodies is bounded.

        On its own, not together with those being worked on: clients that send slowly on purpose would
        keep out those whose body is there in one piece.
        """
        parts, size = [begun], len(begun)
        self._arriving_bytes += size
        try:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise _HungUpError
                part: bytes = message.get("body", b"")
                parts.append(part)
                size += len(part)
                self._arriving_bytes += len(part)
                if size > limit:
                    await discard(receive, limit * _PATIENCE)
                    raise Problem("body_too_large", f"at most {limit} bytes")
                if not message.get("more_body"):
                    return b"".join(parts)
                if self._arriving_bytes > self.settings.in_flight_bytes_max:
                    raise Problem("overloaded", "too many bodies are on their way")
        finally:
            self._arriving_bytes -= size

    # -- answers ------------------------------------------------------------------------------

    def own_headers(self) -> list[tuple[bytes, bytes]]:
        """What every answer carries: that it is ours, and our time."""
        return [(b"x-zuruf", b"1"), (b"x-server-time", b"%d" % self.clock.now_ms())]

    async def answer(
        self,
        send: Send,
        status: int,
        body: bytes = b"",
        content_type: bytes = _JSON,
        extra: Iterable[tuple[bytes, bytes]] = (),
    ) -> None:
        """One answer in two messages."""
        headers = self.own_headers()
        headers += extra
        if status not in {204, 304}:
            headers.append((b"content-type", content_type))
            headers.append((b"content-length", b"%d" % len(body)))
        if self.draining.is_set():
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def refuse(self, send: Send, problem: Problem, **members: object) -> None:
        """Answer with a problem; `members` are further fields of its body."""
        add_label(self.metrics.counts.problems, problem.code)
        extra = problem_headers(problem)
        if problem.status == 413 or problem.code == "body_timeout":
            # Much more of the body may be on its way, and nobody will read it.
            extra.append((b"connection", b"close"))
        await self.answer(
            send,
            problem.status,
            encode_json(problem_body(problem) | members),
            b"application/problem+json",
            extra,
        )

    def guard(self, handler: Handler) -> Handler:
        """The handler, with everything that can go wrong in it turned into a documented problem."""

        async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
            try:
                await handler(scope, receive, send)
            except _HungUpError:
                return
            except Exception as error:  # noqa: BLE001 - whatever it is, the client gets an answer
                await self.refuse(send, problem_of(error))

        return guarded


def problem_body(problem: Problem) -> dict[str, object]:
    """RFC 9457 members of a problem."""
    return {
        "type": f"urn:zuruf:problem:{problem.code}",
        "title": problem.title,
        "status": problem.status,
        "code": problem.code,
        "detail": problem.detail,
    }


def problem_headers(problem: Problem) -> list[tuple[bytes, bytes]]:
    """The headers that go with a problem."""
    headers = []
    if problem.status in {429, 503}:
        headers.append((b"retry-after", b"%d" % problem.retry_after_s))
    if problem.allow:
        headers.append((b"allow", problem.allow.encode()))
    return headers


def problem_of(error: Exception) -> Problem:
    """What to tell a client about an error; what it must not know is in the log, by reference."""
    match error:
        case Problem():
            return error
        case StoreUnavailable():
            return Problem("store_unavailable", "try again")
        case StoreRefused() if str(error).startswith("OOM"):
            return Problem("overloaded", "the store is full", retry_after_s=10)
        case StoreRefused():
            _LOG.error("valkey refused a command", error=str(error))
            return Problem("store_unavailable", "try again")
    reference = new_id()[:8]
    _LOG.error("request failed", reference=reference, exc_info=error)
    return Problem("internal", f"reference {reference}")


async def discard(receive: Receive, limit: int) -> None:
    """Let the rest of a refused body arrive, up to a limit.

    Hanging up on unread bytes makes the kernel reset the connection, and the client never sees why.
    """
    size = 0
    while size <= limit:
        message = await receive()
        size += len(message.get("body", b""))
        if not message.get("more_body"):
            return


def whole_seconds(wait: float) -> int:
    """Seconds for Retry-After: at least 1, never too early."""
    return max(1, int(wait) + 1)


def media_of(headers: Headers) -> Media:
    """The format of the request's body. Raises Problem `unsupported_media_type`."""
    declared = headers.get(b"content-type")
    if declared is None or declared == _JSON:
        return JSON
    name = declared.split(b";", 1)[0].strip().lower()
    if name == _JSON:
        return JSON
    if name in _MSGPACK_NAMES:
        return MSGPACK
    raise Problem("unsupported_media_type", "send application/json or application/msgpack")


def accepted_media(headers: Headers) -> Media:
    """The format of the answer: JSON unless the client names MessagePack."""
    return MSGPACK if b"msgpack" in headers.get(b"accept", b"") else JSON


def inflate(body: bytes, encoding: bytes, limit: int) -> bytes:
    """Decompress one complete member, never holding more than the limit and one byte."""
    encoding = encoding.strip().lower()
    if encoding == b"identity":
        return body
    if encoding == b"gzip":
        stream = isal_zlib.decompressobj(31)
        try:
            inflated = stream.decompress(body, limit + 1)
        except igzip_lib.IsalError as error:  # type: ignore[misc]  # the stub calls it a value
            raise Problem("malformed_compression", str(error)) from None
        if len(inflated) <= limit and not stream.eof:
            raise Problem("malformed_compression", "the gzip body is truncated")
        if stream.unused_data:
            raise Problem("malformed_compression", "bytes after the end of the gzip body")
    elif encoding == b"zstd":
        try:
            inflated = inflate_zstd(body, limit + 1)
        except ZstdError as error:
            raise Problem("malformed_compression", str(error)) from None
    else:
        raise Problem("unsupported_encoding", "send gzip, zstd or no Content-Encoding")
    if len(inflated) > limit:
        raise Problem("inflated_body_too_large", f"at most {limit} bytes")
    return bytes(inflated)


def decode_body(decoder: msgspec.json.Decoder[T] | msgspec.msgpack.Decoder[T], body: bytes) -> T:
    """Decode a small body. Raises Problem `malformed_body` or `invalid_body`."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise Problem("invalid_body", str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError) as error:
        raise Problem("malformed_body", str(error)) from None


def query_of(scope: Scope) -> dict[bytes, bytes]:
    """The query parameters that the device routes use; they need no percent decoding."""
    text: bytes = scope["query_string"]
    if not text:
        return {}
    return dict(pair.partition(b"=")[::2] for pair in text.split(b"&"))
