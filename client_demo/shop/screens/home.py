"""The shop window."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from kivy.uix.image import Image
from kivy.uix.widget import Widget

from client_demo.shop import theme
from client_demo.shop.model.basket import FREE_SHIPPING_FROM
from client_demo.shop.observable import Signal
from client_demo.shop.screens.base import Screen
from client_demo.shop.screens.parts import product_grid, product_row, room_of, sections
from client_demo.shop.viewmodels.home import HomeModel
from client_demo.shop.widgets import (
    Button,
    Column,
    Grid,
    IconButton,
    Notice,
    Pressable,
    Row,
    Surface,
    Text,
    Tile,
    paint,
)

HERO = str(Path(__file__).parent.parent / "assets" / "hero.png")
HERO_GROUND, HERO_INK, HERO_MUTED = (
    theme.rgba("#2f5d50"),
    theme.rgba("#ffffff"),
    theme.rgba("#d5e5de"),
)
HERO_BUTTON, HERO_BUTTON_INK = theme.rgba("#f6f3ee"), theme.rgba("#21463c")
HERO_RATIO = 960 / 780


class HomeScreen(Screen):
    def watched(self) -> Sequence[Signal]:
        store = self.shop.store
        return (store.favourites_changed, store.person_changed)

    def build(self) -> Widget:
        shop, ui = self.shop, self.ui
        model = HomeModel(shop.store, datetime.now())  # noqa: DTZ005 - the time of day where one is
        rows = ui.layout.is_tv
        room = room_of(shop)
        return self.page(
            *sections(
                None if rows else self._top(model),
                None if shop.engagement.is_configured else self._offline(),
                self._hero_with_slot(),
                self._categories(model),
                self._section("home.news", product_row(shop, model.news, where="news"), flag="new")
                if model.news
                else None,
                self._section(
                    "home.recommended",
                    product_row(shop, model.recommended, where="liked")
                    if rows
                    else product_grid(shop, model.recommended, where="liked", room=room),
                ),
                self._section("home.offers", product_row(shop, model.offers, where="offers"))
                if model.offers
                else None,
                Notice(
                    ui, ui.t("home.shipping", amount=ui.price(FREE_SHIPPING_FROM)), icon="truck"
                ),
            )
        )

    def _top(self, model: HomeModel) -> Widget:
        ui = self.ui
        key, values = model.greeting
        words = Column(
            ui,
            Text(ui, ui.t(key, **values), "caption", colour="muted"),
            Text(ui, ui.t("app.name"), "headline", colour="primary"),
            spacing=0,
        )
        search = IconButton(
            ui,
            "magnifying-glass",
            ui.t("catalogue.search"),
            lambda: self.go("catalogue"),
            ground="surface",
            focus_key="home.search",
        )
        return Row(ui, words, search, padding=(0, theme.S, 0, 0))

    def _hero_with_slot(self) -> Widget:
        """The slot takes no room, and no spacing either, while there is no message in it."""
        ui = self.ui
        slot = self.shop.presenter.inline_slot("home")
        column = Column(ui, _Hero(self), slot, spacing=0)

        def space(*_: Any) -> None:
            column.spacing = ui.dp(theme.XL) if slot.height > 1 else 0

        slot.bind(height=space)
        space()
        return column

    def _offline(self) -> Widget:
        ui = self.ui
        return Notice(ui, ui.t("home.offline"), icon="cloud-slash")

    def _section(self, key: str, content: Widget, *, flag: str = "") -> Widget:
        del flag
        return Column(
            self.ui,
            self.heading(self.ui.t(key), self.ui.t("home.all"), lambda: self.go("catalogue"))
            if not self.ui.layout.is_tv
            else self.heading(self.ui.t(key)),
            content,
            spacing=theme.S,
        )

    def _categories(self, model: HomeModel) -> Widget:
        return Grid(
            self.ui,
            4,
            *(_CategoryTile(self, category, picture) for category, picture in model.categories),
            spacing=theme.M if self.ui.layout.is_compact else theme.L,
        )


class _Hero(Surface):
    """The large picture at the top: always green, so that it looks the same by day and by night."""

    def __init__(self, screen: HomeScreen) -> None:
        ui = screen.ui
        compact = ui.layout.is_compact
        super().__init__(
            ui, colour=HERO_GROUND, radius=theme.CORNER_L, raised=True, hug=False, size_hint_y=None
        )
        words = Column(
            ui,
            Text(ui, ui.t("home.hero.kicker"), "caption", colour=HERO_MUTED),
            Text(
                ui, ui.t("home.hero.title"), "headline" if compact else "display", colour=HERO_INK
            ),
            *(() if compact else (Text(ui, ui.t("home.hero.text"), "body", colour=HERO_MUTED),)),
            spacing=theme.S,
            padding=(theme.L + theme.XS, theme.L, 0, theme.L)
            if compact
            else (theme.XXL, theme.XL, 0, theme.XL),
            size_hint_x=0.56 if compact else 0.5,
            pos_hint={"center_y": 0.5},
        )
        button = Button(
            ui,
            ui.t("home.hero.action"),
            lambda: screen.go("catalogue", category="lamps"),
            ground=HERO_BUTTON,
            ink=HERO_BUTTON_INK,
            small=compact,
            focus_key="home.hero",
            prefers_focus=True,
        )
        words.add_widget(Widget(size_hint_y=None, height=ui.dp(theme.XS)))
        words.add_widget(button)
        self._picture = Image(source=HERO, fit_mode="contain", mipmap=True, size_hint=(None, None))
        self._words, self._least = words, ui.dp(196 if compact else 300)
        self.add_widget(self._picture)
        self.add_widget(words)
        words.bind(height=self._fit)
        self.bind(size=self._fit)
        self._fit()

    def _fit(self, *_: Any) -> None:
        self.height = max(self._least, self._words.height)
        height = min(self.height * 0.96, self.width * 0.56 / HERO_RATIO)
        self._picture.size = (height * HERO_RATIO, height)
        # The shelf runs out of the picture at the right.
        self._picture.right = self.width - self.ui.dp(
            theme.S if self.ui.layout.is_compact else theme.XL
        )
        self._picture.y = 0 if not self.ui.layout.is_compact else (self.height - height) * 0.35


class _CategoryTile(Pressable):
    """A kind of thing: its picture and its name."""

    def __init__(self, screen: HomeScreen, category: str, picture: str) -> None:
        ui = screen.ui
        name = ui.t(f"category.{category}")
        super().__init__(
            ui,
            lambda: screen.go("catalogue", category=category),
            radius=theme.CORNER_M,
            focus_key=f"category.{category}",
            accessible_name=name,
            size_hint_y=None,
        )
        if ui.layout.is_compact:
            self._tile = Tile(ui, picture, inset=0.08, size_hint_y=None, height=ui.dp(76))
            label = Text(ui, name, "caption", align="center", lines=1)
            content: Widget = Column(
                ui, self._tile, label, spacing=theme.XS, padding=(0, 0, 0, theme.XS)
            )
        else:
            self._ground = paint.area(self.canvas.before, ui.colour("tile"), ui.dp(theme.CORNER_M))
            self.bind(size=lambda *_: self._ground.place(0, 0, self.width, self.height))
            image = Image(source=picture, fit_mode="contain", mipmap=True, size_hint=(None, None))
            image.size = (ui.dp(84), ui.dp(84))
            content = Row(
                ui, image, Text(ui, name, "subtitle"), spacing=theme.M, padding=(theme.M, theme.XS)
            )
        content.bind(height=self.setter("height"))
        self.add_widget(content)
