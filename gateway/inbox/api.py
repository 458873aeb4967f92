"""`GET /v1/messages` and `GET /v1/messages/stream`: what is new, now or as soon as it comes."""

import asyncio

import msgspec

from gateway.apps.token import Claims
from gateway.edge import (
    JSON,
    Edge,
    Receive,
    Scope,
    Send,
    accepted_media,
    encode_json,
    encode_msgpack,
    query_of,
)
from gateway.errors import Problem, StoreUnavailable
from gateway.inbox.model import Page
from gateway.inbox.store import Waiting, Watch

_SUPERSEDED = "use the newer token of this device"


class InboxApi:
    """Hands messages to devices."""

    def __init__(self, edge: Edge, watch: Watch) -> None:
        self._edge = edge
        self._watch = watch
        self._loop = asyncio.get_running_loop()

    async def poll(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """`GET /v1/messages`"""
        edge = self._edge
        headers = dict(scope["headers"])
        claims = edge.device(headers)
        edge.metrics.counts.polls += 1
        query = query_of(scope)
        after = query[b"after"].decode("latin-1") if b"after" in query else ""
        wait_s = self._wait_of(query[b"wait"]) if b"wait" in query else 0.0

        known = self._watch.known(claims.app_id, claims.profile_id)
        if known is not None and not wait_s and not known.has_news_for(after):
            # The common poll, answered from memory.
            if known.refuses(claims.device_id, claims.issued_at):
                raise Problem("token_superseded", _SUPERSEDED)
            await edge.answer(send, 204)
            return
        media = accepted_media(headers)
        del headers, query
        page = await self._next_page(scope, claims, after, wait_s)
        if page is None:
            await edge.answer(send, 204)
            return
        edge.metrics.counts.messages_handed_out += len(page.messages)
        body = encode_json(page)
        if media is not JSON:
            body = encode_msgpack(msgspec.json.decode(body))
        await edge.answer(send, 200, body, media.name)

    async def _next_page(
        self, scope: Scope, claims: Claims, after: str, wait_s: float
    ) -> Page | None:
        """What is new, waiting for it up to `wait_s`; None when the wait ends with nothing."""
        if not wait_s:
            return await self._read(claims, after) or None
        edge = self._edge
        gauges = edge.metrics.gauges
        if gauges.holds >= edge.settings.holds_max:
            raise Problem("overloaded", "too many held polls: poll without wait", retry_after_s=5)
        # In the queue before reading: what comes in between wakes us.
        waiting = self._watch.wait(claims.app_id, claims.profile_id)
        gauges.holds += 1
        until = self._loop.time() + wait_s
        hold_connection(scope, waiting)
        try:
            known = self._watch.known(claims.app_id, claims.profile_id)
            page = None
            if known is None or known.has_news_for(after) or known.gone:
                page = await self._read(claims, after)
            rechecked = False
            while not page:
                left = until - self._loop.time()
                if left <= 0 or edge.draining.is_set() or waiting.abandoned:
                    return None
                if not rechecked:
                    left = min(left, edge.settings.recheck_s)
                woken = await waiting.sleep(left)
                rechecked = rechecked or not woken
                if edge.draining.is_set():
                    return None
                page = await self._read(claims, after)
            return page
        finally:
            gauges.holds -= 1
            waiting.leave()

    async def _read(self, claims: Claims, after: str) -> Page:
        page = await self._watch.page(claims, after)
        if page is None:
            raise Problem("token_superseded", _SUPERSEDED)
        return page

    def _wait_of(self, text: bytes) -> float:
        limit = self._edge.settings.hold_s_max
        try:
            wait_s = float(text)
        except ValueError:
            wait_s = -1.0
        if not 0 <= wait_s <= limit:
            raise Problem("invalid_query", f"wait: seconds between 0 and {limit:g}")
        return wait_s

    # -- as a stream --------------------------------------------------------------------------

    async def stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        """`GET /v1/messages/stream`"""
        edge = self._edge
        headers = dict(scope["headers"])
        claims = edge.device(headers)
        after = headers.get(b"last-event-id", query_of(scope).get(b"after", b"")).decode("latin-1")
        gauges = edge.metrics.gauges
        if gauges.holds >= edge.settings.holds_max:
            raise Problem("overloaded", "too many streams: poll instead", retry_after_s=5)
        waiting = self._watch.wait(claims.app_id, claims.profile_id)
        gauges.holds += 1
        gone = asyncio.ensure_future(_disconnected(receive, waiting))
        try:
            # The first page before the head: a superseded token gets a problem, not a stream.
            page = await self._read(claims, after)
            await self._start_stream(send)
            await self._send_pages(send, claims, page, waiting)
        finally:
            gauges.holds -= 1
            waiting.leave()
            gone.cancel()
        await send({"type": "http.response.body", "body": b""})

    async def _send_pages(self, send: Send, claims: Claims, first: Page, waiting: Waiting) -> None:
        page: Page | None = first
        after = ""
        while not waiting.abandoned:
            if page is not None and page.cursor != after:
                after = page.cursor
                await self._send_page(send, page)
            if self._edge.draining.is_set():
                await _send_chunk(send, b"event: drain\ndata: {}\n\n")
                return
            if not await waiting.sleep(self._edge.settings.stream_heartbeat_s):
                await _send_chunk(send, b": still here\n\n")
            try:
                page = await self._read(claims, after)
            except StoreUnavailable:
                page = None  # sat out: the reconnected watch wakes everybody
            except Problem:
                await _send_chunk(send, b"event: superseded\ndata: {}\n\n")
                return

    async def _start_stream(self, send: Send) -> None:
        headers = [
            *self._edge.own_headers(),
            (b"content-type", b"text/event-stream"),
            (b"cache-control", b"no-store"),
            # nginx would collect the stream otherwise.
            (b"x-accel-buffering", b"no"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})

    async def _send_page(self, send: Send, page: Page) -> None:
        self._edge.metrics.counts.messages_handed_out += len(page.messages)
        data = b"id: %b\nevent: messages\ndata: %b\n\n" % (page.cursor.encode(), encode_json(page))
        await _send_chunk(send, data)


async def _send_chunk(send: Send, data: bytes) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": True})


async def _disconnected(receive: Receive, waiting: Waiting) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    waiting.abandon()


def hold_connection(scope: Scope, waiting: Waiting) -> None:
    """Slim the connection down for the wait, and end the wait when the client hangs up.

    Our own server puts a hook into the scope. Waiting for `http.disconnect` would cost a task, 2 KB per
    held poll; under another server an abandoned poll lasts until its end.
    """
    hold = scope.get("zuruf.hold")
    if hold is not None:
        hold(waiting.abandon)
