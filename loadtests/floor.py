"""The floor: the least an ASGI program can do with the same requests on the same server.

It reads the body, decodes the JSON without looking at it, answers JSON; a poll is a bare 204. No
token, no limits, no validation, no store.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

import msgspec
from isal import isal_zlib

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

_decode = msgspec.json.Decoder().decode
_NOTHING: Message = {"type": "http.response.start", "status": 204, "headers": []}
_NO_BODY: Message = {"type": "http.response.body", "body": b""}
_REGISTERED = b'{"device_id":"d","profile_id":"p","token":"floor","expires_at":0,"server_time":0}'


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        return
    if scope["method"] == "GET":
        await send(_NOTHING)
        await send(_NO_BODY)
        return
    body = await _body(receive)
    if (b"content-encoding", b"gzip") in scope["headers"]:
        body = isal_zlib.decompress(body, 31)
    upload = _decode(body)
    if scope["path"] == "/v1/devices":
        await _answer(send, 201, _REGISTERED)
    else:
        accepted = len(upload["events"])
        await _answer(send, 200, b'{"accepted":%d,"duplicates":0,"rejected":[]}' % accepted)


async def _body(receive: Receive) -> bytes:
    message = await receive()
    body: bytes = message["body"]
    while message.get("more_body"):
        message = await receive()
        body += message["body"]
    return body


async def _answer(send: Send, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
