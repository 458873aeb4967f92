"""What stands in the event log: the records, and the events in them.

Types only. Everything that happens to a profile is one of these, in the order in which it was appended.
"""

import hashlib
import sys
from array import array
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

NAME_CHARS_MAX = 128
VALUE_BYTES_MAX = 4096
ITEMS_MAX = 256
TIME_MAX = 4_102_444_800_000  # the year 2100

# Ids stay text: 50 UUID objects cost 20 µs to make and hash, checking their text together costs 3.
Id = Annotated[str, Meta(min_length=36, max_length=36)]
Name = Annotated[str, Meta(min_length=1, max_length=NAME_CHARS_MAX)]
Time = Annotated[int, Meta(ge=0, le=TIME_MAX)]
UserId = Annotated[str, Meta(min_length=1, max_length=256)]
# Of a device or a profile. With a length, because `$` also matches before a last line break.
HexId = Annotated[str, Meta(pattern="^[0-9a-f]{32}$", max_length=32)]
Purpose = Annotated[str, Meta(min_length=1, max_length=64)]
PushProvider = Literal["fcm", "apns", "hms", "web"]
Key = Annotated[str, Meta(max_length=NAME_CHARS_MAX)]
_Scalar = (
    Annotated[str, Meta(max_length=VALUE_BYTES_MAX)]
    | Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
    | float
    | bool
    | None
)
_Size = Meta(max_length=ITEMS_MAX)
# Written out level by level, msgspec checks depth and sizes while it decodes: 24 µs for 50 events, as
# much as decoding alone; walking them in Python costs 100 µs.
_Level5 = _Scalar | Annotated[list[_Scalar], _Size] | Annotated[dict[Key, _Scalar], _Size]
_Level4 = _Scalar | Annotated[list[_Level5], _Size] | Annotated[dict[Key, _Level5], _Size]
_Level3 = _Scalar | Annotated[list[_Level4], _Size] | Annotated[dict[Key, _Level4], _Size]
_Level2 = _Scalar | Annotated[list[_Level3], _Size] | Annotated[dict[Key, _Level3], _Size]
Props = Annotated[dict[Key, _Level2], _Size]


class Event(Struct, frozen=True, omit_defaults=True, gc=False):
    """Something that happened on a device or a server. `ts` is the device's own time, ms UTC.

    `seq`: the number that the client gave it within its session.
    """

    id: Id
    type: Name
    name: Name
    ts: Time
    session_id: Annotated[str, Meta(max_length=NAME_CHARS_MAX)] | None = None
    seq: Annotated[int, Meta(ge=0, le=2**63 - 1)] | None = None
    props: Props = {}


class Sender(Struct, frozen=True, array_like=True):
    """Whom a record is about: the tenant, the person, and the device if there is one.

    `user_id`: what the app calls the person, where the sender said so.
    """

    app_id: str
    profile_id: str
    device_id: str | None = None
    user_id: str | None = None


class EventsUploaded(Struct, frozen=True, tag="events", array_like=True):
    """A batch. An event's corrected time is `ts + shift_ms`, but never after `received_at`."""

    sender: Sender
    received_at: int
    shift_ms: int
    events: list[Event]


class PushToken(Struct, frozen=True, array_like=True):
    """Where a provider delivers pushes to a device. Never printed: who has it can address the device."""

    token: str
    provider: PushProvider

    def __repr__(self) -> str:
        return f"PushToken({self.provider}, {masked(self.token)})"


def masked(token: str) -> str:
    """Enough of a push token to tell it from others, and no more."""
    return f"…{token[-4:]}" if len(token) >= 16 else "…"


class DeviceRegistered(Struct, frozen=True, tag="device", array_like=True):
    """A device is with this profile, as described: it registered, logged in, or has another push token.

    `received_at` grows with each record of a device, whatever the profile: the latest tells where it is.
    `consent`: what the person answered before the device was registered.
    """

    sender: Sender
    received_at: int
    platform: str
    form_factor: str
    push: PushToken | None = None
    consent: dict[str, bool] = {}


