"""Events that say something about a person: which of them make sense, and what they change.

The edge rejects what makes no sense in itself. What only the profile can tell, that an attribute is a text
or that there is no more room, is left out here, and the reason counted.
"""

import math
from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from msgspec import Struct

ATTRIBUTES_MAX = 256
ATTRIBUTES_BYTES_MAX = 32 * 1024
GROUPS_MAX = 32
GROUPS_BYTES_MAX = 32 * 1024
ALIASES_MAX = 32
ID_CHARS_MAX = 256

CHANGING_TYPES = frozenset({"profile", "group", "alias"})
"""Event types whose name and props must make sense; `identify` takes any."""

Reason = Literal[
    "invalid_event",
    "not_a_number",
    "out_of_range",
    "too_many_attributes",
    "attributes_too_large",
    "too_many_groups",
    "groups_too_large",
    "too_many_aliases",
]
"""Why something was left out of a profile."""

Values = Mapping[str, Any]
_encode = msgspec.msgpack.Encoder().encode


def fault_of_change(type: str, name: str, props: Values) -> str | None:
    """Why an event of a changing type can't be applied to any profile; None when it can."""
    match type:
        case "profile":
            if name not in {"set", "set_once", "increment", "unset"}:
                return "name: a profile event is named set, set_once, increment or unset"
            if name == "increment":
                wrong = next((key for key, by in props.items() if not _is_number(by)), None)
                return None if wrong is None else f"props.{wrong}: increment takes finite numbers"
        case "group":
            return None if _is_id(props.get("group_id")) else _ID_WANTED.format("group_id")
        case "alias":
            return None if _is_id(props.get("alias")) else _ID_WANTED.format("alias")
    return None


_ID_WANTED = f"props.{{}}: a text of 1 to {ID_CHARS_MAX} characters is needed"


def _is_id(value: object) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= ID_CHARS_MAX


def _is_number(value: object) -> bool:
    return type(value) is int or (type(value) is float and math.isfinite(value))


# -- attributes -------------------------------------------------------------------------------


def with_values(before: dict[str, Any], values: Values) -> tuple[dict[str, Any], list[Reason]]:
    """Attributes with these values; None removes one.

    Beyond the limit of their number only known ones change. A change that would bring all of them over the
    limit of bytes is left out as a whole: a profile is written anew with every turn that touches it, so its
    size is what each of its events costs.
    """
    after = dict(before)
    left_out: list[Reason] = []
    for key, value in values.items():
        if value is None:
            after.pop(key, None)
        elif key in after or len(after) < ATTRIBUTES_MAX:
            after[key] = value
        else:
            left_out.append("too_many_attributes")
    if len(_encode(after)) > ATTRIBUTES_BYTES_MAX:
        return before, ["attributes_too_large"]
    return after, left_out


def changed(
    before: dict[str, Any], name: str, props: Values
) -> tuple[dict[str, Any], list[Reason]]:
    """Attributes after a `profile` event of this name."""
    match name:
        case "set":
            return with_values(before, props)
        case "set_once":
            new = {key: value for key, value in props.items() if key not in before}
            return with_values(before, new)
        case "unset":
            return with_values(before, dict.fromkeys(props))
    sums: dict[str, int | float] = {}
    wrong: list[Reason] = []
    for key, by in props.items():
        there = before.get(key, 0)
        if not _is_number(there):
            wrong.append("not_a_number")
        elif _fits(there + by):
            sums[key] = there + by
        else:
            wrong.append("out_of_range")
    after, left_out = with_values(before, sums)
    return after, wrong + left_out


def _fits(number: float) -> bool:
    """Whether a number is finite and, if it is whole, one that JSON and MessagePack can carry."""
    if isinstance(number, int):
        return -(2**63) <= number < 2**63
    return math.isfinite(number)


# -- groups and other names -------------------------------------------------------------------


class Group(Struct, frozen=True, array_like=True):
    """The group of one type that a person belongs to, such as their company."""

    id: str
    properties: dict[str, Any] = {}


def joined(
    before: dict[str, Group], group_type: str, props: Values
) -> tuple[dict[str, Group], list[Reason]]:
    """Groups after a `group` event: one of each type, the last that was told.

    Properties add to those of the same group; another group starts with its own.
    """
    group_id = props["group_id"]
    known = before.get(group_type)
    if known is None and len(before) >= GROUPS_MAX:
        return before, ["too_many_groups"]
    properties = dict(known.properties) if known is not None and known.id == group_id else {}
    for key, value in props.items():
        if value is None:
            properties.pop(key, None)
        elif key != "group_id":
            properties[key] = value
    after = before | {group_type: Group(group_id, properties)}
    if len(_encode(after)) > GROUPS_BYTES_MAX:
        return before, ["groups_too_large"]
    return after, []


def with_alias(before: list[str], alias: str) -> tuple[list[str], list[Reason]]:
    """The other names of a person, and one more."""
    if alias in before:
        return before, []
    if len(before) >= ALIASES_MAX:
        return before, ["too_many_aliases"]
    return [*before, alias], []
