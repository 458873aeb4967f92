"""Which events go out together and when, and what becomes of them. Lives on the worker's thread."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from zuruf.decisions.consent import purpose_of
from zuruf.decisions.delivery import BatchSize
from zuruf.events import EVENT

if TYPE_CHECKING:
    from zuruf.events import Row
    from zuruf.storage import Batch
    from zuruf.workspace import Workspace

log = logging.getLogger("zuruf")

ENVELOPE_BYTES = 2048


class Batches:
    """The one batch that is being tried, and the events that wait for the next."""

    def __init__(self, work: Workspace) -> None:
        self._work = work
        self._size = BatchSize()
        # Events up to this position go out at once; later ones may wait for company.
        self._due_through = 0
        self._waiting_since_s: float | None = None
        self.open: Batch | None = None
        self.sent_events = 0

    def load(self) -> None:
        """Take up what an earlier run left: it has waited long enough."""
        self.open = self._work.storage.open_batch()
        self.include_all()

    def reload(self) -> None:
        """Look again which batch is being tried: another process may have settled it."""
        self.open = self._work.storage.open_batch()

    def forget(self) -> None:
        """The queue is about to be deleted."""
        self.open = self._waiting_since_s = None
        self._due_through = 0

    # When

    def added(self, rows: list[Row], now_s: float) -> None:
        """Learn of new rows in the queue."""
        triggers = self._work.settings.trigger_events
        for row in rows:
            if row.kind != EVENT or row.name in triggers or is_prompt(row.name):
                self._due_through = max(self._due_through, row.position)
        if self._waiting_since_s is None:
            self._waiting_since_s = now_s

    def include_all(self) -> int:
        """Let nothing wait for company any more; give the last position."""
        self._due_through = self._work.storage.last_position()
        return self._due_through

    def include_triggers(self) -> None:
        """Let what the gateway waits for go out, now that its names are known."""
        triggers = self._work.settings.trigger_events
        position = self._work.storage.last_position_named(triggers) if triggers else None
        if position is not None:
            self._due_through = max(self._due_through, position)

    def mark_due(self, now_s: float) -> None:
        """Let a full batch go out, and one that has waited for long enough."""
        storage = self._work.storage
        if not storage.events:
            self._waiting_since_s = None
            return
        if self._waiting_since_s is None:
            self._waiting_since_s = now_s
        # The same sum as `deadline_s`: otherwise rounding could put one just before the other.
        deadline_s = self._waiting_since_s + self._work.settings.flush_interval_s
        if storage.events >= self._work.settings.flush_at or now_s >= deadline_s:
            self.include_all()

    def is_due(self, row: Row) -> bool:
        return row.position <= self._due_through

    def deadline_s(self) -> float | None:
        """Give the time at which what waits becomes due by itself."""
        if self._waiting_since_s is None:
            return None
        return self._waiting_since_s + self._work.settings.flush_interval_s

    # What

    def make(self, now_s: float) -> Batch | None:
        """Put the oldest events into a batch."""
        settings = self._work.settings
        self.open = self._work.storage.make_batch(
            self._work.ids.new_id(self._work.clock.wall_ms()),
            events_max=self._size.within(settings.batch_events_max),
            bytes_max=settings.batch_bytes_max - ENVELOPE_BYTES,
        )
        self._waiting_since_s = now_s
        return self.open

    def body_of(self, batch: Batch) -> bytes:
        """Give a batch as it goes out. The events stay the bytes they were at the call."""
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
        head = json.dumps(envelope, separators=(",", ":")).encode()
        return b'%b,"events":[%b]}' % (head[:-1], b",".join(row.body for row in batch.rows))

    # What became of it

    def is_open(self, batch: Batch) -> bool:
        """Tell whether a batch still counts: consent may have been revoked while it was on its way."""
        return self.open is not None and self.open.id == batch.id

    def accepted(self, batch: Batch, rejected: Mapping[str, str], now_s: float) -> None:
        """Forget the events of a batch; those rejected are dropped: event id → code."""
        work = self._work
        dropped = of_batch(batch, rejected)
        with work.storage.transaction():
            for code in dropped.values():
                work.storage.count_drops(code, 1)
            work.storage.settle(batch)
        self._count(dropped)
        self.open = None
        self._size = self._size.after_success(work.settings.batch_events_max)
        self._waiting_since_s = now_s if work.storage.events else None
        delivered = tuple(row.id for row in batch.rows if row.id not in dropped)
        self.sent_events += len(delivered)
        if delivered:
            work.publish("delivered", delivered)

    def make_smaller(self, batch: Batch, code: str) -> None:
        """Halve until the event that is at fault is alone; only then drop it."""
        if len(batch.rows) == 1:
            self.dissolve(batch, {batch.rows[0].id: code})
            self._size = BatchSize()
        else:
            self.dissolve(batch, {})
            self._size = self._size.halved(len(batch.rows))

    def dissolve(self, batch: Batch, dropped: Mapping[str, str]) -> None:
        """Put the events of a batch back, but those dropped: event id → code."""
        self._work.storage.dissolve(batch, dropped=dropped)
        self._count(dropped)
        self.open = None
        self._due_through = max(self._due_through, batch.rows[-1].position)

    def dissolve_expired(self, before_ms: int) -> None:
        """Take apart a batch that has been tried for too long, so that its events can expire."""
        if self.open is not None and self.open.rows[0].created_ms < before_ms:
            self.dissolve(self.open, {})

    def purge(self, purposes: tuple[str, ...]) -> None:
        """Drop the unsent events of purposes that are denied from now on."""
        storage = self._work.storage
        if self.open is not None:
            # If it is on its way, its answer comes too late to mean anything.
            storage.dissolve(self.open, dropped={})
            self.open = None
        dropped = storage.drop_types(lambda of_type: purpose_of(of_type) in purposes, "consent")
        self._work.dropped_now("consent", dropped)

    def _count(self, dropped: Mapping[str, str]) -> None:
        for event_id, code in dropped.items():
            log.warning("the event %s was dropped: %s", event_id, code)
            self._work.dropped_now(code, 1)


def is_prompt(name: str) -> bool:
    """What a person just did with a message matters to their other devices at once."""
    return name in {"message_shown", "message_clicked", "message_dismissed", "message_failed"}


def of_batch(batch: Batch, rejected: Mapping[str, str]) -> dict[str, str]:
    """Give those rejections that are about events of a batch."""
    known = {row.id for row in batch.rows}
    return {event_id: code for event_id, code in rejected.items() if event_id in known}