class DeviceDeparted(Struct, frozen=True, tag="depart", array_like=True):
    """A device went from this profile to another; `received_at` as in DeviceRegistered."""

    sender: Sender
    received_at: int


class ConsentGiven(Struct, frozen=True, tag="consent", array_like=True):
    """The person agreed to purposes, or denied them; `at`: when, ms UTC, never after `received_at`.

    `before_login`: it was told to an anonymous profile that has since turned out to be this known one.
    """

    sender: Sender
    received_at: int
    at: int
    consent: dict[str, bool]
    before_login: bool = False


class ProfileLinked(Struct, frozen=True, tag="link", array_like=True):
    """The anonymous sender turned out to be a known profile: hand over what there is, forward the rest."""

    sender: Sender
    received_at: int
    known_profile_id: str
    user_id: str


class ProfileMerged(Struct, frozen=True, tag="merge", array_like=True):
    """What a linked anonymous profile was when it was linked; the sender is the known profile."""

    sender: Sender
    received_at: int
    user_id: str
    anonymous_profile_id: str
    state: bytes
    messages: list[bytes]


class MessageRequested(Struct, frozen=True, tag="message", array_like=True):
    """A server asks for a message to this profile. `content` and, if any, `trigger` are JSON.

    `display`: as in the request; from before there was more to say, only its `once_per`.
    """

    sender: Sender
    received_at: int
    message_id: str
    priority: int
    ttl_s: int
    display: str | dict[str, Any]
    content: bytes
    trigger: bytes = b""


class MessageWithdrawn(Struct, frozen=True, tag="withdraw", array_like=True):
    """A server takes a message back."""

    sender: Sender
    received_at: int
    message_id: str


Record = (
    EventsUploaded
    | DeviceRegistered
    | DeviceDeparted
    | ConsentGiven
    | ProfileLinked
    | ProfileMerged
    | MessageRequested
    | MessageWithdrawn
)


# -- what the log remembers of them -----------------------------------------------------------

FINGERPRINT_BYTES = 8
_ALL_BITS = 2 ** (8 * FINGERPRINT_BYTES) - 1


class Marks(Struct, frozen=True):
    """How the log knows a batch again.

    `fingerprints`: of the batch id and of each event id, 8 bytes each, one after the other.
    `oldest`, `newest`: the smallest and largest first 48 bits of the event ids; in ids that grow with time
    (UUID version 7) these are milliseconds.
    """

    fingerprints: bytes
    oldest: int = 0
    newest: int = 0


def marks_of(batch_id: Id, event_ids: Sequence[Id]) -> Marks:
    """The marks of a batch.

    Fingerprints are both halves of the UUIDs in one: versions 1 and 6 vary in the first only. That of the
    batch is inverted: a client may name a batch after one of its events. Raises ValueError when an id is
    no UUID in its 36 character form.
    """
    text = "".join((batch_id, *event_ids))
    count = len(event_ids) + 1
    dashes = text[8::36] + text[13::36] + text[18::36] + text[23::36]
    packed = bytes.fromhex(text.replace("-", ""))
    if dashes != "-" * (4 * count) or len(packed) != 16 * count:
        raise ValueError("an id is not a UUID")
    halves = array("Q", packed)
    high, low = halves[::2], halves[1::2]
    # As two large numbers: 1 µs for 500 ids.
    folded = int.from_bytes(high.tobytes()) ^ int.from_bytes(low.tobytes())
    folded ^= _ALL_BITS << (8 * FINGERPRINT_BYTES * (count - 1))
    prints = folded.to_bytes(FINGERPRINT_BYTES * count)
    if sys.byteorder == "little":
        high.byteswap()
    times = high[1:] or high
    return Marks(prints, min(times) >> 16, max(times) >> 16)


def marks_of_causes(*causes: object) -> Marks:
    """Marks made from its causes, for a record that has no ids."""
    text = "\0".join(map(str, causes))
    return Marks(hashlib.blake2b(text.encode(), digest_size=FINGERPRINT_BYTES).digest())
