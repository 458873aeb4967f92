"""Many lives at once: several processes, each with threads that live one life after the other."""

import contextlib
import logging
import multiprocessing
import multiprocessing.queues
import os
import queue
import shutil
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from client_demo.fleet.errors import DemoError
from client_demo.fleet.life import Life, Pace, Shop, play
from client_demo.fleet.tally import Outcome

NEWS_S = 0.1
TICK_S = 0.5
WARNING_LENGTH_MAX = 160
MEMORY_BYTES_MIN = 48 * 1024 * 1024
# Two connections, the queue file with its journal, and what one life holds for a moment.
FILES_PER_LIFE = 8


@dataclass(slots=True)
class News:
    """What one process has to tell: lives that have ended, and what the SDK complained about."""

    outcomes: list[Outcome] = field(default_factory=list)
    warnings: Counter[str] = field(default_factory=Counter)
    is_last: bool = False


def run(
    lives: Sequence[Life],
    shop: Shop,
    pace: Pace,
    *,
    processes: int,
    at_once: int,
    told: Callable[[News], None],
) -> bool:
    """Live all lives; False when Control-C ended it early. `told` is called with what happened."""
    context = multiprocessing.get_context("spawn")
    news: multiprocessing.queues.Queue[News] = context.Queue()
    stop = context.Event()
    with tempfile.TemporaryDirectory(
        prefix="zuruf-fleet-", dir=_memory(), ignore_cleanup_errors=True
    ) as folder:
        members: list[BaseProcess] = []
        for number in range(processes):
            # Dealt like cards, so that all processes get lives of all lengths.
            hand = lives[number::processes]
            threads = len(range(number, at_once, processes))
            home = Path(folder, str(number))
            member: BaseProcess = context.Process(
                target=_member, args=(hand, shop, pace, threads, home, news, stop), daemon=True
            )
            member.start()
            members.append(member)
        with _interruptions() as interrupted:
            is_complete = _listen(members, news, stop, interrupted, told)
        for member in members:
            member.join()
        return is_complete


@contextlib.contextmanager
def _interruptions() -> Iterator[list[int]]:
    """Collect Control-C instead of being thrown out by it; the second one still does that."""
    interrupted: list[int] = []

    def interrupt(number: int, _: object) -> None:
        interrupted.append(number)
        if len(interrupted) > 1:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, before)


def _listen(
    members: Sequence[BaseProcess],
    news: "multiprocessing.queues.Queue[News]",
    stop: Event,
    interrupted: Sequence[int],
    told: Callable[[News], None],
) -> bool:
    at_work, is_complete = len(members), True
    while at_work:
        if interrupted and is_complete:
            is_complete = False
            stop.set()
        try:
            item = news.get(timeout=TICK_S)
        except queue.Empty:
            ended = [member for member in members if member.exitcode not in {None, 0}]
            if ended:
                stop.set()
                raise DemoError(
                    f"a process of the fleet ended with {ended[0].exitcode}; its last words are "
                    "above. With `--at-once 32` it needs less memory and fewer open files."
                ) from None
            continue
        told(item)
        at_work -= item.is_last
    return is_complete


def _member(
    lives: Sequence[Life],
    shop: Shop,
    pace: Pace,
    threads: int,
    home: Path,
    news: "multiprocessing.queues.Queue[News]",
    stop: Event,
) -> None:
    # The parent gets Control-C too, and tells us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    complaints = _Complaints()
    raise_open_files_limit(threads * FILES_PER_LIFE)
    ended: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
    todo = iter(enumerate(lives))
    lock = threading.Lock()
    # Where the callbacks of all these apps run: a real app passes its own main loop here.
    screen = ThreadPoolExecutor(1, thread_name_prefix="screen")

    def live() -> None:
        while not stop.is_set():
            with lock:
                number, life = next(todo, (0, None))
            if life is None:
                return
            folder = home / str(number)
            try:
                outcome = play(life, shop, folder, pace, screen, stop.is_set)
            except Exception as error:  # noqa: BLE001 - counted and shown; the others live on
                outcome = Outcome(life.user_id, life.handset.form_factor, life.handset.name)
                outcome.error = f"{type(error).__name__}: {error}"
            shutil.rmtree(folder, ignore_errors=True)
            ended.put(outcome)

    workers = [threading.Thread(target=live, name=f"life-{index}") for index in range(threads)]
    for index, worker in enumerate(workers):
        worker.start()
        # Doors open one by one: not everybody starts the app in the same instant.
        if index + 1 < len(workers):
            time.sleep(pace.browse_s / len(workers))
    while any(worker.is_alive() for worker in workers):
        time.sleep(NEWS_S)
        news.put(News(_drained(ended)))
    news.put(News(_drained(ended), complaints.counts, is_last=True))
    screen.shutdown()


def raise_open_files_limit(wanted: int) -> None:
    """Allow as many open files as the system lets us, when what is allowed is too few."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource  # noqa: PLC0415 - does not exist on Windows

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft != resource.RLIM_INFINITY and soft < wanted + 100:
            most = wanted + 100 if hard == resource.RLIM_INFINITY else min(hard, wanted + 100)
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory() -> Path | None:
    """Give a folder in memory, if there is one, for the devices' queue files.

    Every real device has a disk of its own; a hundred that share the one on which the gateway syncs
    its log would measure that disk.
    """
    folder = Path("/dev/shm")  # noqa: S108 - a folder is made in it that nobody else can read
    is_usable = folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
    return folder if is_usable and shutil.disk_usage(folder).free >= MEMORY_BYTES_MIN else None


def _drained(ended: "queue.SimpleQueue[Outcome]") -> list[Outcome]:
    outcomes = []
    with contextlib.suppress(queue.Empty):
        while True:
            outcomes.append(ended.get_nowait())
    return outcomes


class _Complaints(logging.Handler):
    """Counts what the SDK logs instead of letting it run through the progress bar."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.counts: Counter[str] = Counter()
        log = logging.getLogger("zuruf")
        log.addHandler(self)
        log.propagate = False

    def emit(self, record: logging.LogRecord) -> None:
        text: Any = record.msg if record.exc_info else record.getMessage()
        if record.exc_info:
            text = f"{text} ({record.exc_info[1]!r})"
        self.counts[str(text)[:WARNING_LENGTH_MAX]] += 1
