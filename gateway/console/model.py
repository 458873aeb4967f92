"""Bodies and answers of the admin API that no other capability owns."""

from typing import Any
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType

from gateway.apps.model import AppName
from gateway.inbox.model import Content, Display, Message
from gateway.journeys.model import Priority, Ttl
from gateway.profiles.model import KnownDevice, Profile
from gateway.records import HexId, UserId, masked
from gateway.rule import Trigger


class Recipient(Struct, frozen=True, kw_only=True):
    """Who gets a message: exactly one of these."""

    user_id: UserId | None = None
    profile_id: HexId | None = None
    device_id: HexId | None = None


class MessageRequest(Struct, frozen=True, kw_only=True):
    """The body of `POST /admin/v1/messages`. `id` makes a repeat harmless."""

    to: Recipient
    content: Content
    ttl_s: Ttl = 7 * 86_400
    priority: Priority = 50
    display: Display = Display()
    trigger: Trigger | UnsetType = UNSET
    id: UUID | None = None


class MessageAccepted(Struct, frozen=True):
    """The message will be in the inbox milliseconds later."""

    message_id: str


class MessageView(Message, frozen=True, kw_only=True):
    """A message with its content, which is only handed on elsewhere."""

    content: Content  # type: ignore[assignment]  # the same JSON, read


class AppChange(Struct, frozen=True):
    """The body of `PUT /admin/v1/app`: what is given changes."""

    name: AppName | None = None
    verify_identity: bool | None = None


class KeyView(Struct, frozen=True):
    """A key without its secret."""

    id: str
    kind: str
    created_at: int
    expires_at: int | None


class AppView(Struct, frozen=True):
    """An app as its own server sees it. `identity_secret` signs proofs of identity."""

    id: str
    name: str
    created_at: int
    verify_identity: bool
    identity_secret: str
    keys: list[KeyView]


class PushView(Struct, frozen=True):
    """Where pushes reach a device; of the token only enough to tell it from others."""

    provider: str
    token: str


class DeviceView(Struct, frozen=True):
    """A device of a profile; `push` is None when pushes don't reach this person there."""

    id: str
    platform: str
    form_factor: str
    first_seen: int
    last_seen: int
    push: PushView | None


class GroupView(Struct, frozen=True):
    """A group that a person belongs to."""

    id: str
    properties: dict[str, Any]


class ConsentView(Struct, frozen=True):
    """The answer to one purpose: when it was given, and on which device."""

    granted: bool
    at: int
    device_id: str | None


class ProfileView(Struct, frozen=True):
    """A profile as the admin API shows it; times in ms UTC."""

    id: str
    user_id: str | None
    first_seen: int
    last_seen: int
    events: int
    counts: dict[str, int]
    attributes: dict[str, Any]
    sessions: int
    devices: list[DeviceView]
    linked_to: str | None
    links: list[str]
    groups: dict[str, GroupView]
    aliases: list[str]
    left_out: dict[str, int]
    consent: dict[str, ConsentView]


def view_profile(profile: Profile) -> ProfileView:
    """A profile for people."""
    return ProfileView(
        profile.id,
        profile.user_id,
        profile.first_seen,
        profile.last_seen,
        profile.events,
        profile.counts,
        profile.attributes,
        profile.sessions,
        [_view_device(id, known) for id, known in profile.devices.items()],
        profile.linked_to,
        profile.links,
        {type: GroupView(group.id, group.properties) for type, group in profile.groups.items()},
        profile.aliases,
        profile.left_out,
        {
            purpose: ConsentView(answer.granted, answer.at, answer.device_id)
            for purpose, answer in profile.consent.items()
        },
    )


def _view_device(id: str, known: KnownDevice) -> DeviceView:
    push = known.push
    return DeviceView(
        id,
        known.platform,
        known.form_factor,
        known.first_seen,
        known.last_seen,
        None if push is None else PushView(push.provider, masked(push.token)),
    )
