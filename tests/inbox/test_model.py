from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec import UNSET

from gateway.errors import Problem
from gateway.inbox.model import (
    SHOWERS_REMEMBERED,
    WITHDRAWN_REMEMBERED,
    Changes,
    Content,
    DeepLink,
    Display,
    Inbox,
    OncePer,
    Page,
    Shelf,
    ShowLimit,
    adopt,
    cursor_at,
    encode_content,
    expire,
    mark_shown,
    page_for,
    put,
    read_shelf,
    take_all_back,
    take_back,
    withdraw,
)
from tests.builders import NOW

PROFILE = "5a757275" * 4
PHONE, TABLET = "phone", "tablet"


class Post:
    """An inbox and its shelf, kept up to date as a commit would."""

    def __init__(self) -> None:
        self.inbox = Inbox()
        self.fields: dict[bytes, bytes] = {}
        self.now = NOW

    def commit(self, changes: Changes) -> None:
        if not changes:
            return
        self.fields[b"v"] = b"%d" % self.inbox.version
        for name, value in changes.put.items():
            self.fields[name.encode()] = value
        for name in changes.drop:
            self.fields.pop(name.encode(), None)

    def put(
        self,
        id: str,
        *,
        priority: int = 50,
        once_per: OncePer = "person",
        limit: ShowLimit | None = None,
        device_id: str | None = None,
        ttl_s: int = 3_600,
    ) -> None:
        changes = Changes()
        put(
            self.inbox,
            changes,
            id,
            expires_at=self.now + ttl_s * 1000,
            priority=priority,
            display=Display(once_per, limit or UNSET),
            device_id=device_id,
            json=msgspec.json.encode(id),
        )
        self.commit(changes)

    def withdraw(self, id: str) -> bool:
        changes = Changes()
        found = withdraw(self.inbox, changes, id)
        self.commit(changes)
        return found

    def take_back(self, id: str) -> None:
        changes = Changes()
        take_back(self.inbox, changes, id)
        self.commit(changes)

    def shown(self, id: str, device_id: str | None = PHONE, *, is_showing: bool = True) -> None:
        changes = Changes()
        mark_shown(self.inbox, changes, id, device_id, is_showing=is_showing)
        self.commit(changes)

    def expire(self, id: str) -> None:
        changes = Changes()
        expire(self.inbox, changes, id, self.now)
        self.commit(changes)

    @property
    def shelf(self) -> Shelf:
        return read_shelf(self.fields)

    def page(self, after: str = "", device_id: str = PHONE) -> Page:
        return page_for(self.shelf, PROFILE, device_id, after, self.now)

    def ids(self, after: str = "", device_id: str = PHONE) -> list[Any]:
        return [msgspec.json.decode(raw) for raw in self.page(after, device_id).messages]


def test_new_inbox_has_nothing_to_say() -> None:
    page = Post().page()
    assert not page
    assert (page.cursor, page.reset) == (cursor_at(PROFILE, 0), False)


def test_messages_come_in_order_of_priority_then_age() -> None:
    post = Post()
    for id, priority in (("a", 50), ("b", 90), ("c", 50), ("d", 0), ("e", 90)):
        post.put(id, priority=priority)
    assert post.ids() == ["b", "e", "a", "c", "d"]


def test_cursor_leaves_out_what_was_handed_out_before() -> None:
    post = Post()
    post.put("a")
    cursor = post.page().cursor
    assert not post.page(cursor)
    post.put("b")
    assert post.ids(cursor) == ["b"]
    assert post.ids() == ["a", "b"]


def test_withdrawn_message_is_told_to_those_who_may_hold_it() -> None:
    post = Post()
    post.put("a")
    cursor = post.page().cursor
    assert post.withdraw("a")
    page = post.page(cursor)
    assert (page.messages, page.withdrawn, page.reset) == ([], ["a"], False)
    assert not post.page(page.cursor)
    assert not post.page("")


