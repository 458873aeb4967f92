"""A run on the terminal: a table for each measure, then the budgets."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from loadtests.budgets import Verdict
from loadtests.figures import Figure, Figures
from loadtests.latency import Rounds

_WIDTH_MIN = 120


def console() -> Console:
    """Wide enough for the tables also where there is no terminal."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=_WIDTH_MIN)


def show(out: Console, figures: Figures, verdicts: Sequence[Verdict]) -> None:
    for measure in dict.fromkeys(figure.measure for figure in figures):
        rows = [figure for figure in figures if figure.measure == measure]
        one_figure = len({figure.name for figure in rows}) == 1
        out.print(_ranking(figures, rows) if one_figure else _comparison(figures, rows))
    if verdicts:
        out.print(_budgets(verdicts))
    for note in figures.notes:
        out.print(f"note: {note}", markup=False)


def _comparison(figures: Figures, rows: Sequence[Figure]) -> Table:
    """A row for each figure, a column for each program, then the ratios of the first to the others."""
    targets = list(dict.fromkeys(row.target for row in rows))
    subject, others = targets[0], targets[1:]
    table = _table(rows[0].measure)
    table.add_column("")
    for target in targets:
        table.add_column(target, justify="right")
    for other in others:
        table.add_column(f"{subject} / {other}", justify="right")
    for name in dict.fromkeys(row.name for row in rows):
        known = {row.target: row for row in rows if row.name == name}
        values = [_value(known[target].summary) if target in known else "" for target in targets]
        ratios = [_ratio(figures.ratio(rows[0].measure, name, subject, other)) for other in others]
        unit = next(iter(known.values())).unit
        table.add_row(f"{name}, {unit}", *values, *ratios)
    return table


def _ranking(figures: Figures, rows: Sequence[Figure]) -> Table:
    """A row for each way of doing the same thing."""
    first = rows[0]
    table = _table(first.measure)
    table.add_column("")
    table.add_column(f"{first.name}, {first.unit}", justify="right")
    table.add_column(f"/ {first.target}", justify="right")
    for row in rows:
        ratio = figures.ratio(row.measure, row.name, row.target, first.target)
        table.add_row(row.target, _value(row.summary), "" if row is first else _ratio(ratio))
    return table


def _budgets(verdicts: Sequence[Verdict]) -> Table:
    table = _table("budgets")
    table.add_column("promise")
    table.add_column("bound")
    table.add_column("measured", justify="right")
    table.add_column("")
    for verdict in verdicts:
        budget = verdict.budget
        bound = f"{budget.bound} {number(budget.value)} {budget.unit}"
        if not verdict.known:
            table.add_row(budget.promise, bound, "", "not measured", style="dim")
            continue
        word = "[green]kept[/]" if verdict.kept else "[bold red]missed[/]"
        table.add_row(budget.promise, bound, number(verdict.measured), word)
    return table


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", title_style="bold")


def _value(summary: Rounds) -> str:
    if summary.count < 2:
        return number(summary.median)
    return f"{number(summary.median)} ({number(summary.lowest)}–{number(summary.highest)})"


def _ratio(ratio: Rounds) -> str:
    return _value(ratio) if ratio.count else ""


def number(value: float) -> str:
    if math.isnan(value):
        return "–"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
