"""The one thread that owns the queue file and takes every decision.

It never waits for the network: requests go to the lanes (`transport.Lane`), and their answers come
back through the same inbox as everything else. So an event is on disk within milliseconds, also
while an upload hangs.
"""

from __future__ import annotations

import logging
import queue
import random
import sqlite3
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from zuruf.diagnostics import Diagnostics, FlushResult
from zuruf.errors import StorageError
from zuruf.events import EVENT, IDENTIFY, Row
from zuruf.handover import Decided
from zuruf.identity import Identity
from zuruf.receiver import Receiver
from zuruf.settings import merged
from zuruf.storage import Storage, is_damage
from zuruf.transport import Answered, HttpTransport, Lane
from zuruf.uploader import Uploader
from zuruf.workspace import USER, Workspace

if TYPE_CHECKING:
    from zuruf.clock import Clock
    from zuruf.config import Config
    from zuruf.events import IdSource
    from zuruf.handover import Handover
    from zuruf.recorder import Recorder

log = logging.getLogger("zuruf")

DAY_MS = 24 * 60 * 60 * 1000
EXPIRY_CHECK_S = 60 * 60.0
DISK_RETRY_S = 30.0
# After a mistake of our own, so that it cannot burn the battery.
PAUSE_AFTER_ERROR_S = 1.0
DRAIN_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Wake:
    """Look at the clock again."""


@dataclass(frozen=True, slots=True)
class LookAgain:
    """There may be something to show now."""


@dataclass(eq=False, slots=True)
class Flush:
    """Send everything; `done` is set when that has succeeded or cannot in time."""

    deadline_s: float
    closes: bool = False
    done: threading.Event = field(default_factory=threading.Event)
    result: FlushResult | None = None
    through: int = 0
    sent_before: int = 0


