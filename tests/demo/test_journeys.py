from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from client_demo.fleet.admin import Admin
from client_demo.fleet.journeys import Order, drafts, fits, install
from gateway import rule
from gateway.journeys.model import Draft, check

NAMES = [draft["name"] for draft in drafts()]


class FakeAdmin(Admin):
    """Keeps journeys in memory."""

    def __init__(self, kept: list[dict[str, Any]]) -> None:
        super().__init__("http://127.0.0.1", "sk")
        self.kept = kept

    def journeys(self) -> list[dict[str, Any]]:
        return self.kept

    def save_journey(self, journey_id: str | None, draft: dict[str, Any]) -> str:
        if journey_id is None:
            journey_id = f"jny_{len(self.kept)}"
            self.kept.append({"id": journey_id, "draft": draft})
        return journey_id


def test_the_gateway_takes_the_journeys() -> None:
    for draft in drafts():
        assert check(msgspec.convert(draft, Draft)).status == "live"


@given(st.integers(1, 217), st.floats(0, 1300))
def test_the_app_awaits_a_message_exactly_where_the_rule_fits(number: int, amount: float) -> None:
    order = Order(number, amount)
    for draft in drafts():
        where = rule.parse(msgspec.json.encode(draft["entry"]["where"]))
        match = rule.compile_rules([where])
        assert fits(draft["name"], order) == bool(match({"order": number, "amount": amount}))


def test_a_second_run_finds_the_journeys_of_the_first() -> None:
    admin = FakeAdmin([{"id": "jny_other", "draft": {"name": "Somebody's"}}])
    first = install(admin)
    assert install(admin) == first
    assert sorted(first.values()) == sorted(NAMES)
    assert len(admin.kept) == 1 + len(NAMES)


def test_journeys_are_found_however_the_gateway_nests_them() -> None:
    admin = FakeAdmin([{"id": "jny_a", "name": NAMES[0]}])
    assert install(admin)["jny_a"] == NAMES[0]
