"""The device as the app sees it: plyer where that has something, else simulated."""

from client_demo.shop.platform.ports import (
    Battery,
    Capability,
    DevicePlatform,
    Place,
    UnavailableError,
)

__all__ = ["Battery", "Capability", "DevicePlatform", "Place", "UnavailableError"]
