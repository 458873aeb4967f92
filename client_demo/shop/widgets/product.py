"""Products on cards, prices, and stars."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kivy.uix.relativelayout import RelativeLayout

from client_demo.shop import theme
from client_demo.shop.model.catalogue import Product
from client_demo.shop.ui import Ui
from client_demo.shop.widgets import paint
from client_demo.shop.widgets.boxes import Column, Row, Tile
from client_demo.shop.widgets.controls import IconButton, Pressable
from client_demo.shop.widgets.text import Icon, Text


class Rating(Row):
    """A star, the rating, and how many gave it."""

    def __init__(self, ui: Ui, product: Product) -> None:
        number = ui.translator.number(product.rating, 1)
        super().__init__(
            ui,
            Icon(ui, "star", 15, colour="star", filled=True),
            Text(ui, number, "caption", wrap=False),
            Text(ui, f"({product.reviews})", "caption", colour="muted", wrap=False),
            spacing=theme.XS,
            hug=True,
        )


class Price(Row):
    """The price; when it was lowered, what it was before as well."""

    def __init__(self, ui: Ui, product: Product, *, large: bool = False) -> None:
        lowered = product.price_before is not None
        super().__init__(ui, spacing=theme.S, hug=True)
        self.add_widget(
            Text(
                ui,
                ui.price(product.price),
                "headline" if large else "subtitle",
                colour="accent" if lowered else "text",
                wrap=False,
            )
        )
        if product.price_before is not None:
            self.add_widget(
                Text(
                    ui,
                    ui.price(product.price_before),
                    "body" if large else "caption",
                    colour="muted",
                    wrap=False,
                    strike=True,
                )
            )


class Tag(RelativeLayout):
    """A word in a corner of a picture: new, or how much less it costs."""

    def __init__(self, ui: Ui, text: str, *, tone: str = "primary") -> None:
        label = Text(ui, text, "caption", colour=f"on_{tone}", wrap=False)
        width, height = label.width + ui.dp(16), label.height + ui.dp(8)
        super().__init__(size_hint=(None, None), size=(width, height))
        paint.area(self.canvas.before, ui.colour(tone), ui.dp(theme.CORNER_S)).place(
            0, 0, width, height
        )
        label.pos = (ui.dp(8), ui.dp(4))
        self.add_widget(label)


def tag_of(ui: Ui, product: Product) -> Tag | None:
    """Give the tag of a product: a lower price says more than being new."""
    if product.price_before is not None:
        share = 1 - product.price / product.price_before
        return Tag(ui, f"−{ui.translator.percent(share)}", tone="accent")
    return Tag(ui, ui.t("product.new")) if product.is_new else None


class ProductCard(Pressable):
    """A product to choose: picture, name, stars, price, and a heart.

    `width` in dp makes it that wide (rows that scroll); without it, it fills the column of a grid.
    """

    def __init__(
        self,
        ui: Ui,
        product: Product,
        on_press: Callable[[], object],
        *,
        is_favourite: bool = False,
        on_favourite: Callable[[], object] | None = None,
        width: float | None = None,
        focus_key: str = "",
        **options: Any,
    ) -> None:
        super().__init__(
            ui,
            on_press,
            radius=theme.CORNER_L - 4,
            accessible_name=product.name[ui.language],
            focus_key=focus_key or f"product.{product.id}",
            size_hint=(1, 1) if width is None else (None, None),
            **options,
        )
        corner = ui.dp(theme.CORNER_L - 4)
        self._shadow = paint.soft_shadow(self.canvas.before, ui.colour("shadow"), corner, ui.dp(12))
        self._ground = paint.area(self.canvas.before, ui.colour("surface"), corner)
        self._tile = Tile(
            ui, product.picture(), radius=theme.CORNER_M, inset=0.03, size_hint_y=None
        )
        words = Column(
            ui,
            Text(ui, product.name[ui.language], "body", lines=2),
            Rating(ui, product),
            Price(ui, product),
            spacing=theme.XS,
            padding=(theme.S, theme.XS, theme.S, theme.S),
        )
        self._column = Column(
            ui, self._tile, words, spacing=theme.XS, padding=theme.S, pos_hint={"top": 1}
        )
        self._column.bind(height=self._grow)
        self.add_widget(self._column)
        tag = tag_of(ui, product)
        self._corner_parts: list[tuple[Any, bool]] = []
        if tag is not None:
            self._corner_parts.append((tag, False))
            self.add_widget(tag)
        if on_favourite is not None and not ui.layout.is_tv:
            heart = IconButton(
                ui,
                "heart",
                ui.t("product.favourite"),
                on_favourite,
                colour="accent" if is_favourite else "muted",
                filled=is_favourite,
                icon_size=22,
                focus_key=f"heart.{product.id}",
            )
            heart.is_focusable = False  # the product's own page has it as well; arrows stay short
            self._corner_parts.append((heart, True))
            self.add_widget(heart)
        self.bind(size=self._arrange)
        if width is not None:
            self.width = ui.dp(width)
        self._arrange()

    def _grow(self, *_: Any) -> None:
        self.size_hint_min_y = self._column.height
        if self.size_hint_y is None:
            self.height = self._column.height

    def _arrange(self, *_: Any) -> None:
        ui = self.ui
        self._tile.height = max(1, self.width - 2 * ui.dp(theme.S))
        self._ground.place(0, 0, self.width, self.height)
        self._shadow.place(0, -ui.dp(3), self.width, self.height)
        for part, is_button in self._corner_parts:
            inset = ui.dp(theme.XS if is_button else theme.L)
            part.x = self.width - part.width - inset if is_button else inset
            part.top = self.height - (inset if is_button else ui.dp(theme.L))
