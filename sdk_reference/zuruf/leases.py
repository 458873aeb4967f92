"""Who does the work when several processes of the app share one queue file.

All of them record. One uploads and one receives: whoever holds the lease, a row of the file with its
owner and its end. It is taken when there is something to do and given back when there is not, so it
costs a process that is alone no time and no wake-up. The lease of a process that was killed ends at
once where the system can tell that the process is gone, and by itself everywhere else.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zuruf.clock import Clock
    from zuruf.storage import Storage

UPLOAD, RECEIVE = "upload", "receive"
# Beyond what the work itself may take, so that a holder who goes on need not write every time.
SPARE_S = 30.0
# No lease is longer: an end further away was written by a clock that ran ahead.
LEASE_S_MAX = 180.0
# How often a process that has to wait for another one looks whether it still has to.
RETRY_S = 1.0

_lock = threading.Lock()
_owners_here: set[str] = set()


class Leases:
    """The leases of one client. Only the worker's thread comes here."""

    def __init__(self, storage: Storage, clock: Clock, name: str) -> None:
        self.storage = storage
        self._clock = clock
        self._owner = f"{os.getpid()}:{name}"
        self._held_until_ms: dict[str, int] = {}
        self._next_try_s: dict[str, float] = {}
        self.has_company = False

    def arrive(self) -> None:
        """Say that this process uses the file, and clear up behind processes that died."""
        with _lock:
            _owners_here.add(self._owner)
        with self.storage.transaction():
            for (owner,) in self.storage.rows("SELECT owner FROM processes"):
                if _is_gone(owner):
                    self.storage.run("DELETE FROM processes WHERE owner = ?", owner)
            self.storage.run("INSERT OR IGNORE INTO processes VALUES (?)", self._owner)
        self.look_around()

    def leave(self) -> None:
        """Give everything back."""
        with _lock:
            _owners_here.discard(self._owner)
        self._held_until_ms.clear()
        with self.storage.transaction():
            self.storage.run("DELETE FROM leases WHERE owner = ?", self._owner)
            self.storage.run("DELETE FROM processes WHERE owner = ?", self._owner)

    def look_around(self) -> None:
        """Find out whether other processes use the file too.

        One that sleeps learns of a newcomer when it wakes up for something else: to look from time to
        time would cost those who are alone, and that is nearly everybody.
        """
        owners = self.storage.rows("SELECT owner FROM processes WHERE owner <> ?", self._owner)
        self.has_company = any(not _is_gone(owner) for (owner,) in owners)

    def changed_elsewhere(self) -> None:
        """Another process wrote to the file: what was believed about leases may be over."""
        for name in self._held_until_ms:
            # Still to be given back if it is ours, and to be asked for again before it is used.
            self._held_until_ms[name] = 0
        self.look_around()

    def hold(self, name: str, for_s: float) -> bool:
        """Take or keep a lease for at least a time; False while another process holds it.

        No lease is taken for longer than `LEASE_S_MAX`: who needs more has to ask again.
        """
        for_s = min(for_s, LEASE_S_MAX - SPARE_S)
        now_ms = self._clock.wall_ms()
        needed_ms = now_ms + round(for_s * 1000)
        if self._held_until_ms.get(name, 0) >= needed_ms:
            return True
        until_ms = needed_ms + round(SPARE_S * 1000)
        with self.storage.transaction():
            found = self.storage.rows("SELECT owner, until_ms FROM leases WHERE name = ?", name)
            if found and not self._is_free(str(found[0][0]), int(found[0][1]), now_ms):
                self._held_until_ms.pop(name, None)
                self._next_try_s[name] = self._clock.monotonic_s() + RETRY_S
                return False
            self.storage.run(
                "INSERT OR REPLACE INTO leases VALUES (?, ?, ?)", name, self._owner, until_ms
            )
        self._held_until_ms[name] = until_ms
        self._next_try_s.pop(name, None)
        return True

    def release(self, name: str) -> None:
        """Give a lease back, if we hold it; ask for it no more, if we do not."""
        self._next_try_s.pop(name, None)
        if name in self._held_until_ms:
            self.storage.run("DELETE FROM leases WHERE name = ? AND owner = ?", name, self._owner)
            del self._held_until_ms[name]

    def next_try_s(self, name: str) -> float | None:
        """Give the time to ask again after `hold` said no."""
        return self._next_try_s.get(name)

    def _is_free(self, owner: str, until_ms: int, now_ms: int) -> bool:
        return (
            owner == self._owner
            or not now_ms < until_ms <= now_ms + round(LEASE_S_MAX * 1000)
            or _is_gone(owner)
        )


def _is_gone(owner: str) -> bool:
    """Tell whether the process behind an owner has ended for sure."""
    process = owner.partition(":")[0]
    if process == str(os.getpid()):
        # An earlier process with our number, or another client in this one.
        return owner not in _owners_here
    if os.name != "posix" or not process.isdigit():
        # Elsewhere asking would end the process.
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
