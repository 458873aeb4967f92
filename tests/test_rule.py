import gc
import weakref
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.errors import Problem
from gateway.rule import Rule, compile_rules, count_leaves, explain, parse
from tests.builders import Json, a_leaf


def a_rule(where: Json) -> Rule:
    return parse(msgspec.json.encode(where))


def holds(where: Json, props: Json) -> bool:
    return bool(compile_rules([a_rule(where)])(props))


SCALARS: list[Any] = [0, 1, -1, 1.0, 0.5, 2**63 - 1, "", "a", "b", "ab", "1", "ä", True, False]
scalars = st.sampled_from(SCALARS)
values = scalars | st.lists(scalars, max_size=3) | st.none() | st.just({"b": 1})
all_props = st.dictionaries(st.sampled_from(["p", "q", "a", "a.b"]), values, max_size=3)
paths = st.sampled_from(["p", "q", "a", "a.b", "p.q"])
leaves = st.one_of(
    st.builds(a_leaf, paths, st.sampled_from(["eq", "ne", "contains"]), scalars),
    st.builds(
        a_leaf,
        paths,
        st.sampled_from(["gt", "gte", "lt", "lte"]),
        scalars.filter(lambda value: not isinstance(value, bool)),
    ),
    st.builds(a_leaf, paths, st.sampled_from(["in", "not_in"]), st.lists(scalars, max_size=4)),
    st.builds(a_leaf, paths, st.just("starts_with"), st.sampled_from(["", "a", "ä"])),
    st.builds(a_leaf, paths, st.just("exists"), st.sampled_from([None, True, False])),
)
rules = st.recursive(
    leaves,
    lambda inner: (
        st.builds(lambda parts: {"all": parts}, st.lists(inner, max_size=3))
        | st.builds(lambda parts: {"any": parts}, st.lists(inner, max_size=3))
        | st.builds(lambda part: {"not": part}, inner)
    ),
    max_leaves=8,
)


def same(left: Any, right: Any) -> bool:
    """Equality of JSON, where true is not 1."""
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


def plainly(where: Json, props: Json) -> bool:
    """The rule language once more, as plainly as it can be said."""
    if "all" in where:
        return all(plainly(part, props) for part in where["all"])
    if "any" in where:
        return any(plainly(part, props) for part in where["any"])
    if "not" in where:
        return not plainly(where["not"], props)
    op, path = where["op"], where["prop"]
    value: Any = where.get("value")
    found: list[Any] = []
    if path in props:
        found = [props[path]]
    elif "." in path:
        outer, inner = path.split(".")
        if isinstance(props.get(outer), dict) and inner in props[outer]:
            found = [props[outer][inner]]
    if op == "exists":
        return bool(found) is (value is not False)
    if op == "ne":
        return not plainly(where | {"op": "eq"}, props)
    if op == "not_in":
        return not plainly(where | {"op": "in"}, props)
    if not found:
        return False
    (there,) = found
    if op == "eq":
        return same(there, value)
    if op == "in":
        return any(same(there, item) for item in value)
    if op == "contains" and isinstance(there, list):
        return any(same(item, value) for item in there)
    if op in {"contains", "starts_with"}:
        if not (isinstance(there, str) and isinstance(value, str)):
            return False
        return value in there if op == "contains" else there[: len(value)] == value
    if isinstance(there, bool) or isinstance(there, str) is not isinstance(value, str):
        return False
    if not isinstance(there, str | int | float):
        return False
    if isinstance(there, str):
        there, value = there.encode(), value.encode()
    outcomes = {
        "gt": there > value,
        "gte": there >= value,
        "lt": there < value,
        "lte": there <= value,
    }
    return bool(outcomes[op])


# --- laws ------------------------------------------------------------------------------------


@given(rules, all_props)
def test_compiled_rule_says_what_the_rule_says(where: Json, props: Json) -> None:
    assert holds(where, props) is plainly(where, props)


@given(st.lists(rules, max_size=5), all_props)
def test_many_rules_compiled_together_say_what_each_says_alone(
    wheres: list[Json], props: Json
) -> None:
    match = compile_rules([*map(a_rule, wheres), None])
    expected = [place for place, where in enumerate(wheres) if holds(where, props)]
    assert list(match(props)) == [*expected, len(wheres)]


@given(rules, all_props)
def test_not_is_the_negation(where: Json, props: Json) -> None:
    assume(count_leaves(a_rule(where)) < 64)
    assert holds({"not": where}, props) is not holds(where, props)


@given(paths, scalars, st.lists(scalars, max_size=4), all_props)
def test_ne_and_not_in_negate_eq_and_in(
    path: str, value: Any, several: list[Any], props: Json
) -> None:
    assert holds(a_leaf(path, "ne", value), props) is not holds(a_leaf(path, "eq", value), props)
    negated, plain = a_leaf(path, "not_in", several), a_leaf(path, "in", several)
    assert holds(negated, props) is not holds(plain, props)


@given(rules, all_props)
def test_explanation_is_given_for_what_does_not_hold(where: Json, props: Json) -> None:
    text = explain(a_rule(where), props)
    assert text
    if not plainly(where, props) and "prop" in where:
        assert text.startswith(f"{where['prop']} {where['op']}")


@given(paths, scalars, all_props)
def test_value_is_on_one_side_of_a_number_or_equal_to_it(
    path: str, value: Any, props: Json
) -> None:
    assume(not isinstance(value, bool))
    sides = [holds(a_leaf(path, op, value), props) for op in ("lt", "eq", "gt")]
    assert sum(sides) <= 1
    assert holds(a_leaf(path, "lte", value), props) is (sides[0] or sides[1])
    assert holds(a_leaf(path, "gte", value), props) is (sides[1] or sides[2])


