"""What came of a run, for people and for machines: a table on the terminal, Markdown, JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.conformance.adapter import Port
from tests.conformance.runner import Outcome, Result

SIGNS: Mapping[Outcome, str] = {"passed": "✓", "failed": "✗", "not offered": "–"}
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"


@dataclass(frozen=True)
class PortRun:
    """All results of one port."""

    port: Port
    results: Sequence[Result]
    seconds: float

    @property
    def has_failed(self) -> bool:
        return any(one.outcome == "failed" for one in self.results)


def counts(results: Iterable[Result]) -> Counter[Outcome]:
    """Count outcomes."""
    return Counter(one.outcome for one in results)


def by_file(runs: Sequence[PortRun]) -> dict[tuple[str, str], list[Counter[Outcome]]]:
    """Give the counts of each file, port by port: (tier, file) → counts."""
    files = dict.fromkeys((one.tier, one.file) for run in runs for one in run.results)
    return {
        (tier, file): [
            counts(one for one in run.results if (one.tier, one.file) == (tier, file))
            for run in runs
        ]
        for tier, file in files
    }


def told(found: Counter[Outcome]) -> str:
    """Say counts in a cell of a table."""
    parts = [f"{found['passed']} of {found.total()}"]
    if found["failed"]:
        parts.append(f"{found['failed']} failed")
    if found["not offered"]:
        parts.append(f"{found['not offered']} not offered")
    if found["not offered"] == found.total():
        return "not offered"
    return ", ".join(parts)


def summary_table(runs: Sequence[PortRun]) -> str:
    """Give the table of files and ports, as Markdown."""
    ports = [run.port for run in runs]
    lines = [
        f"| tier | file | cases | {' | '.join(port.name for port in ports)} |",
        f"| --- | --- | --- |{' --- |' * len(ports)}",
    ]
    for (tier, file), found in by_file(runs).items():
        cells = " | ".join(told(one) for one in found)
        lines.append(f"| {tier} | `{file}` | {found[0].total()} | {cells} |")
    totals = [counts(run.results) for run in runs]
    cells = " | ".join(f"**{told(one)}**" for one in totals)
    lines.append(f"| | **all** | **{totals[0].total()}** | {cells} |")
    return "\n".join(lines)


def matrix(runs: Sequence[PortRun]) -> str:
    """Give every case and every port, as Markdown."""
    lines = [f"| case | {' | '.join(run.port.name for run in runs)} |"]
    lines.append(f"| --- |{' --- |' * len(runs)}")
    outcomes = [{(one.file, one.case): one.outcome for one in run.results} for run in runs]
    for tier, file, case in dict.fromkeys(
        (one.tier, one.file, one.case) for run in runs for one in run.results
    ):
        cells = [SIGNS[found[file, case]] if (file, case) in found else "" for found in outcomes]
        lines.append(f"| {tier} · {file} · {case.replace('|', '¦')} | {' | '.join(cells)} |")
    return "\n".join(lines)


def as_json(spec: str, runs: Sequence[PortRun]) -> str:
    """Give everything, for machines."""
    document: dict[str, Any] = {
        "spec": spec,
        "ports": [
            {
                "name": run.port.name,
                "version": run.port.version,
                "language": run.port.language,
                "spec": run.port.spec,
                "capabilities": sorted(run.port.capabilities),
                "seconds": round(run.seconds, 1),
                "totals": dict(counts(run.results)),
                "results": [asdict(one) for one in run.results],
            }
            for run in runs
        ],
    }
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


def write(folder: Path, spec: str, runs: Sequence[PortRun]) -> None:
    """Write `conformance.json` and `conformance.md` into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "conformance.json").write_text(as_json(spec, runs))
    ports = "\n".join(
        f"- {run.port.name} {run.port.version} ({run.port.language}), specification {run.port.spec}, "
        f"{run.seconds:.0f} s"
        for run in runs
    )
    (folder / "conformance.md").write_text(
        f"# Conformance, specification {spec}\n\n{ports}\n\n"
        f"{summary_table(runs)}\n\n## Every case\n\n{matrix(runs)}\n"
    )


def put_into_page(page: Path, runs: Sequence[PortRun]) -> None:
    """Replace the table of a page."""
    text = page.read_text()
    head, rest = text.split(BEGIN)
    _, tail = rest.split(END)
    page.write_text(f"{head}{BEGIN}\n{summary_table(runs)}\n{END}{tail}")
