"""`--only servers`: the same bare app behind uvicorn and behind granian, two processes each."""

from __future__ import annotations

from pathlib import Path

from loadtests import measures
from loadtests.figures import Figures
from loadtests.latency import spread
from loadtests.measures import Fleet, Plan
from loadtests.serve import SERVERS
from loadtests.targets import start_floor


async def measure(figures: Figures, plan: Plan, rounds: int, directory: Path) -> None:
    targets = [start_floor(directory, server=server) for server in SERVERS]
    fleets = [Fleet(target.access, plan) for target in targets]
    try:
        for number in range(rounds):
            order = list(zip(SERVERS, fleets, strict=True))
            for server, fleet in order[:: -1 if number % 2 else 1]:
                for kind, work in (("upload", measures.upload), ("poll", measures.poll)):
                    run = await work(fleet)
                    took = spread(run.latencies)
                    name = f"servers, {kind}"
                    figures.add(name, "rate", server, "requests/s", run.per_s, number)
                    figures.add(name, "p99", server, "ms", took.p99_ms, number)
                    if run.usage:
                        each = run.usage.target_s / len(run.latencies) * 1e6
                        figures.add(name, "server CPU", server, "µs each", each, number)
    finally:
        for target in targets:
            target.stop()
