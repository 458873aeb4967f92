"""Smooth shapes: rounded areas, outlines and shadows from small textures that stretch in the middle.

Kivy's own rounded rectangles have jagged edges where the screen does not multisample; these are computed with
their edges softened over one pixel, once per radius, and look the same everywhere.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

from kivy.graphics import BorderImage, Color
from kivy.graphics.texture import Texture

from client_demo.shop.theme import Rgba

_MIDDLE = 2
"""Pixels between the corners, which stretch."""


def _texture(size: int, alpha: list[list[float]]) -> Texture:
    texture = Texture.create(size=(size, size), colorfmt="rgba")
    data = bytearray()
    for row in alpha:
        for value in row:
            data += bytes((255, 255, 255, max(0, min(255, round(value * 255)))))
    texture.blit_buffer(bytes(data), colorfmt="rgba", bufferfmt="ubyte")
    texture.mag_filter = texture.min_filter = "linear"
    return texture


def _mirrored(corner: list[list[float]]) -> list[list[float]]:
    """Make the whole from its lower left corner. The middle is as solid as its edge is at most."""
    rows = [row + [max(row)] * _MIDDLE + row[::-1] for row in corner]
    middle = [max(column) for column in zip(*corner, strict=True)]
    return rows + [middle + [1.0] * _MIDDLE + middle[::-1]] * _MIDDLE + rows[::-1]


@cache
def rounded(radius: int) -> Texture:
    """An area with round corners."""
    corner = [
        [
            min(1.0, max(0.0, radius - math.hypot(radius - x - 0.5, radius - y - 0.5) + 0.5))
            for x in range(radius)
        ]
        for y in range(radius)
    ]
    return _texture(2 * radius + _MIDDLE, _mirrored(corner))


@cache
def outlined(radius: int, thickness: int) -> Texture:
    """The border of an area with round corners, drawn inwards."""
    corner = []
    for y in range(radius):
        row = []
        for x in range(radius):
            distance = radius - math.hypot(radius - x - 0.5, radius - y - 0.5)
            row.append(
                min(1.0, max(0.0, distance + 0.5)) * min(1.0, max(0.0, thickness - distance + 0.5))
            )
        corner.append(row)
    inner = [[1.0 if y < thickness else 0.0] for y in range(radius)]
    rows = [row + [inner[y][0]] * _MIDDLE + row[::-1] for y, row in enumerate(corner)]
    middle = [1.0 if x < thickness else 0.0 for x in range(radius)]
    middle_row = middle + [0.0] * _MIDDLE + middle[::-1]
    return _texture(2 * radius + _MIDDLE, rows + [middle_row] * _MIDDLE + rows[::-1])


@cache
def shadow(radius: int, blur: int) -> Texture:
    """A soft shadow that reaches `blur` pixels beyond the area it belongs to."""
    reach = radius + blur
    corner = []
    for y in range(reach):
        row = []
        for x in range(reach):
            distance = math.hypot(reach - x - 0.5, reach - y - 0.5) - radius
            # From dark below the area to nothing at the end of the reach, without an edge.
            fall = min(1.0, max(0.0, 1.0 - (distance + blur * 0.35) / (blur * 1.35)))
            row.append(fall * fall * (3 - 2 * fall))
        corner.append(row)
    return _texture(2 * reach + _MIDDLE, _mirrored(corner))


class Painted:
    """One such texture in a canvas, kept to a rectangle."""

    def __init__(
        self, canvas: Any, colour: Rgba, texture: Texture, border: int, grow: float = 0.0
    ) -> None:
        self._grow = grow
        self.color = Color(*colour)
        self.shape = BorderImage(
            texture=texture, border=(border, border, border, border), auto_scale="both_lower"
        )
        canvas.add(self.color)
        canvas.add(self.shape)

    def place(self, x: float, y: float, width: float, height: float) -> None:
        grow = self._grow
        self.shape.pos = (x - grow, y - grow)
        self.shape.size = (max(0.0, width + 2 * grow), max(0.0, height + 2 * grow))


def area(canvas: Any, colour: Rgba, radius: float) -> Painted:
    whole = max(1, round(radius))
    return Painted(canvas, colour, rounded(whole), whole)


def border(
    canvas: Any, colour: Rgba, radius: float, thickness: float, grow: float = 0.0
) -> Painted:
    whole = max(1, round(radius + grow), math.ceil(thickness))
    return Painted(canvas, colour, outlined(whole, max(1, round(thickness))), whole, grow)


def soft_shadow(canvas: Any, colour: Rgba, radius: float, blur: float) -> Painted:
    whole, reach = max(1, round(radius)), max(1, round(blur))
    return Painted(canvas, colour, shadow(whole, reach), whole + reach, reach)
