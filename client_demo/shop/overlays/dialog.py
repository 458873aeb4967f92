"""Questions and codes that the app itself lays over the screen."""

from __future__ import annotations

from collections.abc import Callable

from kivy.uix.widget import Widget

from client_demo.shop import theme
from client_demo.shop.overlays.cards import halo
from client_demo.shop.overlays.floating import Floating
from client_demo.shop.shop import Shop
from client_demo.shop.widgets import Button, Column, Gap, QrCode, Surface, Text
from client_demo.shop.widgets.controls import Kind

WIDTH = 380


class Dialog:
    """A card in the middle with something in it, until it is closed."""

    def __init__(self, shop: Shop, *children: Widget) -> None:
        self._shop = shop
        ui = shop.ui
        column = Column(ui, *children, padding=theme.XL, spacing=theme.M)
        panel = Surface(ui, column, raised=True, radius=theme.CORNER_L)
        self.view = Floating(ui, panel, edge="middle", width=WIDTH, margin=24, on_scrim=self.close)
        self._layer = shop.shell.open_layer(self.view, close=self.close)
        self._is_open = True
        self._disconnect = ui.changed.connect(self._vanish)
        self.view.enter(lambda: None)

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            self._disconnect()
            self._shop.shell.focus.pop(self._layer)
            self.view.leave(lambda: self._shop.shell.close_layer(self._layer))

    def _vanish(self) -> None:
        # Another theme or size: what it was made for is gone.
        if self._is_open:
            self._is_open = False
            self._disconnect()
            self._shop.shell.close_layer(self._layer)


def show_code(shop: Shop, url: str, title: str = "", text: str = "") -> Dialog:
    """Show an address as a QR code."""
    ui = shop.ui
    code = QrCode(ui, url, 220)
    code.pos_hint = {"center_x": 0.5}

    def close() -> None:
        dialog.close()

    button = Button(
        ui,
        ui.t("overlay.close"),
        close,
        wide=True,
        focus_key="dialog.close",
        prefers_focus=True,
    )
    dialog = Dialog(
        shop,
        Text(ui, title or ui.t("overlay.code.title"), "title", align="center"),
        Text(ui, text or ui.t("overlay.code.text"), "body", colour="muted", align="center"),
        Gap(ui, theme.XS),
        code,
        Text(ui, url, "caption", colour="muted", align="center"),
        button,
    )
    return dialog


def ask(
    shop: Shop,
    *,
    icon: str,
    title: str,
    text: str,
    yes: str,
    on_yes: Callable[[], object],
    kind: Kind = "filled",
) -> Dialog:
    """Ask before something that cannot be undone. The focus is on the way out."""
    ui = shop.ui
    danger = kind == "danger"
    mark = halo(
        ui,
        icon,
        56,
        ground=ui.colour("sunken" if danger else "primary_soft"),
        ink=ui.colour("danger" if danger else "on_primary_soft"),
    )
    mark.pos_hint = {"center_x": 0.5}

    def close() -> None:
        dialog.close()

    def agreed() -> None:
        close()
        on_yes()

    dialog = Dialog(
        shop,
        mark,
        Text(ui, title, "title", align="center"),
        Text(ui, text, "body", colour="muted", align="center"),
        Gap(ui, theme.XS),
        Button(ui, yes, agreed, kind=kind, wide=True, focus_key="dialog.yes"),
        Button(
            ui,
            ui.t("overlay.cancel"),
            close,
            kind="plain",
            wide=True,
            focus_key="dialog.no",
            prefers_focus=True,
        ),
    )
    return dialog
