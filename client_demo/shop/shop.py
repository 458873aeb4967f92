"""What the parts of the app are given to work with; `app.py` puts it together."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from client_demo.shop.platform import UnavailableError

if TYPE_CHECKING:
    from client_demo.shop.engagement import Engagement
    from client_demo.shop.model.store import Store
    from client_demo.shop.navigation import Navigator
    from client_demo.shop.overlays.presenter import Presenter
    from client_demo.shop.platform import DevicePlatform
    from client_demo.shop.shell import Shell
    from client_demo.shop.ui import Ui


@dataclass(slots=True)
class Shop:
    """The running app: its surroundings, its models and its ways out."""

    ui: Ui
    navigator: Navigator
    store: Store
    """Products, basket, favourites, orders, and who is logged in."""
    engagement: Engagement
    """The SDK, as this app uses it."""
    platform: DevicePlatform
    shell: Shell = field(init=False)
    """The window's root: layers, toasts, menu."""
    presenter: Presenter = field(init=False)
    """Shows in-app messages."""

    def vibrate(self, seconds: float) -> None:
        """Hum, where the device can; where it cannot, nobody misses it."""
        with suppress(UnavailableError):
            self.platform.vibrate(seconds)
