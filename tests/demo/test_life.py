import random
import time
from collections.abc import Callable
from typing import Any

from client_demo.fleet.journeys import THANKS, WELCOME, Order
from client_demo.fleet.life import Shop, _Eyes
from client_demo.fleet.tally import Outcome
from zuruf import Content, Message, Show

SHOP = Shop("http://127.0.0.1", "pk", {"jny_w": WELCOME, "jny_t": THANKS})


def deliver(eyes: _Eyes, journey_id: str, created_at: float) -> list[str]:
    """Show a message of a journey, made at a time; gives what the app reported."""
    reported: list[str] = []

    def report(name: str, props: dict[str, Any]) -> None:
        reported.append(name)

    message = Message("m", Content("modal"), created_at=round(created_at), journey_id=journey_id)
    eyes.look(message, Show(message, report, lambda: True))
    return reported


def placing(eyes: _Eyes) -> Callable[[Order], float]:
    def place(order: Order) -> float:
        eyes.place(order, lambda: "id")
        now_ms = time.time() * 1000
        time.sleep(0.02)
        return now_ms

    return place


def test_a_message_is_timed_from_the_order_that_led_to_it() -> None:
    outcome = Outcome("u1", "tv", "webos")
    eyes = _Eyes(SHOP, outcome, random.Random(1))
    place = placing(eyes)
    made_at = place(Order(1, 80.0))
    place(Order(2, 10.0))
    place(Order(3, 90.0))

    deliver(eyes, "jny_t", made_at)
    deliver(eyes, "jny_t", time.time() * 1000)
    (_, first_ms), (_, last_ms) = outcome.latencies_ms
    # The order of 10 led to nothing, and the one of 90 came after the first message was made.
    assert first_ms >= 60
    assert 20 <= last_ms < first_ms


def test_a_message_is_timed_even_when_the_clocks_differ() -> None:
    outcome = Outcome("u1", "tv", "webos")
    eyes = _Eyes(SHOP, outcome, random.Random(1))
    placing(eyes)(Order(1, 10.0))
    deliver(eyes, "jny_w", 1_000)
    assert [name for name, _ in outcome.latencies_ms] == [WELCOME]


def test_every_message_is_shown_and_ended_and_counted() -> None:
    outcome = Outcome("u1", "tv", "webos")
    eyes = _Eyes(SHOP, outcome, random.Random(1))
    assert deliver(eyes, "jny_w", 1) == ["message_shown", "message_dismissed"]


def test_only_messages_that_did_not_come_are_missed() -> None:
    eyes = _Eyes(SHOP, Outcome("u1", "tv", "webos"), random.Random(1))
    deliver(eyes, "jny_w", 1)
    assert eyes.wait_for({WELCOME}, 0.0) == set()
    assert eyes.wait_for({WELCOME, THANKS}, 0.0) == {THANKS}
