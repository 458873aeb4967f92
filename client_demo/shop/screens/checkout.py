"""Address, payment, and thanks."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import date
from functools import partial

from kivy.clock import Clock
from kivy.uix.widget import Widget

from client_demo.shop import theme
from client_demo.shop.navigation import Route
from client_demo.shop.observable import Signal
from client_demo.shop.screens.base import Screen
from client_demo.shop.screens.basket import empty_basket, line, summary_lines, total_line
from client_demo.shop.screens.parts import product_row, show_qr, two_panes
from client_demo.shop.shop import Shop
from client_demo.shop.viewmodels.checkout import FIELDS, PAYMENTS, CheckoutModel
from client_demo.shop.widgets import (
    Button,
    Card,
    Column,
    Divider,
    EmptyState,
    Grid,
    ListRow,
    Text,
    TextField,
)

PLACING_S = 0.9
"""How long the shop's computer takes to accept an order. There is none, but people expect it to think."""
HUM_S = 0.06
_PAYMENT_ICONS = {"card": "credit-card", "invoice": "envelope-simple", "transfer": "arrow-right"}
_FIELD_ICONS = {"name": "user", "email": "envelope-simple", "street": "house", "city": "map-pin"}


def order_number() -> str:
    """Make up a number for an order: short enough to be read out."""
    alphabet = "ACDEFGHJKLMNPQRTUVWXYZ2346789"
    return "ML-" + "".join(secrets.choice(alphabet) for _ in range(6))


class CheckoutScreen(Screen):
    """One page: where to, how to pay, what it costs. Nothing interrupts it: messages are held back."""

    has_menu = False

    def __init__(self, shop: Shop, route: Route) -> None:
        super().__init__(shop, route)
        self.model = CheckoutModel(shop.store, order_number, date.today)
        self._quiet = ExitStack()

    def watched(self) -> Sequence[Signal]:
        return (self.model.changed, self.shop.store.basket.changed)

    def enter(self) -> None:
        super().enter()
        self._quiet.enter_context(self.shop.engagement.pause_messages("checkout"))
        if len(self.shop.store.basket):
            self.shop.engagement.checkout_started(self.shop.store.basket)

    def leave(self) -> None:
        super().leave()
        self._quiet.close()

    def build(self) -> Widget:
        ui, basket = self.ui, self.shop.store.basket
        title = ui.t("checkout.title")
        if not len(basket):
            return self.page(empty_basket(self), title=title)
        placing = self.model.is_placing
        button = Button(
            ui,
            ui.t("checkout.placing")
            if placing
            else ui.t("checkout.place", amount=ui.price(basket.total)),
            self._place,
            icon="lock",
            wide=True,
            disabled=placing,
            focus_key="checkout.place",
            prefers_focus=True,
        )
        address = Card(ui, Text(ui, ui.t("checkout.address"), "title"), *self._address())
        payment = Card(
            ui, Text(ui, ui.t("checkout.payment"), "title"), *self._payment(), spacing=theme.S
        )
        if ui.layout.two_panes:
            bill = Card(
                ui, Text(ui, ui.t("checkout.summary"), "title"), *self._positions(), Divider(ui),
                *summary_lines(ui, basket), button, spacing=theme.M,
            )  # fmt: skip
            left = Column(ui, address, payment, spacing=theme.L)
            return self.page(two_panes(self.shop, left, bill), title=title)
        bill = Card(
            ui, Text(ui, ui.t("checkout.summary"), "title"), *self._positions(), spacing=theme.M
        )
        footer = Column(
            ui, total_line(ui, basket), button, padding=(ui.layout.margin, theme.M), spacing=theme.M
        )
        return self.page(address, payment, bill, title=title, footer=footer, spacing=theme.L)

    def _address(self) -> list[Widget]:
        ui, model = self.ui, self.model
        if ui.layout.is_tv:
            return self._address_on_tv()
        fields: list[Widget] = []
        for field in FIELDS:
            error = model.errors.get(field)
            entry = Column(
                ui,
                TextField(
                    ui,
                    ui.t(f"checkout.{field}"),
                    text=model.values[field],
                    on_text=partial(model.set, field),
                    icon=_FIELD_ICONS[field],
                    error=error or "",
                    focus_key=f"checkout.{field}",
                ),
                spacing=theme.XS,
            )
            if error:
                entry.add_widget(Text(ui, ui.t(error), "caption", colour="danger"))
            fields.append(entry)
        if ui.layout.is_compact:
            return fields
        return [Grid(ui, 2, *fields, spacing=theme.M)]

    def _address_on_tv(self) -> list[Widget]:
        """Nobody types an address with a remote control."""
        ui, values = self.ui, self.model.values
        if not values["street"]:
            return [
                Text(ui, ui.t("checkout.tv.text"), "body", colour="muted"),
                Button(
                    ui,
                    ui.t("checkout.tv.action"),
                    self._continue_on_phone,
                    kind="tonal",
                    icon="qr-code",
                    focus_key="checkout.qr",
                ),
            ]
        return [
            Text(ui, values["name"], "subtitle"),
            Text(ui, f"{values['street']}\n{values['city']}", "body", colour="muted"),
        ]

    def _continue_on_phone(self) -> None:
        ui = self.ui
        show_qr(
            self.shop,
            ui.t("scan.basket.title"),
            ui.t("scan.basket.text"),
            self.shop.store.basket.link(),
        )

    def _payment(self) -> list[Widget]:
        ui, model = self.ui, self.model
        return [
            ListRow(
                ui,
                ui.t(f"checkout.payment.{payment}"),
                partial(model.choose_payment, payment),
                text=ui.t(f"checkout.payment.{payment}.text"),
                icon=_PAYMENT_ICONS[payment],
                chosen=payment == model.payment,
                focus_key=f"payment.{payment}",
            )
            for payment in PAYMENTS
        ]

    def _positions(self) -> list[Widget]:
        ui = self.ui
        return [
            line(
                ui,
                f"{position.quantity} × {position.product.name[ui.language]}",
                ui.price(position.total),
            )
            for position in self.shop.store.basket
        ]

    def _place(self) -> None:
        if not self.model.begin():
            if self.model.errors and self.ui.layout.is_tv:
                self._continue_on_phone()
            elif self.model.errors:
                self.ui.toast(self.ui.t("checkout.error.missing"), "danger")
            return
        Clock.schedule_once(lambda _: self._placed(), self.ui.seconds(PLACING_S))

    def _placed(self) -> None:
        if self.parent is None:
            # Somebody went back meanwhile: then nothing was ordered.
            self.model.is_placing = False
            return
        order = self.model.finish()
        self.shop.engagement.purchase(order)
        self.shop.vibrate(HUM_S)
        self.shop.navigator.replace(Route("confirmation", {"order": order.number}))


