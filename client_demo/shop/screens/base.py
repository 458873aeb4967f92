"""What all screens have in common: they build themselves from a model, and anew when the theme changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kivy.clock import Clock
from kivy.graphics import Color, Rectangle
from kivy.uix.relativelayout import RelativeLayout
from kivy.uix.widget import Widget

from client_demo.shop import theme
from client_demo.shop.layout import CONTENT_WIDTH_MAX
from client_demo.shop.navigation import Route
from client_demo.shop.observable import Signal
from client_demo.shop.shop import Shop
from client_demo.shop.widgets import Column, Divider, Gap, IconButton, Row, Scroll, Text


class Screen(RelativeLayout):
    """One place of the app. Subclasses say what is on it in `build`.

    `watched` names the signals after which the screen is built anew, as long as it is up.
    The focus (by `focus_key`) and the scroll position survive that.
    """

    has_menu = True
    """Whether the main menu is there as well; a checkout wants no distraction."""

    def __init__(self, shop: Shop, route: Route) -> None:
        super().__init__()
        self.shop, self.ui, self.route = shop, shop.ui, route
        self.scroll: Scroll | None = None
        self.footer: Widget | None = None
        """What stays at the lower edge; toasts keep clear of it."""
        self._disconnect: list[Callable[[], None]] = []
        self._rebuild_soon = Clock.create_trigger(lambda _: self.rebuild(), 0)
        with self.canvas.before:
            self._paint = Color(*self.ui.colour("background"))
            self._ground = Rectangle()
        self.bind(size=lambda *_: setattr(self._ground, "size", self.size))

    def build(self) -> Widget:
        """Give what is on the screen."""
        raise NotImplementedError

    def watched(self) -> Sequence[Signal]:
        """Name the signals that make this screen stale."""
        return ()

    def event_props(self) -> dict[str, str]:
        """Give what the `screen` event says beside the name."""
        return dict(self.route.params)

    def enter(self) -> None:
        """The screen comes up: called once, after it has a parent."""
        for signal in (self.ui.changed, *self.watched()):
            self._disconnect.append(signal.connect(self._rebuild_soon))
        self.rebuild()

    def leave(self) -> None:
        """The screen goes."""
        self._rebuild_soon.cancel()
        for disconnect in self._disconnect:
            disconnect()
        self._disconnect.clear()

    def rebuild(self) -> None:
        """Build anew what is on the screen, and keep the place one was at."""
        focus = self.shop.shell.focus
        before, self.scroll, self.footer = self.scroll, None, None
        self.clear_widgets()
        self._paint.rgba = self.ui.colour("background")
        self.add_widget(self.build())
        _scroll_alike(before, self.scroll)
        Clock.schedule_once(lambda _: focus.restore(), 0)

    # Parts of most screens

    def go(self, screen: str, **params: str) -> None:
        self.shop.navigator.go(Route(screen, params))

    def page(
        self,
        *sections: Widget,
        title: str = "",
        actions: Sequence[Widget] = (),
        footer: Widget | None = None,
        width_max: float = CONTENT_WIDTH_MAX,
        spacing: float = theme.XL,
    ) -> Widget:
        """Lay out a scrolling page: app bar, sections with margins, and a footer that stays.

        `width_max` in dp keeps lines and forms readable on wide screens.
        """
        ui = self.ui
        body = Column(ui, spacing=0)
        content = Column(ui, spacing=spacing)
        margin = ui.layout.margin
        for section in sections:
            content.add_widget(section)
        content.add_widget(Gap(ui, theme.S))

        has_bar = bool(title or actions or not self.route.tab)
        bar = (
            self.app_bar(title, actions)
            if has_bar and not (ui.layout.is_tv and not title)
            else None
        )

        def fit(*_: Any) -> None:
            room = max(ui.dp(margin), (body.width - ui.dp(width_max)) / 2)
            if bar is not None:
                # An icon has air of its own around it.
                inset = ui.dp(theme.TARGET - 24) / 2 if self._has_back else 0
                bar.padding = (room - inset, 0, room - (ui.dp(theme.M) if actions else 0), 0)
            bottom = ui.dp(theme.L + ui.layout.overscan[1])
            content.padding = (room, ui.dp(theme.S), room, bottom)

        body.bind(width=fit)
        fit()
        body.add_widget(content)
        self.scroll = Scroll(ui, body)
        page = Column(ui, fill=True, spacing=0)
        if bar is not None:
            page.add_widget(bar)
        page.add_widget(self.scroll)
        self.footer = footer
        if footer is not None:
            page.add_widget(Divider(ui))
            page.add_widget(footer)
        return page

    def app_bar(self, title: str, actions: Sequence[Widget] = ()) -> Widget:
        """Make the bar at the top: the way back where there is one, the title, actions."""
        ui = self.ui
        bar = Row(ui, spacing=theme.XS, height=ui.scaled(60))
        if self._has_back:
            bar.add_widget(
                IconButton(
                    ui,
                    "arrow-left",
                    ui.t("action.back"),
                    self.shop.shell.back,
                    focus_key="bar.back",
                )
            )
            bar.add_widget(Text(ui, title, "title", lines=1))
        else:
            bar.add_widget(Text(ui, title, "headline", lines=1))
        for action in actions:
            bar.add_widget(action)
        return bar

    @property
    def _has_back(self) -> bool:
        """A remote control has a key for it; and a tab is where one starts."""
        return self.route.tab is None and not self.ui.layout.is_tv

    def heading(
        self, text: str, action: str = "", on_action: Callable[[], object] | None = None
    ) -> Widget:
        """Make the heading of a section, by choice with a way to more of it."""
        from client_demo.shop.widgets import Button  # noqa: PLC0415 - keeps the names above few

        ui = self.ui
        row = Row(ui, Text(ui, text, "title"))
        if action:
            row.add_widget(Button(ui, action, on_action, kind="plain", small=True))
        return row


def _scroll_alike(before: Scroll | None, now: Scroll | None) -> None:
    if before is not None and now is not None:
        now.scroll_y = before.scroll_y
