"""Pictures of phone, tablet and television side by side on a quiet ground, as one PNG.

    python -m client_demo.shop.montage FILE PHONE TABLET TV

`gallery.py --montage` calls it, in a process of its own: Kivy's window is global.
"""

from __future__ import annotations

import os
import struct
import sys
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from client_demo.shop import launch

WIDTH, HEIGHT = 1480, 560
GROUND = (0.925, 0.914, 0.894, 1)
BEZEL = (0.13, 0.13, 0.14, 1)
SHADOW = (0.2, 0.17, 0.12, 0.22)
BASELINE = 72
"""Where the devices stand, in pixels from the lower edge, as all lengths here."""

NECK, BASE = 44, 190
"""Widths of a television's foot."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a device stands: its screen's left edge and width, and what surrounds it."""

    x: int
    width: int
    frame: int
    corner: int
    foot: int = 0
    """How high above the ground it stands on its foot."""


PLACES: tuple[Place, ...] = (
    Place(x=54, width=200, frame=7, corner=24),
    Place(x=310, width=446, frame=10, corner=12),
    Place(x=806, width=622, frame=6, corner=4, foot=20),
)
"""Phone, tablet, television; each as high as its picture is."""


def main(argv: Sequence[str]) -> int:
    """Put the pictures together; gives the exit code."""
    file, *pictures = map(Path, argv)
    with tempfile.TemporaryDirectory(prefix="moorlind-") as folder:
        options = launch.parse(
            [
                *("--headless", "0", "--size", f"{WIDTH}x{HEIGHT}", "--density", "1"),
                *("--state-dir", folder, "--data-dir", folder),
            ]
        )
        os.environ.update(launch.environment(options, os.environ))
        _compose(options, pictures, file)
    print(f"{file}: {file.stat().st_size / 1000:.0f} kB")
    return 0


def _compose(options: launch.Options, pictures: Sequence[Path], file: Path) -> None:
    from kivy.base import EventLoop  # noqa: PLC0415
    from kivy.uix.widget import Widget  # noqa: PLC0415

    from client_demo.shop.app import configure_window  # noqa: PLC0415

    configure_window(options)
    EventLoop.ensure_window()
    window = EventLoop.window
    window.clearcolor = GROUND
    board = Widget()
    window.add_widget(board)
    for place, picture in zip(PLACES, pictures, strict=True):
        _draw(board.canvas, place, picture)
    EventLoop.start()
    # The second one paints what the first has laid out.
    EventLoop.idle()
    EventLoop.idle()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(png(WIDTH, HEIGHT, _pixels()))
    EventLoop.close()


def _draw(canvas: Any, place: Place, picture: Path) -> None:
    from kivy.core.image import Image  # noqa: PLC0415
    from kivy.graphics import (  # noqa: PLC0415
        BoxShadow,
        Color,
        Rectangle,
        RoundedRectangle,
        SmoothLine,
        SmoothRoundedRectangle,
        StencilPop,
        StencilPush,
        StencilUnUse,
        StencilUse,
    )

    texture = Image(str(picture), mipmap=True).texture
    size = (place.width, round(place.width * texture.height / texture.width))
    outer = (size[0] + 2 * place.frame, size[1] + 2 * place.frame)
    corner = place.corner + place.frame
    bottom = BASELINE + place.foot
    inner = (place.x, bottom + place.frame)
    with canvas:
        Color(*SHADOW)
        BoxShadow(
            pos=(place.x - place.frame, bottom),
            size=outer,
            offset=(0, -10),
            blur_radius=36,
            border_radius=(corner,) * 4,
        )
        Color(*BEZEL)
        SmoothRoundedRectangle(pos=(place.x - place.frame, bottom), size=outer, radius=[corner])
        if place.foot:
            middle = place.x + place.width / 2
            Rectangle(pos=(middle - NECK / 2, BASELINE), size=(NECK, place.foot))
            SmoothRoundedRectangle(pos=(middle - BASE / 2, BASELINE), size=(BASE, 6), radius=[3])
        # A rounded rectangle with a picture on it distorts it, so the corners are cut by a stencil.
        StencilPush()
        RoundedRectangle(pos=inner, size=size, radius=[place.corner])
        StencilUse()
        Color(1, 1, 1, 1)
        Rectangle(pos=inner, size=size, texture=texture)
        StencilUnUse()
        RoundedRectangle(pos=inner, size=size, radius=[place.corner])
        StencilPop()
        # A stencil has hard edges.
        Color(*BEZEL)
        SmoothLine(rounded_rectangle=(*inner, *size, place.corner), width=1.1)


def _pixels() -> bytes:
    """Read the window: rows from the lower edge up, red, green, blue."""
    from kivy.graphics.opengl import (  # noqa: PLC0415
        GL_RGB,
        GL_UNSIGNED_BYTE,
        glReadPixels,
    )

    return bytes(glReadPixels(0, 0, WIDTH, HEIGHT, GL_RGB, GL_UNSIGNED_BYTE))


# --- PNG ---------------------------------------------------------------------------------------


def png(width: int, height: int, pixels: bytes) -> bytes:
    """Write rows of RGB, the lowest first, as a PNG; smaller than what Kivy writes.

    It has no alpha, and each row the filter of five after which least is left.
    """
    row = 3 * width
    rows = [pixels[start : start + row] for start in range(0, row * height, row)][::-1]
    filtered = b"".join(
        min(_filtered(above, line), key=_left_over)
        for above, line in zip([bytes(row), *rows[:-1]], rows, strict=True)
    )
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in (
            (b"IHDR", header),
            (b"IDAT", zlib.compress(filtered, 9)),
            (b"IEND", b""),
        )
    )


def _filtered(above: bytes, line: bytes) -> Iterator[bytes]:
    left = bytes(3) + line[:-3]
    corner = bytes(3) + above[:-3]
    yield b"\0" + line
    yield b"\1" + bytes((x - a) & 255 for x, a in zip(line, left, strict=True))
    yield b"\2" + bytes((x - b) & 255 for x, b in zip(line, above, strict=True))
    yield b"\3" + bytes((x - (a + b) // 2) & 255 for x, a, b in zip(line, left, above, strict=True))
    yield b"\4" + bytes(
        (x - _nearest(a, b, c)) & 255 for x, a, b, c in zip(line, left, above, corner, strict=True)
    )


def _nearest(left: int, above: int, corner: int) -> int:
    """Choose the neighbour that the gradient points to (Paeth)."""
    guess = left + above - corner
    return min((left, above, corner), key=lambda one: abs(guess - one))


def _left_over(filtered: bytes) -> int:
    return sum(min(value, 256 - value) for value in filtered[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
