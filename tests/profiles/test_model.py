from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.profiles.changes import ATTRIBUTES_MAX
from gateway.profiles.consent import allows, take_answers
from gateway.profiles.model import (
    COUNTED_NAMES_MAX,
    DEVICES_MAX,
    KnownDevice,
    Profile,
    absorb,
    fold,
    meet_device,
    set_attributes,
    set_push,
)
from gateway.records import Event, PushToken
from tests.builders import NOW, a_read_event

PHONE = "phone"


def a_profile(*events: Event, id: str = "p1") -> Profile:
    profile = Profile(id, "app1")
    for event in events:
        fold(profile, event, event.ts, None)
    return profile


def identify(**attributes: Any) -> Event:
    return a_read_event("identify", type="identify", props=attributes)


events = st.builds(
    lambda name, ts, session: a_read_event(name, ts=ts, session_id=session),
    st.sampled_from(["purchase", "open", "close"]),
    st.integers(1, 10_000),
    st.sampled_from([None, "s1", "s2", "s3"]),
)


# --- laws ------------------------------------------------------------------------------------


@given(st.lists(events, max_size=12).flatmap(lambda e: st.tuples(st.just(e), st.permutations(e))))
def test_order_of_events_does_not_matter_to_what_is_counted(
    orders: tuple[list[Event], list[Event]],
) -> None:
    one, other = (a_profile(*order) for order in orders)
    assert (one.events, one.counts) == (other.events, other.counts)
    assert (one.first_seen, one.last_seen) == (other.first_seen, other.last_seen)
    assert one.sessions == other.sessions


@given(st.lists(events, max_size=12))
def test_counts_add_up_to_the_events(batch: list[Event]) -> None:
    profile = a_profile(*batch)
    assert sum(profile.counts.values()) == profile.events == len(batch)
    times = [event.ts for event in batch]
    assert (profile.first_seen, profile.last_seen) == (min(times, default=0), max(times, default=0))


@given(st.lists(events, max_size=10), st.integers(0, 10))
def test_doing_things_before_a_login_or_after_it_comes_to_the_same(
    batch: list[Event], login_at: int
) -> None:
    anonymous = a_profile(*batch[:login_at], id="anonymous")
    known = a_profile(*batch[login_at:], id="known")
    absorb(known, anonymous)
    whole = a_profile(*batch)
    assert (known.events, known.counts) == (whole.events, whole.counts)
    assert (known.first_seen, known.last_seen) == (whole.first_seen, whole.last_seen)
    assert known.sessions == whole.sessions
    assert known.links == ["anonymous"]


@given(st.lists(events, max_size=10))
def test_stored_profile_is_read_back_as_it_was(batch: list[Event]) -> None:
    profile = a_profile(*batch, identify(plan="pro", tags=["a", 1, None]))
    meet_device(profile, PHONE, "ios", "phone", NOW)
    packed = msgspec.msgpack.encode(profile)
    assert msgspec.msgpack.decode(packed, type=Profile) == profile


def test_profile_that_an_older_version_stored_is_read() -> None:
    """By position, and what came later is empty."""
    profile = a_profile(a_read_event(session_id="s"), identify(plan="pro"))
    meet_device(profile, PHONE, "ios", "phone", NOW)
    fields = msgspec.msgpack.decode(msgspec.msgpack.encode(profile))
    devices = {id: device[:4] for id, device in fields[8].items()}
    old = msgspec.msgpack.encode([*fields[:8], devices, *fields[9:13]])
    assert msgspec.msgpack.decode(old, type=Profile) == profile


# --- sessions --------------------------------------------------------------------------------


def test_events_of_one_session_are_one_session() -> None:
    same = [a_read_event(session_id="s1") for _ in range(3)]
    assert a_profile(*same, a_read_event()).sessions == 1


def test_late_event_of_an_earlier_session_starts_no_new_one() -> None:
    order = ["s1", "s2", "s1", "s3", "s2"]
    assert a_profile(*[a_read_event(session_id=session) for session in order]).sessions == 3


# --- attributes ------------------------------------------------------------------------------


def test_identify_sets_changes_and_removes_attributes() -> None:
    profile = a_profile(identify(plan="free", city="Bonn"), identify(plan="pro", city=None, age=3))
    assert profile.attributes == {"plan": "pro", "age": 3}


def test_only_identify_sets_attributes() -> None:
    assert a_profile(a_read_event(props={"plan": "pro"})).attributes == {}


def test_attributes_have_a_limit_beyond_which_known_ones_still_change() -> None:
    profile = a_profile(identify(**{f"a{n}": n for n in range(ATTRIBUTES_MAX)}))
    fold(profile, identify(a0="changed", more=1), NOW, None)
    assert len(profile.attributes) == ATTRIBUTES_MAX
    assert profile.attributes["a0"] == "changed"
    assert "more" not in profile.attributes
    fold(profile, identify(a0=None, more=1), NOW, None)
    assert profile.attributes["more"] == 1


def test_known_profile_wins_over_the_anonymous_one() -> None:
    known = a_profile(identify(plan="pro"))
    absorb(known, a_profile(identify(plan="free", city="Bonn"), id="anonymous"))
    assert known.attributes == {"plan": "pro", "city": "Bonn"}


# --- limits ----------------------------------------------------------------------------------


