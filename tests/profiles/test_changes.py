import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.profiles.changes import (
    ALIASES_MAX,
    ATTRIBUTES_BYTES_MAX,
    ATTRIBUTES_MAX,
    GROUPS_BYTES_MAX,
    GROUPS_MAX,
    Group,
    changed,
    fault_of_change,
    joined,
    with_alias,
    with_values,
)
from gateway.profiles.model import Profile, absorb, fold
from gateway.records import Event
from tests.builders import NOW, a_read_event

TEXT_HEAD = 2
"""Bytes by which the length of a text of 256 and more takes more room than that of an empty one."""

numbers = st.integers(-1_000, 1_000)


def told(*events: Event, id: str = "p1") -> Profile:
    profile = Profile(id, "app1")
    for event in events:
        fold(profile, event, NOW, None)
    return profile


def change(name: str, **props: Any) -> Event:
    return a_read_event(name, type="profile", props=props)


def group(type: str, group_id: str, **props: Any) -> Event:
    return a_read_event(type, type="group", props={"group_id": group_id, **props})


def alias(name: str) -> Event:
    return a_read_event("alias", type="alias", props={"alias": name})


# --- attributes ------------------------------------------------------------------------------


def test_set_sets_and_removes() -> None:
    profile = told(change("set", plan="free", city="Bonn"), change("set", plan="pro", city=None))
    assert (profile.attributes, profile.left_out) == ({"plan": "pro"}, {})


def test_set_once_leaves_what_is_there() -> None:
    profile = told(
        change("set_once", first="ad", plan=None), change("set_once", first="mail", plan="pro")
    )
    assert profile.attributes == {"first": "ad", "plan": "pro"}


def test_unset_removes_whatever_its_values_are() -> None:
    profile = told(change("set", a=1, b=2, c=3), change("unset", a=True, b=None, d="x"))
    assert profile.attributes == {"c": 3}


@given(st.lists(numbers, max_size=10).flatmap(lambda n: st.tuples(st.just(n), st.permutations(n))))
def test_increments_add_up_in_any_order(orders: tuple[list[int], list[int]]) -> None:
    one, other = (told(*[change("increment", n=by) for by in order]) for order in orders)
    assert one.attributes == other.attributes == ({"n": sum(orders[0])} if orders[0] else {})


def test_increment_keeps_whole_numbers_whole() -> None:
    profile = told(change("increment", n=2), change("increment", n=3, x=0.5), change("set", y=1.5))
    fold(profile, change("increment", y=1), NOW, None)
    assert profile.attributes == {"n": 5, "x": 0.5, "y": 2.5}
    assert type(profile.attributes["n"]) is int


@pytest.mark.parametrize("there", ["3", True, [1], {"n": 1}])
def test_increment_of_what_is_no_number_is_left_out_and_counted(there: Any) -> None:
    profile = told(change("set", n=there), change("increment", n=1, m=1))
    assert profile.attributes == {"n": there, "m": 1}
    assert profile.left_out == {"not_a_number": 1}


@pytest.mark.parametrize(
    "there, by, fits",
    [
        (2**63 - 2, 1, True),
        (2**63 - 1, 1, False),
        (-(2**63) + 1, -1, True),
        (-(2**63), -1, False),
        (1e308, 1e308, False),
    ],
)
def test_increment_stays_within_what_can_be_stored(there: Any, by: Any, fits: bool) -> None:
    profile = told(change("set", n=there), change("increment", n=by))
    assert profile.attributes == {"n": there + by if fits else there}
    assert profile.left_out == ({} if fits else {"out_of_range": 1})


def test_changes_beyond_the_number_of_attributes_are_left_out_and_counted() -> None:
    full = {f"a{n}": n for n in range(ATTRIBUTES_MAX)}
    for before, left_out in ((ATTRIBUTES_MAX - 1, []), (ATTRIBUTES_MAX, ["too_many_attributes"])):
        attributes = dict(list(full.items())[:before])
        after, reasons = with_values(attributes, {"one more": 1})
        assert (len(after), reasons) == (ATTRIBUTES_MAX, left_out)
    after, reasons = changed(full, "increment", {"a0": 1, "new": 1})
    assert (after["a0"], "new" in after, reasons) == (1, False, ["too_many_attributes"])


def test_attributes_that_grow_too_large_stay_as_they_were() -> None:
    profile = told(change("set", plan="pro"))
    fold(profile, change("set", plan="free", essay=["x" * 4_000] * 9), NOW, None)
    assert (profile.attributes, profile.left_out) == ({"plan": "pro"}, {"attributes_too_large": 1})


# --- groups and aliases ----------------------------------------------------------------------


def test_person_is_in_one_group_of_each_type_the_last_that_was_told() -> None:
    profile = told(
        group("company", "acme", size=10), group("team", "blue"), group("company", "corp")
    )
    assert profile.groups == {"company": Group("corp"), "team": Group("blue")}


def test_properties_add_to_those_of_the_same_group() -> None:
    profile = told(
        group("company", "acme", size=10, city="Bonn"),
        group("company", "acme", size=11, city=None, plan="pro"),
    )
    assert profile.groups == {"company": Group("acme", {"size": 11, "plan": "pro"})}


def test_groups_have_a_limit_beyond_which_known_types_still_change() -> None:
    groups = {f"type {n}": Group("g") for n in range(GROUPS_MAX - 1)}
    groups, reasons = joined(groups, "last", {"group_id": "g"})
    assert (len(groups), reasons) == (GROUPS_MAX, [])
    assert joined(groups, "one more", {"group_id": "g"}) == (groups, ["too_many_groups"])
    after, reasons = joined(groups, "last", {"group_id": "other"})
    assert (after["last"].id, reasons) == ("other", [])


