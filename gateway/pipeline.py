"""What happens to a record of the event log: the file to read first.

    event log ──► REACT: fold the profile → feed the inbox → advance the journeys ──► one transaction

`react` is pure and deterministic: the record brings its own time, choices come from hashes and ids from
their causes. Reading a record again, after a crash or by a worker that was thought dead, gives the same
effects.
"""

from typing import assert_never

import msgspec
from msgspec import UNSET, Raw, Struct, field
from msgspec.structs import replace

from gateway.inbox.model import (
    Changes,
    Display,
    Inbox,
    Message,
    Shelved,
    adopt,
    expire,
    mark_shown,
    put,
    take_all_back,
    take_back,
)
from gateway.journeys.model import (
    Decision,
    GateResult,
    LiveJourney,
    LiveJourneys,
    Standing,
    Standings,
    cause_id,
    decide,
    gate_of_consent,
    message_id_of,
    remember,
)
from gateway.profiles.consent import Consent, allows, take_answers, unite
from gateway.profiles.model import Profile, absorb, fold, meet_device, set_push
from gateway.records import (
    ConsentGiven,
    DeviceDeparted,
    DeviceRegistered,
    Event,
    EventsUploaded,
    MessageRequested,
    MessageWithdrawn,
    ProfileLinked,
    ProfileMerged,
    Record,
    Sender,
)
from gateway.rule import Trigger

_encode_json = msgspec.json.Encoder().encode
_decode_trigger = msgspec.json.Decoder(Trigger).decode
_decode_shelved = msgspec.msgpack.Decoder(Shelved).decode


class State(Struct, array_like=True):
    """All that is known of a person, each capability's part in its own place."""

    profile: Profile
    standings: Standings = field(default_factory=Standings)
    inbox: Inbox = field(default_factory=Inbox)


class Effects(Struct):
    """What records do beyond the state, gathered per profile.

    `forwards`: records for another profile; `events_withheld`: events of a person who denied analytics.
    """

    inbox: Changes = field(default_factory=Changes)
    decisions: list[Decision] = field(default_factory=list)
    forwards: list[Record] = field(default_factory=list)
    events: int = 0
    events_withheld: int = 0
    messages: int = 0


class Grounds(Struct, frozen=True):
    """What decisions depend on beside the state and the record."""

    journeys: LiveJourneys
    inbox_messages_max: int


encode_state = msgspec.msgpack.Encoder().encode
decode_state = msgspec.msgpack.Decoder(State).decode


def new_state(sender: Sender) -> State:
    """The state of a profile nothing is known of."""
    return State(Profile(sender.profile_id, sender.app_id))


def react(state: State, record: Record, effects: Effects, grounds: Grounds) -> None:
    """Change the state of the record's profile, and gather what else it leads to."""
    if state.profile.linked_to is not None and not isinstance(
        record, ProfileLinked | ProfileMerged
    ):
        # What departs from here comes to the known profile, by the login that linked it, or by its repeat.
        if not isinstance(record, DeviceDeparted):
            _forward(state, record, effects)
        return
    if record.sender.user_id is not None:
        state.profile.user_id = record.sender.user_id
    match record:
        case EventsUploaded():
            _take_events(state, record, effects, grounds)
        case DeviceRegistered():
            _meet_device(state, record, effects)
        case DeviceDeparted(sender, at):
            assert sender.device_id is not None, "a departure names its device"
            set_push(state.profile, sender.device_id, None, at)
        case ConsentGiven():
            _take_consent(state, record, effects)
        case ProfileLinked():
            _link(state, record, effects)
        case ProfileMerged():
            _merge(state, record, effects, grounds)
        case MessageRequested():
            _send_requested(state, record, effects, grounds)
        case MessageWithdrawn(message_id=message_id):
            take_back(state.inbox, effects.inbox, message_id)
        case _:
            assert_never(record)


def expire_message(state: State, message_id: str, now: int, effects: Effects) -> None:
    """The timer of a message is due."""
    expire(state.inbox, effects.inbox, message_id, now)


# -- events -----------------------------------------------------------------------------------