def test_names_beyond_the_limit_are_counted_together() -> None:
    names = [f"event {n}" for n in range(COUNTED_NAMES_MAX + 3)]
    profile = a_profile(*[a_read_event(name) for name in [*names, names[0]]])
    assert len(profile.counts) == COUNTED_NAMES_MAX + 1
    assert (profile.counts["(other)"], profile.counts["event 0"]) == (3, 2)


def test_names_stay_within_the_limit_when_profiles_merge() -> None:
    known, anonymous = (
        a_profile(*[a_read_event(f"{who} {n}") for n in range(COUNTED_NAMES_MAX)], id=who)
        for who in ("known", "anonymous")
    )
    absorb(known, anonymous)
    assert len(known.counts) <= COUNTED_NAMES_MAX + 1
    assert sum(known.counts.values()) == known.events


def test_device_that_was_quiet_longest_makes_room() -> None:
    profile = a_profile()
    for number in range(DEVICES_MAX):
        meet_device(profile, f"d{number}", "ios", "phone", NOW + number)
    fold(profile, a_read_event(), NOW + 1_000, "d0")
    meet_device(profile, "new", "ios", "phone", NOW + 2_000)
    assert len(profile.devices) == DEVICES_MAX
    assert {"d0", "new"} <= profile.devices.keys()
    assert "d1" not in profile.devices


# --- devices ---------------------------------------------------------------------------------


def test_device_is_known_by_its_registration_and_seen_by_its_events() -> None:
    profile = a_profile()
    meet_device(profile, PHONE, "ios", "phone", NOW)
    fold(profile, a_read_event(), NOW + 5, PHONE)
    fold(profile, a_read_event(), NOW - 5, PHONE)
    assert profile.devices == {PHONE: KnownDevice("ios", "phone", NOW, NOW + 5)}
    assert (profile.first_seen, profile.last_seen) == (NOW - 5, NOW + 5)


def test_device_that_registers_again_keeps_when_it_was_first_seen() -> None:
    profile = a_profile()
    meet_device(profile, PHONE, "ios", "phone", NOW)
    meet_device(profile, PHONE, "ios", "tablet", NOW + 5)
    assert profile.devices == {PHONE: KnownDevice("ios", "tablet", NOW, NOW + 5)}


@given(st.permutations(range(5)))
def test_push_token_is_the_one_that_was_told_last_whatever_arrives_last(order: list[int]) -> None:
    tellings = [PushToken("a", "fcm"), None, PushToken("b", "fcm"), PushToken("c", "apns"), None]
    for last in range(5):
        profile = a_profile()
        meet_device(profile, PHONE, "ios", "phone", NOW)
        for number in order:
            if number <= last:
                set_push(profile, PHONE, tellings[number], NOW + number)
        assert profile.devices[PHONE].push == tellings[last]


def test_push_token_of_a_device_that_made_room_is_not_kept() -> None:
    profile = a_profile()
    set_push(profile, PHONE, PushToken("a", "fcm"), NOW)
    assert profile.devices == {}


def test_linked_profile_hands_over_no_push_token() -> None:
    known, anonymous = a_profile(), a_profile(id="anonymous")
    meet_device(anonymous, PHONE, "ios", "phone", NOW)
    set_push(anonymous, PHONE, PushToken("a", "fcm"), NOW)
    absorb(known, anonymous)
    assert known.devices[PHONE].push is None


@pytest.mark.parametrize("side", ["known", "anonymous"])
def test_what_an_anonymous_profile_did_stays_behind_when_either_side_denies_analytics(
    side: str,
) -> None:
    known, anonymous = a_profile(), a_profile(id="anonymous")
    meet_device(anonymous, PHONE, "ios", "phone", NOW)
    told = [
        a_read_event(session_id="s"),
        identify(plan="pro"),
        a_read_event("company", type="group", props={"group_id": "acme"}),
        a_read_event("alias", type="alias", props={"alias": "crm-7"}),
    ]
    for event in told:
        fold(anonymous, event, NOW, PHONE)
    denying = known if side == "known" else anonymous
    take_answers(denying.consent, {"analytics": False}, NOW, PHONE)
    absorb(known, anonymous)
    assert (known.events, known.counts, known.sessions, known.recent_sessions) == (0, {}, 0, [])
    assert (known.attributes, known.groups, known.aliases) == ({}, {}, [])
    assert known.devices == {PHONE: KnownDevice("ios", "phone", NOW, NOW)}
    assert known.links == ["anonymous"]
    assert not allows(known.consent, "analytics")


def test_devices_of_the_anonymous_profile_come_along() -> None:
    known, anonymous = a_profile(), a_profile(id="anonymous")
    meet_device(known, "tablet", "ios", "tablet", NOW)
    meet_device(anonymous, PHONE, "ios", "phone", NOW - 50)
    fold(anonymous, a_read_event(), NOW - 10, PHONE)
    absorb(known, anonymous)
    assert known.devices[PHONE] == KnownDevice("ios", "phone", NOW - 50, NOW - 10)
    assert len(known.devices) == 2


def test_attributes_that_would_make_a_profile_huge_are_left_out() -> None:
    profile = Profile("p", "a")
    set_attributes(profile, {"plan": "pro"})
    set_attributes(profile, {"plan": "free", "essay": ["x" * 4000] * 9})
    assert profile.attributes == {"plan": "pro"}
