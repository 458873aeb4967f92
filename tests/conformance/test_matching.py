from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.matching import Bindings, MismatchError, ScriptError, matched, resolved

A = "019aa7b1-3580-726f-830e-08960cb9439d"
B = "019aa7b1-3580-73f1-a172-1327684220cf"
NOTHING = Bindings(start_ms=1_000)


def is_matched(expected: Any, found: Any) -> bool:
    try:
        matched(expected, found, NOTHING)
    except MismatchError:
        return False
    return True


@pytest.mark.parametrize(
    "expected, found",
    [
        (1, 1.0),
        ({"a": [1, {"b": None}]}, {"a": [1, {"b": None}]}),
        ("$any", None),
        ("$string", ""),
        ("$int", 0),
        ("$number", 0.5),
        ("$bool", False),
        ("$object", {}),
        ("$list", []),
        ("$uuid", A),
        ("$t", 1_000),
        ("$t+500", 1_500),
        ("$t-1000", 0),
        ("$at_least:3", 3),
        ("$at_most:3", 3),
        ("$matches:a+", "aaa"),
        ("$$any", "$any"),
        ({"$repeat": "ab", "times": 3}, "ababab"),
        ({"a": 1, "...": "$any"}, {"a": 1, "b": 2}),
        ({"a": "$absent"}, {}),
        ([1, "..."], [1]),
        ([1, "..."], [1, 2, 3]),
        (["...", 3], [1, 2, 3]),
        ([1, "...", 3, "..."], [1, 2, 3, 4]),
    ],
)
def test_these_match(expected: Any, found: Any) -> None:
    assert is_matched(expected, found)


@pytest.mark.parametrize(
    "expected, found",
    [
        (1, True),
        (0, False),
        (None, False),
        ("1", 1),
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"a": 1}, {}),
        ({"a": 1, "...": "$any"}, {"b": 2}),
        ({"a": "$absent"}, {"a": None}),
        ([1, 2], [1]),
        ([1], [1, 2]),
        ([1, 2], [2, 1]),
        (["...", 4], [1, 2, 3]),
        ("$string", 1),
        ("$int", 1.5),
        ("$int", True),
        ("$number", True),
        ("$uuid", A[:-1]),
        ("$uuid", A.replace("-", "")),
        ("$t", 1_001),
        ("$t", None),
        ("$at_least:3", 2.9),
        ("$at_most:3", 3.1),
        ("$matches:a+", "aab"),
        ({"$repeat": "ab", "times": 3}, "abab"),
    ],
)
def test_these_do_not(expected: Any, found: Any) -> None:
    assert not is_matched(expected, found)


def test_same_name_stands_for_the_same_value() -> None:
    bindings = matched(["$any:x", "$any:x"], [7, 7], NOTHING)
    assert bindings.values == {"$any:x": 7}
    with pytest.raises(MismatchError, match="expected \\$any:x = 7, found 8"):
        matched("$any:x", 8, bindings)


def test_ids_of_different_names_are_different_ids() -> None:
    assert is_matched(["$uuid:a", "$uuid:b"], [A, B])
    assert not is_matched(["$uuid:a", "$uuid:b"], [A, A])


def test_difference_says_where_it_is() -> None:
    with pytest.raises(MismatchError, match=r"\.events\[1\]\.name: expected 'b', found 'c'"):
        matched(
            {"events": [{"name": "a"}, {"name": "b"}]},
            {"events": [{"name": "a"}, {"name": "c"}]},
            NOTHING,
        )


def test_what_is_known_can_be_sent_again() -> None:
    bindings = NOTHING.bound("$uuid:a", A)
    told = {"id": "$uuid:a", "at": "$t+5", "price": "$$5", "text": {"$repeat": "x", "times": 2}}
    assert resolved(told, bindings) == {"id": A, "at": 1_005, "price": "$5", "text": "xx"}


@pytest.mark.parametrize("unknown", ["$uuid:b", "$any", "$nonsense"])
def test_what_is_not_known_cannot(unknown: str) -> None:
    with pytest.raises(ScriptError, match="nothing is known"):
        resolved([unknown], NOTHING)


def test_unknown_placeholder_is_a_mistake_of_the_script() -> None:
    with pytest.raises(ScriptError, match="no placeholder"):
        matched("$nonsense", "x", NOTHING)
