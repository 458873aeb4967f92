"""The one thread that owns the queue file and takes every decision.

It never waits for the network: requests go to the lanes (`transport.Lane`), and their answers come
back through the same mailbox as everything else. So an event is on disk within milliseconds, also
while an upload hangs.
"""

from __future__ import annotations

import logging
import queue
import sqlite3
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

from zuruf import disk
from zuruf.database import is_busy
from zuruf.decisions.identity import Identity
from zuruf.decisions.settings import Settings
from zuruf.decisions.values import DAY_MS
from zuruf.diagnostics import Diagnostics
from zuruf.disk import Disk
from zuruf.events import Row
from zuruf.flushes import Flush, Flushes
from zuruf.handover import Report
from zuruf.intake import Intake
from zuruf.leases import RETRY_S, Leases
from zuruf.receiver import Receiver
from zuruf.transport import Answered, Chunk, HttpTransport, Lane
from zuruf.uploader import Uploader
from zuruf.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable

    from zuruf.clock import Clock
    from zuruf.config import Config, Random
    from zuruf.events import IdSource
    from zuruf.handover import Handover
    from zuruf.recorder import Recorder
    from zuruf.subscriptions import Topic

log = logging.getLogger("zuruf")

EXPIRY_CHECK_S = 60 * 60.0
# How often to look what other processes did to the file, while there are any.
COMPANY_LOOK_S = RETRY_S
# After a mistake of our own, so that it cannot burn the battery.
PAUSE_AFTER_ERROR_S = 1.0
DRAIN_MAX = 1_000
# How long a fork may wait for the file to be closed, and the file for the fork.
FORK_S_MAX = 1.0