class ConfirmationScreen(Screen):
    has_menu = True

    def build(self) -> Widget:
        ui, store = self.ui, self.shop.store
        number = self.route.params.get("order", "")
        order = next((order for order in store.orders if order.number == number), None)
        if order is None:
            return self.page(
                EmptyState(
                    ui,
                    "package",
                    ui.t("confirmation.gone.title"),
                    ui.t("confirmation.gone.text"),
                    ui.t("confirmation.home"),
                    lambda: self.go("home"),
                ),
                title=ui.t("checkout.title"),
            )
        done = EmptyState(
            ui,
            "check-circle",
            ui.t("confirmation.title"),
            ui.t("confirmation.text", date=ui.translator.date(order.arrives_on)),
        )
        bill = Card(
            ui,
            line(ui, ui.t("confirmation.number"), order.number),
            line(ui, ui.t("confirmation.arrives"), ui.translator.date(order.arrives_on)),
            line(ui, ui.t("basket.items", n=order.quantity), ui.price(order.total)),
        )
        more = Button(
            ui,
            ui.t("confirmation.home"),
            lambda: self.go("home"),
            wide=True,
            focus_key="confirmation.home",
            prefers_focus=True,
        )
        bought = set(order.products)
        others = [
            product
            for product in sorted(store.catalogue, key=lambda product: -product.rating)
            if product.id not in bought
        ]
        suggestions = Column(
            ui,
            self.heading(ui.t("confirmation.more")),
            product_row(self.shop, others[:6], where="more"),
            spacing=theme.S,
        )
        middle = Column(ui, done, bill, more, spacing=theme.L)
        if not ui.layout.is_compact:
            middle.size_hint_x, middle.width = None, ui.dp(460)
            middle.pos_hint = {"center_x": 0.5}
        return self.page(middle, suggestions, title=ui.t("checkout.title"), spacing=theme.L)
