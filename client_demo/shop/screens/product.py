"""One product."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from kivy.uix.widget import Widget

from client_demo.shop import theme
from client_demo.shop.model.basket import FREE_SHIPPING_FROM
from client_demo.shop.navigation import Route
from client_demo.shop.observable import Signal
from client_demo.shop.screens.base import Screen
from client_demo.shop.screens.parts import facts, product_row, two_panes
from client_demo.shop.shop import Shop
from client_demo.shop.viewmodels.product import ProductModel
from client_demo.shop.widgets import (
    Button,
    Column,
    EmptyState,
    Fill,
    IconButton,
    Row,
    Stepper,
    Swatch,
    Text,
    Tile,
)
from client_demo.shop.widgets.product import Price, Rating, tag_of

TAP_S = 0.02
"""How long the phone hums when something lands in the basket."""


class ProductScreen(Screen):
    has_menu = True

    def __init__(self, shop: Shop, route: Route) -> None:
        super().__init__(shop, route)
        product = shop.store.catalogue.find(route.params.get("id", ""))
        self.model = None if product is None else ProductModel(shop.store, product)
        variant = route.params.get("variant", "")
        if self.model is not None and variant in self.model.product.variants:
            self.model.choose(variant)

    def watched(self) -> Sequence[Signal]:
        return () if self.model is None else (self.model.changed,)

    def enter(self) -> None:
        super().enter()
        if self.model is not None:
            self.shop.engagement.product_viewed(self.model.product)

    def build(self) -> Widget:
        ui, model = self.ui, self.model
        if model is None:
            return self.page(
                EmptyState(
                    ui,
                    "package",
                    ui.t("product.gone.title"),
                    ui.t("product.gone.text"),
                    ui.t("product.gone.action"),
                    lambda: self.go("catalogue"),
                ),
                title=ui.t("menu.catalogue"),
            )
        related = Column(
            ui,
            self.heading(ui.t("product.related")),
            product_row(self.shop, model.related, where="related"),
            spacing=theme.S,
        )
        if ui.layout.two_panes:
            body = two_panes(self.shop, self._picture(), self._words(wide=True), share=0.5)
            return self.page(body, related, actions=self._actions())
        return self.page(
            self._picture(),
            self._words(wide=False),
            related,
            title=model.product.name[ui.language],
            actions=self._actions(),
            footer=self._buy(),
            spacing=theme.L,
        )

    def _actions(self) -> list[Widget]:
        ui, model = self.ui, self.model
        assert model is not None, "only called for a product"
        if ui.layout.is_tv:
            return []

        def favour() -> None:
            is_favourite = model.toggle_favourite()
            self.shop.engagement.favourite_changed(model.product, is_favourite=is_favourite)

        return [
            IconButton(
                ui,
                "heart",
                ui.t("product.favourite"),
                favour,
                colour="accent" if model.is_favourite else "text",
                filled=model.is_favourite,
                focus_key="product.heart",
            )
        ]

    def _picture(self) -> Widget:
        ui, model = self.ui, self.model
        assert model is not None, "only called for a product"
        tile = Tile(ui, model.picture, radius=theme.CORNER_L, inset=0.04, size_hint_y=None)
        most = ui.dp(ui.layout.height * (0.42 if not ui.layout.two_panes else 0.64))
        tile.bind(width=lambda *_: setattr(tile, "height", min(tile.width, most)))
        tag = tag_of(ui, model.product)
        if tag is not None:
            tile.add_widget(tag)
            tile.bind(
                size=lambda *_: setattr(
                    tag, "pos", (ui.dp(theme.L), tile.height - tag.height - ui.dp(theme.L))
                )
            )
        return tile

    def _words(self, *, wide: bool) -> Widget:
        ui, model = self.ui, self.model
        assert model is not None, "only called for a product"
        product = model.product
        language = ui.language
        variants = Row(ui, spacing=theme.XS)
        for variant in product.variants.values():
            variants.add_widget(
                Swatch(
                    ui,
                    theme.rgba(variant.colour),
                    variant.name[language],
                    partial(model.choose, variant.id),
                    chosen=variant.id == model.variant,
                    focus_key=f"variant.{variant.id}",
                )
            )
        variants.add_widget(Fill(size_hint_y=None, height=1))
        words = Column(
            ui,
            Text(ui, product.name[language], "display" if wide else "headline"),
            Row(ui, Rating(ui, product), Fill(size_hint_y=None, height=1)),
            Price(ui, product, large=True),
            Text(ui, product.text[language], "body"),
            Column(
                ui,
                Row(
                    ui,
                    Text(ui, ui.t("product.colour"), "label", wrap=False),
                    Text(
                        ui, product.variants[model.variant].name[language], "body", colour="muted"
                    ),
                    spacing=theme.S,
                ),
                variants,
                spacing=theme.XS,
            ),
            spacing=theme.M,
        )
        if wide:
            words.add_widget(self._buy(padded=False))
        words.add_widget(facts(self.shop, product.details[language]))
        words.add_widget(
            facts(
                self.shop, [ui.t("product.delivery", amount=ui.price(FREE_SHIPPING_FROM))], "truck"
            )
        )
        return words

    def _buy(self, *, padded: bool = True) -> Widget:
        ui, model = self.ui, self.model
        assert model is not None, "only called for a product"
        return Row(
            ui,
            Stepper(
                ui,
                model.quantity,
                model.set_quantity,
                name=ui.t("product.quantity"),
                compact=ui.layout.is_compact,
                focus_key="product.quantity",
            ),
            Button(
                ui,
                ui.t("product.add"),
                self._add,
                icon="shopping-bag" if not ui.layout.is_compact else None,
                wide=True,
                focus_key="product.add",
                prefers_focus=True,
            ),
            spacing=theme.M,
            padding=(ui.layout.margin, theme.M) if padded else (0, theme.S),
        )

    def _add(self) -> None:
        ui, model = self.ui, self.model
        assert model is not None, "only called for a product"
        added = model.add_to_basket()
        if not added:
            ui.toast(ui.t("product.full"), "plain")
            return
        self.shop.engagement.added_to_basket(model.product, model.variant, added)
        self.shop.vibrate(TAP_S)
        ui.toast(ui.t("product.added", n=added, name=model.product.name[ui.language]), "success")
