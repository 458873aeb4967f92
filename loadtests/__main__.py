"""`python -m loadtests`: a fleet of devices against a gateway; exit code 1 when a budget is missed."""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.table import Table

from loadtests import report, targets
from loadtests.budgets import PATIENCE, ROUTES, RouteBudget, RouteFigures, missed, with_patience
from loadtests.latency import weighted_percentile
from loadtests.shapes import SHAPES
from loadtests.targets import Access, TargetError

_LOCUSTFILE = Path(__file__).with_name("locustfile.py")


def main() -> int:
    options = _options()
    # So that a gateway we started is stopped, also when we are.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="zuruf-load-") as directory:
        target = None
        access = _running(options)
        if access is None:
            print("no gateway is running: starting one of our own")
            try:
                target = targets.start_gateway(Path(directory))
            except TargetError as error:
                print(error, file=sys.stderr)
                return 2
            access = target.access
        try:
            stats = _locust(options, access, Path(directory))
        finally:
            if target:
                target.stop()
    if stats is None:
        print("Locust did not finish", file=sys.stderr)
        return 2
    seen = {_route(entry): _figures(entry) for entry in stats}
    budgets = _budgets(options.shape, access)
    report.console().print(_table(stats, seen, budgets))
    sentences = missed(seen, budgets)
    for sentence in sentences:
        print(f"missed: {sentence}")
    print("budgets missed" if sentences else "all budgets kept")
    return 1 if sentences else 0


def _running(options: argparse.Namespace) -> Access | None:
    """The gateway that is meant or that is there, if it answers."""
    if options.url:
        return Access(options.url, options.publishable_key, options.secret_key)
    if options.credentials.exists():
        access = targets.read_credentials(options.credentials)
        if targets.is_ready(access.url):
            return access
    return None


def _locust(options: argparse.Namespace, access: Access, directory: Path) -> list[Any] | None:
    result = directory / "locust"
    command = [sys.executable, "-m", "locust", "-f", str(_LOCUSTFILE), "--host", access.url]
    command += ["--headless", "--only-summary", "--exit-code-on-error", "0", "--stop-timeout", "5"]
    command += ["--loglevel", "ERROR", "--json-file", str(result)]
    environment = {
        "LOADTESTS_SHAPE": options.shape,
        "LOADTESTS_USERS": str(options.users),
        "LOADTESTS_DURATION_S": str(options.duration),
        "LOADTESTS_PUBLISHABLE_KEY": access.publishable_key,
        "LOADTESTS_SECRET_KEY": access.secret_key,
        "PYTHONPATH": os.pathsep.join(filter(None, [_root(), os.environ.get("PYTHONPATH", "")])),
    }
    print(f"{options.users} devices, {options.shape}, {options.duration:.0f} s, {access.url}")
    subprocess.run(
        command, env={**os.environ, **environment}, check=False, stdout=subprocess.DEVNULL
    )
    written = result.with_suffix(".json")
    return json.loads(written.read_text()) if written.exists() else None


def _figures(entry: Mapping[str, Any]) -> RouteFigures:
    times = {float(ms): count for ms, count in entry["response_times"].items()}
    return RouteFigures(
        requests=entry["num_requests"],
        failures=entry["num_failures"],
        p50_ms=weighted_percentile(times, 0.5),
        p99_ms=weighted_percentile(times, 0.99),
    )


def _route(entry: Mapping[str, Any]) -> str:
    return f"{entry['method'] or ''} {entry['name']}".strip()


def _budgets(shape: str, access: Access) -> dict[str, RouteBudget]:
    budgets = with_patience(ROUTES, PATIENCE[shape])
    if not access.secret_key:  # then there is no journey, and no message can be expected
        del budgets["event to message"]
    return budgets


def _table(
    stats: list[Any], seen: Mapping[str, RouteFigures], budgets: Mapping[str, RouteBudget]
) -> Table:
    table = Table(title="routes", title_justify="left", title_style="bold")
    table.add_column("")
    for column in ("requests", "failed", "per s", "p50 ms", "p99 ms", "budget p50 / p99"):
        table.add_column(column, justify="right")
    for entry in stats:
        route = _route(entry)
        figures = seen[route]
        budget = budgets.get(route)
        seconds = max(entry["last_request_timestamp"] - entry["start_time"], 1)
        table.add_row(
            route,
            f"{figures.requests:,}",
            f"{figures.failures:,}",
            report.number(figures.requests / seconds),
            report.number(figures.p50_ms),
            report.number(figures.p99_ms),
            f"{budget.p50_ms:.0f} / {budget.p99_ms:.0f}" if budget else "",
        )
    return table


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests", description=__doc__)
    parser.add_argument("--shape", choices=SHAPES, default="ramp")
    parser.add_argument("--users", type=int, default=200, help="devices at the peak")
    parser.add_argument("--duration", type=_seconds, default=60.0, help="90, 90s, 15m or 2h")
    parser.add_argument(
        "--credentials",
        type=Path,
        default=Path("data/credentials.json"),
        help="of a running gateway; when it does not answer, one is started",
    )
    parser.add_argument("--url", help="of a gateway elsewhere, with the keys below")
    parser.add_argument("--publishable-key", default="")
    parser.add_argument("--secret-key", default="", help="to measure event to message as well")
    options = parser.parse_args()
    if options.url and not options.publishable_key:
        parser.error("--url needs --publishable-key")
    return options


def _seconds(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"not a duration: {text}")
    return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]]


def _root() -> str:
    return str(Path(__file__).parents[1])


if __name__ == "__main__":
    sys.exit(main())
