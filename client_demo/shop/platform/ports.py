"""What the app asks of a device."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

CapabilityName = Literal["notification", "battery", "device_name", "gps", "vibration"]
CAPABILITIES: tuple[CapabilityName, ...] = (
    "notification",
    "battery",
    "device_name",
    "gps",
    "vibration",
)


@dataclass(frozen=True, slots=True)
class Capability:
    """Whether the device can do something; if not, why not, in words for a developer."""

    is_available: bool
    source: str
    """Who does it: `plyer` or `simulated`."""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Battery:
    """The state of the battery."""

    percent: float
    """0 to 100."""
    is_charging: bool


@dataclass(frozen=True, slots=True)
class Place:
    """A point on the map, in degrees (WGS 84), known to `accuracy_m` metres."""

    latitude: float
    longitude: float
    accuracy_m: float


class UnavailableError(Exception):
    """The device cannot do that; the text says why."""


class DevicePlatform(Protocol):
    """A device. Every call but `capabilities` raises UnavailableError when the device cannot do it."""

    def capabilities(self) -> Mapping[CapabilityName, Capability]:
        """Tell what there is. Asked once and remembered."""

    def notify(self, title: str, text: str) -> None:
        """Show a notification of the system."""

    def battery(self) -> Battery:
        """Read the battery."""

    def device_name(self) -> str:
        """Give the name of the device, as its owner or its maker calls it."""

    def start_gps(self, on_place: Callable[[Place], None]) -> None:
        """Report places until `stop_gps`; on which thread is up to the device."""

    def stop_gps(self) -> None:
        """Report no more places."""

    def vibrate(self, seconds: float) -> None:
        """Vibrate."""
