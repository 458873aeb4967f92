"""What the SDK asks of the machine it runs on. Apps on phones and televisions bring their own."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Literal, Protocol, get_args

from zuruf.errors import ConfigError

PlatformName = Literal[
    "ios", "android", "tvos", "androidtv", "firetv", "tizen", "webos", "roku", "web", "desktop"
]
FormFactor = Literal["phone", "tablet", "tv", "desktop"]

PLATFORM_NAMES: frozenset[str] = frozenset(get_args(PlatformName))
FORM_FACTORS: frozenset[str] = frozenset(get_args(FormFactor))


@dataclass(frozen=True, slots=True)
class Screen:
    """The screen of the device, in pixels."""

    width: int
    height: int
    density: float = 1.0


@dataclass(frozen=True, slots=True)
class Device:
    """What the app knows about the device it runs on. All of it may be missing."""

    manufacturer: str | None = None
    model: str | None = None
    os_version: str | None = None
    app_version: str | None = None
    locale: str | None = None
    timezone: str | None = None
    screen: Screen | None = None


class Platform(Protocol):
    """The device and its local time. Asked on the worker's thread, so it may take a while."""

    @property
    def name(self) -> PlatformName:
        """The protocol's word for the system."""

    @property
    def form_factor(self) -> FormFactor:
        """The protocol's word for the kind of device."""

    def device(self) -> Device:
        """Describe the device, at each registration anew."""

    def utc_offset_s(self, wall_ms: int) -> int:
        """Give local time minus UTC at a moment, in seconds. Quiet hours are the device's."""


@dataclass(frozen=True, slots=True)
class SystemPlatform:
    """A platform told by values: what does not change while the app runs."""

    name: PlatformName = "desktop"
    form_factor: FormFactor = "desktop"
    described: Device = field(default_factory=Device)

    def device(self) -> Device:
        return self.described

    def utc_offset_s(self, wall_ms: int) -> int:
        return time.localtime(wall_ms / 1000).tm_gmtoff


def checked(platform: Platform) -> Platform:
    """Give the platform back; raises ConfigError when the gateway would not know its words."""
    if platform.name not in PLATFORM_NAMES:
        raise ConfigError(f"platform.name must be one of {', '.join(sorted(PLATFORM_NAMES))}")
    if platform.form_factor not in FORM_FACTORS:
        raise ConfigError(f"platform.form_factor must be one of {', '.join(sorted(FORM_FACTORS))}")
    return platform
