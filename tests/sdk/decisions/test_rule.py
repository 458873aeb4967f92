"""The rules of SDK and gateway are one language; their cases are the vector `trigger_match`."""

import math
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Problem
from gateway.rule import compile_rules, parse
from zuruf.decisions.rule import fits, holds, is_rule

OPERATORS = [
    "eq",
    "ne",
    "gt",
    "gte",
    "lt",
    "lte",
    "in",
    "not_in",
    "contains",
    "starts_with",
    "exists",
]
scalars = (
    st.sampled_from(
        [
            0,
            1,
            -1,
            1.0,
            0.5,
            2**63 - 1,
            -(2**63),
            2**53 + 1,
            "",
            "a",
            "b",
            "ab",
            "1",
            "ä",
            "ﾊ",
            "😀",
        ]
    )
    | st.booleans()
)
paths = st.sampled_from(["p", "q", "a", "a.b", "a.b.c", ".a", ""])
values = scalars | st.none() | st.lists(scalars | st.none(), max_size=3) | st.just({"x": 1})
leaves = st.fixed_dictionaries(
    {"prop": paths, "op": st.sampled_from([*OPERATORS, "matches"])}, optional={"value": values}
)
rules = st.recursive(
    leaves | st.sampled_from([{}, {"all": 1}, {"prop": "p", "op": "exists", "note": 1}]),
    lambda inner: (
        st.builds(lambda parts: {"all": parts}, st.lists(inner, max_size=3))
        | st.builds(lambda parts: {"any": parts}, st.lists(inner, max_size=3))
        | st.builds(lambda part: {"not": part}, inner)
    ),
    max_leaves=10,
)
items = scalars | st.none() | st.lists(scalars, max_size=3) | st.just({"b": 1})
all_props = st.dictionaries(
    st.sampled_from(["p", "q", "a", "a.b", ""]),
    items | st.just({"b": {"c": 1}}) | st.just({"a": "b"}),
    max_size=4,
)


def gateway_decides(rule: Any, props: dict[str, Any]) -> bool | None:
    """Tell what the gateway says; None when it does not take the rule."""
    try:
        parsed = parse(msgspec.json.encode(rule))
    except Problem:
        return None
    return bool(compile_rules([parsed])(props))


@given(rules, all_props)
def test_sdk_and_gateway_take_the_same_rules_and_decide_alike(
    rule: Any, props: dict[str, Any]
) -> None:
    expected = gateway_decides(rule, props)
    assert is_rule(rule) is (expected is not None)
    if expected is not None:
        assert holds(rule, props) is expected


@given(rules, all_props)
def test_a_rule_that_is_not_understood_fits_nothing(rule: Any, props: dict[str, Any]) -> None:
    assert fits(rule, props) is bool(gateway_decides(rule, props))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["all", "any", "not", "prop", "op", "value"]), inner)
        ),
    )
)
def test_no_json_breaks_the_reading_of_a_rule(value: Any) -> None:
    if is_rule(value):
        assert isinstance(holds(value, {}), bool)
    assert isinstance(fits(value, {}), bool)


def test_numbers_that_no_event_has_are_not_understood() -> None:
    for value in (math.nan, math.inf, 2**63, -(2**63) - 1):
        assert not is_rule({"prop": "p", "op": "eq", "value": value})