def test_message_is_withdrawn_once() -> None:
    post = Post()
    post.put("a")
    assert post.withdraw("a")
    version = post.inbox.version
    assert not post.withdraw("a")
    assert not post.withdraw("never there")
    assert post.inbox.version == version


def test_message_put_and_withdrawn_at_once_was_never_there() -> None:
    post = Post()
    changes = Changes()
    put(
        post.inbox,
        changes,
        "a",
        expires_at=NOW + 1,
        priority=1,
        display=Display(),
        device_id=None,
        json=b"{}",
    )
    withdraw(post.inbox, changes, "a")
    post.commit(changes)
    assert post.shelf.messages == {}
    assert changes.expire_at == {"a": None}


def test_cursor_from_elsewhere_starts_over() -> None:
    post = Post()
    post.put("a")
    version = post.inbox.version
    for cursor in ("00000000.1", "x", cursor_at(PROFILE, version + 1), f"{PROFILE[:8]}.-1"):
        page = post.page(cursor)
        assert (len(page.messages), page.withdrawn, page.reset) == (1, [], True)


def test_cursor_older_than_the_memory_of_withdrawals_starts_over() -> None:
    post = Post()
    post.put("kept")
    cursor = post.page().cursor
    for number in range(WITHDRAWN_REMEMBERED):
        post.put(f"m{number}")
        post.withdraw(f"m{number}")
    page = post.page(cursor)
    assert (page.reset, len(page.withdrawn)) == (False, WITHDRAWN_REMEMBERED)
    post.put("one more")
    post.withdraw("one more")
    page = post.page(cursor)
    assert (page.reset, page.withdrawn, len(page.messages)) == (True, [], 1)
    assert not post.page(page.cursor)


def test_memory_of_withdrawals_is_bounded() -> None:
    post = Post()
    for number in range(4 * WITHDRAWN_REMEMBERED):
        post.put(f"m{number}")
        post.withdraw(f"m{number}")
    assert len(post.inbox.withdrawn) == WITHDRAWN_REMEMBERED
    assert len(post.fields) == WITHDRAWN_REMEMBERED + len({"v", "floor"})


def test_message_shown_on_one_device_is_withdrawn_from_the_others() -> None:
    post = Post()
    post.put("a")
    cursor = post.page(device_id=TABLET).cursor
    post.shown("a", PHONE)
    assert post.page(cursor, TABLET).withdrawn == ["a"]
    assert post.page(cursor, PHONE).withdrawn == [], "its person reads it"
    assert post.ids(device_id=PHONE) == post.ids(device_id=TABLET) == []


def test_message_that_a_server_takes_back_goes_from_the_device_that_has_shown_it_too() -> None:
    post = Post()
    post.put("a")
    post.shown("a", PHONE)
    assert post.shelf.has("a")
    cursor = post.page().cursor
    post.take_back("a")
    assert post.page(cursor, PHONE).withdrawn == post.page(cursor, TABLET).withdrawn == ["a"]
    assert not post.shelf.has("a")
    assert len(post.inbox.withdrawn) == 1


def test_everything_that_a_device_may_have_is_taken_back_at_once() -> None:
    post = Post()
    for id in ("shown", "live", "gone"):
        post.put(id)
    post.shown("shown", PHONE)
    post.withdraw("gone")
    cursor = post.page().cursor
    changes = Changes()
    take_all_back(post.inbox, changes)
    post.commit(changes)
    assert set(post.page(cursor, PHONE).withdrawn) == {"shown", "live", "gone"}
    assert (post.inbox.items, post.shelf.messages) == ({}, {})


def test_message_that_nobody_has_is_not_taken_back() -> None:
    post = Post()
    post.put("a", ttl_s=1)
    post.now += 1_000
    post.expire("a")
    version = post.inbox.version
    post.take_back("a")
    assert (post.inbox.version, post.shelf.withdrawn) == (version, {})


