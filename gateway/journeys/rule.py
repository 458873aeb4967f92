"""The rule language on event properties: parsed once, compiled to closures, explained on demand.

Two-valued: a leaf is true or false, never unknown. A missing property or one of another type makes every
operator false; `ne` and `not_in` are exactly the negations of `eq` and `in`.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from gateway.errors import Problem

LEAVES_MAX = 64
DEPTH_MAX = 8
LIST_MAX = 256

Operator = Literal[
    "eq", "ne", "gt", "gte", "lt", "lte", "in", "not_in", "contains", "starts_with", "exists"
]
Scalar = str | int | float | bool
Props = Mapping[str, Any]
Predicate = Callable[[Props], bool]


class Leaf(Struct, frozen=True, forbid_unknown_fields=True):
    """One comparison. `prop` is a path: `a.b` is the key b of the object a."""

    prop: Annotated[str, Meta(min_length=1, max_length=256)]
    op: Operator
    value: Scalar | Annotated[list[Scalar], Meta(max_length=LIST_MAX)] | UnsetType = UNSET


class All(Struct, frozen=True, forbid_unknown_fields=True):
    """True when all are; an empty one is true."""

    all: "list[Rule]"


class Any_(Struct, frozen=True, forbid_unknown_fields=True):  # noqa: N801 - `Any` is typing's
    """True when one is; an empty one is false."""

    any: "list[Rule]"


class Not(Struct, frozen=True, forbid_unknown_fields=True):
    """True when the rule is not."""

    rule: "Rule"


Rule = Leaf | All | Any_ | Not


def parse(raw: Raw | bytes, depth: int = 1) -> Rule:
    """A rule from its JSON. Raises Problem `invalid_rule` that says where it is wrong."""
    rule = _parse(raw, "where", depth)
    if (leaves := count_leaves(rule)) > LEAVES_MAX:
        raise Problem("invalid_rule", f"where: {leaves} comparisons, at most {LEAVES_MAX}")
    return rule


def _parse(raw: Raw | bytes, path: str, depth: int) -> Rule:
    if depth > DEPTH_MAX:
        raise Problem("invalid_rule", f"{path}: at most {DEPTH_MAX} levels")
    try:
        members = msgspec.json.decode(raw, type=dict[str, Raw])
        if "all" in members or "any" in members:
            word = "all" if "all" in members else "any"
            _only(members, {word}, path)
            items = msgspec.json.decode(members[word], type=list[Raw])
            rules = [
                _parse(item, f"{path}.{word}[{place}]", depth + 1)
                for place, item in enumerate(items)
            ]
            return All(rules) if word == "all" else Any_(rules)
        if "not" in members:
            _only(members, {"not"}, path)
            return Not(_parse(members["not"], f"{path}.not", depth + 1))
        leaf = msgspec.json.decode(raw, type=Leaf)
    except msgspec.MsgspecError as error:
        raise Problem("invalid_rule", f"{path}: {error}") from None
    _check_operand(leaf, path)
    return leaf


def _only(members: dict[str, Raw], allowed: set[str], path: str) -> None:
    if extra := set(members) - allowed:
        raise Problem("invalid_rule", f"{path}: unexpected {', '.join(sorted(extra))}")


def _check_operand(leaf: Leaf, path: str) -> None:
    value, op = leaf.value, leaf.op
    number = isinstance(value, int | float) and not isinstance(value, bool)
    match op:
        case "exists":
            fits = value is UNSET or isinstance(value, bool)
            wanted = "true, false or nothing"
        case "in" | "not_in":
            fits, wanted = isinstance(value, list), "a list"
        case "gt" | "gte" | "lt" | "lte":
            fits, wanted = number or isinstance(value, str), "a number or a string"
        case "starts_with":
            fits, wanted = isinstance(value, str), "a string"
        case _:
            fits, wanted = isinstance(value, str | int | float), "a string, number or boolean"
    if not fits:
        raise Problem("invalid_rule", f"{path}: `{op}` needs {wanted} as value")


def count_leaves(rule: Rule) -> int:
    """How many comparisons a rule holds."""
    match rule:
        case All(rules) | Any_(rules):
            return sum(map(count_leaves, rules))
        case Not(inner):
            return count_leaves(inner)
        case Leaf():
            return 1


def compile_rule(rule: Rule) -> Predicate:
    """A function that decides the rule on an event's properties."""
    match rule:
        case All(rules):
            parts = [compile_rule(part) for part in rules]
            if len(parts) == 1:
                return parts[0]
            return lambda props: all(part(props) for part in parts)
        case Any_(rules):
            parts = [compile_rule(part) for part in rules]
            return lambda props: any(part(props) for part in parts)
        case Not(inner):
            negated = compile_rule(inner)
            return lambda props: not negated(props)
        case Leaf(prop, op, value):
            return _compile_leaf(prop, op, value)


