"""What happens to a record of the event log: the file to read first.

    event log ──► REACT: fold the profile → feed the inbox → advance the journeys ──► one transaction

`react` is pure and deterministic: the record brings its own time, choices come from hashes and ids from
their causes. Reading a record again, after a crash or by a worker that was thought dead, gives the same
effects.
"""

from typing import assert_never

import msgspec
from msgspec import Raw, Struct, field
from msgspec.structs import replace

from gateway.inbox.model import (
    Changes,
    Display,
    Inbox,
    Message,
    Shelved,
    expire,
    mark_shown,
    put,
    withdraw,
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
    message_id_of,
    remember,
)
from gateway.profiles.model import Profile, absorb, fold, meet_device
from gateway.records import (
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

_encode_json = msgspec.json.Encoder().encode
_decode_shelved = msgspec.msgpack.Decoder(Shelved).decode


class State(Struct, array_like=True):
    """All that is known of a person, each capability's part in its own place."""

    profile: Profile
    standings: Standings = field(default_factory=Standings)
    inbox: Inbox = field(default_factory=Inbox)


class Effects(Struct):
    """What records do beyond the state, gathered per profile. `forwards`: records for another profile."""

    inbox: Changes = field(default_factory=Changes)
    decisions: list[Decision] = field(default_factory=list)
    forwards: list[Record] = field(default_factory=list)
    events: int = 0
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
        _forward(state, record, effects)
        return
    if record.sender.user_id is not None:
        state.profile.user_id = record.sender.user_id
    match record:
        case EventsUploaded():
            _take_events(state, record, effects, grounds)
        case DeviceRegistered(sender, at, platform, form_factor):
            assert sender.device_id is not None, "a registration names its device"
            meet_device(state.profile, sender.device_id, platform, form_factor, at)
        case ProfileLinked():
            _link(state, record, effects)
        case ProfileMerged():
            _merge(state, record, effects, grounds)
        case MessageRequested():
            _send_requested(state, record, effects, grounds)
        case MessageWithdrawn(message_id=message_id):
            withdraw(state.inbox, effects.inbox, message_id)
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
    for event in record.events:
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
    effects.events += len(record.events)


# A client that was killed between showing and telling still tells what the person did with it.
_SAYS_SHOWN = frozenset({"message_shown", "message_clicked", "message_dismissed"})


def _take_shown(state: State, event: Event, device_id: str | None, effects: Effects) -> None:
    message_id = event.props.get("message_id")
    if isinstance(message_id, str):
        mark_shown(state.inbox, effects.inbox, message_id, device_id)


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
    gates = decide(journey, standing, at, now, room=room)
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
    cause = record.message_id.partition("-")[2]
    effects.decisions.append(
        Decision(
            id=cause,
            at=record.received_at,
            outcome="sent" if room else "stopped",
            failed_gate=None if room else "inbox",
            gates=[GateResult("inbox", room, "" if room else "full")],
            message_id=record.message_id if room else None,
            choice="in_app" if room else None,
        )
    )
    if room:
        _put_message(
            state,
            effects,
            Message(
                id=record.message_id,
                priority=record.priority,
                created_at=record.received_at,
                expires_at=record.received_at + record.ttl_s * 1000,
                display=Display(record.once_per),
                content=Raw(record.content),
                decision_id=cause,
            ),
            record.sender.device_id,
        )


def _put_message(state: State, effects: Effects, message: Message, device_id: str | None) -> None:
    effects.messages += 1
    put(
        state.inbox,
        effects.inbox,
        message.id,
        expires_at=message.expires_at,
        priority=message.priority,
        once_per=message.display.once_per,
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
    sender = replace(record.sender, profile_id=state.profile.linked_to)
    effects.forwards.append(replace(record, sender=sender))


def _merge(state: State, record: ProfileMerged, effects: Effects, grounds: Grounds) -> None:
    if record.anonymous_profile_id in state.profile.links:
        return
    anonymous = decode_state(record.state)
    absorb(state.profile, anonymous.profile)
    state.profile.user_id = record.user_id
    for journey_id, theirs in anonymous.standings.of.items():
        ours = state.standings.of.setdefault(journey_id, Standing())
        ours.sent += theirs.sent
        ours.last_sent_at = max(ours.last_sent_at, theirs.last_sent_at)
    for packed in record.messages:
        shelved = _decode_shelved(packed)
        message_id = msgspec.json.decode(shelved.json, type=Message).id
        item = anonymous.inbox.items.get(message_id)
        room = len(state.inbox.items) < grounds.inbox_messages_max
        if item is None or not room or shelved.expires_at <= record.received_at:
            continue
        put(
            state.inbox,
            effects.inbox,
            message_id,
            expires_at=shelved.expires_at,
            priority=shelved.priority,
            once_per=item.once_per,
            device_id=shelved.device_id,
            json=shelved.json,
        )
        for device_id in item.shown_by:
            mark_shown(state.inbox, effects.inbox, message_id, device_id)