def test_message_that_a_server_takes_back_goes_from_the_device_that_shows_it_too() -> None:
    post = Post()
    post.put("a", limit=ShowLimit(2))
    cursor = post.page().cursor
    post.shown("a", PHONE)
    post.withdraw("a")
    assert post.page(cursor, PHONE).withdrawn == post.page(cursor, TABLET).withdrawn == ["a"]


def test_message_once_per_device_goes_only_from_the_device_that_showed_it() -> None:
    post = Post()
    post.put("a", once_per="device")
    post.shown("a", PHONE)
    assert post.ids(device_id=PHONE) == []
    assert post.ids(device_id=TABLET) == ["a"]
    version = post.inbox.version
    post.shown("a", PHONE)
    assert post.inbox.version == version
    post.shown("a", TABLET)
    assert post.ids(device_id=TABLET) == []


def test_message_that_may_be_shown_again_stays_with_the_device_that_began() -> None:
    post = Post()
    post.put("a", limit=ShowLimit(3))
    cursor = post.page(device_id=PHONE).cursor
    for _ in range(2):
        post.shown("a", PHONE)
        assert post.page(cursor, TABLET).withdrawn == ["a"]
        assert post.page(cursor, PHONE).withdrawn == []
        assert (post.ids(device_id=PHONE), post.ids(device_id=TABLET)) == (["a"], [])
    post.shown("a", PHONE)
    assert post.page(cursor, PHONE).withdrawn == []
    assert post.ids(device_id=PHONE) == []
    assert (post.inbox.items, post.shelf.held) == ({}, {})


def test_device_that_took_it_up_sees_no_page_because_others_lose_it() -> None:
    post = Post()
    post.put("a", limit=ShowLimit(2))
    cursor = post.page().cursor
    post.shown("a", PHONE)
    page = post.page(cursor, PHONE)
    assert (page.messages, page.withdrawn, page.reset) == ([], [], False)


def test_showings_of_another_device_than_the_first_do_not_count() -> None:
    post = Post()
    post.put("a", limit=ShowLimit(2))
    post.shown("a", PHONE)
    for _ in range(5):
        post.shown("a", TABLET)
    assert post.ids(device_id=PHONE) == ["a"]


def test_message_with_a_limit_per_period_lives_until_its_end() -> None:
    post = Post()
    post.put("a", limit=ShowLimit(1, period_s=60), ttl_s=3_600)
    for _ in range(10):
        post.shown("a", PHONE)
    assert (post.ids(device_id=PHONE), post.ids(device_id=TABLET)) == (["a"], [])
    post.now += 3_600_000
    post.expire("a")
    assert (post.inbox.items, post.shelf.messages, post.shelf.held) == ({}, {}, {})


def test_each_device_counts_its_own_showings_of_what_is_for_each() -> None:
    post = Post()
    post.put("a", once_per="device", limit=ShowLimit(2))
    for device in (PHONE, TABLET, TABLET):
        post.shown("a", device)
    assert (post.ids(device_id=PHONE), post.ids(device_id=TABLET)) == (["a"], [])
    post.shown("a", PHONE)
    assert post.ids(device_id=PHONE) == []
    assert post.inbox.items["a"].shown == {}


def test_memory_of_devices_that_have_shown_a_message_is_bounded() -> None:
    post = Post()
    post.put("done", once_per="device")
    post.put("counted", once_per="device", limit=ShowLimit(2))
    devices = [f"d{number}" for number in range(SHOWERS_REMEMBERED + 1)]
    done, counted = post.inbox.items["done"], post.inbox.items["counted"]
    for told, device in enumerate(devices, 1):
        post.shown("done", device)
        post.shown("counted", device)
        assert len(done.shown_by) == len(counted.shown) == min(told, SHOWERS_REMEMBERED)
    assert done.shown_by == list(counted.shown) == devices[1:]
    assert [post.ids(device_id=device) for device in devices[:2]] == [
        ["done", "counted"],
        ["counted"],
    ]


