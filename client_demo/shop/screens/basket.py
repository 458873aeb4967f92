"""What one is about to buy."""

from __future__ import annotations

from collections.abc import Sequence

from kivy.uix.widget import Widget

from client_demo.shop import theme
from client_demo.shop.model.basket import QUANTITY_MAX, Basket, Position
from client_demo.shop.navigation import Route
from client_demo.shop.observable import Signal
from client_demo.shop.screens.base import Screen
from client_demo.shop.screens.parts import two_panes
from client_demo.shop.ui import Ui
from client_demo.shop.widgets import (
    Button,
    Card,
    Column,
    Divider,
    EmptyState,
    IconButton,
    Pressable,
    Progress,
    Row,
    Stepper,
    Text,
    Tile,
)


def empty_basket(screen: Screen) -> Widget:
    """Say that there is nothing to buy yet, and show the way to something."""
    ui = screen.ui
    return EmptyState(
        ui,
        "shopping-bag-open",
        ui.t("basket.empty.title"),
        ui.t("basket.empty.text"),
        ui.t("basket.empty.action"),
        lambda: screen.go("catalogue"),
    )


class BasketScreen(Screen):
    def watched(self) -> Sequence[Signal]:
        return (self.shop.store.basket.changed,)

    def build(self) -> Widget:
        ui, basket = self.ui, self.shop.store.basket
        title = ui.t("basket.title")
        if not len(basket):
            return self.page(empty_basket(self), title=title)
        positions = Card(ui, spacing=0, padding=(theme.L, theme.S))
        for number, position in enumerate(basket):
            if number:
                positions.column.add_widget(Divider(ui))
            positions.column.add_widget(self._position(position))
        button = Button(
            ui,
            ui.t("basket.checkout"),
            lambda: self.go("checkout"),
            wide=True,
            focus_key="basket.checkout",
            prefers_focus=True,
        )
        if ui.layout.two_panes:
            right = Card(ui, *summary_lines(ui, basket), button, spacing=theme.M)
            return self.page(two_panes(self.shop, positions, right, share=0.64), title=title)
        footer = Column(
            ui,
            total_line(ui, basket),
            button,
            padding=(ui.layout.margin, theme.M),
            spacing=theme.M,
        )
        return self.page(
            positions,
            Card(ui, *summary_lines(ui, basket, with_total=False), spacing=theme.M),
            title=title,
            footer=footer,
            spacing=theme.L,
        )

    def _position(self, position: Position) -> Widget:
        ui, basket = self.ui, self.shop.store.basket
        product = position.product
        picture = Pressable(
            ui,
            lambda: self.shop.navigator.go(
                Route("product", {"id": product.id, "variant": position.variant})
            ),
            focus_key=f"position.{position.key}",
            accessible_name=product.name[ui.language],
            size_hint=(None, None),
            size=(ui.dp(84), ui.dp(84)),
        )
        picture.add_widget(Tile(ui, product.picture(position.variant), inset=0.06))
        stepper = Stepper(
            ui,
            position.quantity,
            lambda quantity: basket.set_quantity(position.key, quantity),
            most=QUANTITY_MAX,
            name=ui.t("product.quantity"),
            compact=True,
            focus_key=f"quantity.{position.key}",
        )
        remove = IconButton(
            ui,
            "trash",
            ui.t("basket.remove", name=product.name[ui.language]),
            lambda: self._remove(position),
            colour="muted",
            icon_size=20,
            focus_key=f"remove.{position.key}",
        )
        words = Column(
            ui,
            Text(ui, product.name[ui.language], "subtitle"),
            Text(
                ui, product.variants[position.variant].name[ui.language], "caption", colour="muted"
            ),
            spacing=2,
        )
        price = Text(ui, ui.price(position.total), "subtitle", wrap=False)
        if ui.layout.is_compact:
            words.spacing = ui.dp(theme.XS)
            words.add_widget(Row(ui, stepper, remove, spacing=theme.XS, hug=True))
            words.add_widget(price)
            return Row(ui, picture, words, top=True, spacing=theme.M, padding=(0, theme.M))
        return Row(
            ui, picture, words, stepper, price, remove, spacing=theme.L, padding=(0, theme.M)
        )

    def _remove(self, position: Position) -> None:
        ui = self.ui
        self.shop.store.basket.remove(position.key)
        self.shop.engagement.removed_from_basket(position)
        ui.toast(ui.t("basket.removed", name=position.product.name[ui.language]), "plain")


def line(ui: Ui, label: str, amount: str, *, strong: bool = False) -> Widget:
    """Make one line of a bill."""
    style: theme.TextStyle = "subtitle" if strong else "body"
    return Row(
        ui,
        Text(ui, label, style, colour="text" if strong else "muted"),
        Text(ui, amount, style, wrap=False),
    )


def total_line(ui: Ui, basket: Basket) -> Widget:
    return line(ui, ui.t("basket.total"), ui.price(basket.total), strong=True)


def summary_lines(ui: Ui, basket: Basket, *, with_total: bool = True) -> list[Widget]:
    """Give the lines of the bill, and what is missing for free shipping."""
    missing = basket.missing_for_free_shipping
    share = 1.0 if not missing else basket.subtotal / (basket.subtotal + missing)
    note = (
        ui.t("basket.missing", amount=ui.price(missing)) if missing else ui.t("basket.freeshipping")
    )
    found = [
        Column(
            ui,
            Text(ui, note, "caption", colour="muted" if missing else "success"),
            Progress(ui, share),
            spacing=theme.S,
        ),
        line(ui, ui.t("basket.items", n=basket.quantity), ui.price(basket.subtotal)),
        line(
            ui,
            ui.t("basket.shipping"),
            ui.price(basket.shipping) if basket.shipping else ui.t("basket.free"),
        ),
    ]
    if with_total:
        found += [
            Divider(ui),
            total_line(ui, basket),
            Text(ui, ui.t("basket.vat"), "caption", colour="muted"),
        ]
    return found
