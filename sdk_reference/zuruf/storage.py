"""The queue on disk: events and identity operations in the order of the calls, batches, messages.

One SQLite file, held exclusively: a second process (or a forked one) that finds it taken works from
memory instead of sending the same events. Where the disk cannot be used at all, the same database
lives in memory, within the same bounds. Only the worker's thread comes here.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zuruf.errors import StorageError
from zuruf.events import EVENT, RESET, SWITCH, Row

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

FILE_NAME = "zuruf.sqlite3"
SCHEMA_VERSION = 1
BUSY_TIMEOUT_S = 1.0
# An earlier time than this is a clock that was never set (a TV before its first network time), and
# says nothing about the age of an event.
CREDIBLE_MS_MIN = 1_735_689_600_000
MESSAGES_KEPT_MAX = 1_000

SCHEMA = """
BEGIN;
CREATE TABLE queue (
    position INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    batch_id TEXT,
    body BLOB NOT NULL
);
CREATE INDEX queue_batch ON queue (batch_id) WHERE batch_id IS NOT NULL;
CREATE INDEX queue_operations ON queue (position) WHERE kind <> 'event';
CREATE TABLE batches (batch_id TEXT PRIMARY KEY, report TEXT NOT NULL);
CREATE TABLE drops (reason TEXT PRIMARY KEY, quantity INTEGER NOT NULL);
CREATE TABLE state (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE messages (
    arrival INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    waiting INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    body TEXT NOT NULL
);
PRAGMA user_version = 1;
COMMIT;
"""


@dataclass(frozen=True, slots=True)
class Batch:
    """Events that go out together, under one id, however often it takes."""

    id: str
    report: Mapping[str, int]
    rows: Sequence[Row]


class Storage:
    """The queue. `Storage(None)` lives in memory."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory
        self._database: sqlite3.Connection | None = None
        self._depth = 0
        self._last_position = 0
        self.events = 0
        self.bytes = 0
        self.set_aside: str | None = None

    @property
    def is_durable(self) -> bool:
        return self._directory is not None

    @property
    def is_open(self) -> bool:
        return self._database is not None

    def open(self) -> None:
        """Open or create the file; set aside one that is damaged or from a newer SDK.

        Raises StorageError when there is nothing to write to.
        """
        try:
            if self._directory is not None:
                self._directory.mkdir(parents=True, exist_ok=True)
            try:
                self._open()
            except sqlite3.DatabaseError as error:
                if self._directory is None or not is_damage(error):
                    raise
                self.discard_file(suffix=".damaged")
                self.set_aside = str(error)
                self._open()
        except (OSError, sqlite3.Error) as error:
            self.close()
            raise StorageError(str(error)) from error

    def close(self) -> None:
        if self._database is not None:
            with contextlib.suppress(sqlite3.Error):
                self._database.close()
            self._database = None

    def discard_file(self, *, suffix: str | None = None) -> None:
        """Take the file away: renamed with a suffix (the newest such file is kept), or for good."""
        self.close()
        if self._directory is None:
            return
        for ending in ("", "-wal", "-shm"):
            path = self._directory / (FILE_NAME + ending)
            with contextlib.suppress(OSError):
                if suffix is not None and not ending:
                    path.replace(path.with_name(FILE_NAME + suffix))
                else:
                    path.unlink()

    def copy_to(self, other: Storage) -> None:
        """Copy everything, as when the disk is full and the work goes on in memory."""
        self._connection.backup(other._connection)
        other._reload()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; transactions inside transactions belong to the outermost."""
        if self._depth:
            yield
            return
        self._connection.execute("BEGIN IMMEDIATE")
        self._depth += 1
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            with contextlib.suppress(sqlite3.Error):
                self._reload()
            raise
        finally:
            self._depth -= 1

    # The queue

    def append(self, row: Row) -> int:
        """Add at the end and give the position. A row whose id is there already is left alone."""
        position = self._last_position + 1
        self._insert(position, row)
        self._last_position = position
        return position

    def put_first(self, row: Row) -> None:
        """Add before everything else."""
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
        """Give the identity operations that are still to be made, in their order."""
        return self._rows("WHERE kind <> 'event' ORDER BY position")

    def is_isolated(self) -> bool:
        """Tell whether the person on the device is no longer the one the gateway knows."""
        query = "SELECT EXISTS (SELECT 1 FROM queue WHERE kind <> 'event' AND kind IN (?, ?))"
        return bool(self._one(query, SWITCH, RESET)[0])

    def replace_body(self, position: int, body: bytes) -> None:
        self._run("UPDATE queue SET body = ? WHERE position = ?", body, position)

    def remove(self, position: int) -> None:
        """Remove an identity operation that was made."""
        self._run("DELETE FROM queue WHERE position = ?", position)

    def drop_until(self, position: int, reason: str) -> int:
        """Drop the events in no batch before a position, or all of them, and count them."""
        return self._drop(
            "SELECT position, length(body) FROM queue WHERE kind = 'event' AND batch_id IS NULL"
            " AND position < ?",
            (position,),
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

        Events of a batch that was sent stay: its content must not change.
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
        """Put the oldest events, up to the next identity operation, into a batch.

        What was dropped since the last one goes into its report. A single event that is over the
        limit makes a batch of its own: the gateway has the last word.
        """
        rows: list[Row] = []
        size = 0
        for row in self._rows("WHERE batch_id IS NULL ORDER BY position LIMIT ?", events_max):
            if row.kind != EVENT or (rows and size + len(row.body) + 1 > bytes_max):
                break
            rows.append(row)
            size += len(row.body) + 1
        if not rows:
            return None
        with self.transaction():
            report = self.drops()
            self._run("DELETE FROM drops")
            self._run("INSERT INTO batches VALUES (?, ?)", batch_id, json.dumps(report))
            self._run(
                "UPDATE queue SET batch_id = ? WHERE batch_id IS NULL AND kind = 'event'"
                " AND position <= ?",
                batch_id,
                rows[-1].position,
            )
        return Batch(batch_id, report, rows)

    def settle(self, batch: Batch) -> None:
        """Forget a batch that reached the gateway, and its events."""
        with self.transaction():
            self._run("DELETE FROM queue WHERE batch_id = ?", batch.id)
            self._run("DELETE FROM batches WHERE batch_id = ?", batch.id)
            self.events -= len(batch.rows)
            self.bytes -= sum(len(row.body) for row in batch.rows)

    def dissolve(self, batch: Batch, *, dropped: Mapping[str, str]) -> None:
        """Put the events of a batch back, but those dropped: event id → reason."""
        with self.transaction():
            for event_id, reason in dropped.items():
                self._run("DELETE FROM queue WHERE batch_id = ? AND id = ?", batch.id, event_id)
                self.count_drops(reason, 1)
            for reason, quantity in batch.report.items():
                self.count_drops(reason, quantity)
            self._run("UPDATE queue SET batch_id = NULL WHERE batch_id = ?", batch.id)
            self._run("DELETE FROM batches WHERE batch_id = ?", batch.id)
            self._reload()

    # Drops

    def drops(self) -> dict[str, int]:
        """Give what was dropped and not yet reported, by reason."""
        return dict(self._connection.execute("SELECT reason, quantity FROM drops").fetchall())

    def count_drops(self, reason: str, quantity: int) -> None:
        self._run(
            "INSERT INTO drops VALUES (?, ?)"
            " ON CONFLICT (reason) DO UPDATE SET quantity = quantity + excluded.quantity",
            reason,
            quantity,
        )

    # State

    def get(self, key: str) -> Any:
        """Give what was kept under a key, or None."""
        found = self._one("SELECT value FROM state WHERE key = ?", key)
        return None if found is None else json.loads(found[0])

    def put(self, key: str, value: Any) -> None:
        self._run(
            "INSERT INTO state VALUES (?, ?)"
            " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            key,
            json.dumps(value),
        )

    # Messages

    def add_message(self, message_id: str, priority: int, expires_ms: int, body: str) -> bool:
        """Keep a message that waits to be shown; False when it is known already."""
        cursor = self._connection.execute(
            "INSERT OR IGNORE INTO messages (id, waiting, priority, expires_ms, body)"
            " VALUES (?, 1, ?, ?, ?)",
            (message_id, priority, expires_ms, body),
        )
        return cursor.rowcount == 1

    def waiting_messages(self) -> list[tuple[str, str]]:
        """Give id and body of the messages nobody has handed over yet, the most important first."""
        query = "SELECT id, body FROM messages WHERE waiting ORDER BY priority DESC, arrival"
        return self._connection.execute(query).fetchall()

    def set_waiting(self, message_id: str, *, waiting: bool) -> None:
        self._run("UPDATE messages SET waiting = ? WHERE id = ?", int(waiting), message_id)

    def end_messages(self, message_ids: Iterable[str]) -> None:
        """Stop messages from waiting. Their ids stay known, so that they never come back."""
        for message_id in message_ids:
            self.set_waiting(message_id, waiting=False)

    def keep_only_waiting(self, message_ids: Iterable[str]) -> None:
        """Forget every waiting message but these."""
        kept = set(message_ids)
        for message_id, _ in self.waiting_messages():
            if message_id not in kept:
                self._run("DELETE FROM messages WHERE id = ?", message_id)

    def prune_messages(self) -> None:
        """Forget the oldest ids that were shown, beyond a bound."""
        self._run(
            "DELETE FROM messages WHERE NOT waiting AND arrival <="
            " (SELECT max(arrival) FROM messages) - ?",
            MESSAGES_KEPT_MAX,
        )

    def clear_messages(self) -> None:
        self._run("DELETE FROM messages")

    # Inside

    @property
    def _connection(self) -> sqlite3.Connection:
        if self._database is None:
            raise sqlite3.ProgrammingError("the queue is not open")
        return self._database

    def _open(self) -> None:
        target = ":memory:" if self._directory is None else str(self._directory / FILE_NAME)
        self._database = sqlite3.connect(
            target, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        for pragma in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = NORMAL"):
            self._database.execute(f"PRAGMA {pragma}").fetchall()
        if self._one("PRAGMA quick_check(1)")[0] != "ok":
            raise _Damage("the queue file is damaged")
        version = self._one("PRAGMA user_version")[0]
        if version > SCHEMA_VERSION:
            raise _Damage(f"the queue file has version {version}, this SDK reads {SCHEMA_VERSION}")
        if version == 0:
            self._database.executescript(SCHEMA)
        # The lock is taken by the first write; without one the file would only seem to be ours.
        self._database.execute("BEGIN IMMEDIATE")
        self._database.execute("COMMIT")
        self._reload()

    def _reload(self) -> None:
        self.events, self.bytes = self._one(
            "SELECT count(*), coalesce(sum(length(body)), 0) FROM queue WHERE kind = 'event'"
        )
        last = self._one("SELECT coalesce(max(position), 0) FROM queue")[0]
        self._last_position = max(self._last_position, last)

    def _insert(self, position: int, row: Row) -> None:
        cursor = self._connection.execute(
            "INSERT OR IGNORE INTO queue (position, kind, id, name, created_ms, body)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (position, row.kind, row.id, row.name, row.created_ms, row.body),
        )
        if row.kind == EVENT and cursor.rowcount:
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

    def _rows(self, where: str, *parameters: Any) -> list[Row]:
        query = f"SELECT kind, id, name, created_ms, body, 0, position FROM queue {where}"  # noqa: S608
        return [Row(*found) for found in self._connection.execute(query, parameters)]

    def _one(self, query: str, *parameters: Any) -> Any:
        return self._connection.execute(query, parameters).fetchone()

    def _run(self, query: str, *parameters: Any) -> None:
        self._connection.execute(query, parameters)


class _Damage(sqlite3.DatabaseError):
    """A file that opens and still cannot be used."""

    sqlite_errorcode = sqlite3.SQLITE_CORRUPT


def is_damage(error: sqlite3.Error) -> bool:
    """Tell a damaged file from one that is only locked, full or out of reach."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