def test_showings_of_what_ends_by_its_time_alone_are_not_counted() -> None:
    post = Post()
    post.put("a", once_per="device", limit=ShowLimit(1, 60))
    post.shown("a")
    assert post.inbox.items["a"].shown == {}


def test_click_is_no_showing_but_tells_that_there_was_one() -> None:
    post = Post()
    post.put("a", limit=ShowLimit(2))
    for _ in range(3):
        post.shown("a", PHONE, is_showing=False)
    assert post.ids(device_id=PHONE) == ["a"]
    post.shown("a", PHONE)
    assert post.ids(device_id=PHONE) == []


def test_message_moves_with_what_its_devices_have_made_of_it() -> None:
    before, after = Post(), Post()
    before.put("held", limit=ShowLimit(3))
    before.put("seen", once_per="device")
    before.shown("held", PHONE)
    before.shown("seen", PHONE)
    changes = Changes()
    for id, shelved in before.shelf.messages.items():
        adopt(after.inbox, changes, id, before.inbox.items[id], shelved)
    after.commit(changes)
    assert (after.ids(device_id=PHONE), after.ids(device_id=TABLET)) == (["held"], ["seen"])
    after.shown("held", PHONE)
    assert after.ids(device_id=PHONE) == ["held"]
    after.shown("held", PHONE)
    assert after.ids(device_id=PHONE) == []


@pytest.mark.parametrize(
    "display, showings",
    [
        (Display(), 1),
        (Display("device"), 1),
        (Display(limit=ShowLimit(1)), 1),
        (Display(limit=ShowLimit(7)), 7),
        (Display(limit=ShowLimit(1, 60)), 0),
    ],
)
def test_message_is_done_after_as_many_showings_as_it_says(display: Display, showings: int) -> None:
    assert display.showings == showings


def test_message_for_one_device_is_not_shown_to_others() -> None:
    post = Post()
    post.put("a", device_id=PHONE)
    assert (post.ids(device_id=PHONE), post.ids(device_id=TABLET)) == (["a"], [])


def test_showing_what_is_not_there_changes_nothing() -> None:
    post = Post()
    post.shown("a")
    assert post.fields == {}


def test_expired_message_is_not_handed_out_even_before_its_timer() -> None:
    post = Post()
    post.put("a", ttl_s=60)
    post.now += 59_999
    assert post.ids() == ["a"]
    post.now += 1
    assert post.ids() == []


def test_expiry_is_not_announced() -> None:
    post = Post()
    post.put("a", ttl_s=60)
    cursor = post.page().cursor
    post.now += 60_000
    post.expire("a")
    assert not post.page(cursor)
    assert (post.inbox.items, post.shelf.messages) == ({}, {})


def test_timer_that_comes_early_expires_nothing() -> None:
    post = Post()
    post.put("a", ttl_s=60)
    post.expire("a")
    assert post.ids() == ["a"]


