"""Everything there is, searched and filtered."""

from __future__ import annotations

from functools import partial

from kivy.clock import Clock
from kivy.uix.widget import Widget

from client_demo.shop import theme
from client_demo.shop.model.catalogue import CATEGORIES
from client_demo.shop.navigation import Route
from client_demo.shop.screens.base import Screen
from client_demo.shop.screens.parts import product_grid, room_of, show_qr
from client_demo.shop.shop import Shop
from client_demo.shop.viewmodels.catalogue import FLAGS, CatalogueModel
from client_demo.shop.widgets import Button, Chip, Column, EmptyState, Row, Scroll, Text, TextField

SEARCH_SETTLES_S = 0.8
"""After the last letter, before a search counts as one."""
_FLAG_ICONS = {"new": "sparkle", "offers": "tag", "favourites": "heart"}
_CATEGORY_ICONS = {"lamps": "lamp", "ceramics": "coffee", "plants": "leaf", "textiles": "waves"}


class CatalogueScreen(Screen):
    def __init__(self, shop: Shop, route: Route) -> None:
        super().__init__(shop, route)
        self.model = CatalogueModel(
            shop.store,
            shop.ui.language,
            category=route.params.get("category", ""),
            query=route.params.get("query", ""),
        )
        self._tell = Clock.create_trigger(lambda _: self._searched(), SEARCH_SETTLES_S)

    def enter(self) -> None:
        super().enter()
        self._disconnect.append(self.model.changed.connect(self._show))
        self._disconnect.append(self.shop.store.favourites_changed.connect(self._show))
        if self.model.query:
            self._searched()

    def leave(self) -> None:
        super().leave()
        if self._tell.is_triggered:
            self._tell.cancel()
            self._searched()

    def build(self) -> Widget:
        ui = self.ui
        self._chips = Column(ui)
        self._results = Column(ui, spacing=theme.L)
        field = TextField(
            ui,
            ui.t("catalogue.search"),
            text=self.model.query,
            icon="magnifying-glass",
            on_text=self._typed,
            on_tv=self._search_on_phone,
            focus_key="catalogue.search",
        )
        self._show()
        return self.page(
            Column(ui, field, self._chips, spacing=theme.M),
            self._results,
            title=ui.t("menu.catalogue"),
            spacing=theme.L,
        )

    def _typed(self, text: str) -> None:
        self._tell.cancel()
        self._tell()
        self.model.set_query(text)

    def _searched(self) -> None:
        if self.model.query.strip():
            self.shop.engagement.searched(self.model.query.strip(), len(self.model.results))

    def _search_on_phone(self) -> None:
        ui = self.ui
        show_qr(self.shop, ui.t("scan.search.title"), ui.t("scan.search.text"), "shop://catalogue")

    def _show(self) -> None:
        """Show what is found, and leave the field alone: somebody may be typing into it."""
        ui, model = self.ui, self.model
        focus = self.shop.shell.focus
        current = focus.current
        key = "" if current is None else current.focus_key
        chips = Row(ui, spacing=theme.S, padding=(theme.XS, theme.XS))
        for category in CATEGORIES:
            chips.add_widget(
                Chip(
                    ui,
                    ui.t(f"category.{category}"),
                    partial(model.toggle_category, category),
                    chosen=model.category == category,
                    icon=_CATEGORY_ICONS[category],
                    focus_key=f"chip.{category}",
                )
            )
        for flag in FLAGS:
            chips.add_widget(
                Chip(
                    ui,
                    ui.t(f"catalogue.{flag}"),
                    partial(model.toggle_flag, flag),
                    chosen=model.flag == flag,
                    icon=_FLAG_ICONS[flag],
                    focus_key=f"chip.{flag}",
                )
            )
        scrolled = self._chips.children[0].scroll_x if self._chips.children else 0
        self._chips.clear_widgets()
        strip = Scroll(ui, chips, across=True, size_hint_y=None, height=chips.minimum_height)
        strip.scroll_x = scrolled
        chips.bind(height=strip.setter("height"))
        self._chips.add_widget(strip)

        found = model.results
        self._results.clear_widgets()
        count = Text(ui, ui.t("catalogue.results", n=len(found)), "body", colour="muted")
        order = Button(
            ui,
            ui.t(f"catalogue.sorting.{model.sorting}"),
            model.next_sorting,
            kind="plain",
            icon="sort-ascending",
            small=True,
            focus_key="catalogue.sorting",
        )
        if found:
            self._results.add_widget(Row(ui, count, order))
            self._results.add_widget(
                product_grid(self.shop, found, where="found", room=room_of(self.shop))
            )
        elif model.flag == "favourites" and not self.shop.store.favourites:
            self._results.add_widget(
                EmptyState(
                    ui,
                    "heart",
                    ui.t("catalogue.nofavourites.title"),
                    ui.t("catalogue.nofavourites.text"),
                    ui.t("catalogue.reset"),
                    model.reset,
                )
            )
        else:
            self._results.add_widget(
                EmptyState(
                    ui,
                    "magnifying-glass",
                    ui.t("catalogue.empty.title"),
                    ui.t("catalogue.empty.text"),
                    ui.t("catalogue.reset"),
                    self._reset,
                )
            )
        if key:
            Clock.schedule_once(lambda _: focus.set_by_key(key), 0)

    def _reset(self) -> None:
        self.model.reset()
        self.rebuild()