class Worker:
    """The thread, its inbox, and the parts that live on it."""

    def __init__(
        self,
        config: Config,
        clock: Clock,
        ids: IdSource,
        recorder: Recorder,
        handover: Handover,
        inbox: queue.SimpleQueue[Any],
    ) -> None:
        self._config = config
        self._clock = clock
        self._ids = ids
        self._recorder = recorder
        self._handover = handover
        self._inbox = inbox
        self._flushes: list[Flush] = []
        # Taken from the inbox and not yet in the queue file.
        self._unsaved: list[Row] = []
        self._drops: Counter[str] = Counter()
        self._full_disk: Storage | None = None
        self._disk_retry_at_s = 0.0
        self._expiry_at_s = 0.0
        self._resume_at_s = 0.0
        self._is_closing = False
        self.diagnostics = Diagnostics()
        self._transport = config.transport or HttpTransport(
            config.endpoint,
            connect_timeout_s=config.connect_timeout_s,
            read_timeout_s=config.read_timeout_s,
        )
        self._upload_lane = Lane("upload", self._transport, clock, inbox.put)
        self._receive_lane = Lane("receive", self._transport, clock, inbox.put)
        self.thread = threading.Thread(target=self._run, name="zuruf-worker", daemon=True)

    def _run(self) -> None:
        self._open()
        while not self._is_closing:
            items = self._next_items()
            try:
                self._turn(items)
            except sqlite3.Error as error:
                self._storage_failed(error)
            except Exception:
                log.exception("a turn of the worker failed")
                self._resume_at_s = self._clock.monotonic_s() + PAUSE_AFTER_ERROR_S
            self._answer_flushes()
            self._publish()
        self._close()

    def _next_items(self) -> list[Any]:
        """Wait for the inbox or the next deadline, and take what is there."""
        items = []
        try:
            items.append(self._inbox.get(timeout=self._timeout_s()))
            while len(items) < DRAIN_MAX:
                items.append(self._inbox.get_nowait())
        except queue.Empty:
            pass
        return items

    def _timeout_s(self) -> float | None:
        if self._unsaved:
            return PAUSE_AFTER_ERROR_S
        try:
            deadlines = [self._uploader.deadline_s(), self._receiver.deadline_s()]
        except sqlite3.Error:
            return PAUSE_AFTER_ERROR_S
        deadlines += [flush.deadline_s for flush in self._flushes]
        deadlines.append(self._expiry_at_s)
        if self._full_disk is not None:
            deadlines.append(self._disk_retry_at_s)
        earliest = min(at_s for at_s in deadlines if at_s is not None)
        now_s = self._clock.monotonic_s()
        return max(0.0, max(earliest, self._resume_at_s) - now_s)

    def _turn(self, items: list[Any]) -> None:
        for item in items:
            if isinstance(item, Row):
                self._unsaved.append(item)
        self._save()
        for item in items:
            match item:
                case Answered():
                    self._uploader.answered(item)
                    self._receiver.answered(item)
                case Decided():
                    self._receiver.decided(item, self._clock.monotonic_s())
                case LookAgain():
                    self._receiver.look_again()
                case Flush():
                    item.through = self._uploader.hurry(self._clock.monotonic_s())
                    item.sent_before = self._uploader.sent_events
                    self._flushes.append(item)
        now_s = self._clock.monotonic_s()
        if now_s < self._resume_at_s:
            return
        if now_s >= self._expiry_at_s:
            self._expire(now_s)
        if self._full_disk is not None and now_s >= self._disk_retry_at_s:
            self._return_to_disk(now_s)
        offset = self._work.offset
        self._handover.offset_ms = 0 if offset is None else offset.offset_ms
        self._uploader.advance(now_s)
        self._receiver.advance(now_s)

    # The queue

    def _save(self) -> None:
        """Put what came in into the queue file, in one transaction."""
        drops = self._recorder.take_drops()
        self._drops.update(drops)
        self._work.dropped.update(drops)
        if not self._unsaved and not self._drops:
            return
        with self._work.storage.transaction():
            for reason, quantity in self._drops.items():
                self._work.storage.count_drops(reason, quantity)
            self._append(self._unsaved)
        self._unsaved = []
        self._drops.clear()

    def _append(self, rows: list[Row]) -> None:
        storage, placed = self._work.storage, []
        with storage.transaction():
            for row in rows:
                if row.kind == EVENT:
                    placed.append((row, storage.append(row)))
                else:
                    placed += self._append_operation(row)
            dropped = storage.drop_excess(
                self._config.queue_events_max,
                self._config.queue_bytes_max,
                self._work.settings.trigger_events,
                "queue_overflow",
            )
        if placed:
            self._work.dropped_now("queue_overflow", dropped)
            self._uploader.added(placed, self._clock.monotonic_s())

    def _append_operation(self, row: Row) -> list[tuple[Row, int]]:
        self._work.person = max(self._work.person, row.person)
        placed = self._uploader.add_operation(row)
        if placed is None:
            return []
        if placed[0].kind != IDENTIFY:
            self._receiver.isolate()
        return [placed]

    def _expire(self, now_s: float) -> None:
        self._expiry_at_s = now_s + EXPIRY_CHECK_S
        before_ms = self._clock.wall_ms() - round(self._config.queue_ttl_days * DAY_MS)
        self._uploader.dissolve_expired(before_ms)
        dropped = self._work.storage.drop_expired(before_ms, "expired")
        self._work.dropped_now("expired", dropped)

    # Opening, closing and the days when the disk does not do

    def _open(self) -> None:
        storage = self._config.storage or Storage(self._config.storage_dir)
        try:
            self._work = self._opened(storage)
        except (StorageError, sqlite3.Error) as error:
            log.warning("the queue lives in memory: %s", error)
            storage.close()
            self._work = self._opened(Storage(None))
        self._uploader = Uploader(self._work, self._upload_lane, self._identity_changed)
        self._receiver = Receiver(
            self._work,
            self._receive_lane,
            self._recorder,
            self._handover,
            append=self._append,
            uploader=self._uploader,
        )
        self._uploader.load()
        self._recorder.learn_user(self._work.storage.get(USER))
        self._clock.on_change(lambda: self._inbox.put(Wake()))
        self._publish()

    def _opened(self, storage: Storage) -> Workspace:
        storage.open()
        work = Workspace(
            config=self._config,
            clock=self._clock,
            random=self._config.random or random.Random(),  # noqa: S311 - jitter
            ids=self._ids,
            storage=storage,
            identity=Identity(install_id=""),
            settings=merged(self._config, {}),
        )
        work.load()
        if storage.set_aside is not None:
            log.warning("the queue file was set aside: %s", storage.set_aside)
            storage.count_drops("storage_damaged", 1)
            work.dropped_now("storage_damaged", 1)
        return work

    def _identity_changed(self) -> None:
        self._receiver.identity_changed()
        if self._full_disk is not None:
            # The stale file would log the person before in again.
            self._return_to_disk(self._clock.monotonic_s())
            if self._full_disk is not None:
                self._full_disk.discard_file()

    def _storage_failed(self, error: sqlite3.Error) -> None:
        """Go on: with a new file when the old one is damaged, else with a copy in memory."""
        before = self._work.storage
        log.warning("the queue file failed: %s", error)
        storage = Storage(None)
        lost = before.events
        if is_damage(error) and before.is_durable:
            before.discard_file(suffix=".damaged")
            storage = Storage(self._config.storage_dir)
        try:
            storage.open()
        except StorageError:
            storage = Storage(None)
            storage.open()
        if before.is_durable and not is_damage(error):
            try:
                before.copy_to(storage)
                lost = 0
                self._full_disk = before
                self._disk_retry_at_s = self._clock.monotonic_s() + DISK_RETRY_S
            except sqlite3.Error:
                before.close()
        self._work.storage = storage
        self._work.keep(self._work.identity)
        self._work.recommend(self._work.recommended)
        if lost:
            storage.count_drops("storage_damaged", lost)
            self._work.dropped_now("storage_damaged", lost)
        self._uploader.load()

    def _return_to_disk(self, now_s: float) -> None:
        disk, self._disk_retry_at_s = self._full_disk, now_s + DISK_RETRY_S
        assert disk is not None, "there is a disk to return to"
        try:
            if not disk.is_open:
                disk.open()
            self._work.storage.copy_to(disk)
        except (sqlite3.Error, StorageError) as error:
            log.info("the disk still cannot be used: %s", error)
            return
        self._work.storage.close()
        self._work.storage, self._full_disk = disk, None

    def _close(self) -> None:
        self._handover.close()
        self._upload_lane.close()
        self._receive_lane.close()
        self._transport.close()
        if self._full_disk is not None:
            self._return_to_disk(self._clock.monotonic_s())
        self._work.storage.close()
        for flush in self._flushes:
            self._finish(flush)

    # Telling

    def _answer_flushes(self) -> None:
        now_s = self._clock.monotonic_s()
        waiting = []
        for flush in self._flushes:
            if self._is_over(flush, now_s):
                self._is_closing = self._is_closing or flush.closes
                if not flush.closes:
                    self._finish(flush)
                    continue
            waiting.append(flush)
        self._flushes = waiting

    def _is_over(self, flush: Flush, now_s: float) -> bool:
        if now_s >= flush.deadline_s:
            return True
        if self._uploader.retry_at_s >= flush.deadline_s and not self._uploader.is_sending:
            # The next attempt comes too late: waiting for it helps nobody.
            return True
        try:
            return self._uploader.has_sent_through(flush.through)
        except sqlite3.Error:
            return False

    def _finish(self, flush: Flush) -> None:
        flush.result = FlushResult(
            sent=self._uploader.sent_events - flush.sent_before,
            remaining=self._work.storage.events,
            last_status=self._work.last_status,
            last_error=self._work.last_error,
        )
        flush.done.set()

    def _publish(self) -> None:
        work, offset = self._work, self._work.offset
        try:
            stream_state = self._receiver.state
        except sqlite3.Error:
            stream_state = "retrying"
        self.diagnostics = Diagnostics(
            queue_events=work.storage.events,
            queue_bytes=work.storage.bytes,
            sent_events=self._uploader.sent_events,
            dropped=dict(work.dropped),
            storage="disk" if work.storage.is_durable else "memory",
            last_status=work.last_status,
            last_error=work.last_error,
            failures_in_a_row=self._uploader.failures,
            clock_offset_ms=None if offset is None else offset.offset_ms,
            clock_rtt_ms=None if offset is None else offset.rtt_ms,
            stream_state=stream_state,
            device_id=work.identity.device_id,
            profile_id=work.identity.profile_id,
            user_id=work.identity.user_id,
            is_identity_refused=self._uploader.is_identity_refused,
            trigger_events=work.settings.trigger_events,
        )
