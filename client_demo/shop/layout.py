"""How much room there is, and what that means for a layout. Decisions only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

FormFactor = Literal["phone", "tablet", "tv"]
SizeClass = Literal["compact", "medium", "expanded"]
Menu = Literal["bottom", "rail", "side"]

FORM_FACTORS: tuple[FormFactor, ...] = get_args(FormFactor)

MEDIUM_FROM, EXPANDED_FROM = 600, 840
"""Widths in dp where a size class begins (Material 3 window size classes)."""
TV_SCALE = 1.5
"""A television is looked at from three metres: everything is this much larger."""
TV_OVERSCAN = 0.05
"""The share of width and of height at each edge that a television may cut off."""
CONTENT_WIDTH_MAX = 1180
"""Lines and cards longer than that are hard to follow, in dp."""

WINDOW_SIZES: dict[FormFactor, tuple[int, int, float]] = {
    "phone": (390, 844, 2.0),
    "tablet": (1280, 800, 1.0),
    "tv": (1920, 1080, 1.0),
}
"""Width and height in dp and the density of the screenshots, by form factor."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The room a window gives, in dp as the app counts them (on television one is 1.5 of theirs)."""

    form_factor: FormFactor
    width: float
    height: float
    scale: float
    """Pixels in one dp."""

    @property
    def is_tv(self) -> bool:
        return self.form_factor == "tv"

    @property
    def size_class(self) -> SizeClass:
        if self.width < MEDIUM_FROM:
            return "compact"
        return "medium" if self.width < EXPANDED_FROM else "expanded"

    @property
    def is_compact(self) -> bool:
        return self.size_class == "compact"

    @property
    def is_landscape(self) -> bool:
        return self.width > self.height

    @property
    def menu(self) -> Menu:
        """Where the main menu stands."""
        if self.is_tv:
            return "side"
        return "bottom" if self.is_compact else "rail"

    @property
    def margin(self) -> float:
        """Between the edge of the content and what is in it."""
        if self.is_tv:
            return 32
        return {"compact": 16, "medium": 24, "expanded": 32}[self.size_class]

    @property
    def overscan(self) -> tuple[float, float]:
        """Horizontal and vertical distance that nothing important may enter."""
        if not self.is_tv:
            return (0, 0)
        return (self.width * TV_OVERSCAN, self.height * TV_OVERSCAN)

    @property
    def two_panes(self) -> bool:
        """Whether a list and what is chosen in it stand side by side."""
        return self.size_class == "expanded"

    def columns(self, least: float, room: float, gap: float) -> int:
        """Give how many columns of at least `least` dp fit into `room` dp; two on a phone, always."""
        fitting = int((room + gap) // (least + gap))
        return max(2 if self.is_compact else 1, fitting)


def layout_of(width_px: float, height_px: float, density: float, form_factor: FormFactor) -> Layout:
    """Measure a window. `density` is pixels per dp of the device."""
    scale = density * (TV_SCALE if form_factor == "tv" else 1.0)
    return Layout(form_factor, width_px / scale, height_px / scale, scale)


def guess_form_factor(width_px: float, height_px: float, density: float) -> FormFactor:
    """Tell a phone from a tablet by the shorter side, as Android does. A television says so itself."""
    return "phone" if min(width_px, height_px) / density < MEDIUM_FROM else "tablet"
