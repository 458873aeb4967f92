"""What is recorded on its way into the queue file: past the plugins, the consent and the sampling.

Lives on the worker's thread. Rows come in the order of the calls and are saved in it, many in one
transaction; what cannot be saved now waits here.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from zuruf.decisions.bucket import is_sampled
from zuruf.decisions.consent import purpose_of
from zuruf.events import CONSENT, DELETE_DATA, EVENT, RESET, SWITCH
from zuruf.plugins import Plugins

if TYPE_CHECKING:
    from zuruf.disk import Disk
    from zuruf.events import Row
    from zuruf.receiver import Receiver
    from zuruf.recorder import Recorder
    from zuruf.uploader import Uploader
    from zuruf.workspace import Workspace


class Intake:
    """Takes rows and puts them into the queue file."""

    def __init__(
        self,
        work: Workspace,
        recorder: Recorder,
        disk: Disk,
        uploader: Uploader,
        receiver: Receiver,
    ) -> None:
        self._work = work
        self._recorder = recorder
        self._disk = disk
        self._uploader = uploader
        self._receiver = receiver
        self._plugins = Plugins(work.config.plugins, recorder.count_drop)
        # Taken and not yet in the queue file.
        self._unsaved: list[Row] = []
        self._drops: Counter[str] = Counter()

    @property
    def has_unsaved(self) -> bool:
        return bool(self._unsaved)

    def close(self) -> None:
        """Nothing comes any more."""
        self._plugins.shutdown()

    def take(self, row: Row) -> None:
        """Take a row out of the mailbox, past the plugins, towards the queue file.

        When that raises, the row was not taken.
        """
        if row.kind == DELETE_DATA:
            self._delete_data(row)
            return
        if self._plugins and row.kind == EVENT:
            passed = self._passed(row)
            if passed is None:
                return
            row = passed
        self._unsaved.append(row)
        if self._plugins and row.kind == CONSENT:
            # What plugins may see is decided by what is allowed now.
            try:
                self.save()
            except BaseException:
                self._unsaved.pop()
                raise

    def save(self) -> None:
        """Put what was taken into the queue file, in one transaction."""
        work = self._work
        drops = self._recorder.take_drops()
        self._drops.update(drops)
        for reason, quantity in drops.items():
            work.dropped_now(reason, quantity)
        if not self._unsaved and not self._drops:
            return
        before = work.consent, work.consent_times, work.takeovers, work.user_id
        try:
            with work.storage.transaction():
                for reason, quantity in self._drops.items():
                    work.storage.count_drops(reason, quantity)
                self._append(self._unsaved)
        except BaseException:
            # What was not kept was not said: it follows when the rows can be saved.
            work.consent, work.consent_times, work.takeovers, work.user_id = before
            raise
        operations = sum(row.kind != EVENT for row in self._unsaved)
        self._unsaved = []
        self._drops.clear()
        if operations:
            self._recorder.followed(operations, work.user_id, work.consent)

    def append_own(self, rows: list[Row]) -> None:
        """Append events that the SDK itself recorded, past the plugins like all others."""
        if self._plugins:
            rows = [passed for row in rows if (passed := self._passed(row)) is not None]
        self._append(rows)

    def _passed(self, row: Row) -> Row | None:
        if not self._work.consent.allows(purpose_of(row.type)):
            return row
        return self._plugins.passed(row)

    def _append(self, rows: list[Row]) -> None:
        work, storage, config = self._work, self._work.storage, self._work.config
        placed: list[Row] = []
        drops: Counter[str] = Counter()
        with storage.transaction():
            for row in rows:
                if row.kind != EVENT:
                    placed += self._append_operation(row)
                elif (reason := self._refusal(row)) is None:
                    placed.append(storage.append(row))
                else:
                    drops[reason] += 1
            for reason, quantity in drops.items():
                storage.count_drops(reason, quantity)
            drops["queue_overflow"] = storage.drop_excess(
                config.queue_events_max,
                config.queue_bytes_max,
                work.settings.trigger_events,
                "queue_overflow",
            )
        for reason, quantity in drops.items():
            work.dropped_now(reason, quantity)
        if placed:
            self._uploader.added(placed, work.clock.monotonic_s())

    def _refusal(self, row: Row) -> str | None:
        """Give why an event is not kept, or None. Messages that wait for it see it before sampling."""
        work = self._work
        if not work.consent.allows(purpose_of(row.type)):
            return "consent"
        if row.type == "message" and row.person < work.person:
            # Another process put another person on the device before this was noticed here.
            return "another_person"
        self._receiver.saw([row])
        is_kept = is_sampled(
            work.identity.install_id,
            row.type,
            row.name,
            work.settings.sampling.get(row.name, 1.0),
            is_trigger=row.name in work.settings.trigger_events,
        )
        return None if is_kept else "sampled"

    def _append_operation(self, row: Row) -> list[Row]:
        work = self._work
        could_receive = work.consent.may_receive
        work.person = max(work.person, row.person)
        placed = self._uploader.place(row)
        is_takeover = any(one.kind in {SWITCH, RESET} for one in placed)
        if is_takeover:
            work.take_over()
        if is_takeover or (could_receive and not work.consent.may_receive):
            self._receiver.isolate()
        return placed

    def _delete_data(self, row: Row) -> None:
        """Forget everything: what is on its way is ignored when it comes back."""
        work = self._work
        operations = sum(one.kind != EVENT for one in self._unsaved)
        self._unsaved.clear()
        self._recorder.followed(operations, work.user_id, work.consent)
        self._drops.clear()
        self._recorder.take_drops()
        work.person = max(work.person, row.person)
        had_user = work.user_id is not None
        self._uploader.forget()
        self._receiver.isolate()
        self._disk.wipe()
        work.load()
        self._recorder.followed(1, work.user_id, work.consent)
        if had_user:
            work.publish("identity_changed", None)
