"""How things stand: nothing there, still loading, something went wrong, scan this."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import segno
from kivy.animation import Animation
from kivy.graphics import Color, Rectangle
from kivy.uix.relativelayout import RelativeLayout
from kivy.uix.widget import Widget

from client_demo.shop import theme
from client_demo.shop.ui import Ui
from client_demo.shop.widgets import paint
from client_demo.shop.widgets.boxes import Column, Gap, Row, Surface
from client_demo.shop.widgets.controls import Button
from client_demo.shop.widgets.text import Icon, Text

QUIET_ZONE = 3
"""Modules of white around a QR code."""


class EmptyState(Column):
    """A picture, what is the matter, and the way on."""

    def __init__(
        self,
        ui: Ui,
        icon: str,
        title: str,
        text: str,
        action: str = "",
        on_action: Callable[[], object] | None = None,
    ) -> None:
        halo = RelativeLayout(size_hint=(None, None), size=(ui.dp(96), ui.dp(96)))
        halo.pos_hint = {"center_x": 0.5}
        paint.area(halo.canvas.before, ui.colour("primary_soft"), ui.dp(48)).place(
            0, 0, ui.dp(96), ui.dp(96)
        )
        mark = Icon(ui, icon, 44, colour="on_primary_soft")
        mark.pos = (ui.dp(26), ui.dp(26))
        halo.add_widget(mark)
        super().__init__(
            ui,
            halo,
            Gap(ui, theme.XS),
            Text(ui, title, "title", align="center"),
            Text(ui, text, "body", colour="muted", align="center"),
            spacing=theme.S,
            padding=(theme.XL, theme.XXL),
        )
        if action:
            self.add_widget(Gap(ui, theme.S))
            button = Button(ui, action, on_action, focus_key="empty.action", prefers_focus=True)
            button.pos_hint = {"center_x": 0.5}
            self.add_widget(button)


class Notice(Surface):
    """A line of news that stays: offline, an error, what a place is for."""

    def __init__(
        self,
        ui: Ui,
        text: str,
        *,
        icon: str = "info",
        tone: Literal["plain", "danger"] = "plain",
        action: str = "",
        on_action: Callable[[], object] | None = None,
    ) -> None:
        ink = "danger" if tone == "danger" else "text"
        row = Row(
            ui,
            Icon(ui, icon, 20, colour=ink if tone == "danger" else "muted"),
            Text(ui, text, "caption", colour=ink),
            padding=(theme.L, theme.M),
        )
        if action:
            row.add_widget(Button(ui, action, on_action, kind="plain", small=True))
        super().__init__(ui, row, colour="sunken", radius=theme.CORNER_M)


class Skeleton(Widget):
    """The place where something is about to be. Breathes, unless motion is reduced."""

    def __init__(
        self, ui: Ui, height: float, *, radius: float = theme.CORNER_S, **options: Any
    ) -> None:
        super().__init__(**{"size_hint_y": None} | options)
        self.height = ui.dp(height)
        self._area = paint.area(self.canvas, ui.colour("sunken"), ui.dp(radius))
        self.bind(pos=self._draw, size=self._draw)
        if ui.seconds(1.0):
            breath = Animation(opacity=0.45, duration=0.7, t="in_out_sine") + Animation(
                opacity=1, duration=0.7, t="in_out_sine"
            )
            breath.repeat = True
            breath.start(self)
            self.bind(parent=lambda *_: None if self.parent else Animation.cancel_all(self))

    def _draw(self, *_: Any) -> None:
        self._area.place(self.x, self.y, self.width, self.height)


class Progress(Widget):
    """A share (0 to 1) of a way."""

    def __init__(self, ui: Ui, share: float) -> None:
        super().__init__(size_hint_y=None, height=ui.dp(8))
        self.share = min(1.0, max(0.0, share))
        self._track = paint.area(self.canvas, ui.colour("sunken"), ui.dp(4))
        self._done = paint.area(self.canvas, ui.colour("primary"), ui.dp(4))
        self.bind(pos=self._draw, size=self._draw)

    def _draw(self, *_: Any) -> None:
        self._track.place(self.x, self.y, self.width, self.height)
        self._done.place(self.x, self.y, max(self.height, self.width * self.share), self.height)


class Badge(RelativeLayout):
    """A small number on a round ground."""

    def __init__(self, ui: Ui, text: str, **options: Any) -> None:
        height = ui.scaled(18)
        label = Text(ui, text, "caption", colour="on_accent", wrap=False)
        super().__init__(
            size_hint=(None, None),
            size=(max(height, label.width + ui.dp(10)), height),
            **options,
        )
        paint.area(self.canvas.before, ui.colour("accent"), height / 2).place(0, 0, *self.size)
        label.center = (self.width / 2, self.height / 2)
        self.add_widget(label)


class QrCode(Widget):
    """A QR code, always dark on white. `size` in dp."""

    def __init__(self, ui: Ui, content: str, size: float = 200) -> None:
        edge = ui.dp(size)
        super().__init__(size_hint=(None, None), size=(edge, edge))
        self.content = content
        self._rows = [bytes(row) for row in segno.make(content, error="m", micro=False).matrix]
        self._paper = paint.area(self.canvas, (1, 1, 1, 1), ui.dp(theme.CORNER_M))
        with self.canvas:
            Color(0.08, 0.08, 0.08, 1)
            self._modules = [
                (Rectangle(), x, y)
                for y, row in enumerate(self._rows)
                for x, is_dark in enumerate(row)
                if is_dark
            ]
        self.bind(pos=self._draw, size=self._draw)
        self._draw()

    def _draw(self, *_: Any) -> None:
        self._paper.place(self.x, self.y, self.width, self.height)
        modules = len(self._rows)
        # Whole pixels for each module: cameras like straight edges.
        pixel = max(1, int(self.width // (modules + 2 * QUIET_ZONE)))
        left = round(self.x + (self.width - pixel * modules) / 2)
        top = round(self.y + (self.height + pixel * modules) / 2)
        for shape, x, y in self._modules:
            shape.pos = (left + x * pixel, top - (y + 1) * pixel)
            shape.size = (pixel, pixel)
