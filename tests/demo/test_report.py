import io
from collections import Counter

from rich.console import Console

from client_demo.fleet.report import Result, bar, show
from client_demo.fleet.tally import Outcome, Tally
from client_demo.fleet.verify import Story, Verdict


def a_result(*, accepted: int = 9, wrong: list[str] | None = None, **fields: object) -> Result:
    tally = Tally()
    tally.add(
        Outcome(
            "u1",
            "tv",
            "webos",
            tracked=Counter(purchase=2),
            acknowledged=9,
            latencies_ms=[("Demo: welcome", 4.0), ("Demo: thank-you", 1_234.0)],
        )
    )
    result = Result(
        tally,
        seconds=1.0,
        counted=Counter(events_accepted=accepted, uploads=3),
        verdict=Verdict(profiles=1, purchases=2, events=9, wrong=wrong or []),
        story=Story("u1", 2, 1, {"sent": 1, "cooldown": 2}),
    )
    for name, value in fields.items():
        setattr(result, name, value)
    return result


def shown(result: Result) -> str:
    terminal = io.StringIO()
    show(Console(file=terminal, width=80), result)
    return terminal.getvalue()


def test_the_report_says_that_everything_arrived_and_why_not_every_message_was_sent() -> None:
    text = " ".join(shown(a_result()).split())
    assert "✓ every purchase arrived exactly once: checked 1 profiles, 2 purchases, 9" in text
    assert "1 got a thank-you, 2 did not: too soon after the last" in text
    assert "p50 4 p90 1,234 p99 1,234 max 1,234 ms" in text


def test_the_report_fits_a_terminal_of_80_columns() -> None:
    result = a_result(accepted=292_123, seconds=513.0)
    result.tally.lives = result.tally.purchases = result.tally.acknowledged = 292_123
    result.tally.form_factors["phone"] = 292_000
    result.tally.latencies_ms += [2.0, 1_000.0, 2_252.0, 31_000.0] * 30_000
    result.tally.reopened = 1_000
    text = shown(result)
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text


def test_what_is_wrong_takes_the_place_of_the_good_news() -> None:
    text = shown(a_result(wrong=[f"u{number}: lost" for number in range(9)]))
    assert "u4: lost" in text
    assert "u5: lost" not in text
    assert "and 4 profiles more" in text
    assert "exactly once" not in text


def test_everything_that_got_lost_is_a_problem() -> None:
    result = a_result()
    result.tally.unsent = 3
    result.tally.awaited = 1
    result.tally.dropped["queue_overflow"] = 2
    result.tally.errors["OSError: no"] = 1
    assert len(result.problems()) == 4


def test_the_gateway_may_serve_others_too_but_never_count_less() -> None:
    assert a_result(accepted=10, is_gateway_ours=False).problems() == []
    assert len(a_result(accepted=8, is_gateway_ours=False).problems()) == 1
    assert len(a_result(accepted=10).problems()) == 1


def test_what_is_not_nothing_can_be_seen() -> None:
    assert bar(0, 10, 8) == ""
    assert bar(1, 1_000_000, 8) == "▏"
    assert bar(10, 10, 8) == "█" * 8
    assert bar(5, 0, 8) == ""


def test_a_report_of_nothing_can_be_printed() -> None:
    empty = Result(Tally(), seconds=0.1, counted=Counter(), verdict=Verdict())
    assert "customers" in shown(empty)
