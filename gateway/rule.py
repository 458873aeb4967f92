"""The rule language on event properties: parsed once, compiled to one function, explained on demand.

Journeys decide by it here; messages carry such a rule to devices, which decide by it themselves.

Two-valued: a leaf is true or false, never unknown. A missing property or one of another type makes every
operator false; `ne` and `not_in` are exactly the negations of `eq` and `in`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from gateway.errors import Problem
from gateway.records import Name

LEAVES_MAX = 64
DEPTH_MAX = 8
LIST_MAX = 256

Operator = Literal[
    "eq", "ne", "gt", "gte", "lt", "lte", "in", "not_in", "contains", "starts_with", "exists"
]
Scalar = str | Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | float | bool
Props = Mapping[str, Any]
Matcher = Callable[[Props], list[int]]
"""Properties → the places of the rules that fit them."""


class Leaf(Struct, frozen=True, forbid_unknown_fields=True):
    """One comparison. `prop` is a path: `a.b` is the key b of the object a."""

    prop: Annotated[str, Meta(min_length=1, max_length=256)]
    op: Operator
    value: Scalar | Annotated[list[Scalar], Meta(max_length=LIST_MAX)] | UnsetType = UNSET


class AllOf(Struct, frozen=True, forbid_unknown_fields=True):
    """True when all are; an empty one is true."""

    all: "list[Rule]"


class AnyOf(Struct, frozen=True, forbid_unknown_fields=True):
    """True when one is; an empty one is false."""

    any: "list[Rule]"


class Not(Struct, frozen=True, forbid_unknown_fields=True):
    """True when the rule is not."""

    rule: "Rule"


Rule = Leaf | AllOf | AnyOf | Not


class Trigger(Struct, frozen=True, omit_defaults=True):
    """An event of this name whose properties fit the rule; without a rule all of them do."""

    event: Name
    where: dict[str, Any] | None = None


def rule_of(trigger: Trigger, path: str = "where") -> Rule | None:
    """The rule of a trigger. Raises as `parse`."""
    return None if trigger.where is None else parse(msgspec.json.encode(trigger.where), path)


def parse(raw: bytes, path: str = "where") -> Rule:
    """A rule from its JSON. Raises Problem `invalid_rule` that says where it is wrong, from `path` on."""
    rule = _parse(raw, path, 1)
    if (leaves := count_leaves(rule)) > LEAVES_MAX:
        raise Problem("invalid_rule", f"{path}: {leaves} comparisons, at most {LEAVES_MAX}")
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
            return AllOf(rules) if word == "all" else AnyOf(rules)
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
    """How many comparisons a rule holds; an empty branch counts as one, or there could be millions."""
    match rule:
        case AllOf(rules) | AnyOf(rules):
            return sum(map(count_leaves, rules)) or 1
        case Not(inner):
            return count_leaves(inner)
        case Leaf():
            return 1


def properties_of(rule: Rule) -> set[str]:
    """The paths of all properties that a rule looks at."""
    match rule:
        case AllOf(rules) | AnyOf(rules):
            return set().union(*map(properties_of, rules))
        case Not(inner):
            return properties_of(inner)
        case Leaf(prop):
            return {prop}


def compile_rules(rules: Sequence[Rule | None]) -> Matcher:
    """One function that decides many rules on the same properties: which of them fit, by place.

    It is generated as Python source, so that a property is looked up once for all rules and a comparison
    costs 50 ns; closures of closures cost 20 times as much. Names and values never become source: they are
    constants beside it. A rule that is None fits always.
    """
    source = _Source()
    lines = []
    for place, rule in enumerate(rules):
        condition = "True" if rule is None else source.condition(rule)
        lines.append(f"    if {condition}:\n        fits.append({place})")
    text = "\n".join(
        ["def match(props):", *source.look_ups(), "    fits = []", *lines, "    return fits"]
    )
    scope = source.constants
    exec(compile(text, "<rules>", "exec"), scope)  # noqa: S102 - made of our own templates only
    # Taken out, or scope and function would hold each other: every change of a journey compiles anew, and
    # the collector, which runs rarely here, would let hundreds of megabytes pile up.
    matcher: Matcher = scope.pop("match")
    return matcher


def explain(rule: Rule, props: Props) -> str:
    """The comparison that made the rule false on these properties, with what was there."""
    match rule:
        case AllOf(rules):
            fitting = set(compile_rules(rules)(props))
            failed = (part for place, part in enumerate(rules) if place not in fitting)
            return next((explain(part, props) for part in failed), "the rule holds")
        case AnyOf(rules):
            return "none of: " + "; ".join(explain(part, props) for part in rules)
        case Not():
            return "the negated rule holds"
        case Leaf(prop, op, value):
            wanted = "" if value is UNSET else f" {msgspec.json.encode(value).decode()}"
            there = look_up(props, prop)
            found = "missing" if there is ABSENT else msgspec.json.encode(there).decode()
            return f"{prop} {op}{wanted}, was {found[:200]}"


ABSENT: Final[Any] = object()


def look_up(props: Props, path: str) -> Any:
    """The value at a path, or ABSENT. A key that contains dots wins over the path of that spelling."""
    if path in props:
        return props[path]
    value: Any = props
    for key in path.split("."):
        if not isinstance(value, dict) or key not in value:
            return ABSENT
        value = value[key]
    return value


def _contains(there: object, value: Scalar) -> bool:
    """A list holds the value, or a string has it as a part."""
    if isinstance(there, list):
        return any(_same_kind(item, value) and item == value for item in there)
    return isinstance(there, str) and isinstance(value, str) and value in there


def _same_kind(left: object, right: object) -> bool:
    """Whether two values may be compared: both booleans, both strings, or both numbers."""
    for kind in (bool, str):
        if isinstance(left, kind) or isinstance(right, kind):
            return isinstance(left, kind) and isinstance(right, kind)
    return isinstance(left, int | float) and isinstance(right, int | float)


_SYMBOLS = {"eq": "==", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_KINDS: dict[str, Callable[[str], str]] = {
    # JSON has four kinds of scalars, and a number is never a boolean here: hence types, not isinstance.
    "number": lambda type_: f"{type_} is int or {type_} is float",
    "string": lambda type_: f"{type_} is str",
    "boolean": lambda type_: f"{type_} is bool",
}


def _kind_of(value: Scalar) -> str:
    match value:
        case bool():
            return "boolean"
        case str():
            return "string"
        case _:
            return "number"


class _Source:
    """Collects what the generated function needs: constants, and each look-up once."""

    def __init__(self) -> None:
        self.constants: dict[str, Any] = {
            "ABSENT": ABSENT,
            "contains": _contains,
            "look_up": look_up,
        }
        self._values: dict[str, str] = {}
        self._kinds: dict[tuple[str, str], str] = {}

    def look_ups(self) -> list[str]:
        """The lines that fetch every property and find out its kind."""
        lines = []
        for prop, value in self._values.items():
            key = self._constant(prop)
            if "." in prop:
                lines.append(f"    {value} = look_up(props, {key})")
            else:
                lines.append(f"    {value} = props.get({key}, ABSENT)")
            lines.append(f"    {value}_type = type({value})")
        for (value, kind), name in self._kinds.items():
            lines.append(f"    {name} = {_KINDS[kind](f'{value}_type')}")
        return lines

    def condition(self, rule: Rule) -> str:
        """The rule as an expression."""
        match rule:
            case AllOf(rules):
                return "(" + (" and ".join(map(self.condition, rules)) or "True") + ")"
            case AnyOf(rules):
                return "(" + (" or ".join(map(self.condition, rules)) or "False") + ")"
            case Not(inner):
                return f"(not {self.condition(inner)})"
            case Leaf(prop, op, value):
                return self._comparison(self._value(prop), op, value)

    def _comparison(self, there: str, op: Operator, value: Any) -> str:
        match op:
            case "exists":
                return f"({there} is {'' if value is False else 'not '}ABSENT)"
            case "ne":
                return f"(not {self._comparison(there, 'eq', value)})"
            case "not_in":
                return f"(not {self._comparison(there, 'in', value)})"
            case "in":
                return self._membership(there, value)
            case "contains":
                return f"contains({there}, {self._constant(value)})"
            case "starts_with":
                is_string = self._kind(there, "string")
                return f"({is_string} and {there}.startswith({self._constant(value)}))"
        same_kind = self._kind(there, _kind_of(value))
        return f"({same_kind} and {there} {_SYMBOLS[op]} {self._constant(value)})"

    def _membership(self, there: str, values: list[Scalar]) -> str:
        by_kind: dict[str, set[Scalar]] = {}
        for value in values:
            by_kind.setdefault(_kind_of(value), set()).add(value)
        parts = [
            f"({self._kind(there, kind)} and {there} in {self._constant(frozenset(members))})"
            for kind, members in by_kind.items()
        ]
        return "(" + (" or ".join(parts) or "False") + ")"

    def _value(self, prop: str) -> str:
        return self._values.setdefault(prop, f"value{len(self._values)}")

    def _kind(self, value: str, kind: str) -> str:
        return self._kinds.setdefault((value, kind), f"{value}_is_{kind}")

    def _constant(self, value: object) -> str:
        name = f"constant{len(self.constants)}"
        self.constants[name] = value
        return name
