"""What every widget is given: theme, layout, language, and the way to the rest of the app."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from client_demo.shop.i18n import Language, Translator
from client_demo.shop.layout import Layout
from client_demo.shop.observable import Signal
from client_demo.shop.theme import DARK, LIGHT, TYPE, Palette, Rgba, TextStyle

TEXT_SCALES: tuple[float, ...] = (0.85, 1.0, 1.15, 1.3)
"""What the settings offer; the app holds at the largest one."""


@dataclass(frozen=True, slots=True)
class Appearance:
    """What a person can set about how the app looks. Kept between starts."""

    language: Language = "en"
    dark: bool = False
    text_scale: float = 1.0
    reduced_motion: bool = False


ToastTone = Literal["plain", "success", "danger"]


class Ui:
    """The surroundings of a widget.

    `changed` fires when the theme, the language, the text scale or the layout became another one: screens
    build themselves anew then, so a widget may read everything once, when it is made.
    """

    def __init__(self, appearance: Appearance, layout: Layout) -> None:
        self.appearance = appearance
        self.layout = layout
        self.changed = Signal()
        self.toast: Callable[[str, ToastTone], None] = lambda text, tone: None
        """Say something in passing; the shell puts itself in here."""
        self._translator = Translator(appearance.language)

    # Theme

    @property
    def palette(self) -> Palette:
        return DARK if self.appearance.dark else LIGHT

    def colour(self, name: str) -> Rgba:
        """Give the colour for a purpose (see `theme.Palette`)."""
        found: Rgba = getattr(self.palette, name)
        return found

    def dp(self, length: float) -> float:
        """Turn dp into pixels."""
        return round(length * self.layout.scale)

    def sp(self, style: TextStyle) -> float:
        """Give the height of a text style in pixels."""
        return TYPE[style].size * self.layout.scale * self.appearance.text_scale

    def scaled(self, length: float) -> float:
        """Turn dp into pixels for what holds text and has to grow with it."""
        return round(length * self.layout.scale * max(1.0, self.appearance.text_scale))

    def seconds(self, duration: float) -> float:
        """Give how long an animation takes: no time at all when motion is reduced."""
        return 0.0 if self.appearance.reduced_motion else duration

    # Language

    @property
    def language(self) -> Language:
        return self.appearance.language

    @property
    def translator(self) -> Translator:
        return self._translator

    def t(self, key: str, **values: object) -> str:
        """Give the text of a key in the language of the person."""
        return self._translator.text(key, **values)

    def price(self, cents: int) -> str:
        return self._translator.price(cents)

    # Change

    def set_appearance(self, **changes: object) -> None:
        """Change language, dark, text_scale or reduced_motion, and have everything drawn anew."""
        changed = replace(self.appearance, **changes)  # type: ignore[arg-type]
        if changed == self.appearance:
            return
        if changed.language != self.appearance.language:
            self._translator = Translator(changed.language)
        self.appearance = changed
        self.changed()

    def set_layout(self, layout: Layout) -> None:
        if layout != self.layout:
            self.layout = layout
            self.changed()