@pytest.mark.parametrize("over, fits", [(-1, True), (0, True), (1, False)])
def test_attributes_and_groups_have_a_limit_of_bytes(over: int, fits: bool) -> None:
    empty = len(msgspec.msgpack.encode({"a": "", "b": ["x" * 4_000] * 7}))
    text = "x" * (ATTRIBUTES_BYTES_MAX - empty - TEXT_HEAD + over)
    after, reasons = with_values({"b": ["x" * 4_000] * 7}, {"a": text})
    assert ("a" in after, reasons) == (fits, [] if fits else ["attributes_too_large"])
    empty = len(msgspec.msgpack.encode({"company": Group("g", {"a": "", "b": ["x" * 4_000] * 7})}))
    text = "x" * (GROUPS_BYTES_MAX - empty - TEXT_HEAD + over)
    before = {"company": Group("g", {"b": ["x" * 4_000] * 7})}
    groups, left_out = joined(before, "company", {"group_id": "g", "a": text})
    assert ("a" in groups["company"].properties, left_out) == (
        fits,
        [] if fits else ["groups_too_large"],
    )


def test_groups_that_grow_too_large_stay_as_they_were() -> None:
    profile = told(group("company", "acme"))
    fold(profile, group("company", "acme", essay=["x" * 4_000] * 9), NOW, None)
    assert (profile.groups, profile.left_out) == (
        {"company": Group("acme")},
        {"groups_too_large": 1},
    )


def test_aliases_are_kept_once_each_up_to_their_limit() -> None:
    profile = told(alias("a@example.org"), alias("a@example.org"), alias("crm-7"))
    assert profile.aliases == ["a@example.org", "crm-7"]
    aliases = [f"a{n}" for n in range(ALIASES_MAX - 1)]
    aliases, reasons = with_alias(aliases, "last")
    assert (len(aliases), reasons) == (ALIASES_MAX, [])
    assert with_alias(aliases, "one more") == (aliases, ["too_many_aliases"])
    assert with_alias(aliases, "last") == (aliases, [])


def test_alias_merges_nobody() -> None:
    profile = told(alias("u2"))
    assert (profile.user_id, profile.links) == (None, [])


# --- logging in ------------------------------------------------------------------------------


def test_known_person_wins_over_what_was_told_before_the_login() -> None:
    known = told(change("set", visits=5), group("company", "acme", size=1), alias("crm-7"))
    before = told(
        change("increment", visits=2, clicks=1),
        group("company", "corp"),
        group("team", "blue", size=3),
        alias("crm-7"),
        alias("mail"),
        change("set", city="Bonn"),
        change("increment", city=1),
        id="anonymous",
    )
    absorb(known, before)
    assert known.attributes == {"visits": 5, "clicks": 1, "city": "Bonn"}
    assert known.groups == {
        "company": Group("acme", {"size": 1}),
        "team": Group("blue", {"size": 3}),
    }
    assert known.aliases == ["crm-7", "mail"]
    assert known.left_out == {"not_a_number": 1}


def test_limits_hold_across_a_login() -> None:
    known = told(*[group(f"type {n}", "g") for n in range(GROUPS_MAX)])
    absorb(known, told(group("one more", "g"), id="anonymous"))
    assert (len(known.groups), known.left_out) == (GROUPS_MAX, {"too_many_groups": 1})


# --- what makes no sense ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "type, name, props, part",
    [
        ("profile", "multiply", {"n": 2}, "name"),
        ("profile", "", {}, "name"),
        ("profile", "increment", {"n": "1"}, "props.n"),
        ("profile", "increment", {"m": 1, "n": True}, "props.n"),
        ("profile", "increment", {"n": None}, "props.n"),
        ("profile", "increment", {"n": [1]}, "props.n"),
        ("profile", "increment", {"n": math.inf}, "props.n"),
        ("group", "company", {}, "props.group_id"),
        ("group", "company", {"group_id": ""}, "props.group_id"),
        ("group", "company", {"group_id": 7}, "props.group_id"),
        ("group", "company", {"group_id": "g" * 257}, "props.group_id"),
        ("alias", "alias", {}, "props.alias"),
        ("alias", "alias", {"alias": ""}, "props.alias"),
        ("alias", "alias", {"alias": None}, "props.alias"),
        ("alias", "alias", {"alias": "a" * 257}, "props.alias"),
    ],
)
def test_fault_names_its_place(type: str, name: str, props: dict[str, Any], part: str) -> None:
    fault = fault_of_change(type, name, props)
    assert fault is not None
    assert fault.startswith(f"{part}:")


@pytest.mark.parametrize(
    "type, name, props",
    [
        ("profile", "set", {}),
        ("profile", "set_once", {"a": [1, {"b": None}]}),
        ("profile", "unset", {"a": "whatever"}),
        ("profile", "increment", {"a": -1, "b": 0.5, "c": 0}),
        ("group", "ä", {"group_id": "g" * 256}),
        ("alias", "whatever", {"alias": "a" * 256}),
        ("track", "multiply", {"group_id": 7}),
        ("identify", "identify", {}),
    ],
)
def test_event_that_makes_sense_has_no_fault(type: str, name: str, props: dict[str, Any]) -> None:
    assert fault_of_change(type, name, props) is None


def test_event_that_was_taken_before_its_type_meant_anything_changes_nothing() -> None:
    profile = told(change("multiply", n=2), a_read_event("x", type="alias"))
    assert (profile.attributes, profile.aliases) == ({}, [])
    assert (profile.left_out, profile.events) == ({"invalid_event": 2}, 2)
