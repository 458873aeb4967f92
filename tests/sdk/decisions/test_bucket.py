"""Laws of chance that stays; its cases are the vector `bucketing`."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from zuruf.decisions.bucket import BUCKETS, bucket, is_sampled, is_within

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)


@given(texts, texts)
def test_a_bucket_is_the_one_the_gateway_counts(unit: str, salt: str) -> None:
    first = hashlib.sha256(f"{salt}:{unit}".encode()).digest()[:4]
    assert bucket(unit, salt) == int.from_bytes(first, "big") % BUCKETS


@given(texts, texts, st.floats(0, BUCKETS), st.floats(0, BUCKETS))
def test_a_device_in_a_share_is_in_every_larger_one(
    unit: str, salt: str, some: float, more: float
) -> None:
    if some <= more and is_within(unit, salt, some):
        assert is_within(unit, salt, more)


def test_a_share_of_devices_is_about_that_many() -> None:
    inside = sum(
        is_sampled(f"device {number}", "track", "scrolled", 0.1, is_trigger=False)
        for number in range(10_000)
    )
    assert 850 < inside < 1_150


@given(st.text(max_size=5), st.text(max_size=5))
def test_no_text_breaks_a_bucket(unit: str, salt: str) -> None:
    assert 0 <= bucket(unit, salt) < BUCKETS
