"""JSON Schema, as far as the gateway's types speak it: whether a value fits, and where it does not.

A word of a schema that is not known here raises, so that no check is left out in silence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from uuid import UUID

Schema = Mapping[str, Any]
Fault = str

_SAID_ELSEWHERE = frozenset({"title", "description", "default", "$defs", "discriminator"})


class Schemas:
    """A set of types by name, and their schemas.

    With `is_closed`, members that a type does not name are faults: whoever reads them would ignore them.
    """

    def __init__(self, components: Mapping[str, Schema], *, is_closed: bool = False) -> None:
        self._components = components
        self._is_closed = is_closed

    def faults(self, name: str, value: object) -> list[Fault]:
        """Give what is wrong with a value of the named type, each fault with its place."""
        return list(self._check(self._components[name], value, "body"))

    def _check(self, schema: Schema, value: object, place: str) -> Iterator[Fault]:
        for word, wanted in schema.items():
            if word in _SAID_ELSEWHERE:
                continue
            if word == "$ref":
                yield from self._check(self._components[_name_of(wanted)], value, place)
            elif word in {"anyOf", "oneOf"}:
                yield from self._check_any(wanted, value, place)
            elif word in _OF_OBJECTS:
                if isinstance(value, dict):
                    yield from self._check_object(word, schema, value, place)
            elif word in _OF_LISTS:
                if isinstance(value, list):
                    yield from self._check_list(word, wanted, value, place)
            elif not _WORDS[word](wanted, value):
                yield f"{place}: {_short(value)} breaks {word} {_short(wanted)}"

    def _check_any(self, choices: list[Schema], value: object, place: str) -> Iterator[Fault]:
        found = [list(self._check(choice, value, place)) for choice in choices]
        if all(found):
            # The choice of the right kind says most about what is wrong.
            yield max(found, key=lambda faults: len(faults[0].split(":")[0]))[0]

    def _check_object(
        self, word: str, schema: Schema, value: dict[str, Any], place: str
    ) -> Iterator[Fault]:
        wanted = schema[word]
        named = schema.get("properties", {})
        match word:
            case "properties":
                for name, member in named.items():
                    if name in value:
                        yield from self._check(member, value[name], f"{place}.{name}")
                if self._is_closed and "additionalProperties" not in schema:
                    for name in value.keys() - named.keys():
                        yield f"{place}.{name}: no such member"
            case "required":
                yield from (f"{place}.{name}: missing" for name in wanted if name not in value)
            case "additionalProperties":
                for name in value.keys() - named.keys():
                    if wanted is False:
                        yield f"{place}.{name}: no such member"
                    elif wanted is not True:
                        yield from self._check(wanted, value[name], f"{place}.{name}")
            case "propertyNames":
                for name in value:
                    yield from self._check(wanted, name, f"{place}: the name {name!r:.40}")
            case "maxProperties":
                if len(value) > wanted:
                    yield f"{place}: {len(value)} members, at most {wanted}"

    def _check_list(self, word: str, wanted: Any, value: list[Any], place: str) -> Iterator[Fault]:
        match word:
            case "items":
                for index, item in enumerate(value):
                    yield from self._check(wanted, item, f"{place}[{index}]")
            case "maxItems":
                if len(value) > wanted:
                    yield f"{place}: {len(value)} items, at most {wanted}"
            case "minItems":
                if len(value) < wanted:
                    yield f"{place}: {len(value)} items, at least {wanted}"


def kind_of(value: object) -> str:
    """Give the JSON type of a value; a whole number is an `integer`."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
    return "object"


def _is_of_type(wanted: str | list[str], value: object) -> bool:
    kind = kind_of(value)
    allowed = {wanted} if isinstance(wanted, str) else set(wanted)
    return kind in allowed or (kind == "integer" and "number" in allowed)


def _is_uuid(value: object) -> bool:
    try:
        return isinstance(value, str) and str(UUID(value)) == value.lower()
    except ValueError:
        return False


def _of_text(holds: Callable[[Any, str], bool]) -> Callable[[Any, object], bool]:
    return lambda wanted, value: not isinstance(value, str) or holds(wanted, value)


def _of_number(holds: Callable[[Any, float], bool]) -> Callable[[Any, object], bool]:
    return lambda wanted, value: (
        isinstance(value, bool) or not isinstance(value, int | float) or holds(wanted, value)
    )


_WORDS: dict[str, Callable[[Any, object], bool]] = {
    "type": _is_of_type,
    "enum": lambda wanted, value: value in wanted,
    "const": lambda wanted, value: value == wanted,
    "minLength": _of_text(lambda wanted, text: len(text) >= wanted),
    "maxLength": _of_text(lambda wanted, text: len(text) <= wanted),
    "pattern": _of_text(lambda wanted, text: re.search(wanted, text) is not None),
    "format": lambda wanted, value: {"uuid": _is_uuid}[wanted](value),
    "minimum": _of_number(lambda wanted, number: number >= wanted),
    "maximum": _of_number(lambda wanted, number: number <= wanted),
    "exclusiveMinimum": _of_number(lambda wanted, number: number > wanted),
    "exclusiveMaximum": _of_number(lambda wanted, number: number < wanted),
}
_OF_OBJECTS = frozenset(
    {"properties", "required", "additionalProperties", "propertyNames", "maxProperties"}
)
_OF_LISTS = frozenset({"items", "maxItems", "minItems"})


def _name_of(reference: str) -> str:
    return reference.removeprefix("#/$defs/")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"
