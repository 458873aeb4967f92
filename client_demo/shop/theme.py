"""Design tokens: colours, type, spacing, corners. Values only; widgets/ turns them into pixels.

Lengths are dp and type sizes sp: `Ui.dp` and `Ui.sp` know the density, the text scale and the distance
from which a television is looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Rgba = tuple[float, float, float, float]

CONTRAST_MIN = 4.5
"""Of text on what it stands on (WCAG 2.2 AA)."""
CONTRAST_SHAPE_MIN = 3.0
"""Of a focus ring, or an icon that carries meaning."""


def rgba(value: str, alpha: float = 1.0) -> Rgba:
    """Read `#rrggbb`."""
    red, green, blue = (int(value[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return (red, green, blue, alpha)


@dataclass(frozen=True, slots=True, kw_only=True)
class Palette:
    """What a colour is for; widgets name the purpose, never the value."""

    background: Rgba
    surface: Rgba
    """Cards, bars, sheets."""
    sunken: Rgba
    """Fields, tracks, chips that are not chosen: a step below the surface."""
    tile: Rgba
    """Behind a picture of a product."""
    text: Rgba
    muted: Rgba
    """Text of second rank."""
    line: Rgba
    """Hairlines and borders."""
    primary: Rgba
    on_primary: Rgba
    primary_soft: Rgba
    """A quiet area of the primary colour: a chosen chip, the active entry of a menu."""
    on_primary_soft: Rgba
    accent: Rgba
    """Prices that were lowered, badges."""
    on_accent: Rgba
    star: Rgba
    success: Rgba
    danger: Rgba
    on_danger: Rgba
    inverse: Rgba
    """Toasts."""
    on_inverse: Rgba
    focus: Rgba
    scrim: Rgba
    shadow: Rgba


LIGHT = Palette(
    background=rgba("#f6f3ee"),
    surface=rgba("#ffffff"),
    sunken=rgba("#ece7df"),
    tile=rgba("#ebe5db"),
    text=rgba("#22201d"),
    muted=rgba("#665f56"),
    line=rgba("#e2dcd2"),
    primary=rgba("#2f5d50"),
    on_primary=rgba("#ffffff"),
    primary_soft=rgba("#dde9e3"),
    on_primary_soft=rgba("#21463c"),
    accent=rgba("#a9481f"),
    on_accent=rgba("#ffffff"),
    star=rgba("#a56a00"),
    success=rgba("#2b6a41"),
    danger=rgba("#b3261e"),
    on_danger=rgba("#ffffff"),
    inverse=rgba("#2c2a27"),
    on_inverse=rgba("#f6f3ee"),
    focus=rgba("#1d4ed8"),
    scrim=rgba("#14120f", 0.52),
    shadow=rgba("#2b2118", 0.13),
)

DARK = Palette(
    background=rgba("#141513"),
    surface=rgba("#1f211e"),
    sunken=rgba("#2b2d29"),
    tile=rgba("#2d2f2b"),
    text=rgba("#f2efe9"),
    muted=rgba("#b0aba1"),
    line=rgba("#363833"),
    primary=rgba("#93ceb8"),
    on_primary=rgba("#0f241d"),
    primary_soft=rgba("#27423a"),
    on_primary_soft=rgba("#c6e8db"),
    accent=rgba("#f0a27d"),
    on_accent=rgba("#33140a"),
    star=rgba("#f0bc5e"),
    success=rgba("#8fd3a5"),
    danger=rgba("#ffb4ab"),
    on_danger=rgba("#4a0905"),
    inverse=rgba("#ece8e1"),
    on_inverse=rgba("#22201d"),
    focus=rgba("#9db8ff"),
    scrim=rgba("#000000", 0.64),
    shadow=rgba("#000000", 0.42),
)

TEXT_ON: tuple[tuple[str, str], ...] = (
    *((text, area) for text in ("text", "muted") for area in ("background", "surface", "sunken")),
    ("text", "tile"),
    *(
        (text, area)
        for text in ("primary", "accent", "danger")
        for area in ("background", "surface")
    ),
    ("success", "surface"),
    ("star", "surface"),
    ("on_primary", "primary"),
    ("on_primary_soft", "primary_soft"),
    ("on_accent", "accent"),
    ("on_danger", "danger"),
    ("on_inverse", "inverse"),
)
"""Every pair of text and ground that the app uses: what the contrast test goes through."""

TextStyle = Literal["display", "headline", "title", "subtitle", "body", "label", "caption", "code"]


@dataclass(frozen=True, slots=True)
class Type:
    """One step of the type scale."""

    size: float
    bold: bool = False
    line_height: float = 1.2
    font: str = "Roboto"


TYPE: dict[TextStyle, Type] = {
    "display": Type(32, bold=True, line_height=1.08),
    "headline": Type(24, bold=True, line_height=1.12),
    "title": Type(19, bold=True, line_height=1.15),
    "subtitle": Type(16, bold=True, line_height=1.2),
    "body": Type(15, line_height=1.28),
    "label": Type(14, bold=True),
    "caption": Type(12.5, line_height=1.2),
    "code": Type(12.5, font="RobotoMono-Regular", line_height=1.25),
}

HAIR, XS, S, M, L, XL, XXL = 2, 4, 8, 12, 16, 24, 40
"""The spacing scale in dp."""
CORNER_S, CORNER_M, CORNER_L = 8, 14, 22
"""Radii: chips and fields, cards, heroes and sheets."""
TARGET = 48
"""The least height and width of what a finger has to hit."""
RING = 3
"""Thickness of the focus ring."""


def contrast(one: Rgba, other: Rgba) -> float:
    """Give the contrast ratio of two opaque colours, 1 to 21 (WCAG 2.2)."""
    brighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


def _luminance(colour: Rgba) -> float:
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour[:3]
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
