"""Whether everything arrived exactly once: what the apps recorded against what the gateway knows."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from client_demo.fleet.admin import Admin
from client_demo.fleet.tally import Outcome

SETTLE_S_MAX = 30.0
# The processes of the gateway publish their counts once a second.
PUBLISHED_S = 1.2
PATIENCE_S = 5.0
TICK_S = 0.1
CONNECTIONS = 2
WRONG_SHOWN_MAX = 5
# The gateway keeps a hundred decisions of each profile.
BIG_ORDERS_MAX = 30


@dataclass(slots=True)
class Verdict:
    """What was compared, and what did not agree."""

    profiles: int = 0
    purchases: int = 0
    events: int = 0
    wrong: list[str] = field(default_factory=list)


def disagreement(outcome: Outcome, profile: Mapping[str, Any] | None) -> str | None:
    """Compare one life with its profile; None when they agree."""
    if profile is None:
        return f"{outcome.user_id}: the gateway knows nobody of this id"
    for name, number in outcome.tracked.items():
        stored = profile["counts"].get(name, 0)
        if stored != number:
            return f"{outcome.user_id}: {number} × {name} recorded, {stored} in the profile"
    if profile["events"] != outcome.acknowledged:
        return (
            f"{outcome.user_id}: {outcome.acknowledged} events acknowledged, "
            f"{profile['events']} in the profile"
        )
    return None


def check(admin: Admin, outcomes: Sequence[Outcome], advanced: Callable[[], None]) -> Verdict:
    """Compare every life with its profile."""

    def one(outcome: Outcome) -> str | None:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            wrong = disagreement(outcome, admin.profile(outcome.user_id))
            # An acknowledged event is on disk; that it is in the profile takes milliseconds more.
            if wrong is None or time.monotonic() > deadline:
                return wrong
            time.sleep(TICK_S)

    verdict = Verdict()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        for outcome, wrong in zip(outcomes, pool.map(one, outcomes), strict=True):
            verdict.profiles += 1
            verdict.purchases += outcome.purchases
            verdict.events += outcome.acknowledged
            if wrong is not None:
                verdict.wrong.append(wrong)
            advanced()
    return verdict


def settled_metrics(admin: Admin, before: Mapping[str, int]) -> Counter[str]:
    """Wait until the gateway has nothing more to do; give what it has counted since `before`."""
    deadline = time.monotonic() + SETTLE_S_MAX
    last = admin.metrics()
    while time.monotonic() < deadline:
        time.sleep(PUBLISHED_S)
        now = admin.metrics()
        is_quiet = now["events_accepted"] == last["events_accepted"]
        if is_quiet and now["events_reacted"] == last["events_reacted"]:
            break
        last = now
    counted = Counter(last)
    counted.subtract(before)
    return counted


@dataclass(frozen=True, slots=True)
class Story:
    """Why one customer was, and was not, sent messages."""

    user_id: str
    purchases: int
    big_orders: int
    # By gate: `sent`, or the gate that stopped the message.
    decisions: Mapping[str, int]


def story(admin: Admin, outcomes: Iterable[Outcome], journey_id: str) -> Story | None:
    """Ask for the decisions about the customer with most big orders, within what is kept of them."""
    kept = [outcome for outcome in outcomes if outcome.big_orders <= BIG_ORDERS_MAX]
    best = max(kept, key=lambda outcome: outcome.big_orders, default=None)
    profile = None if best is None else admin.profile(best.user_id)
    if best is None or profile is None:
        return None
    decisions: Counter[str] = Counter()
    for decision in admin.decisions(str(profile["id"])):
        gate = "sent" if decision["outcome"] == "sent" else str(decision["failed_gate"])
        # Orders that were too small are not candidates, and only some of them are kept.
        if decision.get("journey_id") == journey_id and gate != "where":
            decisions[gate] += int(decision.get("count", 1))
    return Story(best.user_id, best.purchases, best.big_orders, decisions)
