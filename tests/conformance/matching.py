"""Expected JSON and found JSON: equal, but for placeholders. Pure.

The placeholders are described in `sdk_reference/conformance/README.md`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

REST = "..."
REPEAT = "$repeat"


class MismatchError(Exception):
    """What was found is not what was expected; says where and why."""

    def __init__(self, place: str, why: str) -> None:
        super().__init__(f"{place or 'value'}: {why}")


class ScriptError(Exception):
    """The script itself cannot be meant."""


@dataclass(frozen=True)
class Bindings:
    """What placeholders with a name stand for, so far. `start_ms`: the device's time at its start."""

    start_ms: int = 0
    values: Mapping[str, Any] = field(default_factory=dict)

    def bound(self, placeholder: str, value: Any) -> Bindings:
        """Give the bindings with one more."""
        return replace(self, values={**self.values, placeholder: value})


def matched(expected: Any, found: Any, bindings: Bindings, place: str = "") -> Bindings:
    """Give the bindings after a comparison; raises MismatchError when the two differ."""
    expected = _repeated(expected)
    match expected:
        case str() if is_placeholder(expected):
            return _matched_placeholder(expected, found, bindings, place)
        case dict():
            return _matched_object(expected, found, bindings, place)
        case list():
            return _matched_list(expected, found, bindings, place)
    wanted = expected[1:] if isinstance(expected, str) and expected[:2] == "$$" else expected
    if not _is_same(wanted, found):
        raise MismatchError(place, f"expected {_short(wanted)}, found {_short(found)}")
    return bindings


def resolved(value: Any, bindings: Bindings) -> Any:
    """Put what is known in the place of placeholders; raises ScriptError where nothing is known."""
    value = _repeated(value)
    match value:
        case dict():
            return {name: resolved(item, bindings) for name, item in value.items()}
        case list():
            return [resolved(item, bindings) for item in value]
        case str() if is_placeholder(value):
            if (moment := _moment(value, bindings)) is not None:
                return moment
            if value not in bindings.values:
                raise ScriptError(f"nothing is known of {value} yet")
            return bindings.values[value]
        case str() if value.startswith("$$"):
            return value[1:]
    return value


