"""Uploads: one request at a time, in the order of the calls. Lives on the worker's thread."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zuruf.batches import Batches, of_batch
from zuruf.decisions import delivery
from zuruf.decisions.clock_offset import better, measured, server_ms_of
from zuruf.decisions.delivery import Situation, Step, next_step
from zuruf.events import CONSENT, EVENT, PUSH, RESET, Row
from zuruf.leases import UPLOAD
from zuruf.operations import IDENTITY_KINDS, Operations
from zuruf.pace import Pace
from zuruf.registration import Registration, names_device
from zuruf.wire import USER_AGENT, Request

if TYPE_CHECKING:
    from collections.abc import Callable

    from zuruf.storage import Batch
    from zuruf.transport import Answered, Lane
    from zuruf.workspace import Workspace

log = logging.getLogger("zuruf")

GZIP_BYTES_MIN = 1024
CONFIG_TTL_S = 15 * 60.0
# After an early renewal of the token that did not work: there is time.
RENEWAL_RETRY_S = 60 * 60.0


@dataclass(frozen=True, slots=True)
class _Sent:
    step: Step
    request: Request
    token: str | None
    batch: Batch | None = None
    operation: Row | None = None
    compressed: bool = False


class Uploader:
    """Registers the device, sends batches, makes operations in their place."""

    def __init__(
        self,
        work: Workspace,
        lane: Lane,
        *,
        identity_changed: Callable[[], None],
        forget_messages: Callable[[], None],
        came_back: Callable[[], None],
    ) -> None:
        self._work = work
        self._lane = lane
        self._identity_changed = identity_changed
        self._came_back = came_back
        self._registration = Registration(work, forget_messages)
        self._operations = Operations(work)
        self._batches = Batches(work)
        self._sent: _Sent | None = None
        # When the request that is on its way has taken too long; None once it was given up.
        self._give_up_at_s: float | None = None
        self._compress = True
        self._must_renew = False
        self._has_renewed = False
        self._renewal_tried_s: float | None = None
        self._config_checked_s: float | None = None
        self.pace = Pace(work)

    @property
    def sent_events(self) -> int:
        return self._batches.sent_events

    @property
    def is_identity_refused(self) -> bool:
        return self._operations.is_login_refused

    @property
    def is_sending(self) -> bool:
        return self._sent is not None

    # The queue has changed

    def load(self) -> None:
        """Take up what an earlier run left: it has waited long enough."""
        with self._work.storage.transaction():
            self._operations.tell_later_again()
        self._batches.load()

    def added(self, rows: list[Row], now_s: float) -> None:
        """Learn of new rows in the queue."""
        self._batches.added(rows, now_s)

    def place(self, row: Row) -> list[Row]:
        """Place an operation in the queue, and let follow what it means for the events there."""
        if row.kind == CONSENT:
            changed, placed = self._operations.place_consent(row)
            if changed.purges:
                self._batches.purge(changed.purges)
            return placed
        if row.kind == PUSH:
            return self._operations.place_push(row)
        return self._operations.place_identity(row)

    def changed_elsewhere(self) -> None:
        """Another process changed the queue file."""
        if self._sent is None:
            self._batches.reload()
        if self._work.identity.token is not None:
            self._must_renew = False

    def dissolve_expired(self, before_ms: int) -> None:
        """Take apart a batch that has been tried for too long, so that its events can expire."""
        if self._sent is None:
            self._batches.dissolve_expired(before_ms)

    def forget(self) -> None:
        """The queue is about to be deleted: an answer that is on its way is nobody's any more."""
        self.interrupt()
        self._sent = None
        self._batches.forget()
        self._work.operation_on_its_way = None
        self._operations.forget()
        self._must_renew = self._has_renewed = False
        self.pace.forget()

    # What to do

    def hurry(self, now_s: float) -> int:
        """Send all there is now; give the last position. A wait the gateway asked for stays."""
        self.pace.hurry(now_s)
        return self.include_all()

    def include_all(self) -> int:
        """Let nothing wait for company any more; give the last position."""
        return self._batches.include_all()

    def has_sent_through(self, position: int) -> bool:
        """Tell whether everything up to a position is out, or cannot go on."""
        sent = self._sent
        if sent is not None and sent.step not in {Step.RENEW, Step.REFRESH_CONFIG}:
            return False
        if not self._work.consent.may_contact:
            return not (self._is_registered and self._operations.first_consent() is not None)
        if self._batches.open is not None:
            return False
        head = self._work.storage.head()
        if head is None or head.position > position:
            return True
        return self.is_identity_refused and head.kind in IDENTITY_KINDS

    def interrupt(self) -> None:
        if self._sent is not None:
            self._lane.interrupt(self._sent.request)

    def token_worked(self) -> None:
        """Learn that the token is good: should it ever be refused, renewing it may help again."""
        self._has_renewed = False

    def token_refused(self, token: str | None, code: str) -> None:
        """Follow a refusal of the token elsewhere, if it is still the one in use."""
        # A pending identity change brings a new token anyway, and its answer says more.
        changes = any(one.kind in IDENTITY_KINDS for one in self._work.storage.operations())
        if token == self._work.identity.token and not changes:
            self._renew_once(code, self._work.clock.monotonic_s())

    def advance(self, now_s: float) -> None:
        """Send the next request, if one is due and none is on its way."""
        if self._sent is not None:
            if self._give_up_at_s is not None and now_s >= self._give_up_at_s:
                # Its answer drips: each piece comes in time, all of it never would.
                self._give_up_at_s = None
                self.interrupt()
            return
        self._batches.mark_due(now_s)
        if self._next(now_s)[0] is Step.WAIT:
            if now_s >= self.pace.retry_at_s:
                # Not while the gateway has asked for a pause: it means all processes.
                self._work.leases.release(UPLOAD)
            return
        if not self._work.leases.hold(UPLOAD, self._request_s):
            return
        # Taking the lease may have shown what another process has done meanwhile.
        step, head = self._next(now_s)
        match step:
            case Step.REGISTER:
                self._register(step)
            case Step.RENEW:
                self._renewal_tried_s = now_s
                self._register(step)
            case Step.SEND_BATCH:
                assert self._batches.open is not None, "there is a batch to send"
                self._send_batch(self._batches.open)
            case Step.MAKE_BATCH:
                batch = self._batches.make(now_s)
                assert batch is not None, "a due event makes a batch"
                self._send_batch(batch)
            case Step.MAKE_OPERATION:
                assert head is not None, "there is an operation to make"
                self._make_operation(head)
            case Step.REFRESH_CONFIG:
                self._refresh_config(now_s)
            case Step.WAIT:
                pass

    def _next(self, now_s: float) -> tuple[Step, Row | None]:
        """Decide what to send, and which row of the queue it is about."""
        head = self._work.storage.head() if self._batches.open is None else None
        step = next_step(self._situation(head, now_s))
        if step is Step.MAKE_OPERATION and not self._work.consent.may_contact:
            return step, self._operations.first_consent()
        return step, head

    def deadline_s(self) -> float | None:
        """Give the time at which `advance` has something to do without being told."""
        if self._sent is not None:
            return self._give_up_at_s
        now_s = self._work.clock.monotonic_s()
        others_hold = self._work.leases.next_try_s(UPLOAD)
        if others_hold is not None and others_hold > now_s:
            return others_hold
        if now_s < self.pace.retry_at_s:
            return self.pace.retry_at_s
        if not self._work.consent.may_contact or self.is_identity_refused:
            return None
        return self._batches.deadline_s()

    @property
    def _is_registered(self) -> bool:
        return self._work.identity.device_id is not None

    @property
    def _request_s(self) -> float:
        config = self._work.config
        return config.connect_timeout_s + config.read_timeout_s

    @property
    def _patience_s(self) -> float:
        """Connecting, sending and waiting for the answer, each as slow as it may be."""
        config = self._work.config
        return config.connect_timeout_s + 2 * config.read_timeout_s

    def _situation(self, head: Row | None, now_s: float) -> Situation:
        work, checked_s = self._work, self._config_checked_s
        may_contact = work.consent.may_contact
        return Situation(
            now_ms=round(now_s * 1000),
            retry_at_ms=round(self.pace.retry_at_s * 1000),
            may_contact=may_contact,
            is_registered=self._is_registered,
            has_token=work.identity.token is not None and not self._must_renew,
            has_consent_operation=not may_contact and self._operations.first_consent() is not None,
            has_open_batch=self._batches.open is not None,
            head=None if head is None else _head_of(head),
            head_is_due=head is not None and self._batches.is_due(head),
            is_identity_refused=self.is_identity_refused,
            is_renewal_due=self._is_renewal_due(now_s),
            config_is_stale=checked_s is None
            or (self.pace.is_warm(now_s) and now_s - checked_s >= CONFIG_TTL_S),
        )

    def _is_renewal_due(self, now_s: float) -> bool:
        """Tell whether to have a new token now, so that an app in daily use never meets a 401."""
        tried_s = self._renewal_tried_s
        return (
            self.pace.is_warm(now_s)
            and self._work.token_life.is_renewal_due(self._work.server_ms())
            and (tried_s is None or now_s - tried_s >= RENEWAL_RETRY_S)
        )

    # Sending

    def _register(self, step: Step) -> None:
        registration = self._registration
        self._send(step, "POST", "/v1/devices", registration.body(), headers=registration.headers())

    def _send_batch(self, batch: Batch) -> None:
        body = self._batches.body_of(batch)
        self._send(Step.SEND_BATCH, "POST", "/v1/events", body, batch=batch)

    def _make_operation(self, operation: Row) -> None:
        self._work.operation_on_its_way = operation.id
        method, path = self._operations.request_of(operation)
        self._send(Step.MAKE_OPERATION, method, path, operation.body, operation=operation)

    def _refresh_config(self, now_s: float) -> None:
        self._config_checked_s = now_s
        etag = self._work.recommended.get("etag")
        headers = {"If-None-Match": _quoted(etag)} if isinstance(etag, str) else {}
        self._send(Step.REFRESH_CONFIG, "GET", "/v1/config", headers=headers)

    def _send(
        self,
        step: Step,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        headers: Mapping[str, str] | None = None,
        batch: Batch | None = None,
        operation: Row | None = None,
    ) -> None:
        token = self._work.identity.token
        complete = {
            "User-Agent": USER_AGENT,
            "Accept": "application/json",
            "Authorization": f"Bearer {token}",
            **(headers or {}),
        }
        if body:
            complete["Content-Type"] = "application/json"
        compressed = self._compress and len(body) > GZIP_BYTES_MIN
        if compressed:
            complete["Content-Encoding"] = "gzip"
            body = _compressed(body)
        request = Request("upload", method, path, complete, body)
        self._sent = _Sent(step, request, token, batch, operation, compressed)
        self._give_up_at_s = self._work.clock.monotonic_s() + self._patience_s
        log.debug("%s %s, %d bytes", method, path, len(body))
        self._lane.send(request)

    # Answers

    def answered(self, answered: Answered) -> None:
        """Follow an answer, or the lack of one."""
        sent = self._sent
        if sent is None or answered.request is not sent.request:
            return
        self._sent = None
        self._work.operation_on_its_way = None
        self._learn(answered)
        now_s = answered.answered_s
        result = delivery.outcome(answered.response, answered.error)
        match sent.step:
            case Step.REGISTER | Step.RENEW:
                self._registered(sent, result, now_s)
            case Step.SEND_BATCH:
                assert sent.batch is not None, "an upload has a batch"
                self._batch_answered(sent, sent.batch, result, now_s)
            case Step.MAKE_OPERATION:
                assert sent.operation is not None, "it is an operation that was made"
                self._operation_answered(sent, sent.operation, result, now_s)
            case Step.REFRESH_CONFIG:
                self._config_answered(result, now_s)

    def _learn(self, answered: Answered) -> None:
        response = answered.response
        self._work.last_status = None if response is None else response.status
        if response is None or "x-zuruf" not in response.headers:
            return
        server_ms = server_ms_of(response.headers.get("x-server-time", ""))
        if server_ms is not None:
            sample = measured(
                server_ms,
                sent_ms=round(answered.sent_s * 1000),
                answered_ms=round(answered.answered_s * 1000),
                wall_ms=answered.wall_ms,
            )
            self._work.offset = better(self._work.offset, sample)

    def _registered(self, sent: _Sent, result: delivery.Outcome, now_s: float) -> None:
        match result:
            case delivery.Accepted(body=body) if names_device(body):
                self._take_registration(body, now_s)
            case _ if sent.step is Step.RENEW:
                # Nothing needs it yet, so nothing waits for it.
                log.info("the token could not be renewed early: %s", _code(result))
            case delivery.Unauthorized(code=code) if sent.token and code.startswith("token_"):
                self._registration.forget_device(code)
            case delivery.Retry(reason=reason, floor_ms=floor_ms):
                self.pace.failed(reason, floor_ms, now_s)
            case delivery.Uncompressed():
                self._send_plainly(sent, now_s)
            case _:
                self.pace.failed(_code(result), delivery.SLOW_RETRY_MS, now_s)

    def _take_registration(self, body: Mapping[str, Any], now_s: float) -> None:
        with self._work.storage.transaction():
            self._registration.follow(body)
            config = body.get("config")
            if isinstance(config, dict):
                self._follow(config, now_s)
        self._must_renew = False
        self._succeed(now_s)
        self._identity_changed()

    def _batch_answered(
        self, sent: _Sent, batch: Batch, result: delivery.Outcome, now_s: float
    ) -> None:
        batches = self._batches
        if not batches.is_open(batch):
            return
        match result:
            case delivery.Accepted(rejected=rejected):
                batches.accepted(batch, rejected, now_s)
                self._has_renewed = False
                self._succeed(now_s)
            case delivery.PartlyRefused(rejected=rejected) if of_batch(batch, rejected):
                batches.dissolve(batch, of_batch(batch, rejected))
                self._succeed(now_s)
            case delivery.PartlyRefused():
                batches.make_smaller(batch, "rejected")
            case delivery.Refused(code=code) | delivery.TooLarge(code=code):
                batches.make_smaller(batch, code)
            case delivery.Unauthorized(code=code):
                self._unauthorized(sent, code, now_s)
            case delivery.Uncompressed():
                self._send_plainly(sent, now_s)
            case delivery.Retry(reason=reason, floor_ms=floor_ms):
                self.pace.failed(reason, floor_ms, now_s)

    def _operation_answered(
        self, sent: _Sent, operation: Row, result: delivery.Outcome, now_s: float
    ) -> None:
        is_identity = operation.kind in IDENTITY_KINDS
        match result:
            case delivery.Accepted(body=body):
                if self._operations.follow(operation, body, self._work.server_ms()):
                    self._has_renewed = False
                    self._succeed(now_s)
                    if is_identity:
                        self._identity_changed()
                else:
                    self.pace.failed("unreadable_answer", delivery.SLOW_RETRY_MS, now_s)
            case delivery.Unauthorized(code=code) if not code.startswith("proof_"):
                self._unauthorized(sent, code, now_s)
            case delivery.Unauthorized(code=code) | delivery.Refused(code=code) if (
                operation.kind != RESET
            ):
                self._operations.refuse(operation, code)
            case delivery.Retry(cause="unknown_route") if not is_identity:
                self._operations.tell_later(operation)
            case delivery.Retry(reason=reason, floor_ms=floor_ms):
                self.pace.failed(reason, floor_ms, now_s)
            case delivery.Uncompressed():
                self._send_plainly(sent, now_s)
            case _:
                self.pace.failed(_code(result), delivery.SLOW_RETRY_MS, now_s)

    def _config_answered(self, result: delivery.Outcome, now_s: float) -> None:
        match result:
            case delivery.Accepted(body=body) if body:
                with self._work.storage.transaction():
                    self._follow(body, now_s)
                self._succeed(now_s)
            case delivery.Unauthorized(code=code):
                self._renew_once(code, now_s)
            case delivery.Retry(reason=reason, cause=cause) if cause != "not_modified":
                # Events must not wait because of this.
                self._work.last_error = reason
            case _:
                pass

    def _follow(self, config: Mapping[str, Any], now_s: float) -> None:
        self._config_checked_s = now_s
        self._work.recommend(config)
        self._batches.include_triggers()

    def _unauthorized(self, sent: _Sent, code: str, now_s: float) -> None:
        if sent.token == self._work.identity.token:
            self._renew_once(code, now_s)

    def _renew_once(self, code: str, now_s: float) -> None:
        if self._has_renewed:
            self._has_renewed = False
            self.pace.failed(code, delivery.SLOW_RETRY_MS, now_s)
        else:
            self._has_renewed = self._must_renew = True

    def _succeed(self, now_s: float) -> None:
        if self.pace.succeeded(now_s):
            self._came_back()

    def _send_plainly(self, sent: _Sent, now_s: float) -> None:
        self._compress = False
        if not sent.compressed:
            self.pace.failed("unsupported_encoding", delivery.SLOW_RETRY_MS, now_s)


def _quoted(etag: str) -> str:
    return etag if etag.endswith('"') else f'"{etag}"'


def _code(result: delivery.Outcome) -> str:
    match result:
        case delivery.Retry(reason=reason):
            return reason
        case delivery.Accepted() | delivery.PartlyRefused():
            return "unreadable_answer"
        case _:
            return result.code


def _head_of(row: Row) -> delivery.Head:
    if row.kind == EVENT:
        return "event"
    return "identity" if row.kind in IDENTITY_KINDS else "operation"


def _compressed(body: bytes) -> bytes:
    # A program that only records a few events never needs it.
    import gzip  # noqa: PLC0415

    return gzip.compress(body, compresslevel=6, mtime=0)
