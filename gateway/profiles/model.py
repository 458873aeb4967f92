"""A profile, and how an event changes it."""

from typing import Any

import msgspec
from msgspec import Struct, field

from gateway.records import Event

COUNTED_NAMES_MAX = 1_000
ATTRIBUTES_MAX = 256
ATTRIBUTES_BYTES_MAX = 32 * 1024
DEVICES_MAX = 64
LINKS_MAX = 256
_OTHER = "(other)"
_SESSIONS_REMEMBERED = 8


_encode = msgspec.msgpack.Encoder().encode


class KnownDevice(Struct, array_like=True):
    """A device as its profile knows it; times in ms UTC."""

    platform: str
    form_factor: str
    first_seen: int
    last_seen: int


class Profile(Struct, array_like=True):
    """One person, anonymous or known. Grows at the end only: stored profiles are read by position."""

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
    if event.type == "identify":
        set_attributes(profile, event.props)


def set_attributes(profile: Profile, values: dict[str, Any]) -> None:
    """Set attributes; None removes one. Beyond the limit of their number only existing ones change.

    A change that would bring all of them over the limit of bytes is left out as a whole: a profile is
    written anew with every turn that touches it, so its size is what each of its events costs.
    """
    before = dict(profile.attributes)
    for key, value in values.items():
        if value is None:
            profile.attributes.pop(key, None)
        elif key in profile.attributes or len(profile.attributes) < ATTRIBUTES_MAX:
            profile.attributes[key] = value
    if len(_encode(profile.attributes)) > ATTRIBUTES_BYTES_MAX:
        profile.attributes = before


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


def absorb(profile: Profile, anonymous: Profile) -> None:
    """Add what an anonymous profile did before it was linked; on attributes the known profile wins."""
    profile.links = [*profile.links[1 - LINKS_MAX :], anonymous.id]
    profile.events += anonymous.events
    counts = profile.counts
    for name, count in anonymous.counts.items():
        counted = name if name in counts or len(counts) < COUNTED_NAMES_MAX else _OTHER
        counts[counted] = counts.get(counted, 0) + count
    if anonymous.first_seen:
        _see(profile, anonymous.first_seen)
        _see(profile, anonymous.last_seen)
    missing = {
        key: value for key, value in anonymous.attributes.items() if key not in profile.attributes
    }
    set_attributes(profile, missing)
    for device_id, device in anonymous.devices.items():
        meet_device(profile, device_id, device.platform, device.form_factor, device.first_seen)
        profile.devices[device_id].last_seen = max(
            profile.devices[device_id].last_seen, device.last_seen
        )
    new = [id for id in anonymous.recent_sessions if id not in profile.recent_sessions]
    profile.sessions += anonymous.sessions - (len(anonymous.recent_sessions) - len(new))
    profile.recent_sessions = [*profile.recent_sessions, *new][-_SESSIONS_REMEMBERED:]


def _see(profile: Profile, at: int) -> None:
    if at < profile.first_seen or not profile.first_seen:
        profile.first_seen = at
    profile.last_seen = max(profile.last_seen, at)
