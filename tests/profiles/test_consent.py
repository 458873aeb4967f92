from hypothesis import given
from hypothesis import strategies as st

from gateway.profiles.consent import (
    OBEYED,
    PURPOSES_MAX,
    Consent,
    Consents,
    allows,
    take_answers,
    unite,
)

PHONE, TABLET = "phone", "tablet"

answers = st.tuples(
    st.dictionaries(st.sampled_from([*OBEYED, "own"]), st.booleans(), max_size=3),
    st.integers(0, 3),
    st.sampled_from([PHONE, TABLET]),
)


def told(*given: tuple[dict[str, bool], int, str]) -> Consents:
    consents: Consents = {}
    for one in given:
        take_answers(consents, *one)
    return consents


@given(st.lists(answers, max_size=6).flatmap(lambda a: st.tuples(st.just(a), st.permutations(a))))
def test_order_in_which_answers_arrive_does_not_matter(
    orders: tuple[list[tuple[dict[str, bool], int, str]], list[tuple[dict[str, bool], int, str]]],
) -> None:
    one, other = orders
    assert told(*one) == told(*other)


@given(st.lists(answers, max_size=6))
def test_answer_that_arrives_again_changes_nothing(
    given: list[tuple[dict[str, bool], int, str]],
) -> None:
    assert told(*given, *given) == told(*given)


@given(st.lists(answers, max_size=4), st.lists(answers, max_size=4))
def test_after_a_login_is_denied_what_either_side_denied(
    before: list[tuple[dict[str, bool], int, str]], known: list[tuple[dict[str, bool], int, str]]
) -> None:
    one, other, both = told(*known), told(*before), told(*known)
    unite(both, other)
    for purpose in (*OBEYED, "own"):
        assert allows(both, purpose) is (allows(one, purpose) and allows(other, purpose))
        assert both.get(purpose) in (one.get(purpose), other.get(purpose))
    again = told(*before)
    unite(again, one)
    assert both == again, "it is the same from either side"


def test_what_nobody_was_asked_is_allowed() -> None:
    assert allows({}, "analytics")


def test_denial_counts_when_two_answers_have_one_time() -> None:
    consents = told(({"push": True}, 5, PHONE), ({"push": False}, 5, TABLET))
    assert consents == {"push": Consent(False, 5, TABLET)}
    take_answers(consents, {"push": True}, 5, PHONE)
    assert not allows(consents, "push")


def test_grant_from_before_a_login_does_not_undo_a_denial_however_new_it_is() -> None:
    known = told(({"messaging": False}, 5, TABLET))
    unite(known, told(({"messaging": True}, 99, PHONE)))
    assert known == {"messaging": Consent(False, 5, TABLET)}
    take_answers(known, {"messaging": True}, 6, PHONE)
    assert allows(known, "messaging")


def test_purposes_have_a_limit_within_which_those_obeyed_always_find_room() -> None:
    consents = told(({f"p{n}": True for n in range(PURPOSES_MAX + 1)}, 1, PHONE))
    assert len(consents) == PURPOSES_MAX
    unite(consents, told((dict.fromkeys([*OBEYED, "one more"], False), 1, PHONE)))
    assert len(consents) == PURPOSES_MAX + len(OBEYED)
    assert not any(allows(consents, purpose) for purpose in OBEYED)
