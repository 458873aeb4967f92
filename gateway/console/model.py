"""Bodies and answers of the admin API that no other capability owns."""

from typing import Any
from uuid import UUID

from msgspec import Struct

from gateway.apps.model import AppName
from gateway.inbox.model import Content, Display
from gateway.journeys.model import Priority, Ttl
from gateway.profiles.model import Profile
from gateway.records import HexId, UserId


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
    id: UUID | None = None


class MessageAccepted(Struct, frozen=True):
    """The message will be in the inbox milliseconds later."""

    message_id: str


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


class DeviceView(Struct, frozen=True):
    """A device of a profile."""

    id: str
    platform: str
    form_factor: str
    first_seen: int
    last_seen: int


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
        [
            DeviceView(id, known.platform, known.form_factor, known.first_seen, known.last_seen)
            for id, known in profile.devices.items()
        ],
        profile.linked_to,
        profile.links,
    )
