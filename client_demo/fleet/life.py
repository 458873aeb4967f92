"""One customer's life on one device, played through the SDK as the shop's app would use it."""

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from client_demo.fleet.journeys import REGULAR, THANKS, WELCOME, Order, fits
from client_demo.fleet.purchases import Customer
from client_demo.fleet.tally import Outcome
from zuruf import Config, DisplayDecision, Message, Show, SystemPlatform, Zuruf

CLICK_CHANCE = 0.3
REOPENED_MAX = 2


@dataclass(frozen=True, slots=True)
class Pace:
    """How 18 months become seconds."""

    day_s: float = 0.004
    # From opening the app to the first order.
    browse_s: float = 0.3
    # From the last order to closing the app, when no message is awaited.
    linger_s: float = 0.1
    # How long a customer looks out for a message that must come.
    patience_s: float = 10.0
    close_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Shop:
    """Where the app belongs to, and what the ids of its journeys stand for."""

    endpoint: str
    publishable_key: str
    journeys: dict[str, str]


@dataclass(frozen=True, slots=True)
class Life:
    """Who lives, and with which device."""

    user_id: str
    customer: Customer
    handset: SystemPlatform


@dataclass(frozen=True, slots=True)
class _Placed:
    order: Order
    at_s: float
    wall_ms: float


class _Eyes:
    """The customer in front of the screen: notes messages, and answers them."""

    def __init__(self, shop: Shop, outcome: Outcome, chance: random.Random) -> None:
        self._journeys = shop.journeys
        self._outcome = outcome
        self._chance = chance
        self._placed: list[_Placed] = []
        self._seen: set[str] = set()
        self._changed = threading.Condition()

    def place(self, order: Order, track: Callable[[], str]) -> str:
        """Note when an order was placed, right before it is tracked."""
        with self._changed:
            self._placed.append(_Placed(order, time.perf_counter(), time.time() * 1000))
        return track()

    def look(self, message: Message, show: Show) -> DisplayDecision:
        """Be shown a message: this is the app's callback."""
        now_s = time.perf_counter()
        show.shown()
        buttons = message.content.buttons
        if buttons and self._chance.random() < CLICK_CHANCE:
            show.clicked(buttons[0].id)
            self._outcome.clicked += 1
        else:
            show.dismissed()
        name = self._journeys.get(message.journey_id or "", "other")
        with self._changed:
            cause = self._cause(name, message.created_at)
            if cause is not None:
                self._outcome.latencies_ms.append((name, (now_s - cause.at_s) * 1000))
            self._seen.add(name)
            self._changed.notify_all()
        return DisplayDecision.SHOW

    def wait_for(self, names: set[str], patience_s: float) -> set[str]:
        """Look out for messages; gives those that did not come."""
        with self._changed:
            self._changed.wait_for(lambda: names <= self._seen, patience_s)
            return names - self._seen

    def _cause(self, name: str, created_at_ms: int) -> _Placed | None:
        """Find the order that led to a message: the last that fits and is not younger than it."""
        fitting = [placed for placed in self._placed if fits(name, placed.order)]
        older = [placed for placed in fitting if placed.wall_ms <= created_at_ms + 1]
        # With a gateway on another machine the clocks may differ; then it is the first.
        return older[-1] if older else next(iter(fitting), None)


def play(
    life: Life, shop: Shop, home: Path, pace: Pace, executor: Executor, stop: Callable[[], bool]
) -> Outcome:
    """Live one life: open the app, log in, buy in the order of the history, close the app."""
    handset, purchases = life.handset, life.customer.purchases
    chance = random.Random(life.user_id)
    outcome = Outcome(life.user_id, handset.form_factor, handset.name)
    eyes, tracked = _Eyes(shop, outcome, chance), outcome.tracked
    config = Config(
        endpoint=shop.endpoint,
        publishable_key=shop.publishable_key,
        storage_dir=home,
        platform=handset,
        callback_executor=executor,
    )
    client = Zuruf(config)
    try:
        client.in_app.on_message(eyes.look)
        tracked["home"] += bool(client.screen("home"))
        # The first screen was seen by somebody anonymous; the login makes it theirs.
        client.identify(life.user_id, {"cohort": f"{purchases[0].date:%Y-%m}"})
        tracked["identify"] += 1
        time.sleep(pace.browse_s * chance.uniform(0.7, 1.3))
        before, orders = purchases[0].date, []
        for number, purchase in enumerate(purchases, 1):
            if stop():
                break
            time.sleep((purchase.date - before).days * pace.day_s)
            before = purchase.date
            order = Order(number, purchase.amount)
            props = {
                "order": number,
                "amount": purchase.amount,
                "currency": "USD",
                "cds": purchase.cds,
                "date": purchase.date.isoformat(),
            }
            tracked["basket"] += bool(client.screen("basket", {"cds": purchase.cds}))
            placed = eyes.place(order, partial(client.track, "purchase", props))
            tracked["purchase"] += bool(placed)
            orders.append(order)
        outcome.big_orders = sum(fits(THANKS, order) for order in orders)
        awaited = {
            name
            for name in (WELCOME, THANKS, REGULAR)
            if any(fits(name, order) for order in orders)
        }
        time.sleep(pace.linger_s)
        outcome.awaited = len(eyes.wait_for(awaited, pace.patience_s))
    finally:
        _close(client, outcome, pace)
    # A message that came while the app closed was noted on disk: the next start sends the receipt.
    while outcome.unsent and outcome.reopened < REOPENED_MAX:
        outcome.reopened += 1
        client = Zuruf(config)
        client.start()
        _close(client, outcome, pace)
    return outcome


def _close(client: Zuruf, outcome: Outcome, pace: Pace) -> None:
    outcome.unsent = client.shutdown(pace.close_s).remaining
    diagnostics = client.diagnostics()
    outcome.acknowledged += diagnostics.sent_events
    outcome.dropped.update(diagnostics.dropped)
