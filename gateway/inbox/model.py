"""The inbox of a profile: what lives in it, what a device is shown of it, and what it forgets.

Two halves. The worker keeps an *index* in the profile's state and decides by it. The *shelf* is the Valkey
hash that edges read: one field per message, so that a change costs one field. The index changes first, the
shelf follows in the same transaction.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType, field
from msgspec.structs import replace

from gateway.errors import Problem
from gateway.rule import Trigger, rule_of

WITHDRAWN_REMEMBERED = 50
SHOWERS_REMEMBERED = 256
CONTENT_BYTES_MAX = 32 * 1024
TRIGGER_BYTES_MAX = 8 * 1024
QUESTIONS_MAX = 20
OPTIONS_MAX = 20

OncePer = Literal["person", "device"]
QuestionKind = Literal["rating", "choice", "text"]
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


class Question(Struct, frozen=True):
    """A question of a survey: a choice among `options`, a rating from 1 to `scale`, or a text."""

    id: ShortText
    kind: QuestionKind
    label: Annotated[str, Meta(min_length=1, max_length=1024)]
    options: Annotated[list[ShortText], Meta(min_length=2, max_length=OPTIONS_MAX)] | UnsetType = (
        UNSET
    )
    scale: Annotated[int, Meta(ge=2, le=10)] | UnsetType = UNSET


class Survey(Struct, frozen=True):
    """What a survey asks, in this order."""

    questions: Annotated[list[Question], Meta(min_length=1, max_length=QUESTIONS_MAX)]


class Content(Struct, frozen=True):
    """What a message shows. Declarative, rendered natively by the device."""

    layout: Layout
    title: Text = ""
    body: Text = ""
    image: Annotated[str, Meta(pattern=r"^https://\S+\Z", max_length=2048)] | UnsetType = UNSET
    buttons: Annotated[list[Button], Meta(max_length=8)] = []
    theme: dict[str, Any] | UnsetType = UNSET
    survey: Survey | UnsetType = UNSET


def encode_content(content: Content) -> bytes:
    """Content as JSON. Raises Problem `invalid_body` when it is too large for devices to be handed."""
    packed = msgspec.json.encode(content)
    if len(packed) > CONTENT_BYTES_MAX:
        raise Problem("invalid_body", f"content: at most {CONTENT_BYTES_MAX} bytes of JSON")
    return packed


class ShowLimit(Struct, frozen=True):
    """At most `count` showings on a device within `period_s` seconds; None: within the message's life."""

    count: Annotated[int, Meta(ge=1, le=1_000)]
    period_s: Annotated[int, Meta(ge=1, le=400 * 86_400)] | None = None


class Display(Struct, frozen=True):
    """How a message is shown: once, to a person (the default) or on each of their devices, or up to `limit`.

    `ignores_caps`: the caps that the app sets for all its messages don't hold it back.
    """

    once_per: OncePer = "person"
    limit: ShowLimit | UnsetType = UNSET
    ignores_caps: bool | UnsetType = UNSET

    @property
    def showings(self) -> int:
        """After how many showings a device is done with the message; 0: never, only its end is its end."""
        if self.limit is UNSET:
            return 1
        return self.limit.count if self.limit.period_s is None else 0


class Message(Struct, frozen=True, kw_only=True):
    """A message as a device gets it; times in ms UTC. With a trigger it waits there for that event."""

    id: str
    journey_id: str | UnsetType = UNSET
    channel: str = "in_app"
    priority: int
    created_at: int
    expires_at: int
    trigger: Trigger | UnsetType = UNSET
    display: Display
    content: Raw
    decision_id: str


def check_message(content: Content, trigger: Trigger | UnsetType) -> None:
    """Check what the types can't say of a message that is about to be saved or sent.

    Raises Problem `invalid_body` or `invalid_rule`, with the place of the fault.
    """
    encode_content(content)
    if (content.layout == "survey") is (content.survey is UNSET):
        raise Problem("invalid_body", "content: the layout survey has a `survey`, no other has")
    if content.survey is not UNSET:
        _check_questions(content.survey.questions)
    if trigger is not UNSET:
        rule_of(trigger, "trigger.where")
        if len(msgspec.json.encode(trigger)) > TRIGGER_BYTES_MAX:
            raise Problem("invalid_body", f"trigger: at most {TRIGGER_BYTES_MAX} bytes of JSON")


