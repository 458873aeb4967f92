"""A journey of the smallest kind: an event that fits a rule leads to one in-app message."""

import hashlib
from collections.abc import Iterable
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field

from gateway.inbox.model import Content, Display
from gateway.journeys.rule import Predicate, Rule, compile_rule, explain, parse
from gateway.records import Event, Name

Priority = Annotated[int, Meta(ge=0, le=100)]
Ttl = Annotated[int, Meta(ge=1, le=400 * 86_400)]
Status = Literal["live", "paused", "archived"]
Outcome = Literal["sent", "stopped"]
Gate = Literal["where", "max_age", "limit", "cooldown", "inbox"]


# -- definitions ------------------------------------------------------------------------------


class Entry(Struct, frozen=True, omit_defaults=True):
    """What starts a journey: an event of this name whose properties fit the rule."""

    event: Name
    where: dict[str, Any] | None = None


class MessageTemplate(Struct, frozen=True):
    """The message at the end of a journey."""

    content: Content
    priority: Priority = 50
    ttl_s: Ttl = 7 * 86_400
    display: Display = Display()


class Limits(Struct, frozen=True):
    """How often one profile may get the message; None and 0 mean no limit."""

    per_profile: Annotated[int, Meta(ge=1)] | None = None
    cooldown_s: Annotated[int, Meta(ge=0)] = 0
    max_age_s: Annotated[int, Meta(ge=1)] | None = None


class Draft(Struct, frozen=True):
    """A journey as a marketer writes it."""

    name: Annotated[str, Meta(min_length=1, max_length=200)]
    entry: Entry
    message: MessageTemplate
    limits: Limits = Limits()
    status: Status = "live"


class Journey(Struct, frozen=True):
    """A journey as it is stored: a draft that was accepted, with its place and version."""

    id: str
    app_id: str
    version: int
    created_at: int
    updated_at: int
    draft: Draft


def check(draft: Draft) -> Draft:
    """The draft, if its rule can be understood. Raises Problem `invalid_rule`."""
    _rule_of(draft)
    return draft


def _rule_of(draft: Draft) -> Rule | None:
    where = draft.entry.where
    return None if where is None else parse(msgspec.json.encode(where))


class LiveJourney(Struct, frozen=True):
    """A journey made ready to be decided thousands of times a second."""

    id: str
    version: int
    where: Rule | None
    fits: Predicate | None
    limits: Limits
    message: MessageTemplate
    content_json: bytes


LiveJourneys = dict[tuple[str, str], tuple[LiveJourney, ...]]
"""(app id, event name) → the journeys that start there, the highest priority first."""


def index_live(journeys: Iterable[Journey]) -> LiveJourneys:
    """The live ones of all apps, by what starts them."""
    found: dict[tuple[str, str], list[LiveJourney]] = {}
    for journey in journeys:
        if journey.draft.status == "live":
            key = (journey.app_id, journey.draft.entry.event)
            found.setdefault(key, []).append(_ready(journey))
    return {
        key: tuple(sorted(live, key=lambda journey: (-journey.message.priority, journey.id)))
        for key, live in found.items()
    }


def _ready(journey: Journey) -> LiveJourney:
    draft = journey.draft
    where = _rule_of(draft)
    return LiveJourney(
        journey.id,
        journey.version,
        where,
        compile_rule(where) if where is not None else None,
        draft.limits,
        draft.message,
        msgspec.json.encode(draft.message.content),
    )


# -- a profile's standing and the decision ----------------------------------------------------


class Standing(Struct, array_like=True):
    """Where a profile stands with a journey. `missed…`: events of the right name that did not fit."""

    sent: int = 0
    last_sent_at: int = 0
    missed: int = 0
    missed_at: int = 0
    missed_event: str = ""
    missed_why: str = ""
    missed_version: int = 0


Standings = dict[str, Standing]


class GateResult(Struct, frozen=True, omit_defaults=True):
    """One gate of a decision."""

    gate: Gate
    passed: bool
    detail: str = ""


class Decision(Struct, frozen=True, kw_only=True):
    """The record of a candidate message: every gate, the first that failed, the choice and its propensity.

    `count` above 1: that many candidates in a row ended at the same gate; this is the last of them.
    """

    id: str
    at: int
    outcome: Outcome
    journey_id: str | None = None
    journey_version: int | None = None
    event: str | None = None
    event_id: str | None = None
    failed_gate: Gate | None = None
    gates: list[GateResult] = field(default_factory=list)
    message_id: str | None = None
    choice: str | None = None
    propensity: float = 1.0
    count: int = 1


def cause_id(*causes: object) -> str:
    """An id made from its causes, so that doing something again makes the same one. 64 bits."""
    text = "\0".join(map(str, causes))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def message_id_of(profile_id: str, cause: str) -> str:
    """A message's id leads to its profile, so it can be found without an index."""
    return f"{profile_id}-{cause}"


def profile_id_of_message(message_id: str) -> str | None:
    """The profile that a message id leads to; None when it is no message id."""
    profile_id, _, cause = message_id.partition("-")
    try:
        fits = len(profile_id) == 32 and len(cause) == 16 and int(profile_id + cause, 16) >= 0
    except ValueError:
        return None
    return profile_id if fits and message_id == message_id.lower() else None


def miss(standing: Standing, journey: LiveJourney, last: Event, count: int, now: int) -> None:
    """Note events of the right name that did not fit the rule, and why the last of them did not."""
    if standing.missed_version != journey.version:
        standing.missed = 0
        standing.missed_version = journey.version
    standing.missed += count
    standing.missed_at = now
    standing.missed_event = last.id
    standing.missed_why = explain(journey.where, last.props) if journey.where else ""


def decide(
    journey: LiveJourney, standing: Standing, at: int, now: int, *, room: bool
) -> list[GateResult]:
    """The gates of a candidate whose event fits the rule, up to the first that fails.

    `at`: when the event happened, `now`: when it arrived, both ms UTC; `room`: the inbox is not full.
    """
    gates = [GateResult("where", passed=True)]
    limits = journey.limits
    if limits.max_age_s is not None:
        late_s = (now - at) // 1000
        fresh = late_s <= limits.max_age_s
        gates.append(GateResult("max_age", fresh, f"{late_s} s old, at most {limits.max_age_s}"))
        if not fresh:
            return gates
    if limits.per_profile is not None:
        under = standing.sent < limits.per_profile
        gates.append(GateResult("limit", under, f"{standing.sent} of {limits.per_profile} sent"))
        if not under:
            return gates
    if limits.cooldown_s:
        since_s = (now - standing.last_sent_at) // 1000 if standing.sent else None
        cool = since_s is None or since_s >= limits.cooldown_s
        detail = (
            "first"
            if since_s is None
            else f"{since_s} s since the last, {limits.cooldown_s} needed"
        )
        gates.append(GateResult("cooldown", cool, detail))
        if not cool:
            return gates
    gates.append(GateResult("inbox", room, "" if room else "full"))
    return gates


def misses_as_decisions(standings: Standings) -> list[Decision]:
    """What did not fit, told as decisions: one per journey, the last with how many there were."""
    return [
        Decision(
            id=cause_id(journey_id, standing.missed_event),
            at=standing.missed_at,
            outcome="stopped",
            journey_id=journey_id,
            journey_version=standing.missed_version,
            event_id=standing.missed_event,
            failed_gate="where",
            gates=[GateResult("where", passed=False, detail=standing.missed_why)],
            count=standing.missed,
        )
        for journey_id, standing in standings.items()
        if standing.missed
    ]
