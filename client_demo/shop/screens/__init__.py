"""Every place of the app. A screen is made when one goes there and forgotten when one leaves."""

from __future__ import annotations

from client_demo.shop.screens.base import Screen
from client_demo.shop.screens.basket import BasketScreen
from client_demo.shop.screens.catalogue import CatalogueScreen
from client_demo.shop.screens.checkout import CheckoutScreen, ConfirmationScreen
from client_demo.shop.screens.developer import DeveloperScreen
from client_demo.shop.screens.home import HomeScreen
from client_demo.shop.screens.inbox import InboxScreen
from client_demo.shop.screens.product import ProductScreen
from client_demo.shop.screens.profile import ConsentScreen, ProfileScreen, SettingsScreen
from client_demo.shop.screens.support import SupportScreen

SCREENS: dict[str, type[Screen]] = {
    "home": HomeScreen,
    "catalogue": CatalogueScreen,
    "product": ProductScreen,
    "basket": BasketScreen,
    "checkout": CheckoutScreen,
    "confirmation": ConfirmationScreen,
    "inbox": InboxScreen,
    "profile": ProfileScreen,
    "consent": ConsentScreen,
    "settings": SettingsScreen,
    "support": SupportScreen,
    "developer": DeveloperScreen,
}

__all__ = ["SCREENS", "Screen"]
