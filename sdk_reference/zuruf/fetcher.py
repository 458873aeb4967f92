"""The requests that bring messages: a stream, held polls or short ones, as `decisions.stream` says.

Lives on the worker's thread. It holds one request at a time, for one person and one token; what arrives for
another is nobody's business.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from zuruf.decisions import delivery, stream
from zuruf.decisions.sse import EventTooLargeError, ServerEvent, SseParser
from zuruf.decisions.stream import Event, Mode, Stream, StreamState, Tuning
from zuruf.leases import RECEIVE
from zuruf.wire import USER_AGENT, Request
from zuruf.workspace import CURSOR

if TYPE_CHECKING:
    from collections.abc import Callable

    from zuruf.handover import Handover
    from zuruf.recorder import Recorder
    from zuruf.transport import Answered, Chunk, Lane
    from zuruf.uploader import Uploader
    from zuruf.workspace import Workspace

log = logging.getLogger("zuruf")

# Longer than any request may take and any stream be silent, so that it never ends in between.
LEASE_S = 60.0
BEST_MODES: Mapping[str, Mode] = {"long_poll": "long_poll", "poll": "poll"}


class Fetcher:
    """Fetches pages of messages and gives them to `take`, which tells whether a page brought news."""

    def __init__(
        self,
        work: Workspace,
        lane: Lane,
        recorder: Recorder,
        handover: Handover,
        uploader: Uploader,
        take: Callable[[Mapping[str, Any]], bool],
    ) -> None:
        self._work = work
        self._lane = lane
        self._recorder = recorder
        self._handover = handover
        self._uploader = uploader
        self._take = take
        self._stream = Stream()
        self._parser = SseParser()
        self._request: Request | None = None
        # Whose request it is, and by which token.
        self._person = 0
        self._token: str | None = None
        self._must_sync = False
        self._published_state: str | None = None
        # A page could not be kept: what comes after it must not be kept either.
        self._has_hole = False
        # Another process of the app receives.
        self.has_rival = False

    @property
    def state(self) -> StreamState:
        """How messages are received: `decisions.stream.described`."""
        return stream.described(self._stream)

    @property
    def is_receiving(self) -> bool:
        """A request is on its way or open."""
        return self._request is not None

    @property
    def is_holding(self) -> bool:
        """The gateway holds the request back on purpose, or has opened the stream."""
        request = self._request
        return request is None or request.hold_s > 0 or self._stream.phase == "open"

    def is_for(self, person: int) -> bool:
        """Tell whether what arrives now is for this person."""
        return self._person == person and self._token == self._work.identity.token

    # What the app and the worker do

    def sync(self) -> None:
        """Fetch once, also in the background."""
        self._must_sync = True

    def background(self) -> None:
        self._step(Event("background"))

    def foreground(self) -> None:
        self._step(Event("foreground"))

    def online(self) -> None:
        """An upload was answered after others were not: messages need not wait any longer."""
        self._step(Event("online"))

    def restart(self) -> None:
        """Go on with another token at once."""
        self._step(Event("restart"))

    def stop(self) -> None:
        """Let go of what is under way: its answer would mean nothing. The next turn begins anew."""
        self._step(Event("stop"))
        self._interrupt()

    def advance(self, now_s: float) -> None:
        """Send what is due, give up what has taken too long, and tell the app how it goes."""
        if self._may_receive(now_s):
            if self._stream.phase == "off":
                self._step(Event("start"), now_s)
            elif self._is_in_vain():
                self._step(Event("restart"), now_s)
            self._step(Event("tick"), now_s)
            self._sync_now()
        else:
            self._must_sync = False
            if self._stream.phase != "off":
                self._step(Event("stop"), now_s)
        if self.state != self._published_state:
            self._published_state = self.state
            self._work.publish("stream_state", self.state)

    def deadline_s(self) -> float | None:
        """Give the time at which `advance` has something to do without being told."""
        if self.has_rival:
            return self._work.leases.next_try_s(RECEIVE)
        at_ms = stream.deadline_ms(self._stream)
        return None if at_ms is None else at_ms / 1000

    def _is_in_vain(self) -> bool:
        """Tell whether what is waited for cannot come, is for somebody else, or would leave a hole."""
        waits = self._stream.phase in {"connecting", "open"}
        is_ours = self._request is not None and self.is_for(self._work.person)
        return waits and (not is_ours or self._has_hole)

    def _may_receive(self, now_s: float) -> bool:
        """Tell whether messages may be fetched, and by this process."""
        leases = self._work.leases
        is_at_rest = self._stream.is_background and self._stream.phase in {"off", "suspended"}
        wants_nothing = is_at_rest and not self._must_sync and self._request is None
        if wants_nothing or not self._is_allowed():
            leases.release(RECEIVE)
            self.has_rival = False
            return self._is_allowed()
        if self.has_rival and now_s < (leases.next_try_s(RECEIVE) or now_s):
            return False
        self.has_rival = not leases.hold(RECEIVE, LEASE_S)
        # Asked again: taking the lease is when changes of another process are noticed.
        return not self.has_rival and self._is_allowed()

    def _is_allowed(self) -> bool:
        work = self._work
        return (
            work.config.stream != "off"
            and self._handover.callback is not None
            and work.identity.token is not None
            and work.consent.may_receive
            and not work.storage.is_isolated()
        )

    def _sync_now(self) -> None:
        if self._must_sync and self._request is None:
            self._ask("poll")
        # What is held or open brings the same.
        self._must_sync = False

    # What the network does

    def chunk(self, chunk: Chunk) -> None:
        """Follow what came on the stream."""
        if chunk.request is not self._request or self._has_hole:
            return
        if not chunk.data:
            self._parser = SseParser(self._work.storage.get(CURSOR) or "")
            if self.is_for(self._recorder.person):
                self._uploader.token_worked()
            self._step(Event("opened"), chunk.arrived_s)
            return
        try:
            events = self._parser.feed(chunk.data)
        except EventTooLargeError as error:
            log.warning("the stream was given up: %s", error)
            self._interrupt()
            self._step(Event("failed"), chunk.arrived_s)
            return
        self._step(Event("heard", retry_ms=self._parser.retry_ms), chunk.arrived_s)
        for event in events:
            if chunk.request is self._request:
                self._follow(event, chunk.arrived_s)

    def answered(self, answered: Answered) -> None:
        """Follow an answer, the end of a stream, or the lack of both."""
        request = answered.request
        if request is not self._request:
            return
        self._request = None
        now_s = answered.answered_s
        if not self.is_for(self._recorder.person):
            return
        if request.streams and self._stream.phase == "open":
            self._step(Event("cut"), now_s)
            return
        result = delivery.outcome(answered.response, answered.error)
        match result:
            case delivery.Accepted(body=body) if not request.streams:
                self._uploader.token_worked()
                held_ms = round((now_s - answered.sent_s) * 1000)
                is_empty = not self._keep(body)
                self._step(Event("answered", held_ms=held_ms, is_empty=is_empty), now_s)
            case delivery.Unauthorized(code=code):
                self._refused(code, now_s)
            case _:
                log.info("receiving failed: %s", result)
                self._step(_failure(result, streams=request.streams), now_s)

    def _follow(self, event: ServerEvent, now_s: float) -> None:
        if event.event == "messages":
            if self.is_for(self._recorder.person):
                self._keep(delivery.json_object(event.data.encode()))
        elif event.event == "drain":
            self._step(Event("drain"), now_s)
        elif event.event == "superseded":
            self._interrupt()
            self._refused("token_superseded", now_s)

    def _keep(self, page: Mapping[str, Any]) -> bool:
        self._has_hole = True
        has_news = self._take(page)
        self._has_hole = False
        return has_news

    def _refused(self, code: str, now_s: float) -> None:
        """A renewed token, or the one of a pending login, ends this wait."""
        self._step(Event("refused", floor_ms=delivery.SLOW_RETRY_MS), now_s)
        self._uploader.token_refused(self._token, code)

    # Inside

    def _step(self, event: Event, now_s: float | None = None) -> None:
        now_ms = round((self._work.clock.monotonic_s() if now_s is None else now_s) * 1000)
        settings = self._work.settings
        tuning = Tuning(
            best=BEST_MODES.get(self._work.config.stream, "sse"),
            poll_wait_ms=settings.poll_wait_ms,
            poll_interval_ms=settings.poll_interval_ms,
        )
        chance = self._work.random.random()
        self._stream, effects = stream.step(self._stream, event, now_ms, chance, tuning)
        for effect in effects:
            if effect == "open":
                self._ask(self._stream.mode)
            else:
                self._interrupt()

    def _interrupt(self) -> None:
        if self._request is not None:
            self._lane.interrupt(self._request)
            self._request = None

    def _ask(self, mode: Mode) -> None:
        self._interrupt()
        self._has_hole = False
        self._token, self._person = self._work.identity.token, self._work.person
        cursor = self._work.storage.get(CURSOR) or ""
        headers = {
            "User-Agent": USER_AGENT,
            "Authorization": f"Bearer {self._token}",
            "Accept": "text/event-stream" if mode == "sse" else "application/json",
        }
        if mode == "sse":
            if cursor:
                headers["Last-Event-ID"] = cursor
            request = Request("receive", "GET", "/v1/messages/stream", headers, streams=True)
        else:
            hold_s = max(1, round(self._work.settings.poll_wait_s)) if mode == "long_poll" else 0
            after = f"after={quote(cursor, safe='')}&" if cursor else ""
            path = f"/v1/messages?{after}wait={hold_s}"
            request = Request("receive", "GET", path, headers, hold_s=hold_s)
        self._request = request
        self._lane.send(request)


def _failure(result: delivery.Outcome, *, streams: bool) -> Event:
    """Tell a gateway that cannot now from a way that does not work."""
    match result:
        case delivery.Retry(cause="no_answer", floor_ms=floor_ms):
            return Event("failed", floor_ms=floor_ms)
        case delivery.Retry(cause="busy", reason=reason, floor_ms=floor_ms):
            # An overloaded gateway holds no more requests and answers short ones.
            return Event("failed" if reason == "overloaded" else "refused", floor_ms=floor_ms)
        case _ if streams:
            # It does not know streams, but it knows polls.
            return Event("failed")
        case _:
            return Event("refused", floor_ms=delivery.SLOW_RETRY_MS)