def _check_questions(questions: list[Question]) -> None:
    if len({question.id for question in questions}) < len(questions):
        raise Problem("invalid_body", "content.survey: two questions have the same id")
    for place, question in enumerate(questions):
        path = f"content.survey.questions[{place}]"
        if (question.kind == "choice") is (question.options is UNSET):
            raise Problem("invalid_body", f"{path}: a choice has `options`, no other kind has")
        if question.options is not UNSET and len(set(question.options)) < len(question.options):
            raise Problem("invalid_body", f"{path}: an option stands there twice")
        if question.kind != "rating" and question.scale is not UNSET:
            raise Problem("invalid_body", f"{path}: only a rating has a `scale`")


# -- the worker's half ------------------------------------------------------------------------


class IndexItem(Struct, array_like=True):
    """A live message as the worker knows it.

    `shown_by`: devices that are done with it; `showings`: as in Display; `shown`: how often a device has
    shown it that is not done; `holder`: the device that alone has it, because it has begun to show it.
    """

    version: int
    expires_at: int
    once_per: OncePer
    shown_by: list[str] = field(default_factory=list)
    showings: int = 1
    shown: dict[str, int] = field(default_factory=dict)
    holder: str | None = None


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
    display: Display,
    device_id: str | None,
    json: bytes,
) -> None:
    """Put a message into the inbox. The caller has checked that there is room."""
    item = IndexItem(0, expires_at, display.once_per, showings=display.showings)
    adopt(inbox, changes, message_id, item, Shelved(0, expires_at, priority, device_id, json))


def adopt(
    inbox: Inbox, changes: Changes, message_id: str, item: IndexItem, shelved: Shelved
) -> None:
    """Put a message into the inbox as it was in another one, with what devices have made of it there."""
    inbox.version += 1
    item.version = inbox.version
    inbox.items[message_id] = item
    changes.put[f"m:{message_id}"] = encode_shelved(replace(shelved, version=inbox.version))
    changes.expire_at[message_id] = item.expires_at
    if item.shown_by:
        changes.put[f"s:{message_id}"] = ",".join(item.shown_by).encode()
    if item.holder is not None:
        changes.put[f"h:{message_id}"] = _version_and_device(inbox.version, item.holder)


def withdraw(
    inbox: Inbox, changes: Changes, message_id: str, *, shown_by: str | None = None
) -> bool:
    """Take a message back and remember that, for devices that hold it. False when it is not live.

    The device that it is taken back for, because it was `shown_by` it, is not told: its person reads it.
    """
    if inbox.items.pop(message_id, None) is None:
        return False
    _remove(changes, message_id)
    _tell_withdrawn(inbox, changes, message_id, shown_by or "")
    return True


def _tell_withdrawn(inbox: Inbox, changes: Changes, message_id: str, kept_by: str) -> None:
    inbox.version += 1
    inbox.withdrawn.append((message_id, inbox.version))
    changes.put[f"w:{message_id}"] = _version_and_device(inbox.version, kept_by)
    while len(inbox.withdrawn) > WITHDRAWN_REMEMBERED:
        forgotten, version = inbox.withdrawn.pop(0)
        changes.put.pop(f"w:{forgotten}", None)
        changes.drop.add(f"w:{forgotten}")
        changes.put["floor"] = b"%d" % version


def take_back(inbox: Inbox, changes: Changes, message_id: str) -> None:
    """Withdraw a message from every device, also from the one that kept it because it had shown it."""
    if withdraw(inbox, changes, message_id):
        return
    others = [told for told in inbox.withdrawn if told[0] != message_id]
    if len(others) < len(inbox.withdrawn):
        inbox.withdrawn = others
        _tell_withdrawn(inbox, changes, message_id, "")


def take_all_back(inbox: Inbox, changes: Changes) -> None:
    """Withdraw every message that a device may still have."""
    for message_id in [*(id for id, _ in inbox.withdrawn), *inbox.items]:
        take_back(inbox, changes, message_id)


def mark_shown(
    inbox: Inbox,
    changes: Changes,
    message_id: str,
    device_id: str | None,
    *,
    is_showing: bool = True,
) -> None:
    """A device showed it: gone for the person, or for that device, once it was shown as often as it says.

    What may be shown several times to a person stays with the device that began, and leaves the others.
    `is_showing` is False for what follows a showing, such as a click: it only says that there was one.
    """
    item = inbox.items.get(message_id)
    if item is None:
        return
    if device_id is None or (item.once_per == "person" and item.showings == 1):
        withdraw(inbox, changes, message_id, shown_by=device_id)
        return
    if item.once_per == "person":
        if item.holder is None:
            _hold(inbox, changes, message_id, item, device_id)
        elif item.holder != device_id:
            return
    if not item.showings or device_id in item.shown_by:
        return
    if _count_showing(item, device_id, is_showing=is_showing) < item.showings:
        return
    if item.once_per == "person":
        withdraw(inbox, changes, message_id, shown_by=device_id)
        return
    del item.shown[device_id]
    item.shown_by = [*item.shown_by[1 - SHOWERS_REMEMBERED :], device_id]
    inbox.version += 1
    changes.put[f"s:{message_id}"] = ",".join(item.shown_by).encode()


