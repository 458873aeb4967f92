"""Laws of events within the limits; their cases are the vector `canonical_event`."""

import json
from collections import OrderedDict
from enum import IntEnum
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zuruf.decisions.canonical import (
    DEPTH_MAX,
    EVENT_BYTES_MAX,
    ITEMS_MAX,
    NAME_CHARACTERS_MAX,
    STRING_BYTES_MAX,
    Props,
    checked_name,
    checked_props,
    cut,
    event_body,
    mended,
)
from zuruf.errors import InvalidEventError

characters = st.characters(exclude_categories=["Cs"])
long_texts = st.builds(
    lambda text, times, end: text * times + end,
    st.text(characters, min_size=1, max_size=5),
    st.integers(1, 2_000),
    st.text(characters, max_size=3),
)
any_characters = st.text(st.characters(), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | any_characters | long_texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(any_characters, inner, max_size=4),
)


@given(long_texts)
def test_a_cut_text_is_the_longest_beginning_that_fits(text: str) -> None:
    short = cut(text)
    assert text.startswith(short)
    assert len(short.encode()) <= STRING_BYTES_MAX
    if short != text:
        assert len(text[: len(short) + 1].encode()) > STRING_BYTES_MAX


@given(any_characters)
def test_a_mended_text_is_valid_and_stays_so(text: str) -> None:
    found = mended(text)
    assert found.encode().decode() == found
    assert mended(found) == found


@given(st.text(characters))
def test_a_valid_text_needs_no_mending(text: str) -> None:
    assert mended(text) == text


def strings_of(value: Any) -> list[str]:
    match value:
        case str():
            return [value]
        case dict():
            return [text for item in value.values() for text in strings_of(item)]
        case list():
            return [text for item in value for text in strings_of(item)]
    return []


def levels_of(value: Any) -> int:
    if not isinstance(value, dict | list):
        return 0
    items = value.values() if isinstance(value, dict) else value
    return 1 + max(map(levels_of, items), default=0)


def refusal_of(props: dict[str, Any]) -> tuple[str, Props | None]:
    try:
        return "", checked_props(props)
    except InvalidEventError as error:
        return error.code, None


@given(st.dictionaries(any_characters, values, max_size=5))
def test_what_is_taken_is_within_all_limits_and_the_rest_is_refused_with_a_code(
    props: dict[str, Any],
) -> None:
    code, found = refusal_of(props)
    if found is None:
        assert code in {"invalid_event", "key_too_long", "too_deep", "event_too_large"}
        return
    sent = json.loads(found.json)
    texts = strings_of(sent)
    assert all(len(text.encode()) <= STRING_BYTES_MAX for text in texts)
    assert levels_of(sent) <= DEPTH_MAX
    assert len(found.json) <= EVENT_BYTES_MAX
    long = [text for text in strings_of(props) if len(mended(text).encode()) > STRING_BYTES_MAX]
    assert found.truncated == len(long)


plain_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(characters, max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(characters), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(st.dictionaries(st.text(characters, max_size=NAME_CHARACTERS_MAX), plain_values, max_size=4))
def test_what_is_within_the_limits_arrives_as_it_is(props: dict[str, Any]) -> None:
    if levels_of(props) <= DEPTH_MAX:
        found = checked_props(props)
        assert json.loads(found.json) == props
        assert found.truncated == 0


class Size(IntEnum):
    """A kind of number that apps have."""

    LARGE = 3


@pytest.mark.parametrize(
    "props",
    [MappingProxyType({"a": 1}), OrderedDict(a=1), {"a": True}, [("a", 1)]],
    ids=["a view", "another dict", "a truth value", "pairs"],
)
def test_whatever_maps_names_to_values_is_taken(props: Any) -> None:
    assert json.loads(checked_props(props).json) == {"a": 1}


def test_kinds_of_texts_and_numbers_of_the_app_are_taken() -> None:
    props = {"size": Size.LARGE, "pair": (1, 2), "more": OrderedDict(a=Size.LARGE)}
    sent = json.loads(checked_props(props).json)
    assert sent == {"size": 3, "pair": [1, 2], "more": {"a": 3}}


def test_props_are_copied_at_the_call() -> None:
    props: dict[str, Any] = {"list": [1], "long": "x" * 5_000}
    before = checked_props(props)
    props["list"].append(2)
    assert checked_props(props) != before
    assert len(props["long"]) == 5_000


def test_props_that_hold_themselves_are_too_deep() -> None:
    props: dict[str, Any] = {}
    props["me"] = props
    with pytest.raises(InvalidEventError) as refused:
        checked_props(props)
    assert refused.value.code == "too_deep"


def test_keys_that_are_no_texts_are_refused() -> None:
    for props in ({1: "a"}, {None: "a"}, {"a": {2.5: 1}}, {"a": [{b"b": 1}]}):
        with pytest.raises(InvalidEventError) as refused:
            checked_props(props)  # type: ignore[arg-type]
        assert refused.value.code == "invalid_event"


@pytest.mark.parametrize("entries, fits", [(ITEMS_MAX - 1, True), (ITEMS_MAX, True), (257, False)])
def test_tuples_are_lists(entries: int, fits: bool) -> None:
    props = {"a": tuple(range(entries))}
    if fits:
        assert len(json.loads(checked_props(props).json)["a"]) == entries
    else:
        with pytest.raises(InvalidEventError):
            checked_props(props)


def test_event_without_a_session_has_neither_id_nor_number() -> None:
    name = checked_name("seen")
    with_session = json.loads(event_body("e", "track", name, 7, "s", 0, b"{}"))
    without = json.loads(event_body("e", "track", name, 7, None, None, b"{}"))
    assert with_session == {**without, "session_id": "s", "seq": 0}
