"""What the SDK may cost an app, and what it costs here: `python -m tests.sdk.budgets`.

Exit code 1 when a budget is missed. Each number is the best of a few rounds: other work on the machine
can only make it worse.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.sdk.scripted_gateway import ScriptedGateway, a_gateway, problem
from zuruf import Config, Zuruf

ROUNDS = 5
QUEUED = 10_000
CALLS = 5_000
FILLING_S_MAX = 30.0
PROPS = {"sku": "A-1", "price": 12.5, "currency": "EUR", "tags": ["new", "sale"], "amount": 3}


class Budget(NamedTuple):
    """A cost and its limit; without a limit it is only told."""

    what: str
    cost: float
    limit: float | None
    unit: str

    @property
    def is_kept(self) -> bool:
        return self.limit is None or self.cost < self.limit

    def __str__(self) -> str:
        limit = "" if self.limit is None else f"   (budget {self.limit:g} {self.unit})"
        return f"{self.what:<58} {self.cost:9.2f} {self.unit}{limit}"


def import_ms() -> float:
    """`import zuruf` in a new interpreter."""
    # Time of this process only: reading 60 small files waits for nothing.
    script = "import time; t = time.process_time(); import zuruf; print(time.process_time() - t)"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout) * 1000


@contextmanager
def a_client(gateway: ScriptedGateway, **settings: object) -> Iterator[Zuruf]:
    with tempfile.TemporaryDirectory() as directory:
        config: dict[str, object] = {
            "endpoint": gateway.url,
            "publishable_key": "pk",
            "storage_dir": Path(directory),
            **settings,
        }
        client = Zuruf(Config(**config))  # type: ignore[arg-type]
        try:
            yield client
        finally:
            client.shutdown(timeout_s=0)


def start_ms(gateway: ScriptedGateway) -> float:
    """`start()` of a client that was just made."""
    with a_client(gateway) as client:
        return timed(client.start) * 1000


def timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def fill(client: Zuruf) -> None:
    for _ in range(QUEUED):
        client.track("filler", PROPS)
    ends_at = time.monotonic() + FILLING_S_MAX
    while client.diagnostics().queue_events < QUEUED:
        assert time.monotonic() < ends_at, client.diagnostics()
        time.sleep(0.01)


def track_us(gateway: ScriptedGateway) -> tuple[float, float]:
    """`track()` with a full queue beside a worker that saves and drops all the time: median, p99."""
    gateway.always("POST /v1/events", problem(503, "overloaded", retry_after=60))
    with a_client(gateway) as client:
        fill(client)
        costs = [timed(lambda: client.track("measured", PROPS)) for _ in range(CALLS)]
    gateway.always("POST /v1/events", None)
    return statistics.median(costs) * 1e6, statistics.quantiles(costs, n=100)[98] * 1e6


def memory_mb(gateway: ScriptedGateway) -> float:
    """What a client with a full queue has taken, file caches included. Measured in a process of its own."""
    gateway.always("POST /v1/events", problem(503, "overloaded", retry_after=60))
    done = subprocess.run(
        [sys.executable, "-m", "tests.sdk.budgets", "memory", gateway.url],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)


def measure_memory(url: str) -> None:
    before = resident_mb()
    with tempfile.TemporaryDirectory() as directory:
        client = Zuruf(
            Config(
                endpoint=url, publishable_key="pk", storage_dir=Path(directory), flush_at=100_000
            )
        )
        fill(client)
        after = resident_mb()
        client.shutdown(timeout_s=0)
    print(after - before)  # noqa: T201 - the parent reads it


def resident_mb() -> float:
    pages = Path("/proc/self/statm")
    if not pages.exists():
        return 0.0
    return int(pages.read_text().split()[1]) * resource.getpagesize() / 1024 / 1024


def budgets(rounds: int = ROUNDS) -> list[Budget]:
    """Measure everything."""
    with a_gateway() as gateway:
        tracks = [track_us(gateway) for _ in range(min(rounds, 3))]
        return [
            Budget("import zuruf", min(import_ms() for _ in range(rounds)), 100, "ms"),
            Budget("start()", min(start_ms(gateway) for _ in range(rounds)), 1, "ms"),
            Budget("track(), median, 10,000 queued", min(one[0] for one in tracks), None, "µs"),
            Budget("track(), p99, 10,000 queued", min(one[1] for one in tracks), 50, "µs"),
            Budget("threads of a client that receives nothing", threads(gateway), 3, ""),
            Budget("memory of a client with 10,000 queued (Linux)", memory_mb(gateway), None, "MB"),
        ]


def threads(gateway: ScriptedGateway) -> int:
    """How many threads a client has started that only records."""
    with a_client(gateway) as client:
        client.track("once")
        client.flush()
        return sum(one.name.startswith("zuruf-") for one in threading.enumerate())


def main() -> int:
    found = budgets()
    print(*found, sep="\n")  # noqa: T201 - a command
    return 0 if all(budget.is_kept for budget in found) else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["memory"]:
        measure_memory(sys.argv[2])
        sys.exit(0)
    sys.exit(main())
