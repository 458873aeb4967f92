"""A device that dies: its process kills itself before the n-th change of the queue file, for every n.

Run as `python -m tests.sdk.mortal ENDPOINT KEY DIRECTORY FIRST STEP`; a `#` in the key stands for n. This
process stays single-threaded and forks a life for each n, then a second start on the same directory. It
prints one JSON object per n: what the life had seen saved before it ended, and what both starts showed.
"""

import contextlib
import json
import os
import signal
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from zuruf import Config, Message, Show, Storage, Zuruf
from zuruf.database import FILE_NAME

LIFE_S_MAX = 20.0
# Killed before one of these, a process leaves what it leaves when killed before the next.
UNCHANGING = ("SELECT", "PRAGMA", "BEGIN", "ROLLBACK")


class MortalStorage(Storage):
    """Ends the process before its n-th statement that changes something, or makes a change last."""

    def __init__(self, directory: Path, changes_left: int) -> None:
        super().__init__(directory)
        self._changes_left = changes_left

    def _connect(self) -> sqlite3.Connection:
        connection = super()._connect()
        connection.set_trace_callback(self._count)
        return connection

    def _count(self, statement: str) -> None:
        if statement.lstrip().startswith(UNCHANGING):
            return
        self._changes_left -= 1
        if self._changes_left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


class Never:
    """Retries at once: nothing here waits for a network that is down."""

    def random(self) -> float:
        return 0.0


def a_client(endpoint: str, key: str, directory: Path, storage: Storage | None) -> Zuruf:
    return Zuruf(
        Config(
            endpoint=endpoint,
            publishable_key=key,
            storage_dir=directory,
            storage=storage,
            stream="poll",
            random=Never(),
        )
    )


def live(client: Zuruf, person: str, directory: Path, say: Callable[[str], None]) -> None:
    """Do everything that is written down, and say what is known to be."""

    @client.in_app.on_message
    def show(message: Message, show: Show) -> None:
        say(f"shown {message.id}")
        show.shown()

    def track(name: str) -> None:
        event_id = client.track(name)
        while not is_on_disk(directory, event_id):
            time.sleep(0.0005)
        say(f"saved {name}")

    track("anonymous")
    client.consent.grant("analytics")
    client.identify(person)
    track(f"of {person}")
    say("saved consent")
    client.reset()
    track("of nobody")
    client.flush()
    client.shutdown()


def is_on_disk(directory: Path, event_id: str) -> bool:
    try:
        with contextlib.closing(sqlite3.connect(directory / FILE_NAME)) as file:
            query = "SELECT EXISTS (SELECT 1 FROM queue WHERE id = ?)"
            return bool(file.execute(query, (event_id,)).fetchone()[0])
    except sqlite3.OperationalError:
        # Not even the tables are there yet.
        return False


def in_child(run: Callable[[], None]) -> int:
    """Run something in a process of its own; give how that ended."""
    child = os.fork()
    if child == 0:
        signal.alarm(round(LIFE_S_MAX))
        run()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def one_death(endpoint: str, key: str, base: Path, number: int) -> dict[str, Any]:
    directory, log = base / str(number), base / f"{number}.log"

    def say(line: str) -> None:
        with log.open("a") as file:
            file.write(line + "\n")

    def first() -> None:
        live(
            a_client(endpoint, key, directory, MortalStorage(directory, number)),
            f"u_{number}",
            directory,
            say,
        )

    def second() -> None:
        client = a_client(endpoint, key, directory, None)
        client.in_app.on_message(lambda message, _: say(f"shown {message.id}"))
        assert client.flush().is_complete
        # The poll of this start is over when it says how it receives.
        while client.diagnostics().stream_state == "off":
            time.sleep(0.001)
        client.shutdown()

    ended = in_child(first)
    again = in_child(second)
    said = log.read_text().splitlines() if log.exists() else []
    return {"number": number, "ended": ended, "again": again, "said": said}


def main(endpoint: str, key: str, base: str, first: str, step: str) -> NoReturn:
    number = int(first)
    while True:
        result = one_death(endpoint, key.replace("#", str(number)), Path(base), number)
        print(json.dumps(result), flush=True)  # noqa: T201 - this is how the test hears of it
        if result["ended"] == 0:
            sys.exit(0)
        number += int(step)


if __name__ == "__main__":
    main(*sys.argv[1:])
