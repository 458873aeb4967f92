"""The queue on disk: events and operations in the order of the calls, batches, and what was dropped.

Where the disk cannot be used at all, the same database lives in memory, within the same bounds. Only the
worker's thread comes here.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from zuruf.database import FILE_NAME, Database
from zuruf.decisions.eviction import CREDIBLE_MS_MIN
from zuruf.events import EVENT, RESET, SWITCH, Row
from zuruf.schema import TABLES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

# Whose data the file holds: a number that grows whenever another person takes over the device.
TAKEOVERS = "takeovers"


@dataclass(frozen=True, slots=True)
class Batch:
    """Events that go out together, under one id, however often it takes."""

    id: str
    report: Mapping[str, int]
    rows: Sequence[Row]


class Storage(Database):
    """The queue, and what is kept beside it. `Storage(None)` lives in memory."""

    def __init__(self, directory: Path | None) -> None:
        super().__init__(directory)
        self._last_position = 0
        # The rows that were copied out of a file that became full.
        self._copied: frozenset[str] = frozenset()
        self.events = 0
        self.bytes = 0

    def wipe(self) -> None:
        """Forget everything, so that nothing of it can be found in the file either."""
        with self.transaction():
            takeovers = self.get(TAKEOVERS) or 0
            for table in TABLES:
                self.run(f"DELETE FROM {table}")  # noqa: S608
            self.put(TAKEOVERS, takeovers + 1)
            self._reload()
        if self._directory is None:
            return
        with contextlib.suppress(OSError):
            (self._directory / (FILE_NAME + ".damaged")).unlink()
        # Deleting only marks pages as free; this writes the file anew. It may find the file in use.
        with contextlib.suppress(sqlite3.OperationalError):
            self.run("VACUUM")
            self.checkpoint()

    # A full disk

    def copy_to(self, memory: Storage) -> None:
        """Copy everything, as when the disk is full and the work goes on in memory."""
        self._connection.backup(memory._connection)
        memory._reload()
        memory._copied = frozenset(row_id for (row_id,) in memory.rows("SELECT id FROM queue"))

    def return_to(self, disk: Storage) -> None:
        """Put everything back into the file it was copied from."""
        with disk._as_found() as is_untouched, disk.transaction():
            if is_untouched():
                for table in TABLES:
                    disk.run(f"DELETE FROM {table}")  # noqa: S608
                    disk._fill(table, self.rows(f"SELECT * FROM {table}"))  # noqa: S608
            else:
                self._merge_into(disk)
            disk._reload()

    @contextlib.contextmanager
    def _as_found(self) -> Iterator[Callable[[], bool]]:
        """Tell, in the transaction that follows, whether no other process was here meanwhile."""
        before, told = self._data_version, self.changed_elsewhere
        self.changed_elsewhere = None
        try:
            yield lambda: self._data_version == before
        finally:
            self.changed_elsewhere = told

    def _merge_into(self, disk: Storage) -> None:
        """Add what happened meanwhile to what other processes made of the file."""
        kept = self._rows("ORDER BY position")
        left = {row.id for row in kept}
        for row_id in self._copied - left:
            disk.run("DELETE FROM queue WHERE id = ?", row_id)
        is_same_person = disk.get(TAKEOVERS) == self.get(TAKEOVERS)
        for row in kept:
            if row.id in self._copied:
                continue
            if is_same_person:
                disk.append(row)
            elif row.kind == EVENT:
                disk.count_drops("another_person", 1)
        for reason, quantity in self.drops().items():
            disk.count_drops(reason, quantity)

    # The queue

    def append(self, row: Row) -> Row:
        """Add at the end and give the row in its place. One whose id is there already is left alone."""
        with self.transaction():
            position = self._last_position + 1
            self._insert(position, row)
            self._last_position = position
        return replace(row, position=position)

    def put_first(self, row: Row) -> None:
        """Add before everything else."""
        with self.transaction():
            first = self._one("SELECT min(position) FROM queue")[0]
            self._insert(1 if first is None else min(first, 1) - 1, row)

    def head(self) -> Row | None:
        """Give the oldest row that is in no batch."""
        rows = self._rows("WHERE batch_id IS NULL ORDER BY position LIMIT 1")
        return rows[0] if rows else None

    def last_position(self) -> int:
        return self._last_position

    def last_position_named(self, names: Iterable[str]) -> int | None:
        """Give the newest event with one of these names."""
        wanted = list(names)
        marks = ",".join("?" * len(wanted))
        query = f"SELECT max(position) FROM queue WHERE kind = 'event' AND name IN ({marks})"  # noqa: S608
        found = self._one(query, *wanted)[0]
        return None if found is None else int(found)

    def operations(self) -> list[Row]:
        """Give the operations that are still to be made, in their order."""
        return self._rows("WHERE kind <> 'event' ORDER BY position")

    def is_isolated(self) -> bool:
        """Tell whether the person on the device is no longer the one the gateway knows."""
        # Naming what is no event lets SQLite use the partial index over operations.
        query = "SELECT EXISTS (SELECT 1 FROM queue WHERE kind <> 'event' AND kind IN (?, ?))"
        return bool(self._one(query, SWITCH, RESET)[0])

    def events_through(self, position: int) -> int:
        """Count the events up to a position."""
        query = "SELECT count(*) FROM queue WHERE kind = 'event' AND position <= ?"
        return int(self._one(query, position)[0])

    def replace_body(self, position: int, body: bytes) -> None:
        self.run("UPDATE queue SET body = ? WHERE position = ?", body, position)

    def remove(self, position: int) -> None:
        """Remove an operation that was made."""
        self.run("DELETE FROM queue WHERE position = ? AND kind <> 'event'", position)

    def drop_until(self, position: int, reason: str) -> int:
        """Drop the events in no batch before a position, and count them."""
        return self._drop(
            "SELECT position, length(body) FROM queue WHERE kind = 'event' AND batch_id IS NULL"
            " AND position < ?",
            (position,),
            reason,
        )

    def drop_types(self, is_denied: Callable[[str], bool], reason: str) -> int:
        """Drop the events in no batch whose type is denied, and count them."""
        found = self.rows("SELECT DISTINCT type FROM queue WHERE kind = 'event'")
        denied = [of_type for (of_type,) in found if is_denied(of_type)]
        marks = ",".join("?" * len(denied))
        return self._drop(
            "SELECT position, length(body) FROM queue WHERE kind = 'event' AND batch_id IS NULL"  # noqa: S608
            f" AND type IN ({marks})",
            tuple(denied),
            reason,
        )

    def drop_expired(self, before_ms: int, reason: str) -> int:
        """Drop the events from before a time, and count them."""
        return self._drop(
            "SELECT position, length(body) FROM queue WHERE kind = 'event' AND batch_id IS NULL"
            " AND created_ms >= ? AND created_ms < ?",
            (CREDIBLE_MS_MIN, before_ms),
            reason,
        )

    def drop_excess(
        self, events_max: int, bytes_max: int, urgent: Iterable[str], reason: str
    ) -> int:
        """Drop the oldest events until the rest fits, urgent ones last, and count them.

        The order is that of `decisions.eviction`, found by the database: a queue at its limit must
        not be read as a whole for every event. What is in a batch stays: its content must not change.
        """
        dropped = 0
        wanted = list(urgent)
        marks = ",".join("?" * len(wanted))
        while self.events > events_max or self.bytes > bytes_max:
            count = max(1, self.events - events_max)
            found = self._drop(
                f"SELECT position, length(body) FROM queue"  # noqa: S608
                f" WHERE kind = 'event' AND batch_id IS NULL"
                f" ORDER BY name IN ({marks}), position LIMIT ?",
                (*wanted, count),
                reason,
            )
            if not found:
                break
            dropped += found
        return dropped

    # Batches

    def open_batch(self) -> Batch | None:
        """Give the batch that was made and not yet settled."""
        found = self._one("SELECT batch_id, report FROM batches LIMIT 1")
        if found is None:
            return None
        rows = self._rows("WHERE batch_id = ? ORDER BY position", found[0])
        return Batch(found[0], json.loads(found[1]), rows)

    def make_batch(self, batch_id: str, *, events_max: int, bytes_max: int) -> Batch | None:
        """Put the oldest events, up to the next operation, into a batch.

        What was dropped since the last one goes into its report. A single event that is over the
        limit makes a batch of its own: the gateway has the last word.
        """
        with self.transaction():
            rows = self._first_events(events_max, bytes_max)
            if not rows:
                return None
            report = self.drops()
            self.run("DELETE FROM drops")
            self.run("INSERT INTO batches VALUES (?, ?)", batch_id, json.dumps(report))
            self.run(
                "UPDATE queue SET batch_id = ? WHERE batch_id IS NULL AND kind = 'event'"
                " AND position <= ?",
                batch_id,
                rows[-1].position,
            )
        return Batch(batch_id, report, rows)

    def settle(self, batch: Batch) -> None:
        """Forget a batch that reached the gateway, and its events."""
        with self.transaction():
            self.run("DELETE FROM batches WHERE batch_id = ?", batch.id)
            if self.run("DELETE FROM queue WHERE batch_id = ?", batch.id) == len(batch.rows):
                self.events -= len(batch.rows)
                self.bytes -= sum(len(row.body) for row in batch.rows)
            else:
                self._reload()

    def dissolve(self, batch: Batch, *, dropped: Mapping[str, str]) -> None:
        """Put the events of a batch back, but those dropped: event id → reason."""
        with self.transaction():
            if not self.run("DELETE FROM batches WHERE batch_id = ?", batch.id):
                return
            for event_id, reason in dropped.items():
                self.run("DELETE FROM queue WHERE batch_id = ? AND id = ?", batch.id, event_id)
                self.count_drops(reason, 1)
            for reason, quantity in batch.report.items():
                self.count_drops(reason, quantity)
            self.run("UPDATE queue SET batch_id = NULL WHERE batch_id = ?", batch.id)
            self._reload()

    # Drops

    def drops(self) -> dict[str, int]:
        """Give what was dropped and not yet reported, by reason."""
        return dict(self._connection.execute("SELECT reason, quantity FROM drops").fetchall())

    def count_drops(self, reason: str, quantity: int) -> None:
        self.run(
            "INSERT INTO drops VALUES (?, ?)"
            " ON CONFLICT (reason) DO UPDATE SET quantity = quantity + excluded.quantity",
            reason,
            quantity,
        )

    # Inside

    def _reload(self) -> None:
        self.events, self.bytes = self._one(
            "SELECT count(*), coalesce(sum(length(body)), 0) FROM queue WHERE kind = 'event'"
        )
        last = self._one("SELECT coalesce(max(position), 0) FROM queue")[0]
        self._last_position = max(self._last_position, last)

    def _first_events(self, events_max: int, bytes_max: int) -> list[Row]:
        rows: list[Row] = []
        size = 0
        for row in self._rows("WHERE batch_id IS NULL ORDER BY position LIMIT ?", events_max):
            if row.kind != EVENT or (rows and size + len(row.body) + 1 > bytes_max):
                break
            rows.append(row)
            size += len(row.body) + 1
        return rows

    def _insert(self, position: int, row: Row) -> None:
        changed = self.run(
            "INSERT OR IGNORE INTO queue (position, kind, id, name, created_ms, body, type)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            position,
            row.kind,
            row.id,
            row.name,
            row.created_ms,
            row.body,
            row.type,
        )
        if row.kind == EVENT and changed:
            self.events += 1
            self.bytes += len(row.body)

    def _drop(self, query: str, parameters: tuple[Any, ...], reason: str) -> int:
        with self.transaction():
            found = self._connection.execute(query, parameters).fetchall()
            if found:
                self._connection.executemany(
                    "DELETE FROM queue WHERE position = ?", [(position,) for position, _ in found]
                )
                self.events -= len(found)
                self.bytes -= sum(size for _, size in found)
                self.count_drops(reason, len(found))
        return len(found)

    def _fill(self, table: str, rows: list[tuple[Any, ...]]) -> None:
        if rows:
            marks = ",".join("?" * len(rows[0]))
            self._connection.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)  # noqa: S608

    def _rows(self, where: str, *parameters: Any) -> list[Row]:
        query = f"SELECT kind, id, name, created_ms, body, 0, position, type FROM queue {where}"  # noqa: S608
        return [Row(*found) for found in self._connection.execute(query, parameters)]
