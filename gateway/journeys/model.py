"""A journey of the smallest kind: an event that fits a rule leads to one in-app message."""

import hashlib
import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from gateway.inbox.model import Content, Display, check_message, encode_content
from gateway.records import Event
from gateway.rule import (
    ABSENT,
    Matcher,
    Rule,
    Trigger,
    compile_rules,
    explain,
    look_up,
    properties_of,
    rule_of,
)

Priority = Annotated[int, Meta(ge=0, le=100)]
Ttl = Annotated[int, Meta(ge=1, le=400 * 86_400)]
Status = Literal["live", "paused", "archived"]
Outcome = Literal["sent", "stopped"]
CANDIDATES_REMEMBERED = 3
Gate = Literal["where", "consent", "max_age", "limit", "cooldown", "inbox"]


# -- definitions ------------------------------------------------------------------------------


class MessageTemplate(Struct, frozen=True):
    """The message at the end of a journey. With a trigger it waits on the devices for another event."""

    content: Content
    priority: Priority = 50
    ttl_s: Ttl = 7 * 86_400
    display: Display = Display()
    trigger: Trigger | UnsetType = UNSET


class Limits(Struct, frozen=True):
    """How often one profile may get the message; None and 0 mean no limit."""

    per_profile: Annotated[int, Meta(ge=1)] | None = None
    cooldown_s: Annotated[int, Meta(ge=0)] = 0
    max_age_s: Annotated[int, Meta(ge=1)] | None = None


class Draft(Struct, frozen=True):
    """A journey as a marketer writes it."""

    name: Annotated[str, Meta(min_length=1, max_length=200)]
    entry: Trigger
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
    """The draft, if it is good. Raises Problem `invalid_rule` or `invalid_body`."""
    rule_of(draft.entry)
    check_message(draft.message.content, draft.message.trigger)
    return draft


class LiveJourney(Struct, frozen=True):
    """A journey made ready to be decided thousands of times a second."""

    id: str
    version: int
    updated_at: int
    where: Rule | None
    limits: Limits
    message: MessageTemplate
    content_json: bytes


class Starters(Struct, frozen=True):
    """The journeys that one event name starts, the highest priority first.

    `match`: properties → places of the journeys whose rule fits; `props`: all that the rules look at.
    """

    journeys: tuple[LiveJourney, ...]
    match: Matcher
    props: tuple[str, ...]


LiveJourneys = dict[tuple[str, str], Starters]
"""(app id, event name) → what starts there."""


def index_live(journeys: Iterable[Journey], before: LiveJourneys) -> LiveJourneys:
    """The live ones of all apps, by what starts them.

    What has not changed is taken from `before`: compiling the rules of all tenants for the change of one
    would stop every process for a moment.
    """
    found: dict[tuple[str, str], list[Journey]] = {}
    for journey in journeys:
        if journey.draft.status == "live":
            found.setdefault((journey.app_id, journey.draft.entry.event), []).append(journey)
    return {
        key: _unchanged(before.get(key), live) or _starters(live) for key, live in found.items()
    }


def _unchanged(before: Starters | None, journeys: list[Journey]) -> Starters | None:
    if before is None:
        return None
    versions = {journey.id: journey.version for journey in before.journeys}
    same = versions == {journey.id: journey.version for journey in journeys}
    return before if same else None


def _starters(journeys: list[Journey]) -> Starters:
    ordered = sorted(
        map(_ready, journeys), key=lambda journey: (-journey.message.priority, journey.id)
    )
    rules = [journey.where for journey in ordered]
    props = set().union(*(properties_of(rule) for rule in rules if rule is not None))
    return Starters(tuple(ordered), compile_rules(rules), tuple(sorted(props)))


def _ready(journey: Journey) -> LiveJourney:
    draft = journey.draft
    return LiveJourney(
        journey.id,
        journey.version,
        journey.updated_at,
        rule_of(draft.entry),
        draft.limits,
        draft.message,
        encode_content(draft.message.content),
    )


# -- a profile's standing and the decision ----------------------------------------------------


class Standing(Struct, array_like=True):
    """What a profile got from a journey."""

    sent: int = 0
    last_sent_at: int = 0


