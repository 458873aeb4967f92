"""A profile, and how an event changes it."""

from typing import Any

from msgspec import Struct, field

from gateway.profiles.changes import (
    Group,
    Reason,
    changed,
    fault_of_change,
    joined,
    with_alias,
    with_values,
)
from gateway.profiles.consent import Consents, allows, unite
from gateway.records import Event, PushToken

COUNTED_NAMES_MAX = 1_000
DEVICES_MAX = 64
LINKS_MAX = 256
_OTHER = "(other)"
_SESSIONS_REMEMBERED = 8


class KnownDevice(Struct, array_like=True):
    """A device as its profile knows it; times in ms UTC.

    `told_at`: of which time `push` is. What was told earlier, and comes later, does not count.
    """

    platform: str
    form_factor: str
    first_seen: int
    last_seen: int
    push: PushToken | None = None
    told_at: int = 0


class Profile(Struct, array_like=True):
    """One person, anonymous or known. Grows at the end only: stored profiles are read by position.

    `left_out`: how often something told about the person was not applied, by reason.
    """

    id: str
    app_id: str
    user_id: str | None = None
    first_seen: int = 0
    last_seen: int = 0
    events: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)
    devices: dict[str, KnownDevice] = field(default_factory=dict)
    sessions: int = 0
    recent_sessions: list[str] = field(default_factory=list)
    linked_to: str | None = None
    links: list[str] = field(default_factory=list)
    groups: dict[str, Group] = field(default_factory=dict)
    aliases: list[str] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)
    consent: Consents = field(default_factory=dict)


def fold(profile: Profile, event: Event, at: int, device_id: str | None) -> None:
    """Change a profile by one event. `at`: its corrected time, ms UTC."""
    profile.events += 1
    counts = profile.counts
    name = event.name
    if name not in counts and len(counts) >= COUNTED_NAMES_MAX:
        name = _OTHER
    counts[name] = counts.get(name, 0) + 1
    _see(profile, at)
    if device_id is not None and (device := profile.devices.get(device_id)) is not None:
        device.last_seen = max(device.last_seen, at)
    session_id = event.session_id
    if session_id is not None and session_id not in profile.recent_sessions:
        # Several are remembered, because devices of one person take turns and offline events come late.
        profile.sessions += 1
        profile.recent_sessions = [
            *profile.recent_sessions[1 - _SESSIONS_REMEMBERED :],
            session_id,
        ]
    if event.type in _CHANGING:
        change(profile, event)


_CHANGING = frozenset({"identify", "profile", "group", "alias"})


def change(profile: Profile, event: Event) -> None:
    """Change what is known of a person as an event of a changing type says."""
    if fault_of_change(event.type, event.name, event.props) is not None:
        # It was taken before its type meant anything.
        _leave_out(profile, ["invalid_event"])
        return
    match event.type:
        case "identify":
            set_attributes(profile, event.props)
        case "profile":
            profile.attributes, left_out = changed(profile.attributes, event.name, event.props)
            _leave_out(profile, left_out)
        case "group":
            profile.groups, left_out = joined(profile.groups, event.name, event.props)
            _leave_out(profile, left_out)
        case "alias":
            profile.aliases, left_out = with_alias(profile.aliases, str(event.props["alias"]))
            _leave_out(profile, left_out)


def set_attributes(profile: Profile, values: dict[str, Any]) -> None:
    """Set attributes; None removes one."""
    profile.attributes, left_out = with_values(profile.attributes, values)
    _leave_out(profile, left_out)


def _leave_out(profile: Profile, reasons: list[Reason]) -> None:
    for reason in reasons:
        profile.left_out[reason] = profile.left_out.get(reason, 0) + 1


def meet_device(profile: Profile, device_id: str, platform: str, form_factor: str, at: int) -> None:
    """Note a device of this person; the one that was quiet longest makes room."""
    _see(profile, at)
    known = profile.devices.get(device_id)
    if known is not None:
        known.platform, known.form_factor = platform, form_factor
        known.last_seen = max(known.last_seen, at)
        return
    if len(profile.devices) >= DEVICES_MAX:
        quietest = min(profile.devices, key=lambda id: profile.devices[id].last_seen)
        del profile.devices[quietest]
    profile.devices[device_id] = KnownDevice(platform, form_factor, at, at)


def set_push(profile: Profile, device_id: str, push: PushToken | None, at: int) -> None:
    """Note where pushes reach a device, as told at this time; None: nowhere, or not for this person."""
    device = profile.devices.get(device_id)
    if device is not None and at >= device.told_at:
        device.push, device.told_at = push, at


def absorb(profile: Profile, anonymous: Profile) -> None:
    """Add what an anonymous profile did before it was linked.

    On attributes and groups the known profile wins; on consent a denial. With analytics denied on either
    side, nothing comes along but that and the devices. Push tokens never do: each device tells its own to the
    profile it is with.
    """
    profile.links = [*profile.links[1 - LINKS_MAX :], anonymous.id]
    unite(profile.consent, anonymous.consent)
    _absorb_devices(profile, anonymous)
    if allows(profile.consent, "analytics"):
        _absorb_events(profile, anonymous)
        _absorb_told(profile, anonymous)


def _absorb_devices(profile: Profile, anonymous: Profile) -> None:
    for device_id, device in anonymous.devices.items():
        meet_device(profile, device_id, device.platform, device.form_factor, device.first_seen)
        profile.devices[device_id].last_seen = max(
            profile.devices[device_id].last_seen, device.last_seen
        )


def _absorb_events(profile: Profile, anonymous: Profile) -> None:
    profile.events += anonymous.events
    counts = profile.counts
    for name, count in anonymous.counts.items():
        counted = name if name in counts or len(counts) < COUNTED_NAMES_MAX else _OTHER
        counts[counted] = counts.get(counted, 0) + count
    if anonymous.first_seen:
        _see(profile, anonymous.first_seen)
        _see(profile, anonymous.last_seen)
    new = [id for id in anonymous.recent_sessions if id not in profile.recent_sessions]
    profile.sessions += anonymous.sessions - (len(anonymous.recent_sessions) - len(new))
    profile.recent_sessions = [*profile.recent_sessions, *new][-_SESSIONS_REMEMBERED:]


def _absorb_told(profile: Profile, anonymous: Profile) -> None:
    missing = {
        key: value for key, value in anonymous.attributes.items() if key not in profile.attributes
    }
    set_attributes(profile, missing)
    for group_type, group in anonymous.groups.items():
        if group_type not in profile.groups:
            props = group.properties | {"group_id": group.id}
            profile.groups, left_out = joined(profile.groups, group_type, props)
            _leave_out(profile, left_out)
    for alias in anonymous.aliases:
        profile.aliases, left_out = with_alias(profile.aliases, alias)
        _leave_out(profile, left_out)
    for reason, count in anonymous.left_out.items():
        profile.left_out[reason] = profile.left_out.get(reason, 0) + count


def _see(profile: Profile, at: int) -> None:
    if at < profile.first_seen or not profile.first_seen:
        profile.first_seen = at
    profile.last_seen = max(profile.last_seen, at)
