"""Uploads: one request at a time, in the order of the calls. Lives on the worker's thread."""

from __future__ import annotations

import gzip
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from zuruf import delivery
from zuruf.clock import better, measured
from zuruf.delivery import BatchSize, Situation, Step, next_step
from zuruf.events import EVENT, IDENTIFY, RESET, SWITCH, Row
from zuruf.transport import Request
from zuruf.version import __version__
from zuruf.workspace import CURSOR, USER

if TYPE_CHECKING:
    from collections.abc import Callable

    from zuruf.storage import Batch
    from zuruf.transport import Answered, Lane
    from zuruf.workspace import Workspace

log = logging.getLogger("zuruf")

GZIP_BYTES_MIN = 1024
CONFIG_TTL_S = 15 * 60.0
# The radio is still on: a small request now costs no battery.
RADIO_WARM_S = 5.0
ENVELOPE_BYTES = 2048


@dataclass(frozen=True, slots=True)
class _Sent:
    step: Step
    request: Request
    token: str | None
    batch: Batch | None = None
    operation: Row | None = None
    compressed: bool = False


class Uploader:
    """Registers the device, sends batches, makes identity changes in their place."""

    def __init__(self, work: Workspace, lane: Lane, identity_changed: Callable[[], None]) -> None:
        self._work = work
        self._lane = lane
        self._identity_changed = identity_changed
        self._sent: _Sent | None = None
        self._batch: Batch | None = None
        self._size = BatchSize()
        self._compress = True
        # Events up to this position go out at once; later ones may wait for company.
        self._due_through = 0
        self._waiting_since_s: float | None = None
        self._must_renew = False
        self._has_renewed = False
        self._retry_floor_s = 0.0
        self._config_checked_s: float | None = None
        self._succeeded_s: float | None = None
        self.retry_at_s = 0.0
        self.failures = 0
        self.sent_events = 0
        self.is_identity_refused = False

    def load(self) -> None:
        """Take up what an earlier run left: it has waited long enough."""
        self._batch = self._work.storage.open_batch()
        self._due_through = self._work.storage.last_position()

    def added(self, rows: list[tuple[Row, int]], now_s: float) -> None:
        """Learn of new rows in the queue, each with its position."""
        triggers = self._work.settings.trigger_events
        for row, position in rows:
            if row.kind != EVENT or row.name in triggers or is_prompt(row.name):
                self._due_through = max(self._due_through, position)
        if self._waiting_since_s is None:
            self._waiting_since_s = now_s

    def hurry(self, now_s: float) -> int:
        """Send all there is now; give the last position. A wait the gateway asked for stays."""
        self._due_through = self._work.storage.last_position()
        if self._retry_floor_s == 0:
            self.retry_at_s = min(self.retry_at_s, now_s)
        return self._due_through

    def has_sent_through(self, position: int) -> bool:
        """Tell whether everything up to a position is out, or cannot go on."""
        if self._sent is not None and self._sent.step is not Step.REFRESH_CONFIG:
            return False
        if self._batch is not None:
            return False
        head = self._work.storage.head()
        return head is None or head.position > position or self.is_identity_refused

    @property
    def is_sending(self) -> bool:
        return self._sent is not None

    def interrupt(self) -> None:
        if self._sent is not None:
            self._lane.interrupt(self._sent.request)

    def token_worked(self) -> None:
        """Learn that the token is good: should it ever be refused, renewing it may help again."""
        self._has_renewed = False

    def token_refused(self, token: str | None, code: str) -> None:
        """Follow a refusal of the token elsewhere, if it is still the one in use."""
        # A pending identity change brings a new token anyway, and its answer says more.
        if token == self._work.identity.token and not self._work.storage.operations():
            self._renew_once(code, self._work.clock.monotonic_s())

    def advance(self, now_s: float) -> None:
        """Send the next request, if one is due and none is on its way."""
        if self._sent is not None:
            return
        self._mark_due(now_s)
        head = self._work.storage.head() if self._batch is None else None
        step = next_step(self._situation(head, now_s))
        match step:
            case Step.REGISTER:
                self._register()
            case Step.SEND_BATCH:
                assert self._batch is not None, "there is a batch to send"
                self._send_batch(self._batch)
            case Step.MAKE_BATCH:
                settings = self._work.settings
                self._batch = self._work.storage.make_batch(
                    self._work.ids.new_id(self._work.clock.wall_ms()),
                    events_max=self._size.within(settings.batch_events_max),
                    bytes_max=settings.batch_bytes_max - ENVELOPE_BYTES,
                )
                self._waiting_since_s = now_s
                assert self._batch is not None, "a due event makes a batch"
                self._send_batch(self._batch)
            case Step.CHANGE_IDENTITY:
                assert head is not None, "there is an operation to make"
                self._change_identity(head)
            case Step.REFRESH_CONFIG:
                self._refresh_config(now_s)
            case Step.WAIT:
                pass

    def deadline_s(self) -> float | None:
        """Give the time at which `advance` has something to do without being told."""
        if self._sent is not None:
            return None
        if self._work.clock.monotonic_s() < self.retry_at_s:
            return self.retry_at_s
        if self._waiting_since_s is None or self.is_identity_refused:
            return None
        return self._waiting_since_s + self._work.settings.flush_interval_s

    def _mark_due(self, now_s: float) -> None:
        storage, settings = self._work.storage, self._work.settings
        if not storage.events:
            self._waiting_since_s = None
            return
        if self._waiting_since_s is None:
            self._waiting_since_s = now_s
        if (
            storage.events >= settings.flush_at
            or now_s - self._waiting_since_s >= settings.flush_interval_s
        ):
            self._due_through = storage.last_position()

    def _situation(self, head: Row | None, now_s: float) -> Situation:
        warm = self._succeeded_s is not None and now_s - self._succeeded_s <= RADIO_WARM_S
        checked_s = self._config_checked_s
        return Situation(
            now_s=now_s,
            retry_at_s=self.retry_at_s,
            has_token=self._work.identity.token is not None and not self._must_renew,
            has_open_batch=self._batch is not None,
            head=None if head is None else "event" if head.kind == EVENT else "operation",
            head_is_due=head is not None and head.position <= self._due_through,
            is_identity_refused=self.is_identity_refused,
            config_is_stale=checked_s is None or (warm and now_s - checked_s >= CONFIG_TTL_S),
        )

    # Sending

    def _register(self) -> None:
        config, identity = self._work.config, self._work.identity
        body = {
            "install_id": identity.install_id,
            "platform": config.platform,
            "form_factor": config.form_factor,
            "device": _without_none(asdict(config.device)),
            "sdk": {"name": "zuruf-python", "version": __version__},
        }
        headers = {"Authorization": f"Bearer {config.publishable_key}"}
        if identity.token is not None:
            headers["X-Device-Token"] = identity.token
        self._send(Step.REGISTER, "POST", "/v1/devices", _json(body), headers=headers)

    def _send_batch(self, batch: Batch) -> None:
        envelope: dict[str, Any] = {
            "batch_id": batch.id,
            "sent_at": self._work.clock.wall_ms(),
        }
        offset = self._work.offset
        if offset is not None:
            envelope["clock"] = {"offset_ms": offset.offset_ms, "rtt_ms": offset.rtt_ms}
        if batch.report:
            envelope["client_report"] = [
                {"reason": reason, "quantity": quantity}
                for reason, quantity in batch.report.items()
            ]
        # The events stay the bytes they were at the call; only the envelope is made anew.
        body = b'%b,"events":[%b]}' % (
            _json(envelope)[:-1],
            b",".join(row.body for row in batch.rows),
        )
        self._send(Step.SEND_BATCH, "POST", "/v1/events", body, batch=batch)

    def _change_identity(self, operation: Row) -> None:
        method = "DELETE" if operation.kind == RESET else "POST"
        self._send(
            Step.CHANGE_IDENTITY, method, "/v1/identity", operation.body, operation=operation
        )

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
            "User-Agent": f"zuruf-python/{__version__}",
            "Accept": "application/json",
            "Authorization": f"Bearer {token}",
            **(headers or {}),
        }
        if body:
            complete["Content-Type"] = "application/json"
        compressed = self._compress and len(body) > GZIP_BYTES_MIN
        if compressed:
            complete["Content-Encoding"] = "gzip"
            body = gzip.compress(body, compresslevel=6, mtime=0)
        request = Request("upload", method, path, complete, body)
        self._sent = _Sent(step, request, token, batch, operation, compressed)
        log.debug("%s %s, %d bytes", method, path, len(body))
        self._lane.send(request)

    # Answers

    def answered(self, answered: Answered) -> None:
        """Follow an answer, or the lack of one."""
        sent = self._sent
        if sent is None or answered.request is not sent.request:
            return
        self._sent = None
        self._learn(answered)
        now_s = answered.answered_s
        result = delivery.outcome(answered.response, answered.error)
        match sent.step:
            case Step.REGISTER:
                self._registered(sent, result, now_s)
            case Step.SEND_BATCH:
                assert sent.batch is not None, "an upload has a batch"
                self._batch_answered(sent, sent.batch, result, now_s)
            case Step.CHANGE_IDENTITY:
                assert sent.operation is not None, "an identity change has an operation"
                self._identity_answered(sent, sent.operation, result, now_s)
            case Step.REFRESH_CONFIG:
                self._config_answered(answered, result, now_s)

    def _learn(self, answered: Answered) -> None:
        response = answered.response
        self._work.last_status = None if response is None else response.status
        if response is None or "x-zuruf" not in response.headers:
            return
        server_ms = response.headers.get("x-server-time", "")
        if server_ms.isascii() and server_ms.isdigit():
            sample = measured(
                int(server_ms),
                sent_s=answered.sent_s,
                answered_s=answered.answered_s,
                wall_ms=answered.wall_ms,
            )
            self._work.offset = better(self._work.offset, sample)

    def _registered(self, sent: _Sent, result: delivery.Outcome, now_s: float) -> None:
        match result:
            case delivery.Accepted(body=body) if _names_device(body):
                self._take_registration(body, now_s)
            case delivery.Unauthorized(code=code) if sent.token and code.startswith("token_"):
                self._forget_device(code)
            case delivery.Retry(reason=reason, floor_s=floor_s):
                self._fail(reason, floor_s, now_s)
            case delivery.Uncompressed():
                self._send_plainly(sent, now_s)
            case _:
                self._fail(_code(result), delivery.SLOW_RETRY_S, now_s)

    def _forget_device(self, code: str) -> None:
        """Give the token up: only a new device is left.

        A token that was superseded without us comes from an old copy of the queue file (a restored
        backup). Who was on the device then must not be logged in again: it would undo a logout.
        """
        log.warning("the gateway does not know this device any more (%s)", code)
        work = self._work
        identity = replace(work.identity, token=None)
        with work.storage.transaction():
            if code == "token_superseded":
                identity = replace(identity, user_id=None)
                work.storage.clear_messages()
                if not work.storage.operations():
                    work.storage.put(USER, None)
            work.keep(identity)

    def _take_registration(self, body: Mapping[str, Any], now_s: float) -> None:
        work, before = self._work, self._work.identity
        identity = before.registered(body)
        with work.storage.transaction():
            work.keep(identity)
            if identity.profile_id != before.profile_id:
                work.storage.put(CURSOR, "")
            if before.user_id is not None and identity.user_id is None:
                # A new device, but the same person on it: log in again before anything else.
                work.storage.put_first(self._login_again(before.user_id))
            config = body.get("config")
            if isinstance(config, dict):
                self._follow(config, now_s)
        self._must_renew = False
        self._succeed(now_s)
        self._identity_changed()

    def _login_again(self, user_id: str) -> Row:
        now_ms = self._work.clock.wall_ms()
        body = _json({"user_id": user_id})
        return Row(IDENTIFY, self._work.ids.new_id(now_ms), user_id, now_ms, body)

    def _batch_answered(
        self, sent: _Sent, batch: Batch, result: delivery.Outcome, now_s: float
    ) -> None:
        match result:
            case delivery.Accepted(rejected=rejected):
                dropped = _of_batch(batch, rejected)
                with self._work.storage.transaction():
                    for code in dropped.values():
                        self._work.storage.count_drops(code, 1)
                    self._work.storage.settle(batch)
                self._count(dropped)
                self._batch = None
                self._has_renewed = False
                self.sent_events += len(batch.rows) - len(dropped)
                self._size = self._size.after_success(self._work.settings.batch_events_max)
                self._waiting_since_s = now_s if self._work.storage.events else None
                self._succeed(now_s)
            case delivery.PartlyRefused(rejected=rejected) if _of_batch(batch, rejected):
                self._dissolve(batch, _of_batch(batch, rejected))
                self._succeed(now_s)
            case delivery.PartlyRefused():
                self._make_smaller(batch, "rejected")
            case delivery.Refused(code=code):
                self._make_smaller(batch, code)
            case delivery.TooLarge():
                self._make_smaller(batch, "too_large")
            case delivery.Unauthorized(code=code):
                self._unauthorized(sent, code, now_s)
            case delivery.Uncompressed():
                self._send_plainly(sent, now_s)
            case delivery.Retry(reason=reason, floor_s=floor_s):
                self._fail(reason, floor_s, now_s)

    def _make_smaller(self, batch: Batch, code: str) -> None:
        """Halve until the event that is at fault is alone; only then drop it."""
        if len(batch.rows) == 1:
            self._dissolve(batch, {batch.rows[0].id: code})
            self._size = BatchSize()
        else:
            self._dissolve(batch, {})
            self._size = self._size.halved(len(batch.rows))

    def _dissolve(self, batch: Batch, dropped: Mapping[str, str]) -> None:
        self._work.storage.dissolve(batch, dropped=dropped)
        self._count(dropped)
        self._batch = None
        self._due_through = max(self._due_through, batch.rows[-1].position)

    def _count(self, dropped: Mapping[str, str]) -> None:
        for event_id, code in dropped.items():
            log.warning("the event %s was dropped: %s", event_id, code)
            self._work.dropped_now(code, 1)

    def _identity_answered(
        self, sent: _Sent, operation: Row, result: delivery.Outcome, now_s: float
    ) -> None:
        match result:
            case delivery.Accepted(body=body) if _names_profile(body):
                user_id = None if operation.kind == RESET else operation.name
                work = self._work
                with work.storage.transaction():
                    work.keep(work.identity.changed(body, user_id))
                    work.storage.put(CURSOR, "")
                    work.storage.remove(operation.position)
                self._has_renewed = False
                self._succeed(now_s)
                self._identity_changed()
            case delivery.Unauthorized(code=code) if not code.startswith("proof_"):
                self._unauthorized(sent, code, now_s)
            case delivery.Unauthorized(code=code) | delivery.Refused(code=code) if (
                operation.kind != RESET
            ):
                self._refuse(operation, code)
            case delivery.Retry(reason=reason, floor_s=floor_s):
                self._fail(reason, floor_s, now_s)
            case delivery.Uncompressed():
                self._send_plainly(sent, now_s)
            case _:
                self._fail(_code(result), delivery.SLOW_RETRY_S, now_s)

    def _refuse(self, operation: Row, code: str) -> None:
        """Stop before events of somebody who could not prove who they are.

        They must not be counted for anybody else. A login with a good proof sends them; any other
        login or logout drops them.
        """
        self._work.last_error = code
        log.error("the gateway refused the login: %s. Call identify() with a valid proof", code)
        operations = self._work.storage.operations()
        current = next((one for one in operations if one.id == operation.id), None)
        if current is not None and current.body != operation.body:
            return
        later = [one for one in operations if one.position > operation.position]
        if later:
            self._give_up_login(operation, later[0].position)
        else:
            self.is_identity_refused = True

    def _give_up_login(self, operation: Row, until: int) -> None:
        storage = self._work.storage
        with storage.transaction():
            dropped = storage.drop_until(until, "identity_refused")
            storage.remove(operation.position)
        self._work.dropped_now("identity_refused", dropped)
        self.is_identity_refused = False

    def add_operation(self, row: Row) -> tuple[Row, int] | None:
        """Place a login or logout in the queue, unless it changes nothing.

        Gives the row as it was placed: a login in place of another person is a switch.
        """
        storage = self._work.storage
        user_id = storage.get(USER)
        operations = storage.operations()
        if row.kind == IDENTIFY and row.name == user_id:
            waiting = [one for one in operations if one.name == user_id]
            if not waiting:
                return None
            if b'"proof"' in row.body or self.is_identity_refused:
                storage.replace_body(waiting[-1].position, row.body)
                self.is_identity_refused = False
            return None
        if self.is_identity_refused and operations:
            self._give_up_login(operations[0], storage.last_position() + 1)
            user_id = self._work.identity.user_id
        if row.kind == IDENTIFY and user_id is not None:
            row = replace(row, kind=SWITCH)
        storage.put(USER, row.name or None)
        return row, storage.append(row)

    def _config_answered(self, answered: Answered, result: delivery.Outcome, now_s: float) -> None:
        match result:
            case delivery.Accepted(body=body) if body:
                with self._work.storage.transaction():
                    self._follow(body, now_s)
                self._succeed(now_s)
            case delivery.Unauthorized(code=code):
                self._renew_once(code, now_s)
            case delivery.Retry(reason=reason) if (
                answered.response is None or answered.response.status != delivery.NOT_MODIFIED
            ):
                # Events must not wait because of this.
                self._work.last_error = reason
            case _:
                pass

    def _follow(self, config: Mapping[str, Any], now_s: float) -> None:
        self._config_checked_s = now_s
        self._work.recommend(config)
        triggers = self._work.settings.trigger_events
        position = self._work.storage.last_position_named(triggers) if triggers else None
        if position is not None:
            self._due_through = max(self._due_through, position)

    def _unauthorized(self, sent: _Sent, code: str, now_s: float) -> None:
        if sent.token == self._work.identity.token:
            self._renew_once(code, now_s)

    def _renew_once(self, code: str, now_s: float) -> None:
        if self._has_renewed:
            self._has_renewed = False
            self._fail(code, delivery.SLOW_RETRY_S, now_s)
        else:
            self._has_renewed = self._must_renew = True

    def _send_plainly(self, sent: _Sent, now_s: float) -> None:
        self._compress = False
        if not sent.compressed:
            self._fail("unsupported_encoding", delivery.SLOW_RETRY_S, now_s)

    def _succeed(self, now_s: float) -> None:
        self.failures = 0
        self.retry_at_s = now_s
        self._retry_floor_s = 0.0
        self._succeeded_s = now_s
        self._work.last_error = None

    def _fail(self, reason: str, floor_s: float, now_s: float) -> None:
        self.failures += 1
        self._work.last_error = reason
        self._retry_floor_s = floor_s
        wait_s = delivery.backoff_s(self.failures, floor_s, self._work.random.random())
        self.retry_at_s = now_s + wait_s
        log.info("upload failed (%s), again in %.1f s", reason, wait_s)

    def dissolve_expired(self, before_ms: int) -> None:
        """Take apart a batch that has been tried for too long, so that its events can expire."""
        batch = self._batch
        if batch is not None and self._sent is None and batch.rows[0].created_ms < before_ms:
            self._dissolve(batch, {})


def is_prompt(name: str) -> bool:
    """What a person just did with a message matters to their other devices at once."""
    return name in {"message_shown", "message_clicked", "message_dismissed", "message_failed"}


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _without_none(value: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _without_none(item) if isinstance(item, dict) else item
        for name, item in value.items()
        if item is not None
    }


def _quoted(etag: str) -> str:
    return etag if etag.endswith('"') else f'"{etag}"'


def _names_profile(body: Mapping[str, Any]) -> bool:
    return all(isinstance(body.get(name), str) and body[name] for name in ("profile_id", "token"))


def _names_device(body: Mapping[str, Any]) -> bool:
    return isinstance(body.get("device_id"), str) and _names_profile(body)


def _of_batch(batch: Batch, rejected: Mapping[str, str]) -> dict[str, str]:
    known = {row.id for row in batch.rows}
    return {event_id: code for event_id, code in rejected.items() if event_id in known}


def _code(result: delivery.Outcome) -> str:
    return getattr(result, "code", None) or "unreadable_answer"
