from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from gateway.journeys.model import (
    Draft,
    Journey,
    LiveJourney,
    Standing,
    cause_id,
    decide,
    index_live,
    message_id_of,
    profile_id_of_message,
)
from tests.builders import NOW, a_journey, a_leaf

PROFILE = "5a" * 16


def stored(id: str = "jny_1", app_id: str = "app1", **fields: Any) -> Journey:
    draft = msgspec.convert(a_journey(**fields), Draft)
    return Journey(id, app_id, 1, NOW, NOW, draft)


def a_live(**limits: int) -> LiveJourney:
    (starters,) = index_live([stored(limits=limits)], {}).values()
    return starters.journeys[0]


def verdict(
    journey: LiveJourney,
    standing: Standing | None = None,
    *,
    at: int = NOW,
    now: int = NOW,
    room: bool = True,
    messaging: bool | None = None,
) -> str:
    """`sent`, or the gate that stopped it."""
    gates = decide(journey, standing or Standing(), at, now, room=room, messaging=messaging)
    assert all(gate.passed for gate in gates[:-1]), "the first gate that fails is the last"
    return "sent" if gates[-1].passed else gates[-1].gate


def test_journey_without_limits_sends_every_time() -> None:
    assert verdict(a_live(), Standing(sent=1_000, last_sent_at=NOW)) == "sent"


def test_limit_counts_what_was_sent() -> None:
    journey = a_live(per_profile=3)
    outcomes = [verdict(journey, Standing(sent, NOW)) for sent in (0, 2, 3, 4)]
    assert outcomes == ["sent", "sent", "limit", "limit"]


@pytest.mark.parametrize(
    "since_ms, expected",
    [(0, "cooldown"), (59_999, "cooldown"), (60_000, "sent"), (60_001, "sent")],
)
def test_cooldown_counts_from_the_last_message(since_ms: int, expected: str) -> None:
    assert verdict(a_live(cooldown_s=60), Standing(1, NOW - since_ms)) == expected


def test_cooldown_lets_the_first_message_pass() -> None:
    assert verdict(a_live(cooldown_s=60)) == "sent"


@pytest.mark.parametrize(
    "late_ms, expected", [(0, "sent"), (60_000, "sent"), (60_999, "sent"), (61_000, "max_age")]
)
def test_event_that_comes_too_late_starts_nothing(late_ms: int, expected: str) -> None:
    assert verdict(a_live(max_age_s=60), at=NOW - late_ms) == expected


def test_full_inbox_stops_the_message() -> None:
    assert verdict(a_live(), room=False) == "inbox"


@pytest.mark.parametrize(
    "messaging, gates",
    [
        (None, ["where", "inbox"]),
        (True, ["where", "consent", "inbox"]),
        (False, ["where", "consent"]),
    ],
)
def test_consent_is_a_gate_for_who_was_asked(messaging: bool | None, gates: list[str]) -> None:
    found = decide(a_live(), Standing(), NOW, NOW, room=True, messaging=messaging)
    assert [gate.gate for gate in found] == gates
    assert found[-1].passed is (messaging is not False)


def test_first_gate_that_fails_is_the_one_that_is_told() -> None:
    journey = a_live(max_age_s=60, per_profile=1, cooldown_s=60)
    standing = Standing(1, NOW)
    assert verdict(journey, standing, at=NOW - 100_000, messaging=False) == "consent"
    assert verdict(journey, standing, at=NOW - 100_000, room=False) == "max_age"
    assert verdict(journey, standing, room=False) == "limit"
    assert verdict(journey, Standing(0, 0), room=False) == "inbox"


def test_every_gate_that_was_passed_is_recorded() -> None:
    journey = a_live(max_age_s=60, per_profile=5, cooldown_s=60)
    gates = decide(journey, Standing(1, NOW - 61_000), NOW, NOW, room=True)
    assert [gate.gate for gate in gates] == ["where", "max_age", "limit", "cooldown", "inbox"]
    assert all(gate.passed for gate in gates)
    assert gates[2].detail == "1 of 5 sent"


def test_only_live_journeys_start() -> None:
    journeys = [stored(str(n), status=s) for n, s in enumerate(["live", "paused", "archived"])]
    (starters,) = index_live(journeys, {}).values()
    assert [journey.id for journey in starters.journeys] == ["0"]


def test_journeys_of_different_apps_and_events_start_apart() -> None:
    journeys = [stored("1"), stored("2", "app2"), stored("3", event="checkout"), stored("4")]
    found = {
        key: [journey.id for journey in starters.journeys]
        for key, starters in index_live(journeys, {}).items()
    }
    assert found == {
        ("app1", "purchase"): ["1", "4"],
        ("app2", "purchase"): ["2"],
        ("app1", "checkout"): ["3"],
    }


def test_journey_of_high_priority_starts_first() -> None:
    journeys = [stored(f"jny_{p}", message={"priority": p}) for p in (10, 90, 50)]
    (starters,) = index_live(journeys, {}).values()
    assert [journey.id for journey in starters.journeys] == ["jny_90", "jny_50", "jny_10"]


def test_rules_of_one_event_are_matched_together() -> None:
    journeys = [
        stored("1", where=a_leaf("amount", "gte", 100)),
        stored("2"),
        stored("3", where=a_leaf("amount", "lt", 100)),
    ]
    (starters,) = index_live(journeys, {}).values()
    assert [list(starters.match({"amount": amount})) for amount in (100, 99)] == [[0, 1], [1, 2]]


def test_ids_depend_on_each_of_their_causes() -> None:
    causes = [("a", "b"), ("ab", ""), ("a", "c"), ("a", 1), ("a", 11), ("a",)]
    assert len({cause_id(*cause) for cause in causes}) == len(causes)
    assert cause_id("a", "b") == cause_id("a", "b")


def test_message_id_leads_to_its_profile() -> None:
    message_id = message_id_of(PROFILE, cause_id("x"))
    assert profile_id_of_message(message_id) == PROFILE
    for strange in (
        "",
        "-",
        PROFILE,
        message_id[:-1],
        message_id + "0",
        message_id.upper(),
        message_id.replace("-", "+"),
        "+" + message_id[1:],
        " " + message_id[1:],
        message_id[:-1] + "_",
        message_id[:10] + "_" + message_id[11:],
        "٣" * 32 + "-" + "0" * 16,
    ):
        assert profile_id_of_message(strange) is None, strange


def test_change_of_one_journey_compiles_no_others() -> None:
    welcome, thanks = stored("j1", event="signup"), stored("j2", event="purchase")
    before = index_live([welcome, thanks], {})
    after = index_live([welcome, replace(thanks, version=2)], before)
    assert after["app1", "signup"] is before["app1", "signup"]
    assert after["app1", "purchase"] is not before["app1", "purchase"]
