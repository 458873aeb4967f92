"""`python -m tests.conformance`: runs the kit against adapters and says what came of it."""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Table

from tests.conformance.adapter import ROOT, AdapterError
from tests.conformance.ports import known_ports
from tests.conformance.report import PortRun, by_file, counts, put_into_page, told, write
from tests.conformance.runner import Result, Runner
from tests.conformance.scripts import (
    Vector,
    WireScript,
    read_vectors,
    read_wire_scripts,
    spec_version,
)

PAGE = ROOT / "docs" / "conformance.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the kit. 0: nothing failed; 1: something did; 2: nothing could be run."""
    asked = _parser().parse_args(arguments)
    console = Console()
    commands = [tuple(shlex.split(one)) for one in asked.adapter] or list(known_ports().values())
    runs = []
    for command in commands:
        try:
            runs.append(_run(command, asked.only, console))
        except AdapterError as error:
            console.print(f"[red]{escape(shlex.join(command))}: {escape(str(error))}[/]")
            return 2
    if not any(run.results for run in runs):
        console.print(f"[red]nothing has {escape(repr(asked.only))} in its file or name[/]")
        return 2
    console.print(_table(runs))
    if asked.report is not None:
        write(asked.report, spec_version(), runs)
    if asked.page:
        put_into_page(PAGE, runs)
    return int(any(run.has_failed for run in runs))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument(
        "--adapter",
        action="append",
        default=[],
        metavar="COMMAND",
        help="how to start an adapter; may be repeated (default: the ports kept here)",
    )
    parser.add_argument("--only", metavar="TEXT", help="only cases with this in file or name")
    parser.add_argument(
        "--report", type=Path, metavar="FOLDER", help="write conformance.json and conformance.md"
    )
    parser.add_argument(
        "--page", action="store_true", help="put the result into docs/conformance.md"
    )
    return parser


def _run(command: Sequence[str], only: str | None, console: Console) -> PortRun:
    begun_s = time.perf_counter()
    runner = Runner(command)
    try:
        console.rule(f"{runner.port.name} {runner.port.version}, {runner.port.language}")
        results = list(_results(runner, only, console))
    finally:
        runner.close()
    return PortRun(runner.port, results, time.perf_counter() - begun_s)


def _results(runner: Runner, only: str | None, console: Console) -> Iterator[Result]:
    files: list[Vector | WireScript] = [*read_vectors(), *read_wire_scripts()]
    for file in track(files, runner.port.name, console=console, transient=True):
        found = (
            runner.run_vector(file, only)
            if isinstance(file, Vector)
            else runner.run_script(file, only)
        )
        for result in found:
            _say(result, console)
            yield result


def _say(result: Result, console: Console) -> None:
    if result.outcome == "failed":
        console.print(f"[red]✗ {escape(result.file)}: {escape(result.case)}[/]")
        console.print(escape(result.why), style="dim", highlight=False)


def _table(runs: Sequence[PortRun]) -> Table:
    table = Table(header_style="bold", box=None)
    for heading in ("tier", "file", *(run.port.name for run in runs)):
        table.add_column(heading)
    for (tier, file), found in by_file(runs).items():
        cells = [f"[{'red' if one['failed'] else 'green'}]{told(one)}[/]" for one in found]
        table.add_row(tier, file, *cells)
    totals = [f"{told(counts(run.results))} in {run.seconds:.0f} s" for run in runs]
    table.add_row("", "all", *totals, style="bold")
    return table


if __name__ == "__main__":
    sys.exit(main())
