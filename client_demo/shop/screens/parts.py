"""What several of the shopping screens have: rows and grids of products, the way to a product, a QR code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kivy.uix.anchorlayout import AnchorLayout
from kivy.uix.relativelayout import RelativeLayout
from kivy.uix.widget import Widget

from client_demo.shop import theme
from client_demo.shop.layout import CONTENT_WIDTH_MAX
from client_demo.shop.model.catalogue import Product
from client_demo.shop.navigation import Route
from client_demo.shop.shop import Shop
from client_demo.shop.widgets import Button, Card, Column, Grid, QrCode, Row, Scrim, Scroll, Text
from client_demo.shop.widgets.product import ProductCard

CARD_LEAST, CARD_WIDTH = 190, 200
"""How wide a card is at least in a grid, and exactly in a row, in dp."""


def card(shop: Shop, product: Product, *, where: str, width: float | None = None) -> ProductCard:
    """Make the card of a product; `where` tells cards of one product on one screen apart."""

    def favour() -> None:
        is_favourite = shop.store.toggle_favourite(product.id)
        shop.engagement.favourite_changed(product, is_favourite=is_favourite)

    return ProductCard(
        shop.ui,
        product,
        lambda: shop.navigator.go(Route("product", {"id": product.id})),
        is_favourite=product.id in shop.store.favourites,
        on_favourite=favour,
        width=width,
        focus_key=f"{where}.{product.id}",
    )


def product_row(shop: Shop, products: Sequence[Product], *, where: str) -> Widget:
    """Lay products side by side in a row that scrolls."""
    ui = shop.ui
    width = CARD_WIDTH if not ui.layout.is_compact else 168
    # The row runs out at the edges of the screen, and leaves room for shadows and for the ring of focus.
    edge = ui.layout.margin
    row = Row(ui, spacing=theme.L, top=True, padding=(edge, theme.S, edge, theme.L))
    for product in products:
        row.add_widget(card(shop, product, where=where, width=width))
    scroll = Scroll(ui, row, across=True, size_hint=(None, None), x=-ui.dp(edge))
    holder = RelativeLayout(size_hint_y=None)
    holder.add_widget(scroll)

    def fit(*_: Any) -> None:
        holder.height = scroll.height = row.height
        scroll.width = holder.width + 2 * ui.dp(edge)

    row.bind(height=fit)
    holder.bind(width=fit)
    fit()
    return holder


def product_grid(shop: Shop, products: Sequence[Product], *, where: str, room: float) -> Widget:
    """Lay products out in as many columns as fit into `room` dp."""
    columns = shop.ui.layout.columns(CARD_LEAST, room, theme.L)
    return Grid(
        shop.ui,
        columns,
        *(card(shop, product, where=where) for product in products),
        spacing=theme.L,
    )


def show_qr(shop: Shop, title: str, text: str, link: str) -> None:
    """On television, hand over to the phone what needs typing."""
    ui, shell = shop.ui, shop.shell
    layer_box: list[Any] = []

    def close() -> None:
        shell.close_layer(layer_box[0])

    code = QrCode(ui, link, 220)
    code.pos_hint = {"center_x": 0.5}
    done = Button(
        ui, ui.t("action.close"), close, wide=True, focus_key="qr.close", prefers_focus=True
    )
    panel = Card(
        ui,
        Text(ui, title, "title", align="center"),
        code,
        Text(ui, text, "body", colour="muted", align="center"),
        done,
        padding=theme.XL,
        spacing=theme.L,
        radius=theme.CORNER_L,
        size_hint_x=None,
        width=ui.dp(400),
    )
    root = RelativeLayout()
    root.add_widget(Scrim(ui, close))
    centred = AnchorLayout()
    centred.add_widget(panel)
    root.add_widget(centred)
    layer_box.append(shell.open_layer(root, close=close, first=done))


def two_panes(shop: Shop, left: Widget, right: Widget, *, share: float = 0.58) -> Widget:
    """Put two columns side by side, each at the top."""
    left.size_hint_x, right.size_hint_x = share, 1 - share
    return Row(shop.ui, left, right, spacing=theme.XL, top=True)


def room_of(shop: Shop) -> float:
    """Give the width in dp that a screen's content has between its margins."""
    layout = shop.ui.layout
    menu = {"bottom": 0, "rail": 92, "side": 184}[layout.menu]
    across = layout.width - 2 * layout.overscan[0] - menu
    return min(CONTENT_WIDTH_MAX, across - 2 * layout.margin)


def sections(*found: Widget | None) -> list[Widget]:
    """Leave out what is not there."""
    return [widget for widget in found if widget is not None]


def facts(shop: Shop, lines: Sequence[str], icon: str = "check") -> Widget:
    """List short facts, each with a tick."""
    from client_demo.shop.widgets import Icon  # noqa: PLC0415

    ui = shop.ui
    return Column(
        ui,
        *(
            Row(ui, Icon(ui, icon, 18, colour="primary"), Text(ui, line, "body"), spacing=theme.S)
            for line in lines
        ),
        spacing=theme.S,
    )
