"""The inbox of a profile: what lives in it, what a device is shown of it, and what it forgets.

Two halves. The worker keeps an *index* in the profile's state and decides by it. The *shelf* is the Valkey
hash that edges read: one field per message, so that a change costs one field. The index changes first, the
shelf follows in the same transaction.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType, field

from gateway.errors import Problem
from gateway.records import OncePer

WITHDRAWN_REMEMBERED = 50
CONTENT_BYTES_MAX = 32 * 1024

Layout = Literal["banner", "slideup", "modal", "fullscreen", "inline", "survey", "chat"]
Text = Annotated[str, Meta(max_length=4096)]
ShortText = Annotated[str, Meta(min_length=1, max_length=128)]


# -- the wire form ----------------------------------------------------------------------------


class Dismiss(Struct, frozen=True, tag="dismiss"):
    """Close the message."""


class DeepLink(Struct, frozen=True, tag="deep_link"):
    """Open a place inside the app. Schemes that can run code or read files are refused."""

    url: Annotated[
        str,
        Meta(pattern=r"^(?!(?i:javascript|vbscript|data|file|blob|intent):)\S+\Z", max_length=2048),
    ]


class OpenUrl(Struct, frozen=True, tag="open_url"):
    """Open a web page; only http and https, because other schemes can run code on a device."""

    url: Annotated[str, Meta(pattern=r"^https?://\S+\Z", max_length=2048)]


class SendEvent(Struct, frozen=True, tag="event"):
    """Send an event."""

    name: ShortText
    props: dict[str, Any] = {}


class Button(Struct, frozen=True, omit_defaults=True):
    """A button of a message."""

    id: ShortText
    label: ShortText
    action: Dismiss | DeepLink | OpenUrl | SendEvent


class Content(Struct, frozen=True):
    """What a message shows. Declarative, rendered natively by the device."""

    layout: Layout
    title: Text = ""
    body: Text = ""
    image: Annotated[str, Meta(pattern=r"^https://\S+\Z", max_length=2048)] | UnsetType = UNSET
    buttons: Annotated[list[Button], Meta(max_length=8)] = []
    theme: dict[str, Any] | UnsetType = UNSET


def encode_content(content: Content) -> bytes:
    """Content as JSON. Raises Problem `invalid_body` when it is too large for devices to be handed."""
    packed = msgspec.json.encode(content)
    if len(packed) > CONTENT_BYTES_MAX:
        raise Problem("invalid_body", f"content: at most {CONTENT_BYTES_MAX} bytes of JSON")
    return packed


class Display(Struct, frozen=True):
    """How a message is shown: once per person (the default), or once on each of their devices."""

    once_per: OncePer = "person"


class Message(Struct, frozen=True, kw_only=True):
    """A message as a device gets it; times in ms UTC."""

    id: str
    journey_id: str | UnsetType = UNSET
    channel: str = "in_app"
    priority: int
    created_at: int
    expires_at: int
    display: Display
    content: Raw
    decision_id: str


# -- the worker's half ------------------------------------------------------------------------


class IndexItem(Struct, array_like=True):
    """A live message as the worker knows it."""

    version: int
    expires_at: int
    once_per: OncePer
    shown_by: list[str] = field(default_factory=list)


class Inbox(Struct, array_like=True):
    """The index. `version` grows with every change; `withdrawn`: the last ids taken back, with versions."""

    version: int = 0
    items: dict[str, IndexItem] = field(default_factory=dict)
    withdrawn: list[tuple[str, int]] = field(default_factory=list)


class Shelved(Struct, frozen=True, array_like=True):
    """A message as it lies on the shelf."""

    version: int
    expires_at: int
    priority: int
    device_id: str | None
    json: bytes


class Changes(Struct):
    """What to do to a shelf and to the timers, gathered over a batch."""

    put: dict[str, bytes] = field(default_factory=dict)
    drop: set[str] = field(default_factory=set)
    expire_at: dict[str, int | None] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.put or self.drop)


def put(
    inbox: Inbox,
    changes: Changes,
    message_id: str,
    *,
    expires_at: int,
    priority: int,
    once_per: OncePer,
    device_id: str | None,
    json: bytes,
) -> None:
    """Put a message into the inbox. The caller has checked that there is room."""
    inbox.version += 1
    inbox.items[message_id] = IndexItem(inbox.version, expires_at, once_per)
    changes.put[f"m:{message_id}"] = encode_shelved(
        Shelved(inbox.version, expires_at, priority, device_id, json)
    )
    changes.expire_at[message_id] = expires_at


def withdraw(inbox: Inbox, changes: Changes, message_id: str) -> bool:
    """Take a message back and remember that, for devices that hold it. False when it is not there."""
    if inbox.items.pop(message_id, None) is None:
        return False
    inbox.version += 1
    inbox.withdrawn.append((message_id, inbox.version))
    _remove(changes, message_id)
    changes.put[f"w:{message_id}"] = b"%d" % inbox.version
    while len(inbox.withdrawn) > WITHDRAWN_REMEMBERED:
        forgotten, version = inbox.withdrawn.pop(0)
        changes.put.pop(f"w:{forgotten}", None)
        changes.drop.add(f"w:{forgotten}")
        changes.put["floor"] = b"%d" % version
    return True


def mark_shown(inbox: Inbox, changes: Changes, message_id: str, device_id: str | None) -> None:
    """A device showed it: gone for the person, or only for that device, as the message says."""
    item = inbox.items.get(message_id)
    if item is None:
        return
    if item.once_per == "person" or device_id is None:
        withdraw(inbox, changes, message_id)
    elif device_id not in item.shown_by:
        item.shown_by.append(device_id)
        inbox.version += 1
        changes.put[f"s:{message_id}"] = ",".join(item.shown_by).encode()


def expire(inbox: Inbox, changes: Changes, message_id: str, now: int) -> None:
    """Forget a message whose time is over; devices know the time themselves, so nothing is announced."""
    item = inbox.items.get(message_id)
    if item is not None and item.expires_at <= now:
        del inbox.items[message_id]
        _remove(changes, message_id)


def _remove(changes: Changes, message_id: str) -> None:
    for name in (f"m:{message_id}", f"s:{message_id}"):
        changes.put.pop(name, None)
        changes.drop.add(name)
    changes.expire_at[message_id] = None


# -- the edge's half --------------------------------------------------------------------------


class Shelf(Struct, frozen=True):
    """The hash of a profile, read. `gone`: devices that moved away; their tokens from before are refused."""

    version: int
    floor: int
    messages: dict[str, Shelved]
    withdrawn: dict[str, int]
    shown_by: dict[str, frozenset[str]]
    gone: dict[str, int]

    def refuses(self, device_id: str, issued_at: int) -> bool:
        """Whether a token of this device is from before it moved to another profile."""
        return issued_at < self.gone.get(device_id, 0)


class Page(Struct, frozen=True):
    """The answer to a poll."""

    cursor: str
    messages: list[Raw]
    withdrawn: list[str]
    reset: bool

    def __bool__(self) -> bool:
        return bool(self.messages or self.withdrawn or self.reset)


_NOBODY: dict[str, int] = {}
encode_shelved = msgspec.msgpack.Encoder().encode
_decode_shelved = msgspec.msgpack.Decoder(Shelved).decode


def read_shelf(fields: dict[bytes, bytes]) -> Shelf:
    """A shelf from the fields of its hash."""
    messages: dict[str, Shelved] = {}
    withdrawn: dict[str, int] = {}
    shown_by: dict[str, frozenset[str]] = {}
    gone: dict[str, int] = {}
    for name, value in fields.items():
        kind, _, rest = name.decode().partition(":")
        match kind:
            case "m":
                messages[rest] = _decode_shelved(value)
            case "w":
                withdrawn[rest] = int(value)
            case "s":
                shown_by[rest] = frozenset(value.decode().split(","))
            case "gone":
                gone[rest] = int(value)
    return Shelf(
        int(fields.get(b"v", 0)),
        int(fields.get(b"floor", 0)),
        messages,
        withdrawn,
        shown_by,
        gone or _NOBODY,
    )


def cursor_at(profile_id: str, version: int) -> str:
    """The cursor of a device that has seen everything up to this version."""
    return f"{profile_id[:8]}.{version}"


def page_for(shelf: Shelf, profile_id: str, device_id: str, after: str, now: int) -> Page:
    """What is new to a device that stands at the cursor `after` (empty: it has nothing).

    A cursor of another profile, from the future (the store was lost) or older than what is remembered of
    withdrawals gets everything, and `reset`.
    """
    seen, known = 0, False
    owner, _, number = after.partition(".")
    if owner == profile_id[:8] and number.isdecimal() and len(number) < 19:
        seen = int(number)
        known = shelf.floor <= seen <= shelf.version
    reset = bool(after) and not known
    if not known:
        seen = 0
    fresh = [
        (-shelved.priority, shelved.version, shelved.json)
        for message_id, shelved in shelf.messages.items()
        if shelved.version > seen
        and shelved.expires_at > now
        and shelved.device_id in {None, device_id}
        and device_id not in shelf.shown_by.get(message_id, ())
    ]
    withdrawn = [id for id, version in shelf.withdrawn.items() if known and version > seen]
    return Page(
        cursor_at(profile_id, shelf.version),
        [Raw(json) for _, _, json in sorted(fresh)],
        withdrawn,
        reset,
    )