# --- cases -----------------------------------------------------------------------------------


@pytest.mark.parametrize("op", ["eq", "gt", "gte", "lt", "lte", "contains"])
def test_missing_property_makes_an_operator_false(op: str) -> None:
    assert not holds(a_leaf("p", op, "x"), {})
    assert not holds(a_leaf("p", op, "x"), {"p": None})


def test_missing_property_is_not_equal_and_in_no_list() -> None:
    assert holds(a_leaf("p", "ne", 1), {})
    assert holds(a_leaf("p", "not_in", [1]), {})
    assert not holds(a_leaf("p", "in", [1]), {})


def test_null_is_a_value_that_exists() -> None:
    assert holds(a_leaf("p", "exists"), {"p": None})
    assert holds(a_leaf("p", "exists", False), {})
    assert not holds(a_leaf("p", "exists", False), {"p": None})


@pytest.mark.parametrize(
    "op, value, there, expected",
    [
        ("eq", 1, True, False),
        ("eq", True, 1, False),
        ("eq", True, True, True),
        ("eq", 1, 1.0, True),
        ("eq", "1", 1, False),
        ("in", [1, 2], True, False),
        ("in", [True], 1, False),
        ("in", [1, True], True, True),
        ("in", [0], False, False),
        ("gt", 0, True, False),
        ("gte", 1, True, False),
        ("gt", "a", "b", True),
        ("gt", "Z", "a", True),
        ("gt", "z", "ä", True),
        ("gt", "\uffff", "\U0001f600", True),
        ("lt", 2**53 + 1, 2**53, True),
        ("contains", "b", "abc", True),
        ("contains", 1, [1, 2], True),
        ("contains", 1, [True], False),
        ("contains", "1", [1], False),
        ("contains", "a", {"a": 1}, False),
        ("starts_with", "ab", "abc", True),
        ("starts_with", "ab", ["abc"], False),
        ("starts_with", "", "", True),
        ("eq", "x", ["x"], False),
        ("eq", "x", {"x": 1}, False),
    ],
)
def test_values_are_compared_within_their_kind(
    op: str, value: Any, there: Any, expected: bool
) -> None:
    assert holds(a_leaf("p", op, value), {"p": there}) is expected


def test_path_leads_into_objects_and_a_key_with_dots_wins() -> None:
    leaf = a_leaf("cart.total", "gt", 10)
    assert holds(leaf, {"cart": {"total": 11}})
    assert not holds(leaf, {"cart": {"total": 9}})
    assert not holds(leaf, {"cart": 11})
    assert not holds(leaf, {"cart": {"total": 11}, "cart.total": 9})
    assert holds(a_leaf("a.b.c", "eq", 1), {"a": {"b": {"c": 1}}})


def test_empty_all_holds_and_empty_any_does_not() -> None:
    assert holds({"all": []}, {})
    assert not holds({"any": []}, {})


@pytest.mark.parametrize(
    "name", ["__class__", "p'] or True #", 'x")\n    return []', "props", "\u2028", "{}", "%s"]
)
def test_names_and_values_are_never_code(name: str) -> None:
    leaf = a_leaf(name, "eq", name)
    assert holds(leaf, {name: name})
    assert not holds(leaf, {"p": 1})
    assert holds(a_leaf("p", "in", [name]), {"p": name})
    assert holds(a_leaf("p", "starts_with", name), {"p": name + "!"})


def test_explanation_names_the_comparison_that_failed() -> None:
    spender = {"all": [a_leaf("amount", "gte", 100), a_leaf("country", "in", ["DE", "AT"])]}
    for where, props, expected in (
        (spender, {"amount": 42, "country": "DE"}, "amount gte 100, was 42"),
        (spender, {"amount": 142, "country": "FR"}, 'country in ["DE","AT"], was "FR"'),
        (spender, {"amount": 142}, 'country in ["DE","AT"], was missing'),
        ({"not": spender}, {"amount": 142, "country": "DE"}, "the negated rule holds"),
        (
            {"any": spender["all"]},
            {},
            'none of: amount gte 100, was missing; country in ["DE","AT"], was missing',
        ),
    ):
        assert explain(a_rule(where), props) == expected


def test_explanation_of_a_large_value_is_short() -> None:
    assert len(explain(a_rule(a_leaf("p", "eq", 1)), {"p": "x" * 4_096})) < 300


def test_rule_without_comparisons_has_a_limit_too() -> None:
    """A million empty branches would be a million terms of generated code."""
    with pytest.raises(Problem) as refused:
        a_rule({"any": [{"all": []}] * 65})
    assert refused.value.code == "invalid_rule"


@pytest.mark.parametrize("value", [10**30, -(10**30), 2**64, 10**400])
def test_number_beyond_what_events_can_hold_is_refused(value: int) -> None:
    with pytest.raises(Problem) as refused:
        parse(b'{"prop":"p","op":"eq","value":%d}' % value)
    assert refused.value.code == "invalid_rule"


@given(st.binary(max_size=60))
def test_no_bytes_break_the_parser(raw: bytes) -> None:
    with pytest.raises(Problem):
        parse(raw)


def test_compiled_rules_are_freed_without_the_collector() -> None:
    match = compile_rules([a_rule(a_leaf("amount", "gte", 100))])
    freed = weakref.ref(match)
    gc.disable()
    try:
        del match
        assert freed() is None
    finally:
        gc.enable()