class Worker:
    """The thread, its mailbox, and the parts that live on it."""

    def __init__(
        self,
        config: Config,
        clock: Clock,
        ids: IdSource,
        recorder: Recorder,
        handover: Handover,
        mailbox: queue.SimpleQueue[Any],
        publish: Callable[[Topic, object, int], None],
        *,
        in_memory: bool = False,
    ) -> None:
        self._config = config
        self._clock = clock
        self._ids = ids
        self._recorder = recorder
        self._handover = handover
        self._mailbox = mailbox
        self._publish_topic = publish
        self._in_memory = in_memory
        # Taken from the mailbox and not yet looked at.
        self._items: deque[Any] = deque()
        self._expiry_at_s = 0.0
        self._look_at_s = 0.0
        self._resume_at_s = 0.0
        self.diagnostics = Diagnostics()
        self._transport = config.transport or HttpTransport(
            config.endpoint,
            connect_timeout_s=config.connect_timeout_s,
            read_timeout_s=config.read_timeout_s,
            ca_file=config.ca_file,
        )
        self._upload_lane = Lane("upload", self._transport, clock, mailbox.put)
        self._receive_lane = Lane("receive", self._transport, clock, mailbox.put)
        self._work: Workspace
        self._disk: Disk
        self._intake: Intake
        self._flushes: Flushes
        self.uploader: Uploader
        self.receiver: Receiver
        self.thread = threading.Thread(target=self._run, name="zuruf-worker", daemon=True)

    def background(self) -> None:
        """The app left the screen: send what waits, and have all of it in the file itself.

        The system may stop the app right afterwards, so this takes a quarter of a second at most.
        """
        self._recorder.is_in_background = True
        now_s = self._clock.monotonic_s()
        self.uploader.hurry(now_s)
        self.uploader.advance(now_s)
        self.receiver.background()
        if self._work.storage.is_durable:
            self._work.storage.checkpoint()

    def foreground(self) -> None:
        """The app is back on the screen."""
        self._recorder.is_in_background = False
        self.receiver.foreground()

    def step_aside(self, has_closed: threading.Event, may_go_on: threading.Event) -> None:
        """Close the file while the process forks: a child must find nothing of SQLite half-way."""
        self._disk.close_file()
        has_closed.set()
        may_go_on.wait(FORK_S_MAX)
        self._disk.open_file()

    # For clocks moved by hand. Both are sure only while the worker waits.

    @property
    def is_settled(self) -> bool:
        """Nothing is under way but requests that the gateway holds on purpose."""
        is_read = not self._items and self._mailbox.empty()
        return is_read and not self.uploader.is_sending and self.receiver.is_settled

    @property
    def requests_under_way(self) -> int:
        """How many requests were given to the lanes and have not come back."""
        return self.uploader.is_sending + self.receiver.is_receiving

    # A turn

    def _run(self) -> None:
        self._open()
        while not self._flushes.may_close:
            self._take_items()
            try:
                self._turn()
            except sqlite3.Error as error:
                if is_busy(error):
                    log.info("another process holds the queue file: %s", error)
                    self._pause()
                else:
                    self._storage_failed(error)
            except Exception:
                log.exception("a turn of the worker failed")
                self._pause()
            self._flushes.answer(self._clock.monotonic_s())
            self._publish()
        self._close()

    def _pause(self) -> None:
        self._resume_at_s = self._clock.monotonic_s() + PAUSE_AFTER_ERROR_S

    def _take_items(self) -> None:
        """Wait for the mailbox or the next deadline, and take what is there."""
        try:
            self._items.append(self._clock.wait(self._mailbox, self._timeout_s()))
            while len(self._items) < DRAIN_MAX:
                self._items.append(self._clock.wait(self._mailbox, 0))
        except queue.Empty:
            pass

    def _timeout_s(self) -> float | None:
        if self._intake.has_unsaved or self._items:
            return PAUSE_AFTER_ERROR_S
        try:
            deadlines = [self.uploader.deadline_s(), self.receiver.deadline_s()]
        except sqlite3.Error:
            return PAUSE_AFTER_ERROR_S
        deadlines += self._flushes.deadlines_s()
        deadlines += [self._expiry_at_s, self._disk.deadline_s]
        if self._work.leases.has_company:
            deadlines.append(self._look_at_s)
        earliest = min(at_s for at_s in deadlines if at_s is not None)
        now_s = self._clock.monotonic_s()
        return max(0.0, max(earliest, self._resume_at_s) - now_s)

    def _turn(self) -> None:
        """Follow what came in, in its order, then do what is due.

        When something fails half-way, what came after it is still there for the next turn.
        """
        self._look()
        while self._items:
            if isinstance(self._items[0], Row):
                # What cannot be taken now, such as a deletion while the file is locked, stays first.
                self._intake.take(self._items[0])
                self._items.popleft()
            else:
                # What was recorded before an item is in the file before the item is looked at.
                self._intake.save()
                self._follow(self._items.popleft())
        self._intake.save()
        now_s = self._clock.monotonic_s()
        if now_s < self._resume_at_s:
            return
        if now_s >= self._expiry_at_s:
            self._expire(now_s)
        self._disk.advance(now_s)
        offset = self._work.offset
        self._handover.offset_ms = 0 if offset is None else offset.offset_ms
        self._flushes.include_what_came()
        self.uploader.advance(now_s)
        self.receiver.advance(now_s)

    def _follow(self, item: object) -> None:
        match item:
            case Answered():
                self.uploader.answered(item)
                self.receiver.answered(item)
            case Chunk():
                self.receiver.chunk(item)
            case Report():
                self.receiver.heard(item)
            case Flush():
                self._flushes.add(item)
            case _ if callable(item):
                item(self)

    # Other processes

    def _look(self) -> None:
        """Notice what another process did to the file."""
        self._work.storage.look()
        if self._work.leases.has_company:
            self._look_at_s = self._clock.monotonic_s() + COMPANY_LOOK_S
            self._work.leases.look_around()

    def _changed_elsewhere(self) -> None:
        """Follow what another process did; the storage calls this before anything else is decided."""
        work, before = self._work, self._work.identity
        takeovers, user_id = work.takeovers, work.user_id
        work.leases.changed_elsewhere()
        work.reload()
        is_other_person = work.takeovers != takeovers
        self._recorder.changed_elsewhere(
            work.user_id, work.consent, is_other_person=is_other_person
        )
        if is_other_person:
            work.person = self._recorder.person
            self.receiver.taken_over()
        if work.user_id != user_id:
            work.publish("identity_changed", work.user_id)
        self.uploader.changed_elsewhere()
        self.receiver.file_changed()
        if work.identity.token != before.token:
            self.receiver.identity_changed()

    def _expire(self, now_s: float) -> None:
        self._expiry_at_s = now_s + EXPIRY_CHECK_S
        before_ms = self._clock.wall_ms() - round(self._config.queue_ttl_days * DAY_MS)
        self.uploader.dissolve_expired(before_ms)
        dropped = self._work.storage.drop_expired(before_ms, "expired")
        self._work.dropped_now("expired", dropped)

    # Opening and closing

    def _open(self) -> None:
        storage = disk.opened(self._config, in_memory=self._in_memory)
        self._work = work = Workspace(
            config=self._config,
            clock=self._clock,
            random=self._config.random or _jitter(),
            ids=self._ids,
            storage=storage,
            leases=Leases(storage, self._clock, self._ids.new_id(self._clock.wall_ms())),
            identity=Identity(install_id=""),
            settings=Settings(),
            tell=self._publish_topic,
        )
        self.uploader = Uploader(
            work,
            self._upload_lane,
            identity_changed=self._identity_changed,
            forget_messages=self._forget_messages,
            came_back=self._came_back,
        )
        self.receiver = Receiver(
            work,
            self._receive_lane,
            self._recorder,
            self._handover,
            append=self._append_own,
            uploader=self.uploader,
        )
        self._disk = Disk(work, self._changed_elsewhere)
        self._intake = Intake(work, self._recorder, self._disk, self.uploader, self.receiver)
        self._flushes = Flushes(work, self.uploader)
        try:
            self._begin()
        except sqlite3.Error as error:
            self._disk.failed(error)
            self._begin()
        self._publish()

    def _begin(self) -> None:
        work = self._work
        work.load()
        work.leases.arrive()
        if work.storage.set_aside is not None:
            log.warning("the queue file was set aside: %s", work.storage.set_aside)
            work.storage.count_drops("storage_damaged", 1)
            work.dropped_now("storage_damaged", 1)
        self.uploader.load()
        self._recorder.learn(work.user_id, work.consent)

    # The parts that these reach are built later than those that call them.

    def _append_own(self, rows: list[Row]) -> None:
        self._intake.append_own(rows)

    def _forget_messages(self) -> None:
        self.receiver.isolate()

    def _came_back(self) -> None:
        self.receiver.online()

    def _identity_changed(self) -> None:
        self.receiver.identity_changed()
        self._disk.identity_changed()

    def _storage_failed(self, error: sqlite3.Error) -> None:
        self._disk.failed(error)
        self.uploader.load()
        self.receiver.file_changed()

    def _close(self) -> None:
        self._handover.close()
        self._upload_lane.close()
        self._receive_lane.close()
        self._transport.close()
        try:
            self.receiver.close()
            self._recorder.end()
            self._save_the_rest()
            self._disk.try_to_return()
            self._work.leases.leave()
        except sqlite3.Error as error:
            log.warning("the last rows could not be kept: %s", error)
        self._flushes.finish_all()
        self._work.storage.close()
        self._intake.close()

    def _save_the_rest(self) -> None:
        """Keep what was recorded while the worker was ending."""
        while not self._mailbox.empty():
            self._items.append(self._mailbox.get())
        for item in self._items:
            if isinstance(item, Row):
                self._intake.take(item)
        self._intake.save()

    # Telling

    def _publish(self) -> None:
        work, offset = self._work, self._work.offset
        work.tell_drops()
        self._recorder.session_idle_ms = work.settings.session_idle_ms
        self._recorder.session_ms_max = work.settings.session_max_ms
        try:
            stream_state = self.receiver.state
        except sqlite3.Error:
            stream_state = "retrying"
        self.diagnostics = Diagnostics(
            queue_events=work.storage.events,
            queue_bytes=work.storage.bytes,
            sent_events=self.uploader.sent_events,
            dropped=dict(work.dropped),
            truncated=self._recorder.truncated,
            storage="disk" if work.storage.is_durable else "memory",
            last_status=work.last_status,
            last_error=work.last_error,
            failures_in_a_row=self.uploader.pace.failures,
            clock_offset_ms=None if offset is None else offset.offset_ms,
            clock_rtt_ms=None if offset is None else offset.rtt_ms,
            stream_state=stream_state,
            message_latency_ms=self.receiver.latency_ms,
            device_id=work.identity.device_id,
            profile_id=work.identity.profile_id,
            user_id=work.identity.user_id,
            is_identity_refused=self.uploader.is_identity_refused,
            trigger_events=work.settings.trigger_events,
        )


def _jitter() -> Random:
    # Imported on the worker's thread: it takes the app milliseconds otherwise.
    import random  # noqa: PLC0415

    return random.Random()  # noqa: S311 - it spreads retries