def check_same(expected: Any, found: Any, place: str = "") -> None:
    """Compare without placeholders; raises MismatchError with the first place where the two differ."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for name in sorted(expected.keys() | found.keys()):
            if name not in found:
                raise MismatchError(
                    f"{place}.{name}", f"missing, expected {_short(expected[name])}"
                )
            if name not in expected:
                raise MismatchError(f"{place}.{name}", f"unexpected: {_short(found[name])}")
            check_same(expected[name], found[name], f"{place}.{name}")
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for index, (wanted, item) in enumerate(zip(expected, found, strict=True)):
            check_same(wanted, item, f"{place}[{index}]")
    elif not _is_same(expected, found):
        raise MismatchError(place, f"expected {_short(expected)}, found {_short(found)}")


def is_placeholder(value: str) -> bool:
    """Tell a placeholder from a text; `$$` begins a text that begins with `$`."""
    return value.startswith("$") and not value.startswith("$$")


def _matched_placeholder(expected: str, found: Any, bindings: Bindings, place: str) -> Bindings:
    moment = _moment(expected, bindings)
    if moment is not None:
        if found != moment or isinstance(found, bool):
            away = f", {found - moment:+} ms" if isinstance(found, int) else ""
            raise MismatchError(place, f"expected {expected} = {moment}, found {found!r}{away}")
        return bindings
    kind, _, name = expected[1:].partition(":")
    if kind in _WITH_ARGUMENT:
        if not _WITH_ARGUMENT[kind](name, found):
            raise MismatchError(place, f"expected {expected}, found {_short(found)}")
        return bindings
    if kind not in _KINDS:
        raise ScriptError(f"{expected} is no placeholder")
    if not _KINDS[kind](found):
        raise MismatchError(place, f"expected {expected}, found {_short(found)}")
    if not name:
        return bindings
    if expected in bindings.values:
        known = bindings.values[expected]
        if not _is_same(known, found):
            raise MismatchError(
                place, f"expected {expected} = {_short(known)}, found {_short(found)}"
            )
        return bindings
    if kind == "uuid":
        for other, value in bindings.values.items():
            if value == found:
                raise MismatchError(
                    place, f"{expected} must differ from {other}, which is the same"
                )
    return bindings.bound(expected, found)


def _matched_object(
    expected: Mapping[str, Any], found: Any, bindings: Bindings, place: str
) -> Bindings:
    if not isinstance(found, dict):
        raise MismatchError(place, f"expected an object, found {_short(found)}")
    for name, wanted in expected.items():
        if name == REST:
            continue
        if wanted == "$absent":
            if name in found:
                raise MismatchError(f"{place}.{name}", f"unexpected: {_short(found[name])}")
            continue
        if name not in found:
            raise MismatchError(f"{place}.{name}", f"missing; there is {_short(sorted(found))}")
        bindings = matched(wanted, found[name], bindings, f"{place}.{name}")
    surplus = sorted(found.keys() - expected.keys())
    if surplus and REST not in expected:
        raise MismatchError(f"{place}.{surplus[0]}", f"unexpected: {_short(found[surplus[0]])}")
    return bindings


def _matched_list(expected: list[Any], found: Any, bindings: Bindings, place: str) -> Bindings:
    if not isinstance(found, list):
        raise MismatchError(place, f"expected a list, found {_short(found)}")
    for index, wanted in enumerate(expected):
        if wanted == REST:
            return _matched_rest(expected[index + 1 :], found[index:], bindings, place)
        if index >= len(found):
            raise MismatchError(
                place, f"expected {len(expected)} items, found {len(found)}: {_short(found)}"
            )
        bindings = matched(wanted, found[index], bindings, f"{place}[{index}]")
    if len(found) > len(expected):
        surplus = found[len(expected) :]
        raise MismatchError(f"{place}[{len(expected)}]", f"unexpected: {_short(surplus)}")
    return bindings


def _matched_rest(
    expected: list[Any], found: list[Any], bindings: Bindings, place: str
) -> Bindings:
    """Match what follows `...` at the first place where it fits."""
    if not expected:
        return bindings
    for skipped in range(len(found) + 1):
        try:
            return _matched_list(expected, found[skipped:], bindings, place)
        except MismatchError:
            continue
    raise MismatchError(place, f"expected {_short(expected)} somewhere in {_short(found)}")


def _repeated(value: Any) -> Any:
    """Read `{"$repeat": text, "times": n}`."""
    if isinstance(value, dict) and value.keys() == {REPEAT, "times"}:
        return value[REPEAT] * value["times"]
    return value


def _moment(placeholder: str, bindings: Bindings) -> int | None:
    """Read `$t`, `$t+1500` and `$t-1500`: moments by the device's clock, from its start."""
    parts = re.fullmatch(r"\$t([+-]\d+)?", placeholder)
    return None if parts is None else bindings.start_ms + int(parts[1] or 0)


def _is_same(expected: Any, found: Any) -> bool:
    """Compare as JSON does: 1 and 1.0 are one number, true is none."""
    if isinstance(expected, dict) and isinstance(found, dict):
        return expected.keys() == found.keys() and all(
            _is_same(item, found[name]) for name, item in expected.items()
        )
    if isinstance(expected, list) and isinstance(found, list):
        return len(expected) == len(found) and all(map(_is_same, expected, found))
    if isinstance(expected, bool) or isinstance(found, bool):
        return expected is found
    return bool(expected == found)


def _is_uuid(value: object) -> bool:
    try:
        return isinstance(value, str) and len(value) == 36 and str(UUID(value)) == value.lower()
    except ValueError:
        return False


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_KINDS: dict[str, Callable[[Any], bool]] = {
    "any": lambda _: True,
    "string": lambda value: isinstance(value, str),
    "int": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": _is_number,
    "bool": lambda value: isinstance(value, bool),
    "object": lambda value: isinstance(value, dict),
    "list": lambda value: isinstance(value, list),
    "uuid": _is_uuid,
}
_WITH_ARGUMENT: dict[str, Callable[[str, Any], bool]] = {
    "matches": lambda pattern, value: (
        isinstance(value, str) and re.fullmatch(pattern, value) is not None
    ),
    "at_least": lambda least, value: _is_number(value) and value >= float(least),
    "at_most": lambda most, value: _is_number(value) and value <= float(most),
}


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 600 else f"{text[:600]}…"