class Inboxes(RuleBasedStateMachine):
    """Two devices that poll now and then always end up with what lives in the inbox."""

    def __init__(self) -> None:
        super().__init__()
        self.post = Post()
        self.made = 0
        self.cursors = {PHONE: "", TABLET: ""}
        self.held: dict[str, set[str]] = {PHONE: set(), TABLET: set()}
        self.shown: dict[str, set[str]] = {PHONE: set(), TABLET: set()}
        self.due: dict[str, int] = {}
        self.wanted: dict[str, tuple[OncePer, int]] = {}
        self.showings: dict[tuple[str, str], int] = {}
        self.first: dict[str, str] = {}

    devices = st.sampled_from([PHONE, TABLET])

    def any_live(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from(sorted(self.post.inbox.items)))

    @rule(
        count=st.integers(1, 3),
        once_per=st.sampled_from(["person", "device"]),
        limit=st.none() | st.builds(ShowLimit, st.integers(1, 3), st.none() | st.just(60)),
        device_id=st.none() | devices,
        ttl_s=st.integers(1, 100),
    )
    def messages_arrive(
        self,
        count: int,
        once_per: OncePer,
        limit: ShowLimit | None,
        device_id: str | None,
        ttl_s: int,
    ) -> None:
        for _ in range(count):
            self.made += 1
            id = f"m{self.made}"
            self.post.put(id, once_per=once_per, limit=limit, device_id=device_id, ttl_s=ttl_s)
            self.due[id] = self.post.now + ttl_s * 1000
            self.wanted[id] = (once_per, Display(once_per, limit or UNSET).showings)

    @precondition(lambda self: self.post.inbox.items)
    @rule(data=st.data())
    def server_withdraws(self, data: st.DataObject) -> None:
        assert self.post.withdraw(self.any_live(data))

    @precondition(lambda self: self.post.inbox.items)
    @rule(data=st.data(), device_id=devices)
    def device_shows(self, data: st.DataObject, device_id: str) -> None:
        """Told once more, as plainly as it can be said."""
        id = self.any_live(data)
        self.post.shown(id, device_id)
        once_per, showings = self.wanted.get(id, ("person", 1))
        if once_per == "person" and self.first.setdefault(id, device_id) != device_id:
            return
        times = self.showings[id, device_id] = self.showings.get((id, device_id), 0) + 1
        if once_per == "person":
            self.shown[PHONE if device_id == TABLET else TABLET].add(id)
        if showings and times >= showings:
            self.shown[device_id].add(id)
            self.held[device_id].discard(id)

    @rule(count=st.integers(20, 60))
    def many_come_and_go(self, count: int) -> None:
        for _ in range(count):
            self.made += 1
            self.post.put(f"m{self.made}")
            self.post.withdraw(f"m{self.made}")

    @rule(seconds=st.integers(1, 60))
    def time_passes(self, seconds: int) -> None:
        self.post.now += seconds * 1000

    @rule()
    def timers_fire(self) -> None:
        for id in list(self.post.inbox.items):
            self.post.expire(id)

    @rule(device_id=devices)
    def device_forgets(self, device_id: str) -> None:
        self.cursors[device_id] = ""
        self.held[device_id] = set()

    @rule(device_id=devices)
    def device_polls(self, device_id: str) -> None:
        page = self.post.page(self.cursors[device_id], device_id)
        got = {msgspec.json.decode(raw) for raw in page.messages}
        if page.reset:
            self.held[device_id] = set()
        self.held[device_id] = (self.held[device_id] | got) - set(page.withdrawn)
        self.cursors[device_id] = page.cursor
        now = self.post.now
        held = {id for id in self.held[device_id] if id not in self.due or self.due[id] > now}
        shelf = self.post.shelf
        live = {
            id
            for id, shelved in shelf.messages.items()
            if shelved.expires_at > now
            and shelved.device_id in {None, device_id}
            and id not in self.shown[device_id]
        }
        assert held == live
        assert not self.post.page(page.cursor, device_id)

    @invariant()
    def shelf_and_index_agree(self) -> None:
        shelf = self.post.shelf
        assert set(shelf.messages) == set(self.post.inbox.items)
        assert shelf.version == self.post.inbox.version or not self.post.fields
        assert set(shelf.shown_by) | set(shelf.held) <= set(shelf.messages)
        versions = {id: version for id, (version, _) in shelf.withdrawn.items()}
        assert versions == dict(self.post.inbox.withdrawn)
        assert len(shelf.withdrawn) <= WITHDRAWN_REMEMBERED


InboxesTest = Inboxes.TestCase
InboxesTest.settings = settings(max_examples=40, stateful_step_count=30)


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "JavaScript:1", "data:text/html,x", "file:///etc/passwd", "a b"]
)
def test_link_that_could_run_code_is_refused(url: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"type": "deep_link", "url": url}, DeepLink)


def test_content_is_bounded_as_a_whole() -> None:
    with pytest.raises(Problem, match="invalid_body"):
        encode_content(Content("modal", theme={"art": "x" * 40_000}))
