"""The rule language on the properties of an event, as docs/protocol.md has it. Pure.

Two-valued: a leaf is true or false, never unknown. A missing property or one of another type makes every
operator false; `ne` and `not_in` are exactly the negations of `eq` and `in`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from zuruf.decisions.values import INTEGER_MAX, INTEGER_MIN

LEAVES_MAX = 64
DEPTH_MAX = 8
LIST_MAX = 256
PATH_CHARACTERS_MAX = 256

ABSENT: Any = object()


def fits(where: Any, props: Mapping[str, Any]) -> bool:
    """Tell whether the properties of an event fit a `where`; without one all do.

    A rule that cannot be understood fits nothing: a message more is worse than one less.
    """
    return where is None or (is_rule(where) and holds(where, props))


# Whether it is a rule


def is_rule(value: Any) -> bool:
    """Tell whether a value is a rule within the limits."""
    leaves = _count(value, 1)
    return leaves is not None and leaves <= LEAVES_MAX


def _count(rule: Any, depth: int) -> int | None:
    """Count the comparisons of a rule, an empty branch as one; None when it is not a rule."""
    if not isinstance(rule, dict) or depth > DEPTH_MAX:
        return None
    if "not" in rule:
        return _count(rule["not"], depth + 1) if len(rule) == 1 else None
    for word in ("all", "any"):
        if word in rule:
            parts = rule[word]
            if len(rule) != 1 or not isinstance(parts, list):
                return None
            counts = [_count(part, depth + 1) for part in parts]
            return None if None in counts else sum(filter(None, counts)) or 1
    return 1 if _is_leaf(rule) else None


def _is_leaf(leaf: dict[str, Any]) -> bool:
    path, op = leaf.get("prop"), leaf.get("op")
    if not leaf.keys() <= {"prop", "op", "value"} or not isinstance(op, str):
        return False
    if not isinstance(path, str) or not 1 <= len(path) <= PATH_CHARACTERS_MAX:
        return False
    value = leaf.get("value", ABSENT)
    match op:
        case "exists":
            return value is ABSENT or isinstance(value, bool)
        case "in" | "not_in":
            is_list = isinstance(value, list) and len(value) <= LIST_MAX
            return is_list and all(_kind(item) is not None for item in value)
        case "gt" | "gte" | "lt" | "lte":
            return _kind(value) in {"number", "string"}
        case "starts_with":
            return isinstance(value, str)
        case "eq" | "ne" | "contains":
            return _kind(value) is not None
    return False


# Whether it holds


def holds(rule: Mapping[str, Any], props: Mapping[str, Any]) -> bool:
    """Tell whether a rule, one for which `is_rule` is true, holds on these properties."""
    if "all" in rule:
        return all(holds(part, props) for part in rule["all"])
    if "any" in rule:
        return any(holds(part, props) for part in rule["any"])
    if "not" in rule:
        return not holds(rule["not"], props)
    return _compares(_look_up(props, rule["prop"]), rule["op"], rule.get("value", ABSENT))


def _look_up(props: Mapping[str, Any], path: str) -> Any:
    """Give the value at a path, or ABSENT. A key that contains dots wins over the path."""
    if path in props:
        return props[path]
    value: Any = props
    for key in path.split("."):
        if not isinstance(value, dict) or key not in value:
            return ABSENT
        value = value[key]
    return value


def _compares(there: Any, op: str, value: Any) -> bool:
    match op:
        case "exists":
            return (there is ABSENT) is (value is False)
        case "eq":
            return _equals(there, value)
        case "ne":
            return not _equals(there, value)
        case "in":
            return any(_equals(there, item) for item in value)
        case "not_in":
            return not any(_equals(there, item) for item in value)
        case "contains" if isinstance(there, list):
            return any(_equals(item, value) for item in there)
    kind = _kind(there)
    if kind is None or kind != _kind(value):
        return False
    match op:
        case "contains":
            return kind == "string" and value in there
        case "starts_with":
            return bool(there.startswith(value))
        case "gt":
            return bool(there > value)
        case "gte":
            return bool(there >= value)
        case "lt":
            return bool(there < value)
    return bool(there <= value)


def _equals(there: Any, value: Any) -> bool:
    kind = _kind(there)
    return kind is not None and kind == _kind(value) and bool(there == value)


def _kind(value: Any) -> str | None:
    """Give the kind of a scalar. Values are compared within their kind: `true` is not 1."""
    match value:
        case bool():
            return "boolean"
        case str():
            return "string"
        case int():
            return "number" if INTEGER_MIN <= value <= INTEGER_MAX else None
        case float():
            return "number" if math.isfinite(value) else None
    return None
