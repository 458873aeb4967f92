"""What a message asks for, read for the screen: layout, colours, picture, how long it stays. No window.

Everything in `theme` is a wish. A colour that cannot be read, or a name that this version does not know,
gives way to the app's own look.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal, get_args

from client_demo.shop.theme import CONTRAST_MIN, CONTRAST_SHAPE_MIN, Palette, Rgba, contrast, rgba
from zuruf import Button, Content, Message

OverlayLayout = Literal["banner", "slideup", "modal", "fullscreen", "inline", "survey", "chat"]
LAYOUTS: tuple[OverlayLayout, ...] = get_args(OverlayLayout)

BANNER_S_MIN, BANNER_S_MAX = 6.0, 20.0
"""How long a banner stays, in seconds."""
WORDS_PER_S = 3.0
"""Slow reading; what a banner's time is reckoned by."""
TV_READING = 1.5
"""From across the room reading takes that much longer."""

TITLE_MAX, BODY_MAX, LABEL_MAX = 200, 2000, 40
"""Characters that are shown. The protocol allows 4,096, but nobody reads that on top of an app."""
LINES_MAX = 40
"""Paragraphs of a body. What is much higher than a screen fits into no texture of a graphics card."""

SUPPORT = Button(
    id="open_support", label="", action={"type": "deep_link", "url": "shop://support?topic=chat"}
)
"""What a chat message without buttons leads to; its label is the app's, in the language of the person."""

_COLOUR = re.compile(r"#[0-9a-fA-F]{6}\Z")
_ICON = re.compile(r"[a-z][a-z-]{0,40}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The colours of one overlay."""

    ground: Rgba
    ink: Rgba
    muted: Rgba
    accent: Rgba
    on_accent: Rgba


@dataclass(frozen=True, slots=True, kw_only=True)
class Presentation:
    """A message as it is going to look."""

    layout: OverlayLayout
    title: str
    body: str
    image: str | None
    icon: str | None
    buttons: tuple[Button, ...]
    is_own: bool
    """The message says how it wants to look, by at least one colour that the app follows."""
    look: Look

    @property
    def covers(self) -> bool:
        """It takes the whole attention: the focus stays inside until it is closed."""
        return self.layout not in {"banner", "inline"}


def present(message: Message, palette: Palette) -> Presentation:
    """Decide how a message looks on a palette."""
    content = message.content
    look = look_of(content, palette)
    return Presentation(
        layout=layout_of(content),
        title=" ".join(_shortened(content.title, TITLE_MAX).split()),
        body=_paragraphs(_shortened(content.body, BODY_MAX)),
        image=_image(content),
        icon=_icon(content),
        buttons=_buttons(content),
        is_own=look != _plain(palette),
        look=look,
    )


def layout_of(content: Content) -> OverlayLayout:
    """Choose the layout; a modal for one that this app does not know, or that lacks what it needs."""
    if content.layout == "survey":
        return "survey" if content.survey is not None and content.survey.questions else "modal"
    for layout in LAYOUTS:
        if content.layout == layout:
            return layout
    return "modal"


def look_of(content: Content, palette: Palette) -> Look:
    """Choose colours: those of the theme as far as they can be told apart, else the app's."""
    plain = _plain(palette)
    ground = _colour(content, "background") or plain.ground
    ink = next(
        (
            colour
            for colour in (_colour(content, "text"), plain.ink)
            if colour is not None and contrast(colour, ground) >= CONTRAST_MIN
        ),
        _readable(ground),
    )
    muted = plain.muted if contrast(plain.muted, ground) >= CONTRAST_MIN else ink
    accent = next(
        (
            colour
            for colour in (_colour(content, "accent"), plain.accent)
            if colour is not None and contrast(colour, ground) >= CONTRAST_SHAPE_MIN
        ),
        ink,
    )
    on_accent = plain.on_accent
    if accent != plain.accent:
        on_accent = _readable(accent)
    return Look(ground=ground, ink=ink, muted=muted, accent=accent, on_accent=on_accent)


def banner_seconds(presentation: Presentation, *, is_tv: bool) -> float:
    """Give how long a banner stays: long enough to be read slowly, within limits."""
    words = len(f"{presentation.title} {presentation.body}".split())
    reading = words / WORDS_PER_S * (TV_READING if is_tv else 1.0)
    return min(BANNER_S_MAX, BANNER_S_MIN + reading)


def _plain(palette: Palette) -> Look:
    return Look(
        ground=palette.surface,
        ink=palette.text,
        muted=palette.muted,
        accent=palette.primary,
        on_accent=palette.on_primary,
    )


def _readable(ground: Rgba) -> Rgba:
    """Black or white. One of them always has at least 4.5 : 1."""
    black, white = rgba("#111111"), rgba("#ffffff")
    return max(black, white, key=lambda colour: contrast(colour, ground))


def _colour(content: Content, name: str) -> Rgba | None:
    value = content.theme.get(name)
    return rgba(value) if isinstance(value, str) and _COLOUR.match(value) else None


def _icon(content: Content) -> str | None:
    value = content.theme.get("icon")
    return value if isinstance(value, str) and _ICON.match(value) else None


def _image(content: Content) -> str | None:
    """Give the address of the picture. `theme.art` names one that the app itself has."""
    art = content.theme.get("art")
    if isinstance(art, str) and _ICON.match(art):
        return f"shop://art/{art}"
    return content.image


def _shortened(text: str, limit: int) -> str:
    text = text.strip()
    return text if len(text) <= limit else f"{text[: limit - 1].rstrip()}…"


def _paragraphs(text: str) -> str:
    """Keep the line breaks, but no more than one empty line at a time."""
    lines: list[str] = []
    for line in map(str.strip, text.splitlines()):
        if line or (lines and lines[-1]):
            lines.append(line)
    return "\n".join(lines if len(lines) <= LINES_MAX else [*lines[: LINES_MAX - 1], "…"])


def _buttons(content: Content) -> tuple[Button, ...]:
    known = tuple(
        replace(button, label=_shortened(button.label, LABEL_MAX))
        for button in content.buttons
        if button.id and button.label.strip()
    )
    return (SUPPORT,) if content.layout == "chat" and not known else known
