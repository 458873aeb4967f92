"""`python -m loadtests.bench`: the gateway, its twin and the floor, side by side in one run.

Rounds are interleaved and start with another program each time; ratios are taken within a round, so
that whatever else the machine did then, it did to all of them.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import math
import os
import random
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import uvloop

from loadtests import bench_decode, bench_servers, bench_store, budgets, machine, measures, report
from loadtests.client import Run
from loadtests.figures import Figures
from loadtests.latency import Spread, spread
from loadtests.measures import Fleet, MeasureError, Plan
from loadtests.targets import Target, TargetError, start_floor, start_gateway, start_twin

MEASURES = ("upload", "upload-gzip", "upload-react", "poll", "latency", "react", "held")
ASIDES = ("servers", "store", "decode")
_NEIGHBOURS_MAX = 15.0  # per cent
RESULTS = Path(__file__).parent / "results" / "bench.json"


def main() -> int:
    options = _options()
    raise_open_files()
    # So that what was started is stopped, also when we are.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="zuruf-bench-", dir=options.dir) as directory:
        bench = Bench(options, Path(directory))
        try:
            uvloop.run(bench.run())
        finally:
            bench.stop()
    verdicts = budgets.judge(bench.figures.for_budgets(), _budgets(options.quick))
    report.show(bench.console, bench.figures, verdicts if set(options.only) & set(MEASURES) else ())
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(_saved(options, bench.figures, verdicts), indent=2) + "\n")
    bench.console.print(f"saved as {options.out}")
    missed = [verdict for verdict in verdicts if verdict.known and not verdict.kept]
    return 1 if missed and options.strict else 0


class Bench:
    """One run: starts what is to be measured, measures it in turns, stops it."""

    def __init__(self, options: argparse.Namespace, directory: Path) -> None:
        self.console = report.console()
        self.figures = Figures()
        self._only: list[str] = options.only
        self._rounds: int = options.rounds
        self._skip: list[str] = options.skip
        self._plan = Plan.quick() if options.quick else Plan()
        self._directory = directory
        self._targets: list[Target] = []
        self._fleets: list[Fleet] = []

    async def run(self) -> None:
        about = machine.describe()
        self.console.print(
            f"{about['cores']} cores, {about['processor']}, {about['memory_gib']} GiB, "
            f"{about['system']}, Python {about['python']}; "
            "the load generator is one process on the same cores"
        )
        if {"upload", "upload-gzip", "upload-react", "poll", "latency"} & set(self._only):
            self._start()
            await self._side_by_side()
            self._note_neighbours()
            if "latency" in self._only:
                await self._guarded("latency", self._latency)
            self.stop()
        if "react" in self._only:
            await self._guarded("react", self._react)
        if "held" in self._only:
            await self._guarded("held", self._held)
        for name, aside in (
            ("servers", bench_servers.measure),
            ("store", bench_store.measure),
            ("decode", bench_decode.measure),
        ):
            if name in self._only:
                self.console.print(f"[dim]{name}[/]")
                await aside(self.figures, self._plan, self._rounds, self._directory)

    def stop(self) -> None:
        for target in self._targets:
            target.stop()
        self._targets.clear()

    def _start(self) -> None:
        starts: dict[str, Callable[[], Target]] = {
            "gateway": lambda: start_gateway(self._directory),
            "twin": lambda: start_twin(self._directory),
            "floor": lambda: start_floor(self._directory),
        }
        for name, start in starts.items():
            if name in self._skip:
                continue
            try:
                target = start()
            except TargetError as error:
                self.figures.notes.append(f"{name} was left out: {error}")
                continue
            self._targets.append(target)
            self._fleets.append(Fleet(target.access, self._plan))

    async def _side_by_side(self) -> None:
        bodies: list[bytes] = []
        kinds: dict[str, Callable[[Fleet], Awaitable[Run]]] = {
            "upload": measures.upload,
            "upload-gzip": lambda fleet: measures.upload_compressed(fleet, bodies),
            "upload-react": measures.upload,
            "poll": measures.poll,
        }
        source = random.Random(self._plan.seed)
        for number in range(self._rounds):
            for kind, measure in kinds.items():
                if kind not in self._only:
                    continue
                if kind == "upload-gzip":
                    bodies = measures.stock(source, int(self._plan.seconds * 8_000))
                turn = number % len(self._fleets) if self._fleets else 0
                for fleet in self._fleets[turn:] + self._fleets[:turn]:
                    if kind == "upload-react" and fleet.access.name != "gateway":
                        continue
                    await self._throughput(kind, measure, fleet, number)

    def _note_neighbours(self) -> None:
        shares = [each.summary.highest for each in self.figures if each.name == "others"]
        if max(shares, default=0.0) > _NEIGHBOURS_MAX:
            self.figures.notes.append(
                f"others used up to {max(shares):.0f} % of the machine: compare the rates by CPU, "
                "which hardly depend on that, and measure latency again when it is quiet"
            )

    async def _throughput(
        self, kind: str, measure: Callable[[Fleet], Awaitable[Run]], fleet: Fleet, number: int
    ) -> None:
        name = fleet.access.name
        # Nobody reads the twin's log: while the two are compared, nobody reads the gateway's.
        alone = name == "gateway" and kind in {"upload", "upload-gzip"}
        try:
            with measures.paused(fleet.access, "worker") if alone else contextlib.nullcontext():
                run = await measure(fleet)
        except (MeasureError, OSError) as error:
            self.figures.notes.append(f"{kind}, {name}, round {number + 1}: {error}")
            return
        settled_s = await measures.settle(fleet.access)
        self._add_run(kind, name, number, run)
        if kind == "upload-react":
            self.figures.add(kind, "caught up after", name, "s", settled_s, number)
        self.console.print(
            f"[dim]round {number + 1}[/] {kind:<11} {name:<8} {run.per_s:>10,.0f}/s   "
            f"others used {run.usage.other_share if run.usage else 0:.0%} of the machine"
        )

    def _add_run(self, kind: str, name: str, number: int, run: Run) -> None:
        add = self.figures.add
        unit = "polls/s" if kind == "poll" else "batches/s"
        add(kind, "rate", name, unit, run.per_s, number)
        took = spread(run.latencies)
        add(kind, "p50", name, "ms", took.p50_ms, number)
        add(kind, "p99", name, "ms", took.p99_ms, number)
        if run.usage and run.latencies:
            requests = len(run.latencies)
            each_s = (run.usage.target_s + run.usage.client_s) / requests
            alone = (os.cpu_count() or 1) / each_s if each_s else math.nan
            add(kind, "rate by CPU", name, unit, alone, number)
            add(kind, "server CPU", name, "µs each", run.usage.target_s / requests * 1e6, number)
            add(kind, "client CPU", name, "µs each", run.usage.client_s / requests * 1e6, number)
            for role, used_s in sorted(run.usage.by_role.items()):
                if role != "app" and used_s > 0.02 * run.usage.target_s:
                    add(kind, f"CPU of {role}", name, "µs each", used_s / requests * 1e6, number)
            add(kind, "others", name, "% of CPU", run.usage.other_share * 100, number)

    async def _latency(self) -> None:
        fleet = next((known for known in self._fleets if known.access.name == "gateway"), None)
        if fleet is None:
            return
        await measures.create_trigger(fleet.access)
        at_most = self.figures.median("upload-react", "rate", "gateway")
        if not at_most > 0:
            at_most = (await measures.upload(fleet)).per_s
            await measures.settle(fleet.access)
        for number in range(self._rounds):
            for measure, share in (
                ("latency-light", 0.0),
                ("latency-30", 0.3),
                ("latency-half", 0.5),
            ):
                await self._one_latency(fleet, measure, share * at_most, number)

    async def _one_latency(self, fleet: Fleet, measure: str, per_s: float, number: int) -> None:
        load = await measures.start_uploads(fleet, per_s=per_s) if per_s else None
        background = None
        try:
            if load:
                await asyncio.sleep(1)
                background = asyncio.ensure_future(load.measure(3600, fleet.access.roots))
            delivery = await measures.event_to_message(fleet, self._plan.samples)
        finally:
            if load:
                await load.stop()
        add = self.figures.add
        self._add_spread(measure, "", delivery.message, number)
        add(measure, "upload ack p50", "gateway", "ms", delivery.acknowledged.p50_ms, number)
        add(measure, "upload ack p99", "gateway", "ms", delivery.acknowledged.p99_ms, number)
        add(measure, "lost", "gateway", "messages", delivery.lost, number)
        if background:
            run = await background
            add(measure, "beside it", "gateway", "batches/s", run.per_s, number)
        await measures.settle(fleet.access)
        self.console.print(
            f"[dim]round {number + 1}[/] {measure:<14} p50 {delivery.message.p50_ms:.2f} ms, "
            f"p99 {delivery.message.p99_ms:.2f} ms, beside {per_s:,.0f} batches/s"
        )

    async def _react(self) -> None:
        """200 rules: five of them for an event, and fifty, which is what no index can spare."""
        for measure, names in (("react", 40), ("react-dense", 4)):
            target = start_gateway(self._directory)
            self._targets.append(target)
            fleet = Fleet(target.access, self._plan)
            await measures.create_rules(target.access, 200, names)
            for number in range(self._rounds):
                try:
                    seen = await measures.reactions(fleet)
                except MeasureError as error:
                    self.figures.notes.append(f"{measure}, round {number + 1}: {error}")
                    break
                add = self.figures.add
                add(measure, "rate", "gateway", "events/s", seen.per_s, number)
                add(
                    measure, "worker CPU", "gateway", "µs an event", seen.worker_us_an_event, number
                )
                add(measure, "backlog", "gateway", "events", seen.events, number)
                self.console.print(
                    f"[dim]round {number + 1}[/] {measure:<11} {seen.per_s:>19,.0f} events/s"
                )
                await measures.settle(target.access)
            self.stop()

    async def _held(self) -> None:
        target = start_gateway(self._directory, edges=1)
        self._targets.append(target)
        fleet = Fleet(target.access, self._plan)
        await measures.create_trigger(target.access)
        held = await measures.held_polls(fleet, self._plan.held_polls)
        add = self.figures.add
        add("held", "polls", "gateway", "polls", held.polls)
        add("held", "memory", "gateway", "KiB", held.bytes_a_poll / 1024)
        add("held", "edge process", "gateway", "MiB", held.process_bytes / 1024**2)
        self._add_spread("held", "wake-up ", held.wake_up, 0)
        add("held", "lost", "gateway", "messages", held.lost)
        self.stop()

    def _add_spread(self, measure: str, prefix: str, took: Spread, number: int) -> None:
        add = self.figures.add
        add(measure, f"{prefix}p50", "gateway", "ms", took.p50_ms, number)
        add(measure, f"{prefix}p90", "gateway", "ms", took.p90_ms, number)
        add(measure, f"{prefix}p99", "gateway", "ms", took.p99_ms, number)
        add(measure, f"{prefix}max", "gateway", "ms", took.max_ms, number)

    async def _guarded(self, name: str, measure: Callable[[], Awaitable[None]]) -> None:
        if "gateway" in self._skip:
            return
        try:
            await measure()
        except (MeasureError, TargetError, OSError) as error:
            said = [each.last_words for each in self._targets if each.access.name == "gateway"]
            self.figures.notes.append("\n".join([f"{name} was not measured: {error}", *said]))
            self.stop()


def raise_open_files() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes; noisy")
    parser.add_argument("--rounds", type=int, default=0, help="default 5, with --quick 2")
    parser.add_argument(
        "--only", type=_names, default=list(MEASURES), help=f"of {','.join(MEASURES + ASIDES)}"
    )
    parser.add_argument("--skip", type=_names, default=[], help="of gateway,twin,floor")
    parser.add_argument("--servers", action="store_true", help="also compare ASGI servers")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--dir", type=Path, help="where data is written; default: temporary files")
    parser.add_argument("--strict", action="store_true", help="exit code 1 when a budget is missed")
    options = parser.parse_args()
    unknown = set(options.only) - {*MEASURES, *ASIDES}
    if unknown:
        parser.error(f"unknown measures: {', '.join(sorted(unknown))}")
    if options.servers:
        options.only.append("servers")
    options.rounds = options.rounds or (2 if options.quick else 5)
    return options


def _budgets(quick: bool) -> list[budgets.Budget]:
    # A quick run holds few polls, which then carry all of what a process needs anyway.
    return [each for each in budgets.BENCH if not (quick and each.figure.startswith("held."))]


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _saved(
    options: argparse.Namespace, figures: Figures, verdicts: Sequence[budgets.Verdict]
) -> dict[str, object]:
    return {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": machine.describe(),
        "load_generator": "one process on the same cores",
        "rounds": options.rounds,
        "quick": options.quick,
        "figures": figures.as_json(),
        "budgets": [
            {
                "promise": verdict.budget.promise,
                "figure": verdict.budget.figure,
                "bound": f"{verdict.budget.bound} {verdict.budget.value} {verdict.budget.unit}",
                "measured": verdict.measured if verdict.known else None,
                "kept": verdict.kept if verdict.known else None,
            }
            for verdict in verdicts
        ],
        "notes": figures.notes,
    }


if __name__ == "__main__":
    sys.exit(main())
