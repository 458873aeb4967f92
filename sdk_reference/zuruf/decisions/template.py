"""Texts of a triggered message: `{{ event.prop }}` and `{{ event.prop|default("…") }}`. Pure.

The syntax is a subset of Jinja. Any other `{{ … }}` renders as nothing; `{% … %}` and a `{{` without an end
are plain text. What is put in is never read as a template.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

OPEN, CLOSE = "{{", "}}"
# The texts of a message's content that may hold templates, beside the labels of buttons and questions.
TEXTS = ("title", "body")
LABELLED = ("buttons", "questions")
# From here on a number is written the way its language likes best; nobody reads such numbers.
PLAIN_NUMBER_MAX = 1e15


def rendered(template: str, props: Mapping[str, Any]) -> str:
    """Put the properties of an event into a text."""
    parts: list[str] = []
    place = 0
    while (start := template.find(OPEN, place)) >= 0:
        end = _end_of(template, start + len(OPEN))
        if end is None:
            break
        parts += template[place:start], _value(template[start + len(OPEN) : end], props)
        place = end + len(CLOSE)
    parts.append(template[place:])
    return "".join(parts)


def rendered_content(content: Mapping[str, Any], props: Mapping[str, Any]) -> dict[str, Any]:
    """Put the properties of an event into the texts a person reads: title, body and labels."""
    found = _with_texts(content, props)
    if isinstance(survey := found.get("survey"), dict):
        found["survey"] = _with_texts(survey, props)
    return found


def _with_texts(content: Mapping[str, Any], props: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {
        key: rendered(value, props) if key in TEXTS and isinstance(value, str) else value
        for key, value in content.items()
    }
    for key in LABELLED:
        if isinstance(items := found.get(key), list):
            found[key] = [_labelled(item, props) for item in items]
    return found


def _labelled(item: Any, props: Mapping[str, Any]) -> Any:
    if isinstance(item, dict) and isinstance(item.get("label"), str):
        return {**item, "label": rendered(item["label"], props)}
    return item


def _end_of(template: str, start: int) -> int | None:
    """Find the `}}` of an expression; one inside a quoted text is not it."""
    quote = ""
    place = start
    while place < len(template):
        character = template[place]
        if quote:
            if character == "\\":
                place += 1
            elif character == quote:
                quote = ""
        elif character in "\"'":
            quote = character
        elif template.startswith(CLOSE, place):
            return place
        place += 1
    return None


def _value(expression: str, props: Mapping[str, Any]) -> str:
    """Give what an expression stands for; nothing when it is not one of the two forms."""
    path, bar, rest = expression.partition("|")
    names = path.strip().split(".")
    if len(names) < 2 or names[0] != "event" or not all(map(_is_name, names)):
        return ""
    default = _default(rest.strip()) if bar else ""
    if default is None:
        return ""
    value: Any = props
    for name in names[1:]:
        value = value.get(name) if isinstance(value, dict) else None
    text = _text(value)
    return default if text is None else text


def _default(call: str) -> str | None:
    """Read `default("…")`; None when it is something else."""
    name, _, rest = call.partition("(")
    rest = rest.rstrip()
    if name.strip() != "default" or not rest.endswith(")"):
        return None
    return _quoted(rest[:-1].strip())


def _quoted(text: str) -> str | None:
    if len(text) < 2 or text[0] not in "\"'":
        return None
    quote, plain, place = text[0], [], 1
    while place < len(text) - 1:
        character = text[place]
        if character == quote:
            return None
        if character == "\\":
            place += 1
            character = {"n": "\n", "t": "\t"}.get(text[place], text[place])
        plain.append(character)
        place += 1
    return "".join(plain) if place == len(text) - 1 and text[place] == quote else None


def _is_name(text: str) -> bool:
    return text.isascii() and text.isidentifier()


def _text(value: Any) -> str | None:
    """Write a value; None for null, lists and objects, which have no text."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float() if math.isfinite(value):
            return _decimal(value)
    return None


def _decimal(value: float) -> str:
    """Write a number as people do: 12 and not 12.0, and no exponents."""
    if value == int(value) and abs(value) < PLAIN_NUMBER_MAX:
        return str(int(value))
    mantissa, _, exponent = repr(value).partition("e")
    if not exponent or abs(value) >= PLAIN_NUMBER_MAX:
        return repr(value)
    sign = "-" if mantissa.startswith("-") else ""
    digits = mantissa.lstrip("-").replace(".", "")
    return f"{sign}0.{'0' * (-int(exponent) - 1)}{digits}"
