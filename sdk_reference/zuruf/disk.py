"""The queue file on the days when the disk does not do: damaged, full, or not there at all."""

from __future__ import annotations

import logging
import sqlite3
from typing import TYPE_CHECKING

from zuruf.database import is_damage
from zuruf.errors import StorageError
from zuruf.storage import Storage

if TYPE_CHECKING:
    from collections.abc import Callable

    from zuruf.config import Config
    from zuruf.workspace import Workspace

log = logging.getLogger("zuruf")

RETRY_S = 30.0


def opened(config: Config, *, in_memory: bool) -> Storage:
    """Open the queue file, or a queue in memory when there is nothing to write to."""
    storage = config.storage or Storage(config.storage_dir)
    if in_memory:
        storage = Storage(None)
    try:
        storage.open()
    except StorageError as error:
        log.warning("the queue lives in memory: %s", error)
        storage = Storage(None)
        storage.open()
    return storage


class Disk:
    """Swaps the storage of a workspace when it has to be, and swaps it back when it can be."""

    def __init__(self, work: Workspace, changed_elsewhere: Callable[[], None]) -> None:
        self._work = work
        self._changed_elsewhere = changed_elsewhere
        # The file while the work goes on in a copy in memory.
        self._left: Storage | None = None
        self._retry_at_s = 0.0
        self._use(work.storage)

    @property
    def deadline_s(self) -> float | None:
        """When to try the disk again, if it was left."""
        return None if self._left is None else self._retry_at_s

    def failed(self, error: sqlite3.Error) -> None:
        """Go on: with a new file when the old one is damaged, else with a copy in memory."""
        work, before = self._work, self._work.storage
        log.warning("the queue file failed: %s", error)
        lost: int | None = before.events
        if is_damage(error) and before.is_durable:
            before.set_file_aside()
            self._use(_new_or_memory(before))
        else:
            memory = Storage(None)
            memory.open()
            if before.is_durable and _copied(before, memory):
                lost = None
                self._left = before
                self._retry_at_s = work.clock.monotonic_s() + RETRY_S
            self._use(memory)
        if lost is not None:
            # Logins that waited went with the queue.
            work.user_id = work.identity.user_id
        work.keep_all()
        if lost:
            work.storage.count_drops("storage_damaged", lost)
            work.dropped_now("storage_damaged", lost)

    def advance(self, now_s: float) -> None:
        """Return to the disk if it is time to try, and it can be."""
        if self._left is not None and now_s >= self._retry_at_s:
            self.try_to_return()

    def try_to_return(self) -> None:
        """Put everything back into the file that was left, if there is one and it can be written."""
        disk = self._left
        if disk is None:
            return
        self._retry_at_s = self._work.clock.monotonic_s() + RETRY_S
        try:
            if not disk.is_open:
                disk.open()
            self._work.storage.return_to(disk)
        except (sqlite3.Error, StorageError) as error:
            log.info("the disk still cannot be used: %s", error)
            return
        self._work.storage.close()
        self._left = None
        self._use(disk)
        # Whatever other processes did to the file meanwhile counts now.
        self._changed_elsewhere()

    def identity_changed(self) -> None:
        """Do not leave a file behind that would log the person before in again."""
        self.try_to_return()
        if self._left is not None and not self._work.leases.has_company:
            self._left.remove_file()

    def close_file(self) -> None:
        """Let go of the file for the moment of a fork."""
        for storage in (self._work.storage, self._left):
            if storage is not None and storage.is_durable:
                storage.close()

    def open_file(self) -> None:
        """Take up the file again; the child of the fork may have changed it already."""
        if self._work.storage.is_durable:
            self._use(_new_or_memory(self._work.storage))
            self._changed_elsewhere()

    def wipe(self) -> None:
        """Forget everything, wherever it is."""
        self.try_to_return()
        if self._left is not None:
            self._left.remove_file()
        self._work.storage.wipe()

    def _use(self, storage: Storage) -> None:
        storage.changed_elsewhere = self._changed_elsewhere
        self._work.storage = self._work.leases.storage = storage


def _new_or_memory(storage: Storage) -> Storage:
    try:
        storage.open()
    except StorageError:
        storage = Storage(None)
        storage.open()
    return storage


def _copied(disk: Storage, memory: Storage) -> bool:
    try:
        disk.copy_to(memory)
    except sqlite3.Error:
        disk.close()
        return False
    return True
