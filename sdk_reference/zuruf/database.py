"""The queue file as such: opened, brought up to date, set aside, shared with other processes.

Each change is one transaction that takes the write lock first, and what another process changed is
noticed before anything is decided (`look`, and at the beginning of every transaction).
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from typing import TYPE_CHECKING, Any

from zuruf.errors import StorageError
from zuruf.schema import MIGRATIONS, VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FILE_NAME = "zuruf.sqlite3"
BUSY_TIMEOUT_S = 2.0
# What putting the app into the background may take: the system may stop it right afterwards.
CHECKPOINT_MS_MAX = 250

_left_to_parents: list[sqlite3.Connection] = []


class Database:
    """One SQLite file, or the same tables in memory: `Database(None)`."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory
        self._database: sqlite3.Connection | None = None
        self._process = 0
        self._inode: tuple[int, int] | None = None
        self._data_version = 0
        self._depth = 0
        self.set_aside: str | None = None
        # Told, before anything else, that another process wrote to the file.
        self.changed_elsewhere: Callable[[], None] | None = None

    @property
    def is_durable(self) -> bool:
        return self._directory is not None

    @property
    def is_open(self) -> bool:
        return self._database is not None

    # The file

    def open(self) -> None:
        """Open or create the file; set aside one that is damaged or from a newer SDK.

        Raises StorageError when there is nothing to write to.
        """
        self._leave_to_parent()
        try:
            if self._directory is not None:
                self._directory.mkdir(parents=True, exist_ok=True)
            try:
                self._open()
            except sqlite3.DatabaseError as error:
                if self._directory is None or not is_damage(error):
                    raise
                self.set_file_aside()
                self.set_aside = str(error)
                self._open()
        except (OSError, ValueError, sqlite3.Error) as error:
            # A ValueError: there can be no such path.
            self.close()
            raise StorageError(str(error)) from error

    def close(self) -> None:
        if self._database is not None:
            with contextlib.suppress(sqlite3.Error):
                self._database.close()
            self._database = None

    def set_file_aside(self) -> None:
        """Rename a damaged file; the newest such file is kept.

        Unless another process did that already: then the file with the name is a new and good one.
        """
        inode = self._inode
        self.close()
        if self._directory is None:
            return
        path = self._directory / FILE_NAME
        if inode is not None and inode != _inode_of(path):
            return
        with contextlib.suppress(OSError):
            path.replace(path.with_name(FILE_NAME + ".damaged"))
        self._unlink("-wal", "-shm")

    def remove_file(self) -> None:
        """Take the file away for good."""
        self.close()
        self._unlink("", "-wal", "-shm")

    def checkpoint(self) -> None:
        """Bring everything into the file itself, as far as that takes no longer than it may."""
        self.run(f"PRAGMA busy_timeout = {CHECKPOINT_MS_MAX}")
        try:
            self.run("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            self.run(f"PRAGMA busy_timeout = {round(BUSY_TIMEOUT_S * 1000)}")

    # Several processes

    def look(self) -> None:
        """Notice what another process has changed since the last time."""
        version = self._version_of_data()
        if version != self._data_version:
            self._data_version = version
            self._reload()
            if self.changed_elsewhere is not None:
                self.changed_elsewhere()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; transactions inside transactions belong to the outermost.

        What another process changed before it is noticed first; nothing changes during it.
        """
        if self._depth:
            yield
            return
        self._connection.execute("BEGIN IMMEDIATE")
        self._depth += 1
        try:
            self.look()
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

    # State

    def get(self, key: str) -> Any:
        """Give what was kept under a key, or None."""
        found = self._one("SELECT value FROM state WHERE key = ?", key)
        return None if found is None else json.loads(found[0])

    def put(self, key: str, value: Any) -> None:
        self.run(
            "INSERT INTO state VALUES (?, ?)"
            " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            key,
            json.dumps(value),
        )

    # Anything else

    def run(self, query: str, *parameters: Any) -> int:
        """Change something; give the number of rows concerned."""
        return self._connection.execute(query, parameters).rowcount

    def rows(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Read something."""
        return self._connection.execute(query, parameters).fetchall()

    # Inside

    def _reload(self) -> None:
        """Count anew what is counted: others may have changed it."""

    @property
    def _connection(self) -> sqlite3.Connection:
        if self._database is None:
            raise sqlite3.ProgrammingError("the queue is not open")
        return self._database

    def _open(self) -> None:
        self._process = os.getpid()
        self._database = self._connect()
        self.rows("PRAGMA journal_mode = WAL")
        self.run("PRAGMA synchronous = NORMAL")
        if self._one("PRAGMA quick_check(1)")[0] != "ok":
            raise _Damage("the queue file is damaged")
        self._migrate()
        if self._directory is not None:
            self._inode = _inode_of(self._directory / FILE_NAME)
        self._data_version = self._version_of_data()
        self._reload()

    def _connect(self) -> sqlite3.Connection:
        target = ":memory:" if self._directory is None else str(self._directory / FILE_NAME)
        return sqlite3.connect(
            target, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )

    def _migrate(self) -> None:
        # Also without anything to migrate: a file that nothing can be written to fails here.
        self.run("BEGIN IMMEDIATE")
        try:
            version = self._one("PRAGMA user_version")[0]
            if version > VERSION:
                raise _Damage(f"the queue file has version {version}, this SDK reads {VERSION}")
            for statement in (one for step in MIGRATIONS[version:] for one in step):
                self.run(statement)
            self.run(f"PRAGMA user_version = {VERSION}")
            self.run("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self.run("ROLLBACK")
            raise

    def _leave_to_parent(self) -> None:
        """Keep the connection of the process before a fork from being closed by this one."""
        if self._database is not None and self._process != os.getpid():
            _left_to_parents.append(self._database)
            self._database = None

    def _unlink(self, *endings: str) -> None:
        if self._directory is not None:
            for ending in endings:
                with contextlib.suppress(OSError):
                    (self._directory / (FILE_NAME + ending)).unlink()

    def _version_of_data(self) -> int:
        return int(self._one("PRAGMA data_version")[0])

    def _one(self, query: str, *parameters: Any) -> Any:
        return self._connection.execute(query, parameters).fetchone()


class _Damage(sqlite3.DatabaseError):
    """A file that opens and still cannot be used."""

    sqlite_errorcode = sqlite3.SQLITE_CORRUPT


def is_damage(error: sqlite3.Error) -> bool:
    """Tell a damaged file from one that is only locked, full or out of reach."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def is_busy(error: sqlite3.Error) -> bool:
    """Tell that only another process was in the way, for longer than it should be."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def _inode_of(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