class Candidate(Struct, frozen=True, array_like=True):
    """An event that could have started journeys: what their rules looked at, and when it arrived."""

    event_id: str
    at: int
    props: dict[str, Any]


class Standings(Struct, array_like=True):
    """Where a profile stands with all journeys.

    `candidates`: the last few events of each name that starts journeys. Which journeys they did not fit,
    and why, is worked out when somebody asks: keeping it per journey would cost every profile 100 bytes
    for each of up to 1,000 journeys.
    """

    of: dict[str, Standing] = field(default_factory=dict)
    candidates: dict[str, list[Candidate]] = field(default_factory=dict)


class GateResult(Struct, frozen=True, omit_defaults=True):
    """One gate of a decision."""

    gate: Gate
    passed: bool
    detail: str = ""


class Decision(Struct, frozen=True, kw_only=True):
    """The record of a candidate message: every gate, the first that failed, the choice and its propensity."""

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


def cause_id(*causes: object) -> str:
    """An id made from its causes, so that doing something again makes the same one. 64 bits."""
    text = "\0".join(map(str, causes))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def message_id_of(profile_id: str, cause: str) -> str:
    """A message's id leads to its profile, so it can be found without an index."""
    return f"{profile_id}-{cause}"


def profile_id_of_message(message_id: str) -> str | None:
    """The profile that a message id leads to; None when it is no message id."""
    found = _MESSAGE_ID.fullmatch(message_id)
    return found[1] if found is not None else None


_MESSAGE_ID = re.compile("([0-9a-f]{32})-[0-9a-f]{16}")


def remember(
    standings: Standings, name: str, starters: Starters, events: list[Event], now: int
) -> None:
    """Keep the last events of a name, as far as rules look at them."""
    fresh = []
    for event in events[-CANDIDATES_REMEMBERED:]:
        seen = {prop: look_up(event.props, prop) for prop in starters.props}
        props = {prop: value for prop, value in seen.items() if value is not ABSENT}
        # A large value would be written with the profile again and again: rather no explanation.
        if all(map(_is_small, props.values())):
            fresh.append(Candidate(event.id, now, props))
    before = standings.candidates.get(name, [])
    standings.candidates[name] = [*before, *fresh][-CANDIDATES_REMEMBERED:]


def _is_small(value: object) -> bool:
    match value:
        case str():
            return len(value) <= 256
        case list():
            return len(value) <= 16 and all(map(_is_small, value))
        case dict():
            return False
        case _:
            return True


def gate_of_consent(granted: bool | None) -> list[GateResult]:
    """The gate of a person who has been asked about messages; none when nobody has (None)."""
    return [] if granted is None else [GateResult("consent", granted, _MESSAGING[granted])]


_MESSAGING = {True: "messaging is granted", False: "messaging is denied"}


def decide(
    journey: LiveJourney,
    standing: Standing,
    at: int,
    now: int,
    *,
    room: bool,
    messaging: bool | None = None,
) -> list[GateResult]:
    """The gates of a candidate whose event fits the rule, up to the first that fails.

    `at`: when the event happened, `now`: when it arrived, both ms UTC; `room`: the inbox is not full;
    `messaging`: what the person answered to messages, None when they were not asked.
    """
    gates = [GateResult("where", passed=True), *gate_of_consent(messaging)]
    if not gates[-1].passed:
        return gates
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


def misses(standings: Standings, live: LiveJourneys, app_id: str) -> list[Decision]:
    """The last events that did not fit a live journey's rule, told as decisions."""
    return [
        Decision(
            id=cause_id(journey.id, journey.version, candidate.event_id),
            at=candidate.at,
            outcome="stopped",
            journey_id=journey.id,
            journey_version=journey.version,
            event=name,
            event_id=candidate.event_id,
            failed_gate="where",
            gates=[GateResult("where", False, explain(journey.where, candidate.props))],
        )
        for name, candidates in standings.candidates.items()
        if (starters := live.get((app_id, name))) is not None
        for candidate in candidates
        for fitting in [set(starters.match(candidate.props))]
        for place, journey in enumerate(starters.journeys)
        # Before it was saved, the journey had another rule, or none.
        if place not in fitting and journey.where is not None and journey.updated_at <= candidate.at
    ]