def explain(rule: Rule, props: Props) -> str:
    """The comparison that made the rule false on these properties, with what was there."""
    match rule:
        case All(rules):
            for part in rules:
                if not compile_rule(part)(props):
                    return explain(part, props)
        case Any_(rules):
            return "none of: " + "; ".join(explain(part, props) for part in rules)
        case Not():
            return "the negated rule holds"
        case Leaf(prop, op, value):
            wanted = "" if value is UNSET else f" {msgspec.json.encode(value).decode()}"
            there = _look_up(prop)(props)
            found = "missing" if there is _ABSENT else msgspec.json.encode(there).decode()
            return f"{prop} {op}{wanted}, was {found[:200]}"
    return "the rule holds"


_ABSENT: Any = object()


def _look_up(path: str) -> Callable[[Props], Any]:
    if "." not in path:
        return lambda props: props.get(path, _ABSENT)
    keys = path.split(".")

    def walk(props: Props) -> Any:
        # A key that contains dots wins over the path of the same spelling.
        if path in props:
            return props[path]
        value: Any = props
        for key in keys:
            if not isinstance(value, dict) or key not in value:
                return _ABSENT
            value = value[key]
        return value

    return walk


def _same_kind(left: object, right: object) -> bool:
    """Whether two values may be compared: both strings, both booleans, or both numbers.

    Python orders strings by code point, which is also the order of their UTF-8 bytes.
    """
    if isinstance(left, bool) or isinstance(right, bool):
        return isinstance(left, bool) and isinstance(right, bool)
    if isinstance(left, str) or isinstance(right, str):
        return isinstance(left, str) and isinstance(right, str)
    return isinstance(left, int | float) and isinstance(right, int | float)


def _compile_leaf(prop: str, op: Operator, value: Any) -> Predicate:
    get = _look_up(prop)
    match op:
        case "exists":
            wanted = value is not False
            return lambda props: (get(props) is not _ABSENT) is wanted
        case "eq":
            return lambda props: _same_kind(there := get(props), value) and there == value
        case "ne":
            return lambda props: not (_same_kind(there := get(props), value) and there == value)
        case "in" | "not_in":
            expected = op == "in"

            def is_member(props: Props) -> bool:
                there = get(props)
                found = any(_same_kind(there, item) and there == item for item in value)
                return found is expected

            return is_member
        case "contains":

            def contains(props: Props) -> bool:
                there = get(props)
                if isinstance(there, list):
                    return any(_same_kind(item, value) and item == value for item in there)
                return isinstance(there, str) and isinstance(value, str) and value in there

            return contains
        case "starts_with":
            return lambda props: isinstance(there := get(props), str) and there.startswith(value)
        case "gt":
            return lambda props: _same_kind(there := get(props), value) and there > value
        case "gte":
            return lambda props: _same_kind(there := get(props), value) and there >= value
        case "lt":
            return lambda props: _same_kind(there := get(props), value) and there < value
        case "lte":
            return lambda props: _same_kind(there := get(props), value) and there <= value
