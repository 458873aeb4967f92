"""Languages: texts, plurals, numbers, prices and dates.

Texts are in `locales/*.<language>.json`, flat: `"basket.items": {"one": "{n} thing", "other": "{n} things"}`.
All languages have the same keys with the same placeholders; a test holds them to it.
"""

from __future__ import annotations

import json
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Literal, get_args

Language = Literal["en", "de"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
NAMES: dict[Language, str] = {"en": "English", "de": "Deutsch"}

_LOCALES = Path(__file__).parent / "locales"
_NARROW_SPACE = "\u00a0"
_MONTHS: dict[Language, tuple[str, ...]] = {
    "en": ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
    "de": ("Jan.", "Feb.", "März", "Apr.", "Mai", "Juni", "Juli", "Aug.", "Sept.", "Okt.", "Nov.", "Dez."),
}  # fmt: skip

Texts = dict[str, str | dict[str, str]]


@cache
def texts(language: Language) -> Texts:
    """Read the texts of a language."""
    found: Texts = {}
    for file in sorted(_LOCALES.glob(f"*.{language}.json")):
        found |= json.loads(file.read_text(encoding="utf-8"))
    return found


def language_of(locale: str | None) -> Language:
    """Choose the language for a locale such as `de_AT.UTF-8`; English for what the app does not speak."""
    return "de" if (locale or "").lower().startswith("de") else "en"


class Translator:
    """What the app says in one language."""

    def __init__(self, language: Language) -> None:
        self.language: Language = language
        self._texts = texts(language)

    def text(self, key: str, **values: object) -> str:
        """Give the text of a key; `n` chooses between `one` and `other`. KeyError when there is none."""
        found = self._texts[key]
        if isinstance(found, dict):
            found = found["one" if values.get("n") == 1 else "other"]
        return found.format(**values) if values else found

    def number(self, value: float | Decimal, decimals: int = 0) -> str:
        """Write a number with the separators of the language."""
        written = f"{value:,.{decimals}f}"
        if self.language == "de":
            return written.translate(str.maketrans(",.", ".,"))
        return written

    def price(self, cents: int) -> str:
        """Write an amount of euros, given in cents."""
        amount = self.number(Decimal(abs(cents)) / 100, 2)
        sign = "−" if cents < 0 else ""
        if self.language == "de":
            return f"{sign}{amount}{_NARROW_SPACE}€"
        return f"{sign}€{amount}"

    def date(self, value: date) -> str:
        """Write a day: `21 Nov 2026`, `21. Nov. 2026`."""
        month = _MONTHS[self.language][value.month - 1]
        dot = "." if self.language == "de" else ""
        return f"{value.day}{dot} {month} {value.year}"

    def time(self, value: datetime) -> str:
        """Write a time of day: `14:05`."""
        return f"{value:%H:%M}"

    def percent(self, share: float) -> str:
        """Write a share (0 to 1) as a percentage."""
        space = _NARROW_SPACE if self.language == "de" else ""
        return f"{self.number(share * 100)}{space}%"
