"""What the shop says to its customers: three journeys, written as its marketer would."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from client_demo.fleet.admin import Admin

WELCOME, THANKS, REGULAR = (
    "Demo: welcome",
    "Demo: thank-you",
    "Demo: regulars",
)
BIG_AMOUNT = 50
THANKS_MAX = 3
THANKS_COOLDOWN_S = 1
REGULAR_ORDER = 5


@dataclass(frozen=True, slots=True)
class Order:
    """What the rules look at."""

    number: int
    amount: float


def drafts() -> list[dict[str, Any]]:
    """Give the journeys as the admin API takes them."""
    return [
        _draft(
            WELCOME,
            {"all": [{"prop": "order", "op": "eq", "value": 1}]},
            layout="fullscreen",
            title="Welcome to the record shop",
            body="Your first order is on its way. Here is what others listened to next.",
            button=("listen", "Listen", {"type": "deep_link", "url": "shop://charts"}),
            priority=70,
            limits={"per_profile": 1},
        ),
        _draft(
            THANKS,
            {"all": [{"prop": "amount", "op": "gte", "value": BIG_AMOUNT}]},
            layout="modal",
            title="Thank you!",
            body="An order like yours travels without postage.",
            button=("ok", "OK", {"type": "dismiss"}),
            priority=60,
            limits={"per_profile": THANKS_MAX, "cooldown_s": THANKS_COOLDOWN_S},
        ),
        _draft(
            REGULAR,
            {"all": [{"prop": "order", "op": "eq", "value": REGULAR_ORDER}]},
            layout="banner",
            title="You know your way around",
            body="The fifth order makes you a regular. Regulars hear new records first.",
            button=("join", "Join", {"type": "event", "name": "regulars_joined"}),
            priority=50,
            limits={"per_profile": 1},
        ),
    ]


def fits(name: str, order: Order) -> bool:
    """Tell whether an order can start the journey of this name."""
    if name == WELCOME:
        return order.number == 1
    if name == THANKS:
        return order.amount >= BIG_AMOUNT
    return name == REGULAR and order.number == REGULAR_ORDER


def install(admin: Admin) -> dict[str, str]:
    """Bring the journeys live, those of an earlier run again; gives id → name."""
    known: dict[str, str] = {}
    for journey in admin.journeys():
        known.setdefault(_name(journey), str(journey["id"]))
    installed = {}
    for draft in drafts():
        name = str(draft["name"])
        installed[admin.save_journey(known.get(name), draft)] = name
    return installed


def _name(journey: Mapping[str, Any]) -> str:
    draft = journey.get("draft")
    return str((draft if isinstance(draft, dict) else journey).get("name"))


def _draft(
    name: str,
    where: dict[str, Any],
    *,
    layout: str,
    title: str,
    body: str,
    button: tuple[str, str, dict[str, Any]],
    priority: int,
    limits: dict[str, int],
) -> dict[str, Any]:
    button_id, label, action = button
    content = {
        "layout": layout,
        "title": title,
        "body": body,
        "buttons": [{"id": button_id, "label": label, "action": action}],
    }
    return {
        "name": name,
        "status": "live",
        "entry": {"event": "purchase", "where": where},
        "message": {"content": content, "priority": priority, "ttl_s": 86_400},
        "limits": limits,
    }
