"""Laws of consent; its cases are the vector `consent_gate`."""

from hypothesis import given
from hypothesis import strategies as st

from zuruf.decisions.consent import (
    PURPOSE_CHARACTERS_MAX,
    PURPOSES,
    Consent,
    after_choice,
    after_opt_out,
    is_purpose,
    purpose_of,
)

names = st.sampled_from([*PURPOSES, "location"])
states = st.builds(Consent, st.dictionaries(names, st.booleans()), st.booleans(), st.booleans())
calls = st.lists(st.tuples(st.lists(names, max_size=2), st.booleans()) | st.booleans(), max_size=8)


def follow(state: Consent, calls: list[tuple[list[str], bool] | bool]) -> Consent:
    for call in calls:
        changed = (
            after_opt_out(state, out=call)
            if isinstance(call, bool)
            else after_choice(state, call[0], allowed=call[1])
        )
        state = changed.consent
    return state


@given(states)
def test_what_may_not_be_contacted_may_not_do_anything(state: Consent) -> None:
    if not state.may_contact:
        assert not any(state.status.values())
        assert not state.may_receive
        assert not state.may_push


@given(st.booleans(), calls)
def test_the_gateway_is_told_what_is_allowed_while_it_may_be_told(
    is_required: bool, calls: list[tuple[list[str], bool] | bool]
) -> None:
    """What is told, put together as the gateway does, is what the device obeys."""
    state, told = Consent(is_required=is_required), dict[str, bool]()
    for call in calls:
        changed = (
            after_opt_out(state, out=call)
            if isinstance(call, bool)
            else after_choice(state, call[0], allowed=call[1])
        )
        state = changed.consent
        told |= changed.tells
        assert {purpose: state.allows(purpose) for purpose in told} == told


@given(states, calls)
def test_an_opt_out_ends_where_it_began(
    state: Consent, calls: list[tuple[list[str], bool] | bool]
) -> None:
    inside = [call for call in calls if not isinstance(call, bool)]
    out = follow(after_opt_out(state, out=True).consent, list(inside))
    assert not any(out.status.values())
    back = after_opt_out(out, out=False).consent
    assert back == follow(state._replace(is_opted_out=False), list(inside))


@given(states, st.lists(names, max_size=3), st.booleans())
def test_events_are_purged_exactly_when_their_purpose_ends(
    state: Consent, purposes: list[str], allowed: bool
) -> None:
    changed = after_choice(state, purposes, allowed=allowed)
    for event_type in ("track", "message"):
        purpose = purpose_of(event_type)
        ended = state.allows(purpose) and not changed.consent.allows(purpose)
        assert (purpose in changed.purges) is ended


def test_a_purpose_is_a_name_of_1_to_64_characters() -> None:
    assert [is_purpose("x" * length) for length in (0, 1, PURPOSE_CHARACTERS_MAX, 65)] == [
        False,
        True,
        True,
        False,
    ]
    assert not is_purpose(7)
