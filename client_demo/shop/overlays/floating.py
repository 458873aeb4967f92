"""What lies on top of the app: a panel that comes in, can be dragged away, and leaves.

Movement is left out when the person wants it reduced: then things fade.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from kivy.animation import Animation
from kivy.clock import Clock
from kivy.properties import NumericProperty
from kivy.uix.floatlayout import FloatLayout
from kivy.uix.widget import Widget

from client_demo.shop import theme
from client_demo.shop.shell import Scrim
from client_demo.shop.ui import Ui
from client_demo.shop.widgets import Scroll

Edge = Literal["top", "bottom", "middle"]

ENTER_S, LEAVE_S, FADE_S = 0.26, 0.18, 0.1
RISE = 28
"""How far a panel in the middle rises while it comes in, in dp."""
BARELY = 0.01
"""Not to be seen, but there: what has no opacity at all cannot take the focus."""
DRAG_FROM = 10
"""A finger that moved less than that, in dp, has not begun to drag."""
SWIPE_SHARE = 0.3
"""The share of its height that a panel has to be dragged to be let go."""


class Floating(FloatLayout):
    """A panel over the app, with or without a scrim below it.

    `edge` is where it comes from and goes to. `width` and `height_max` in dp; the panel is as high as it
    needs to be.
    """

    offset = NumericProperty(0)
    """How far it is away from its place, in pixels upwards."""

    def __init__(
        self,
        ui: Ui,
        panel: Widget,
        *,
        edge: Edge,
        width: float,
        margin: float = 16,
        full: bool = False,
        on_scrim: Callable[[], object] | None = None,
        scrim: bool = True,
        on_swipe: Callable[[], object] | None = None,
        on_tap: Callable[[], object] | None = None,
    ) -> None:
        super().__init__()
        self.ui, self.panel, self.edge = ui, panel, edge
        self._full, self._margin, self._wanted = full, margin, width
        self._on_swipe, self._on_tap = on_swipe, on_tap
        self._drag_from: float | None = None
        self._coming: Any = None
        self.is_held = False
        """A finger is on it."""
        self.scrim = Scrim(ui, on_scrim) if scrim else None
        if self.scrim is not None:
            self.add_widget(self.scrim)
        panel.size_hint = (None, None)
        self.add_widget(panel)
        self.bind(size=self.place, offset=self.place)
        panel.bind(height=self.place)

    @property
    def room(self) -> tuple[float, float]:
        """The most width and height the panel may have, in pixels."""
        ui = self.ui
        across, down = ui.layout.overscan
        if self._full:
            return (ui.layout.width * ui.layout.scale, ui.layout.height * ui.layout.scale)
        return (
            ui.dp(min(self._wanted, ui.layout.width - 2 * across - 2 * self._margin)),
            ui.dp(ui.layout.height - 2 * down - 2 * self._margin),
        )

    def place(self, *_: Any) -> None:
        """Put the panel where it belongs."""
        ui, panel = self.ui, self.panel
        width, height = self.room
        panel.width = width
        if self._full:
            panel.height = height
        down = ui.dp(ui.layout.overscan[1] + self._margin)
        if self.edge == "top":
            y = self.top - down - panel.height
        elif self.edge == "bottom":
            # At the very edge the lower corners lie below it.
            y = self.y + down - (0 if self._margin else ui.dp(theme.CORNER_L))
        else:
            y = self.center_y - panel.height / 2
        panel.pos = (round(self.center_x - width / 2), round(y + self.offset))

    def enter(self, done: Callable[[], object]) -> None:
        """Come in; `done` when it is all there."""
        # Its height is known after one round of layout only.
        self.panel.opacity = BARELY
        if self.scrim is not None:
            self.scrim.opacity = 0
        self._coming = Clock.schedule_once(lambda _: self._enter(done), 0)

    def halt(self) -> None:
        """Stay as it is: nothing that moves it goes on."""
        if self._coming is not None:
            self._coming.cancel()
        for widget in (self, self.panel, self.scrim):
            if widget is not None:
                Animation.cancel_all(widget)

    def _enter(self, done: Callable[[], object]) -> None:
        moving = self.ui.seconds(ENTER_S)
        if moving:
            self.offset = self._away()
            Animation(offset=0, duration=moving, t="out_cubic").start(self)
        fading = Animation(opacity=1, duration=moving or FADE_S, t="out_quad")
        fading.bind(on_complete=lambda *_: done())
        fading.start(self.panel)
        if self.scrim is not None:
            Animation(opacity=1, duration=moving or FADE_S).start(self.scrim)

    def leave(self, done: Callable[[], object]) -> None:
        """Go; `done` when nothing of it is left on the screen."""
        self.halt()
        moving = self.ui.seconds(LEAVE_S)
        if moving:
            Animation(offset=self._away(), duration=moving, t="in_cubic").start(self)
        fading = Animation(opacity=0, duration=moving or FADE_S)
        fading.bind(on_complete=lambda *_: done())
        fading.start(self.panel)
        if self.scrim is not None:
            Animation(opacity=0, duration=moving or FADE_S).start(self.scrim)

    def _away(self) -> float:
        distance = self.panel.height + self.ui.dp(self._margin)
        if self.edge == "top":
            return float(distance)
        return float(-distance if self.edge == "bottom" else -self.ui.dp(RISE))

    # Dragging it away

    def on_touch_down(self, touch: Any) -> bool:
        inside = bool(self.panel.collide_point(*touch.pos))
        # The scrim lies below the panel as well, but only beside it a touch is for the scrim.
        taken = bool(
            self.panel.dispatch("on_touch_down", touch) if inside else super().on_touch_down(touch)
        )
        if inside and not touch.is_mouse_scrolling:
            self.is_held = True
            self._drag_from = touch.y if self._on_swipe is not None else None
            touch.ud["floating.tap"] = not taken
            touch.grab(self)
        # What is below the panel, and below a scrim, is out of reach.
        return taken or inside or self.scrim is not None

    def on_touch_move(self, touch: Any) -> bool:
        if touch.grab_current is not self or self._drag_from is None:
            return bool(super().on_touch_move(touch))
        moved = touch.y - self._drag_from
        outwards = max(0.0, moved) if self.edge == "top" else min(0.0, moved)
        if abs(outwards) > self.ui.dp(DRAG_FROM) or self.offset:
            self._take_over(touch)
            self.offset = outwards
        return True

    def on_touch_up(self, touch: Any) -> bool:
        if touch.grab_current is not self:
            return bool(super().on_touch_up(touch))
        touch.ungrab(self)
        self.is_held = False
        if self.offset:
            self._release()
        elif touch.ud["floating.tap"] and self._on_tap is not None and self._is_tap(touch):
            self._on_tap()
        return True

    def _is_tap(self, touch: Any) -> bool:
        moved: float = max(abs(touch.y - touch.oy), abs(touch.x - touch.ox))
        return moved < self.ui.dp(DRAG_FROM)

    def _take_over(self, touch: Any) -> None:
        """Have the touch alone: a button below the finger was not meant."""
        for held in list(touch.grab_list):
            widget = held()
            if widget is not None and widget is not self:
                touch.ungrab(widget)
                if hasattr(widget, "state"):
                    widget.state = "normal"

    def _release(self) -> None:
        if abs(self.offset) >= SWIPE_SHARE * self.panel.height and self._on_swipe is not None:
            self._on_swipe()
        elif seconds := self.ui.seconds(LEAVE_S):
            Animation(offset=0, duration=seconds, t="out_cubic").start(self)
        else:
            self.offset = 0


class Fitting(Scroll):
    """As high as what is in it, up to a limit in pixels; beyond that it scrolls."""

    limit = NumericProperty(1e9)

    def __init__(self, ui: Ui, content: Widget) -> None:
        super().__init__(ui, content, size_hint_y=None)
        content.bind(height=self._fit)
        self.bind(limit=self._fit)
        self._fit()

    def _fit(self, *_: Any) -> None:
        self.height = min(self.content.height, self.limit)
        self.do_scroll_y = self.content.height > self.limit
