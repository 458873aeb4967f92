"""Laws of delivery.

Its cases are the vectors `status_classification`, `backoff`, `batch_size` and `next_step`.
"""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zuruf.decisions.delivery import (
    BACKOFF_MS_MAX,
    GROW_AFTER,
    RETRY_AFTER_MS_MAX,
    Accepted,
    BatchSize,
    PartlyRefused,
    Refused,
    Retry,
    Situation,
    Step,
    backoff_ms,
    next_step,
    outcome,
    retry_after_ms,
)
from zuruf.wire import Response

OURS = {"x-zuruf": "1"}
chances = st.floats(0, 1, exclude_max=True)
situations = st.builds(
    Situation,
    now_ms=st.integers(0, 3),
    retry_at_ms=st.integers(0, 3),
    may_contact=st.booleans(),
    is_registered=st.booleans(),
    has_token=st.booleans(),
    has_consent_operation=st.booleans(),
    has_open_batch=st.booleans(),
    head=st.sampled_from([None, "event", "identity", "operation"]),
    head_is_due=st.booleans(),
    is_identity_refused=st.booleans(),
    is_renewal_due=st.booleans(),
    config_is_stale=st.booleans(),
)


@given(st.integers(1, 10_000), st.integers(0, 900_000), chances)
def test_back_off_is_bounded_and_never_shorter_than_asked(
    failures: int, floor_ms: int, chance: float
) -> None:
    wait_ms = backoff_ms(failures, floor_ms, chance)
    assert floor_ms <= wait_ms <= max(BACKOFF_MS_MAX, floor_ms)


@given(st.integers(1, 10_000), chances)
def test_back_off_grows_with_the_failures(failures: int, chance: float) -> None:
    assert backoff_ms(failures, 0, chance) <= backoff_ms(failures + 1, 0, chance)


@given(st.text())
def test_no_retry_after_is_beyond_reason(value: str) -> None:
    assert 0 <= retry_after_ms(value) <= RETRY_AFTER_MS_MAX


@given(st.integers(100, 599), st.binary(max_size=50))
def test_answer_without_our_header_never_costs_an_event(status: int, body: bytes) -> None:
    assert outcome(Response(status, {}, body), "") == Retry("foreign_answer")


@given(
    st.integers(100, 599),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["rejected", "id", "code", "x"]), inner, max_size=3)
        ),
    ),
)
def test_every_answer_means_something(status: int, body: Any) -> None:
    found = outcome(Response(status, OURS, repr(body).encode()), "")
    if isinstance(found, Accepted):
        assert 200 <= status <= 299
    if isinstance(found, Refused | PartlyRefused):
        assert status in {400, 422}


@pytest.mark.parametrize(
    "status, cause",
    [
        (304, "not_modified"),
        (403, "unexpected"),
        (404, "unknown_route"),
        (405, "unknown_route"),
        (429, "busy"),
        (503, "busy"),
    ],
)
def test_why_to_try_again_is_told_apart(status: int, cause: str) -> None:
    found = outcome(Response(status, OURS, b""), "")
    assert isinstance(found, Retry)
    assert found.cause == cause
    foreign = outcome(Response(status, {}, b""), "")
    assert isinstance(foreign, Retry)
    assert foreign.cause == "no_answer"


@given(situations)
def test_nothing_is_sent_before_its_time(situation: Situation) -> None:
    if situation.now_ms < situation.retry_at_ms:
        assert next_step(situation) is Step.WAIT


@given(situations)
def test_without_leave_only_a_known_device_speaks_and_only_of_consent(
    situation: Situation,
) -> None:
    step = next_step(situation._replace(may_contact=False))
    assert step in {Step.WAIT, Step.REGISTER, Step.MAKE_OPERATION}
    if step is not Step.WAIT:
        assert situation.is_registered
        assert situation.has_consent_operation


@given(situations)
def test_what_needs_a_token_waits_for_one(situation: Situation) -> None:
    step = next_step(situation._replace(has_token=False))
    assert step in {Step.WAIT, Step.REGISTER}


@given(situations)
def test_token_is_renewed_early_only_while_nothing_else_has_to_be_sent(
    situation: Situation,
) -> None:
    step = next_step(situation)
    without = next_step(situation._replace(is_renewal_due=False))
    if step is not without:
        assert step is Step.RENEW
        assert without in {Step.WAIT, Step.REFRESH_CONFIG}
        assert situation.may_contact
        assert situation.now_ms >= situation.retry_at_ms


def test_token_is_renewed_early_also_behind_a_login_that_was_refused() -> None:
    situation = Situation(now_ms=0, head="identity", is_identity_refused=True)
    assert next_step(situation._replace(is_renewal_due=True)) is Step.RENEW
    assert next_step(situation._replace(config_is_stale=True)) is Step.WAIT


@given(st.integers(2, 1_000), st.integers(2, 1_000))
def test_batch_size_shrinks_at_once_and_comes_back_slowly(events: int, events_max: int) -> None:
    size = BatchSize().halved(events)
    assert 1 <= size.within(events_max) <= max(1, events // 2)
    sizes = []
    while size.limit is not None:
        sizes.append(size.within(events_max))
        size = size.after_success(events_max)
    assert sizes == sorted(sizes)
    assert len(sizes) % GROW_AFTER == 0
    assert size.within(events_max) == events_max