def _take_events(state: State, record: EventsUploaded, effects: Effects, grounds: Grounds) -> None:
    sender, received_at, shift = record.sender, record.received_at, record.shift_ms
    profile, app_id, device_id = state.profile, sender.app_id, sender.device_id
    journeys = grounds.journeys
    candidates: dict[str, list[Event]] = {}
    allowed = record.events
    if profile.consent and device_id is not None and not allows(profile.consent, "analytics"):
        allowed = [event for event in allowed if event.type == "message"]
        effects.events_withheld += len(record.events) - len(allowed)
    effects.events += len(allowed)
    for event in allowed:
        at = max(0, min(event.ts + shift, received_at))
        fold(profile, event, at, device_id)
        if event.type == "message" and event.name in _SAYS_SHOWN:
            _take_shown(state, event, device_id, effects)
        starters = journeys.get((app_id, event.name))
        if starters is not None:
            candidates.setdefault(event.name, []).append(event)
            for place in starters.match(event.props):
                journey = starters.journeys[place]
                _try_to_send(state, journey, event, at, received_at, effects, grounds)
    for name, events in candidates.items():
        remember(state.standings, name, journeys[app_id, name], events, received_at)


# A client that was killed between showing and telling still tells what the person did with it.
_SAYS_SHOWN = frozenset(
    {"message_shown", "message_clicked", "message_dismissed", "survey_answered"}
)


def _take_shown(state: State, event: Event, device_id: str | None, effects: Effects) -> None:
    message_id = event.props.get("message_id")
    if isinstance(message_id, str):
        is_showing = event.name == "message_shown"
        mark_shown(state.inbox, effects.inbox, message_id, device_id, is_showing=is_showing)


# -- devices and consent ----------------------------------------------------------------------


def _meet_device(state: State, record: DeviceRegistered, effects: Effects) -> None:
    device_id, at, profile = record.sender.device_id, record.received_at, state.profile
    assert device_id is not None, "a registration names its device"
    meet_device(profile, device_id, record.platform, record.form_factor, at)
    set_push(profile, device_id, record.push, at)
    if record.consent:
        before = _messaging(state)
        take_answers(profile.consent, record.consent, at, device_id)
        _obey_consent(state, effects, before)


def _take_consent(state: State, record: ConsentGiven, effects: Effects) -> None:
    consents, device_id = state.profile.consent, record.sender.device_id
    before = _messaging(state)
    if record.before_login:
        answers = {name: Consent(to, record.at, device_id) for name, to in record.consent.items()}
        unite(consents, answers)
    else:
        take_answers(consents, record.consent, record.at, device_id)
    _obey_consent(state, effects, before)


def _obey_consent(state: State, effects: Effects, before: bool | None) -> None:
    """Who denies messages now gets none, not even those that wait. `before`: the answer until now."""
    if _messaging(state) is False and before is not False:
        take_all_back(state.inbox, effects.inbox)


def _messaging(state: State) -> bool | None:
    """What the person answered to messages; None when they were not asked."""
    answer = state.profile.consent.get("messaging")
    return None if answer is None else answer.granted


# -- journeys ---------------------------------------------------------------------------------


def _try_to_send(
    state: State,
    journey: LiveJourney,
    event: Event,
    at: int,
    now: int,
    effects: Effects,
    grounds: Grounds,
) -> None:
    standing = state.standings.of.setdefault(journey.id, Standing())
    room = len(state.inbox.items) < grounds.inbox_messages_max
    gates = decide(journey, standing, at, now, room=room, messaging=_messaging(state))
    passed = gates[-1].passed
    cause = cause_id(journey.id, journey.version, event.id)
    message_id = message_id_of(state.profile.id, cause) if passed else None
    effects.decisions.append(
        Decision(
            id=cause,
            at=now,
            outcome="sent" if passed else "stopped",
            journey_id=journey.id,
            journey_version=journey.version,
            event=event.name,
            event_id=event.id,
            failed_gate=None if passed else gates[-1].gate,
            gates=gates,
            message_id=message_id,
            choice="in_app" if passed else None,
        )
    )
    if message_id is None:
        return
    standing.sent += 1
    standing.last_sent_at = now
    template = journey.message
    _put_message(
        state,
        effects,
        Message(
            id=message_id,
            journey_id=journey.id,
            priority=template.priority,
            created_at=now,
            expires_at=now + template.ttl_s * 1000,
            trigger=template.trigger,
            display=template.display,
            content=Raw(journey.content_json),
            decision_id=cause,
        ),
        None,
    )


