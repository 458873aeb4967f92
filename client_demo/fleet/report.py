"""What the demo says on the terminal."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rich import box
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from client_demo.fleet.journeys import BIG_AMOUNT, THANKS_MAX
from client_demo.fleet.tally import Tally, histogram, percentile
from client_demo.fleet.verify import WRONG_SHOWN_MAX, Story, Verdict

EDGES_MS = (5, 10, 20, 50, 100, 200, 500, 1000)
BAR_WIDTH = 14
SHARE_WIDTH = 9
WARNINGS_SHOWN_MAX = 5
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_GATES = {
    "sent": "got a thank-you",
    "limit": f"did not: {THANKS_MAX} thanks are enough",
    "cooldown": "did not: too soon after the last",
    "max_age": "did not: too late",
    "inbox": "did not: the inbox was full",
}


@dataclass(slots=True)
class Result:
    """Everything that came out."""

    tally: Tally
    seconds: float
    counted: Mapping[str, int]
    verdict: Verdict
    story: Story | None = None
    warnings: Counter[str] = field(default_factory=Counter)
    is_complete: bool = True
    is_gateway_ours: bool = True

    def problems(self) -> list[str]:
        """Say in words what is wrong; nothing if everything arrived exactly once."""
        tally, found = self.tally, []
        if tally.unsent:
            found.append(f"{tally.unsent:,} events were still on the devices when the apps closed")
        found += [f"{lives:,} lives ended early: {error}" for error, lives in tally.errors.items()]
        found += [
            f"the SDK dropped {number:,} events: {why}" for why, number in tally.dropped.items()
        ]
        if tally.awaited:
            found.append(f"{tally.awaited:,} messages did not come within the time a person waits")
        stored = self.counted["events_accepted"] + self.counted["events_duplicate"]
        # Others may use a gateway that was running before; of one of ours we know everything.
        if stored < tally.acknowledged or (self.is_gateway_ours and stored > tally.acknowledged):
            found.append(
                f"the gateway counts {stored:,} events, the devices were told of "
                f"{tally.acknowledged:,}"
            )
        wrong = self.verdict.wrong
        found += wrong[:WRONG_SHOWN_MAX]
        if len(wrong) > WRONG_SHOWN_MAX:
            found.append(f"… and {len(wrong) - WRONG_SHOWN_MAX:,} profiles more")
        return found


def progress(console: Console) -> Progress:
    """Make the bar that is shown while customers live."""
    return Progress(
        SpinnerColumn("dots"),
        TextColumn("{task.description}"),
        BarColumn(bar_width=None, complete_style="cyan", finished_style="green"),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f}"),
        TextColumn("[dim]{task.fields[note]}"),
        TimeRemainingColumn(compact=True),
        console=console,
        transient=True,
        expand=True,
    )


def note(tally: Tally, recent_ms: Sequence[float]) -> str:
    """Say in a few words how things go."""
    words = [f"{tally.acknowledged:,} events"]
    middle = percentile(recent_ms, 0.5)
    if middle is not None:
        words.append(f"message after {middle:.0f} ms")
    return " · ".join(words)


def show(console: Console, result: Result) -> None:
    """Print what came out."""
    console.print(_columns(_numbers(result), _latency(result.tally)))
    console.print(_verdict(result))


def _columns(*parts: RenderableType) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    for _ in parts:
        grid.add_column()
    grid.add_row(*parts)
    return grid


def _numbers(result: Result) -> RenderableType:
    tally, counted = result.tally, result.counted
    table = Table(box=None, show_header=False, padding=(0, 1, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(style="cyan", no_wrap=True)

    def row(name: str, value: float, rest: str = "", style: str = "bold") -> None:
        table.add_row(name, Text(f"{value:,.0f}", style), rest)

    row("customers", tally.lives)
    for kind, name in (("phone", "  phones"), ("tablet", "  tablets"), ("tv", "  televisions")):
        number = tally.form_factors[kind]
        row(name, number, bar(number, tally.lives, SHARE_WIDTH), "")
    row("purchases", tally.purchases)
    rejected = counted.get("events_rejected", 0)
    row("events", tally.acknowledged + tally.unsent + sum(tally.dropped.values()))
    row("  accepted", counted["events_accepted"], style="green")
    row("  duplicates", counted["events_duplicate"], style="")
    row("  rejected", rejected, style="red" if rejected else "")
    row("uploads", counted["uploads"], f"{counted['uploads'] / result.seconds:,.0f}/s")
    per_s = tally.acknowledged / result.seconds
    row("events/s", per_s, f"for {result.seconds:,.0f} s")
    row("messages", sum(tally.messages.values()))
    for name, number in tally.messages.most_common():
        row(f"  {name.removeprefix('Demo: ')}", number, "", "")
    row("  clicked", tally.clicked, "", "")
    if tally.reopened:
        row("apps reopened", tally.reopened, "to send", "")
    return Panel(table, title="the fleet", border_style="dim", box=box.ROUNDED)


def _latency(tally: Tally) -> RenderableType:
    values = tally.latencies_ms
    table = Table(box=None, show_header=False, padding=(0, 1, 0, 0))
    table.add_column(justify="right", style="dim", no_wrap=True)
    table.add_column(style="cyan", no_wrap=True, width=BAR_WIDTH)
    table.add_column(justify="right", no_wrap=True)
    counts = histogram(values, EDGES_MS)
    names = [f"≤ {edge:,} ms" for edge in EDGES_MS] + [f"> {EDGES_MS[-1]:,} ms"]
    rows = [index for index, count in enumerate(counts) if count]
    for index in range(min(rows, default=0), max(rows, default=-1) + 1):
        table.add_row(
            names[index], bar(counts[index], max(counts), BAR_WIDTH), f"{counts[index]:,}"
        )
    summary = Text()
    for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0)):
        value = percentile(values, share)
        summary.append(f"{name} ", "dim")
        summary.append("– " if value is None else f"{value:,.0f} ", "bold green")
    summary.append("ms", "dim")
    explained = Text(
        "from track() in the app\nto the message in its callback",
        "dim",
    )
    return Panel(
        Group(table, Text(), summary, explained),
        title="purchase → message",
        border_style="dim",
        box=box.ROUNDED,
    )


def _verdict(result: Result) -> RenderableType:
    lines: list[Text] = []
    told = result.story
    if told is not None and told.decisions:
        lines.append(
            Text.assemble(
                ("why? ", "bold"),
                f"{told.user_id} placed {told.purchases:,} orders, {told.big_orders:,} of "
                f"${BIG_AMOUNT} and more: ",
                ", ".join(
                    f"{number:,} {_GATES.get(gate, gate)}"
                    for gate, number in told.decisions.items()
                ),
            )
        )
    for text, number in result.warnings.most_common(WARNINGS_SHOWN_MAX):
        lines.append(Text.assemble(("the SDK logged ", "yellow"), f"{number:,} × {text}"))
    problems = result.problems()
    lines += [Text.assemble(("✗ ", "bold red"), problem) for problem in problems]
    if not problems:
        verdict = result.verdict
        lines.append(
            Text.assemble(
                ("✓ every purchase arrived exactly once", "bold green"),
                f": checked {verdict.profiles:,} profiles, {verdict.purchases:,} purchases, "
                f"{verdict.events:,} events",
            )
        )
    if not result.is_complete:
        lines.append(Text("stopped early, as you asked: these are the lives that had begun", "dim"))
    return Text("\n").join(lines)


def bar(value: float, most: float, width: int) -> str:
    """Draw a bar, exact to an eighth of a character; what is not nothing can be seen."""
    if value <= 0 or most <= 0:
        return ""
    eighths = max(1, round(value / most * width * 8))
    full, rest = divmod(eighths, 8)
    return "█" * full + (_EIGHTHS[rest] if rest else "")