def _count_showing(item: IndexItem, device_id: str, *, is_showing: bool) -> int:
    """How often a device has shown a message by now; of too many devices, the first one is forgotten."""
    if device_id not in item.shown and len(item.shown) >= SHOWERS_REMEMBERED:
        del item.shown[next(iter(item.shown))]
    before = item.shown.get(device_id, 0)
    item.shown[device_id] = before + 1 if is_showing else max(before, 1)
    return item.shown[device_id]


def _hold(inbox: Inbox, changes: Changes, message_id: str, item: IndexItem, device_id: str) -> None:
    item.holder = device_id
    inbox.version += 1
    changes.put[f"h:{message_id}"] = _version_and_device(inbox.version, device_id)


def expire(inbox: Inbox, changes: Changes, message_id: str, now: int) -> None:
    """Forget a message whose time is over; devices know the time themselves, so nothing is announced."""
    item = inbox.items.get(message_id)
    if item is not None and item.expires_at <= now:
        del inbox.items[message_id]
        _remove(changes, message_id)


def _remove(changes: Changes, message_id: str) -> None:
    for name in (f"m:{message_id}", f"s:{message_id}", f"h:{message_id}"):
        changes.put.pop(name, None)
        changes.drop.add(name)
    changes.expire_at[message_id] = None


# -- the edge's half --------------------------------------------------------------------------


VersionAndDevice = tuple[int, str]
"""Since which version something holds, and for all devices but this one; empty: for all."""


def _version_and_device(version: int, device_id: str) -> bytes:
    return f"{version},{device_id}".encode()


def _read_version_and_device(value: bytes) -> VersionAndDevice:
    version, _, device_id = value.decode().partition(",")
    return int(version), device_id


class Shelf(Struct, frozen=True):
    """The hash of a profile, read.

    `withdrawn`: messages taken back; `held`: messages that only one device has; `gone`: devices that moved
    away; their tokens from before are refused.
    """

    version: int
    floor: int
    messages: dict[str, Shelved]
    withdrawn: dict[str, VersionAndDevice]
    shown_by: dict[str, frozenset[str]]
    held: dict[str, VersionAndDevice]
    gone: dict[str, int]

    def refuses(self, device_id: str, issued_at: int) -> bool:
        """Whether a token of this device is from before it moved to another profile."""
        return issued_at < self.gone.get(device_id, 0)

    def shows_elsewhere(self, message_id: str, device_id: str) -> bool:
        """Whether another device has begun to show a message that only one shall show."""
        held = self.held.get(message_id)
        return held is not None and held[1] != device_id

    def has(self, message_id: str) -> bool:
        """Whether a message is live, or kept by the device that has shown it."""
        _, kept_by = self.withdrawn.get(message_id, (0, ""))
        return message_id in self.messages or bool(kept_by)

    def withdrawn_since(self, seen: int, device_id: str) -> list[str]:
        """The messages that a device which has seen so much must not show any more."""
        return [
            message_id
            for lost in (self.withdrawn, self.held)
            for message_id, (version, kept_by) in lost.items()
            if version > seen and kept_by != device_id
        ]


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
    withdrawn: dict[str, VersionAndDevice] = {}
    shown_by: dict[str, frozenset[str]] = {}
    held: dict[str, VersionAndDevice] = {}
    gone: dict[str, int] = {}
    for name, value in fields.items():
        kind, _, rest = name.decode().partition(":")
        match kind:
            case "m":
                messages[rest] = _decode_shelved(value)
            case "w":
                withdrawn[rest] = _read_version_and_device(value)
            case "s":
                shown_by[rest] = frozenset(value.decode().split(","))
            case "h":
                held[rest] = _read_version_and_device(value)
            case "gone":
                gone[rest] = int(value)
    return Shelf(
        int(fields.get(b"v", 0)),
        int(fields.get(b"floor", 0)),
        messages,
        withdrawn,
        shown_by,
        held,
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
        and not shelf.shows_elsewhere(message_id, device_id)
    ]
    return Page(
        cursor_at(profile_id, shelf.version),
        [Raw(json) for _, _, json in sorted(fresh)],
        shelf.withdrawn_since(seen, device_id) if known else [],
        reset,
    )
