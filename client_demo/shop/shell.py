"""The root of the window: the menu, the screen one is on, layers above it, and toasts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from kivy.animation import Animation
from kivy.clock import Clock
from kivy.graphics import Color, Rectangle
from kivy.uix.boxlayout import BoxLayout
from kivy.uix.floatlayout import FloatLayout
from kivy.uix.relativelayout import RelativeLayout
from kivy.uix.widget import Widget

from client_demo.shop import theme
from client_demo.shop.navigation import TABS, Route
from client_demo.shop.shop import Shop
from client_demo.shop.ui import ToastTone
from client_demo.shop.widgets import (
    Badge,
    Column,
    Fill,
    Gap,
    Icon,
    Pressable,
    Row,
    Scrim,
    Surface,
    Text,
    paint,
)
from client_demo.shop.widgets.focus import REVEAL_MARGIN, Focus, Layer

if TYPE_CHECKING:
    from client_demo.shop.screens import Screen

TOAST_S = 3.0
BOTTOM_BAR_HEIGHT, RAIL_WIDTH, SIDE_WIDTH = 68, 92, 184
_ICONS = {
    "home": "house-line",
    "catalogue": "squares-four",
    "basket": "shopping-bag",
    "inbox": "bell",
    "profile": "user-circle",
}


class Shell(FloatLayout):
    """See the module. Everything that lies on top of the app is a child of it: nothing is attached to the
    window itself, so that pictures of the shell show what a person sees."""

    def __init__(self, shop: Shop, screens: Mapping[str, type[Screen]]) -> None:
        super().__init__()
        self.shop, self.ui, self._screens = shop, shop.ui, screens
        self.screen: Screen | None = None
        self.focus = Focus(
            always_visible=shop.ui.layout.is_tv,
            margin=shop.ui.dp(REVEAL_MARGIN),
            back=self._back_one_step,
        )
        with self.canvas.before:
            self._colour = Color(*self.ui.colour("background"))
            self._ground = Rectangle()
        self.body = FloatLayout()
        self._host = RelativeLayout()
        self.layers = FloatLayout()
        self._toasts = FloatLayout()
        for child in (self.body, self.layers, self._toasts):
            self.add_widget(child)
        self.bind(size=self._draw, pos=self._draw)
        self._layer = Layer(self.body)
        self.focus.push(self._layer)
        self._refresh_menu_soon = Clock.create_trigger(lambda _: self._refresh_menu(), 0)
        self._frame: Widget | None = None
        self._menu: Widget | None = None

    def open(self) -> None:
        """Show the first screen and listen to what changes."""
        self.ui.toast = self.toast
        self.ui.changed.connect(self._theme_changed)
        self.shop.navigator.changed.connect(self._navigate)
        self.shop.store.basket.changed.connect(self._refresh_menu_soon)
        self.shop.engagement.changed.connect(self._refresh_menu_soon)
        self._navigate()

    # Places

    def go(self, target: Route) -> None:
        self.shop.navigator.go(target)

    def back(self) -> bool:
        """Do what the Back key does."""
        return self.focus.act("back")

    def _back_one_step(self) -> bool:
        return self.shop.presenter.back() or self.shop.navigator.back()

    def _navigate(self) -> None:
        route = self.shop.navigator.current
        if self.screen is not None:
            self.screen.leave()
            self._host.clear_widgets()
        previous, self.screen = self.screen, self._screens[route.screen](self.shop, route)
        self._arrange(self.screen.has_menu)
        self._host.add_widget(self.screen)
        self.screen.enter()
        self.shop.engagement.screen(route.screen, self.screen.event_props())
        if previous is not None and (seconds := self.ui.seconds(0.16)):
            self.screen.opacity = 0
            Animation(opacity=1, duration=seconds, t="out_quad").start(self.screen)
        self._layer.focused, self._layer.key = None, ""
        if self.focus.is_visible and self.focus.layer is self._layer:
            Clock.schedule_once(lambda _: self._focus_screen(), 0)

    def _focus_screen(self) -> None:
        """Start in the content, not in the menu."""
        if (
            self.screen is None
            or self.focus.layer is not self._layer
            or self.focus.current is not None
        ):
            return
        self.focus.first(within=self.screen)
        if self.focus.current is None:
            self.focus.first()

    # Layers

    def open_layer(
        self,
        widget: Widget,
        *,
        close: Callable[[], None] | None = None,
        traps: bool = True,
        first: Widget | None = None,
    ) -> Layer:
        """Lay a widget over the app. While it `traps`, the focus stays inside and Back calls `close`.

        Put a `Scrim` below a dialog yourself; the widget is placed by its own `pos_hint` and `size_hint`.
        """
        layer = Layer(widget, close=close, traps=traps)
        self.layers.add_widget(widget)
        self.focus.push(layer, first)
        return layer

    def close_layer(self, layer: Layer) -> None:
        """Take a layer away; the focus returns to where it was."""
        self.layers.remove_widget(layer.root)
        self.focus.pop(layer)

    def room(self) -> tuple[float, float, float, float]:
        """Give x, y, width, height in pixels of where a layer may stand: clear of menu bar and overscan."""
        ui = self.ui
        across, down = (ui.dp(side) for side in ui.layout.overscan)
        bottom = down
        if ui.layout.menu == "bottom" and self._menu is not None:
            bottom += self._menu.height
        return (across, bottom, self.width - 2 * across, self.height - bottom - down)

    # Toasts

    def toast(self, text: str, tone: ToastTone = "plain") -> None:
        """Say something in passing, at the lower edge, for three seconds."""
        ui = self.ui
        self._toasts.clear_widgets()
        icon = {"plain": None, "success": "check-circle", "danger": "warning-circle"}[tone]
        label = Text(ui, text, "body", colour="on_inverse", wrap=False)
        row = Row(ui, spacing=theme.S, padding=(theme.L, theme.M), hug=True)
        if icon is not None:
            row.add_widget(Icon(ui, icon, 20, colour="on_inverse", filled=True))
        row.add_widget(label)
        toast = Surface(ui, row, colour="inverse", raised=True, radius=theme.CORNER_M)
        toast.size_hint_x = None
        x, y, width, _ = self.room()
        if self.screen is not None and self.screen.footer is not None:
            y += self.screen.footer.height
        row.bind(width=toast.setter("width"))
        toast.width = row.minimum_width
        if toast.width > width - ui.dp(2 * theme.L):
            row.remove_widget(label)
            row.size_hint_x = 1
            toast.width = width - ui.dp(2 * theme.L)
            row.add_widget(Text(ui, text, "body", colour="on_inverse"))
        toast.pos = (x + (width - toast.width) / 2, y + ui.dp(theme.L))
        row.bind(width=lambda *_: setattr(toast, "x", x + (width - toast.width) / 2))
        self._toasts.add_widget(toast)
        Clock.schedule_once(lambda _: self._toasts.remove_widget(toast), TOAST_S)

    # The frame

    def _arrange(self, has_menu: bool) -> None:
        """Put the menu where this window has it."""
        ui = self.ui
        if self._host.parent is not None:
            self._host.parent.remove_widget(self._host)
        self.body.clear_widgets()
        self._menu = None
        across, down = (ui.dp(side) for side in ui.layout.overscan)
        frame = BoxLayout(
            orientation="vertical" if ui.layout.menu == "bottom" else "horizontal",
            # What scrolls may run out at the lower edge; at the others it would look cut off.
            padding=(across, down, across, 0),
        )
        if has_menu and ui.layout.menu != "bottom":
            self._menu = self._make_menu()
            frame.add_widget(self._menu)
        frame.add_widget(self._host)
        if has_menu and ui.layout.menu == "bottom":
            self._menu = self._make_menu()
            frame.add_widget(self._menu)
        self._frame = frame
        self.body.add_widget(frame)

    def _make_menu(self) -> Widget:
        ui = self.ui
        if ui.layout.menu == "bottom":
            bar = BoxLayout(size_hint_y=None, height=ui.scaled(BOTTOM_BAR_HEIGHT))
            self._back_with_surface(bar, edge="top")
            for tab in TABS:
                bar.add_widget(_Entry(self, tab, stacked=True))
            return bar
        side = ui.layout.menu == "side"
        menu = BoxLayout(
            orientation="vertical",
            size_hint_x=None,
            width=ui.scaled(SIDE_WIDTH if side else RAIL_WIDTH),
            padding=(0, 0, ui.dp(theme.L), 0) if side else (0, ui.dp(theme.L)),
            spacing=ui.dp(theme.XS),
        )
        if not side:
            self._back_with_surface(menu, edge="right")
        mark = Column(
            ui,
            Text(
                ui,
                "Moorlind" if side else "M",
                "title",
                colour="primary",
                align="left" if side else "center",
            ),
            padding=(theme.M if side else 0, theme.S),
        )
        menu.add_widget(mark)
        menu.add_widget(Gap(ui, theme.S))
        for tab in TABS:
            menu.add_widget(_Entry(self, tab, stacked=not side))
        menu.add_widget(Fill())
        return menu

    def _back_with_surface(self, widget: Widget, *, edge: str) -> None:
        thickness = max(1, self.ui.dp(1))
        with widget.canvas.before:
            Color(*self.ui.colour("surface"))
            ground = Rectangle()
            Color(*self.ui.colour("line"))
            line = Rectangle()

        def place(*_: Any) -> None:
            ground.pos, ground.size = widget.pos, widget.size
            if edge == "top":
                line.pos, line.size = (widget.x, widget.top - thickness), (widget.width, thickness)
            else:
                line.pos, line.size = (
                    (widget.right - thickness, widget.y),
                    (thickness, widget.height),
                )

        widget.bind(pos=place, size=place)

    def _refresh_menu(self) -> None:
        if self._menu is None or self.screen is None:
            return
        frame, old = self._menu.parent, self._menu
        if frame is None:
            return
        current = self.focus.current
        key = "" if current is None else current.focus_key
        place = frame.children.index(old)
        frame.remove_widget(old)
        self._menu = self._make_menu()
        frame.add_widget(self._menu, index=place)
        if key.startswith("menu."):
            self.focus.set_by_key(key)

    def _theme_changed(self) -> None:
        self._colour.rgba = self.ui.colour("background")
        if self.screen is not None:
            self._arrange(self.screen.has_menu)

    def _draw(self, *_: Any) -> None:
        self._ground.pos, self._ground.size = self.pos, self.size


class _Entry(Pressable):
    """An entry of the main menu, with what waits there."""

    def __init__(self, shell: Shell, tab: str, *, stacked: bool) -> None:
        ui = shell.ui
        chosen = shell.shop.navigator.tab == tab
        super().__init__(
            ui,
            lambda: shell.go(Route(tab)),
            radius=theme.CORNER_M,
            focus_key=f"menu.{tab}",
            accessible_name=ui.t(f"menu.{tab}"),
            size_hint_y=1 if ui.layout.menu == "bottom" else None,
            height=ui.scaled(64 if stacked else 52),
        )
        ink = "on_primary_soft" if chosen and not stacked else "text" if chosen else "muted"
        icon = Icon(
            ui, _ICONS[tab], 24, colour="on_primary_soft" if chosen else "muted", filled=chosen
        )
        label = Text(
            ui, ui.t(f"menu.{tab}"), "caption" if stacked else "body", colour=ink, wrap=False
        )
        waiting = {
            "basket": shell.shop.store.basket.quantity,
            "inbox": shell.shop.engagement.unread,
        }.get(tab, 0)
        centre = {"center_x": 0.5, "center_y": 0.5}
        if stacked:
            pill = RelativeLayout(size_hint=(None, None), size=(ui.dp(56), ui.dp(32)))
            if chosen:
                paint.area(pill.canvas.before, ui.colour("primary_soft"), ui.dp(16)).place(
                    0, 0, *pill.size
                )
            icon.center = (pill.width / 2, pill.height / 2)
            pill.add_widget(icon)
            if waiting:
                badge = Badge(ui, str(waiting))
                badge.pos = (ui.dp(32), ui.dp(15))
                pill.add_widget(badge)
            pill.pos_hint = label.pos_hint = {"center_x": 0.5}
            words = Column(ui, pill, label, spacing=2, size_hint_x=1, pos_hint=centre)
            self.add_widget(words)
            return
        if chosen:
            self._pill = paint.area(
                self.canvas.before, ui.colour("primary_soft"), ui.dp(theme.CORNER_M)
            )
            self.bind(size=lambda *_: self._pill.place(0, 0, self.width, self.height))
        row = Row(
            ui, icon, label, Fill(size_hint_y=None, height=0), padding=(theme.L, 0), pos_hint=centre
        )
        if waiting:
            row.add_widget(Badge(ui, str(waiting)))
        self.add_widget(row)


__all__ = ["Scrim", "Shell"]
