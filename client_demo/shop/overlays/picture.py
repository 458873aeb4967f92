"""The picture of a message on the screen: a placeholder first, then the picture, cut to fill its box."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from kivy.clock import Clock
from kivy.graphics import Color, Mesh, Rectangle
from kivy.uix.widget import Widget

from client_demo.shop import theme
from client_demo.shop.overlays.pictures import ART, Pictures
from client_demo.shop.ui import Ui
from client_demo.shop.widgets import Icon

Corners = tuple[float, float, float, float]
"""Radii in dp: top left, top right, bottom right, bottom left."""
AIR = 0.06
"""The share of the box that stays free at each side of a picture of the app itself."""
ARC_STEPS = 12
"""Straight pieces that a round corner is made of."""


def all_round(radius: float) -> Corners:
    return (radius, radius, radius, radius)


ALL_ROUND = all_round(theme.CORNER_M)


class Picture(Widget):
    """A box that a picture fills. `on_missing` is told when there will be none.

    A photograph is cut to the shape of the box. The app's own pictures are things without a background: they
    stand whole on a tinted ground.
    """

    def __init__(
        self,
        ui: Ui,
        pictures: Pictures,
        address: str,
        *,
        corners: Corners = ALL_ROUND,
        on_missing: Callable[[], object] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.ui = ui
        self.is_loaded = False
        self._stands_whole = address.startswith(ART)
        self._radii = [ui.dp(corner) for corner in corners]
        self._texture: Any = None
        self._on_missing = on_missing
        with self.canvas:
            self._colour = Color(*ui.colour("tile"))
            self._mesh = Mesh(mode="triangle_fan")
            self._thing_colour = Color(1, 1, 1, 0)
            self._thing = Rectangle()
        self._mark: Icon | None = Icon(ui, "image", 28, colour="muted")
        self.add_widget(self._mark)
        self.bind(pos=self._draw, size=self._draw)
        pictures.get(address, self._take)

    def _take(self, texture: Any) -> None:
        if texture is None:
            if self._on_missing is not None:
                # Later: whoever makes this widget has not placed it yet.
                missing = self._on_missing
                Clock.schedule_once(lambda _: missing(), 0)
            return
        self._texture, self.is_loaded = texture, True
        if self._stands_whole:
            self._thing_colour.a = 1
            self._thing.texture = texture
        else:
            self._colour.rgba = (1, 1, 1, 1)
            self._mesh.texture = texture
        if self._mark is not None:
            self.remove_widget(self._mark)
            self._mark = None
        self._draw()

    def _draw(self, *_: Any) -> None:
        # Not `self.center`, which may lag behind while position and size change.
        middle = (self.x + self.width / 2, self.y + self.height / 2)
        if self._mark is not None:
            self._mark.center = middle
        if self.width <= 0 or self.height <= 0:
            return
        left, low, across, up = (0.0, 0.0, 1.0, 1.0)
        if self._stands_whole:
            self._stand()
        elif self._texture is not None:
            left, low, across, up = _window(self._texture, self.width / self.height)
        points = [middle, *_outline((self.x, self.y), (self.width, self.height), self._radii)]
        points.append(points[1])
        vertices: list[float] = []
        for x, y in points:
            along, above = (x - self.x) / self.width, (y - self.y) / self.height
            vertices += (x, y, left + across * along, low + up * above)
        self._mesh.vertices = vertices
        self._mesh.indices = list(range(len(points)))

    def _stand(self) -> None:
        """Place a picture of the app itself: whole, in the middle, with some air around it."""
        if self._texture is None:
            return
        room = 1 - 2 * AIR
        scale = min(
            self.width * room / self._texture.width, self.height * room / self._texture.height
        )
        width, height = self._texture.width * scale, self._texture.height * scale
        self._thing.size = (width, height)
        self._thing.pos = (self.x + (self.width - width) / 2, self.y + (self.height - height) / 2)


def _window(texture: Any, ratio: float) -> tuple[float, float, float, float]:
    """Choose the middle of a texture, as wide in relation to its height as `ratio`: u, v, width, height."""
    shape = texture.width / texture.height
    share_x, share_y = min(1.0, ratio / shape), min(1.0, shape / ratio)
    u0, v0, u1, _, _, v2, *_ = texture.tex_coords
    across, up = u1 - u0, v2 - v0
    return (
        u0 + across * (1 - share_x) / 2,
        v0 + up * (1 - share_y) / 2,
        across * share_x,
        up * share_y,
    )


def _outline(
    corner: tuple[float, float], size: tuple[float, float], radii: list[float]
) -> list[tuple[float, float]]:
    """Give the points around a rectangle with round corners, counterclockwise from the top right."""
    (x, y), (width, height) = corner, size
    top_left, top_right, bottom_right, bottom_left = radii
    corners = (
        (x + width - top_right, y + height - top_right, top_right, 0),
        (x + top_left, y + height - top_left, top_left, 1),
        (x + bottom_left, y + bottom_left, bottom_left, 2),
        (x + width - bottom_right, y + bottom_right, bottom_right, 3),
    )
    points = []
    for centre_x, centre_y, radius, quarter in corners:
        for step in range(ARC_STEPS + 1 if radius else 1):
            angle = (quarter + step / ARC_STEPS) * math.pi / 2
            points.append(
                (centre_x + radius * math.cos(angle), centre_y + radius * math.sin(angle))
            )
    return points
