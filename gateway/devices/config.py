"""What the gateway tells all devices of an app to do, and the part of it that the app's owners decide."""

import hashlib
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.errors import Problem
from gateway.records import Name

KEYS_MAX = 256
REMOTE_CONFIG_BYTES_MAX = 64 * 1024
DEPTH_MAX = 8

_POLL_WAIT_S = 25

Key = Name
Share = Annotated[float, Meta(ge=0, le=1)]
Percent = Annotated[float, Meta(ge=0, le=100)]
TimeOfDay = Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]\Z")]
Cap = Annotated[int, Meta(ge=0, le=1_000)]


class RemoteValue(Struct, frozen=True):
    """The value of a key: for all devices, or for `percent` of them while the others have `otherwise`."""

    value: Any
    percent: Percent | UnsetType = UNSET
    otherwise: Any | UnsetType = UNSET


class QuietHours(Struct, frozen=True, rename={"from_": "from"}):
    """From when to when nothing is shown by itself, by the clock of the device; may lie across midnight."""

    from_: TimeOfDay
    to: TimeOfDay


class DisplayCaps(Struct, frozen=True):
    """How often a device shows messages by itself, all of them together; None: no limit."""

    gap_ms: Annotated[int, Meta(ge=0, le=86_400_000)] = 0
    per_session_max: Cap | None = None
    per_day_max: Cap | None = None
    quiet_hours: QuietHours | None = None


Values = Annotated[dict[Key, RemoteValue], Meta(max_length=KEYS_MAX)]
Sampling = Annotated[dict[Name, Share], Meta(max_length=KEYS_MAX)]


class RemoteConfigChange(Struct, frozen=True):
    """The body of `PUT /admin/v1/remote-config`: it replaces what there was.

    `version`: what the change was made from; when that is no longer what there is, nothing is changed.
    """

    values: Values = {}
    display: DisplayCaps = DisplayCaps()
    sampling: Sampling = {}
    version: int | None = None


class RemoteConfig(Struct, frozen=True):
    """The remote configuration of an app. Version 0 is that of an app which never set one."""

    version: int = 0
    updated_at: int | None = None
    values: Values = {}
    display: DisplayCaps = DisplayCaps()
    sampling: Sampling = {}


class Config(Struct, frozen=True):
    """What the gateway tells its clients to do. `etag` changes whenever anything else does."""

    etag: str
    flush_at: int
    flush_interval_ms: int
    batch_events_max: int
    batch_bytes_max: int
    poll_wait_s: int
    poll_interval_ms: int
    session_idle_ms: int
    session_max_ms: int
    display: DisplayCaps
    values: dict[str, RemoteValue]
    sampling: dict[str, Share]
    trigger_events: list[str]


def new_config(
    batch_events_max: int,
    batch_bytes_max: int,
    hold_s_max: float,
    trigger_events: list[str],
    remote: RemoteConfig,
) -> Config:
    """The configuration of an app's clients."""
    config = Config(
        etag="",
        flush_at=20,
        flush_interval_ms=30_000,
        batch_events_max=batch_events_max,
        batch_bytes_max=batch_bytes_max,
        poll_wait_s=min(_POLL_WAIT_S, int(hold_s_max)),  # longer ones would be refused
        poll_interval_ms=60_000,
        session_idle_ms=1_800_000,
        session_max_ms=86_400_000,
        display=remote.display,
        values=remote.values,
        sampling=remote.sampling,
        trigger_events=trigger_events,
    )
    digest = hashlib.blake2b(msgspec.json.encode(config), digest_size=8).hexdigest()
    return msgspec.structs.replace(config, etag=digest)


def next_version(before: RemoteConfig, change: RemoteConfigChange, now: int) -> RemoteConfig:
    """The remote configuration after a change.

    Raises Problem `conflict` when the change was made from another version, and `invalid_body` for what the
    types can't say, with its place.
    """
    if change.version not in {None, before.version}:
        raise Problem("conflict", f"it has changed meanwhile: this is version {before.version}")
    for key, entry in change.values.items():
        _check_value(entry.value, f"values.{key}.value", 1)
        if entry.otherwise is not UNSET:
            if entry.percent is UNSET:
                raise Problem("invalid_body", f"values.{key}: `otherwise` needs a `percent`")
            _check_value(entry.otherwise, f"values.{key}.otherwise", 1)
    quiet = change.display.quiet_hours
    if quiet is not None and quiet.from_ == quiet.to:
        raise Problem("invalid_body", "display.quiet_hours: from and to are the same")
    after = RemoteConfig(before.version + 1, now, change.values, change.display, change.sampling)
    size = len(msgspec.json.encode((after.values, after.display, after.sampling)))
    if size > REMOTE_CONFIG_BYTES_MAX:
        raise Problem("invalid_body", f"{size} bytes of JSON, at most {REMOTE_CONFIG_BYTES_MAX}")
    return after


def _check_value(value: object, path: str, level: int) -> None:
    """Check that every client can read a value: not nested for ever, whole numbers of 64 bits."""
    match value:
        case bool():
            return
        case int() if not -(2**63) <= value < 2**63:
            raise Problem("invalid_body", f"{path}: not a number of 64 bits")
        case dict() | list():
            if level > DEPTH_MAX:
                raise Problem("invalid_body", f"{path}: at most {DEPTH_MAX} levels")
            for item in value.values() if isinstance(value, dict) else value:
                _check_value(item, path, level + 1)