# -- messages that a server asks for ----------------------------------------------------------


def _send_requested(
    state: State, record: MessageRequested, effects: Effects, grounds: Grounds
) -> None:
    room = len(state.inbox.items) < grounds.inbox_messages_max
    gates = gate_of_consent(_messaging(state))
    if not gates or gates[-1].passed:
        gates.append(GateResult("inbox", room, "" if room else "full"))
    passed = gates[-1].passed
    cause = record.message_id.partition("-")[2]
    effects.decisions.append(
        Decision(
            id=cause,
            at=record.received_at,
            outcome="sent" if passed else "stopped",
            failed_gate=None if passed else gates[-1].gate,
            gates=gates,
            message_id=record.message_id if passed else None,
            choice="in_app" if passed else None,
        )
    )
    if passed:
        _put_message(
            state,
            effects,
            Message(
                id=record.message_id,
                priority=record.priority,
                created_at=record.received_at,
                expires_at=record.received_at + record.ttl_s * 1000,
                trigger=_decode_trigger(record.trigger) if record.trigger else UNSET,
                display=_display_of(record),
                content=Raw(record.content),
                decision_id=cause,
            ),
            record.sender.device_id,
        )


def _display_of(record: MessageRequested) -> Display:
    told = record.display
    return msgspec.convert({"once_per": told} if isinstance(told, str) else told, Display)


def _put_message(state: State, effects: Effects, message: Message, device_id: str | None) -> None:
    effects.messages += 1
    put(
        state.inbox,
        effects.inbox,
        message.id,
        expires_at=message.expires_at,
        priority=message.priority,
        display=message.display,
        device_id=device_id,
        json=_encode_json(message),
    )


# -- identity ---------------------------------------------------------------------------------


def _link(state: State, record: ProfileLinked, effects: Effects) -> None:
    """Hand over to the known profile, once; what still comes in for this one is forwarded."""
    if state.profile.linked_to is not None:
        return
    state.profile.linked_to = record.known_profile_id
    merged = ProfileMerged(
        Sender(record.sender.app_id, record.known_profile_id),
        record.received_at,
        record.user_id,
        state.profile.id,
        encode_state(state),
        [],
    )
    effects.forwards.append(merged)


def _forward(state: State, record: Record, effects: Effects) -> None:
    assert state.profile.linked_to is not None
    record = replace(record, sender=replace(record.sender, profile_id=state.profile.linked_to))
    if isinstance(record, ConsentGiven):
        record = replace(record, before_login=True)
    effects.forwards.append(record)


def _merge(state: State, record: ProfileMerged, effects: Effects, grounds: Grounds) -> None:
    if record.anonymous_profile_id in state.profile.links:
        return
    anonymous = decode_state(record.state)
    messaging = _messaging(state)
    absorb(state.profile, anonymous.profile)
    state.profile.user_id = record.user_id
    for journey_id, theirs in anonymous.standings.of.items():
        ours = state.standings.of.setdefault(journey_id, Standing())
        ours.sent += theirs.sent
        ours.last_sent_at = max(ours.last_sent_at, theirs.last_sent_at)
    _obey_consent(state, effects, messaging)
    if _messaging(state) is False:
        return
    for packed in record.messages:
        shelved = _decode_shelved(packed)
        message_id = msgspec.json.decode(shelved.json, type=Message).id
        item = anonymous.inbox.items.get(message_id)
        room = len(state.inbox.items) < grounds.inbox_messages_max
        if item is not None and room and shelved.expires_at > record.received_at:
            adopt(state.inbox, effects.inbox, message_id, item, shelved)
