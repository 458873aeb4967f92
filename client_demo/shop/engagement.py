"""The bridge to the SDK: what this app tells it, and what it hears back. The only file that calls `zuruf`.

Works without a gateway: with no key there is no client, and every call is a quiet nothing. The names of the
events are those of the field (docs/protocol.md asks for none in particular).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from client_demo.shop.model.basket import Basket, Position
from client_demo.shop.model.catalogue import Product
from client_demo.shop.model.store import Order, Person
from client_demo.shop.observable import Signal
from client_demo.shop.traffic import Traffic
from zuruf import (
    Config,
    Diagnostics,
    DisplayDecision,
    FlushResult,
    HttpTransport,
    InboxMessage,
    Message,
    Platform,
    PushHandling,
    Show,
    Zuruf,
)

PURPOSES: tuple[str, ...] = ("analytics", "messaging", "push")
"""What the person is asked about: the purposes that the SDK obeys."""
CURRENCY = "EUR"
SHUTDOWN_S = 1.5
CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 10.0, 15.0
RESTART_S = 0.2
"""How long a restart waits for what is being sent; the rest is on disk."""

RunOnMain = Callable[[Callable[[], None]], object]
Present = Callable[[Message, Show], DisplayDecision | None]


class Engagement:
    """One client of the SDK, spoken to in the words of a shop.

    `changed` fires on the main thread when something that is shown changed: the inbox, the stream, the
    person, the configuration.
    """

    def __init__(
        self,
        client: Zuruf | None,
        *,
        endpoint: str = "",
        traffic: Traffic | None = None,
        renew: Callable[[], Zuruf] | None = None,
    ) -> None:
        self._client = client
        self._renew = renew
        self._present: Present | None = None
        self.endpoint = endpoint
        self.traffic = traffic
        """The switch on the way to the gateway, and what was answered lately."""
        self.changed = Signal()
        self.message_ended: Callable[[str], None] = lambda message_id: None
        """Told the id of a message that must leave the screen."""
        self.last_delivered: tuple[str, ...] = ()
        self._listen()

    @property
    def client(self) -> Zuruf | None:
        """The SDK's client, for what a developer panel shows."""
        return self._client

    @property
    def is_configured(self) -> bool:
        """Whether there is a gateway to talk to at all."""
        return self._client is not None

    def start(self, present: Present) -> None:
        """Begin; `present` is given the in-app messages, on the main thread."""
        self._present = present
        if self._client is not None:
            self._client.in_app.on_message(present)
            self._client.start()

    def restart(self) -> bool:
        """End the client and make a new one over the same files; False when there is none to make."""
        if self._client is None or self._renew is None:
            return False
        self._client.shutdown(RESTART_S)
        self._client = self._renew()
        self._listen()
        if self._present is not None:
            self.start(self._present)
        self.changed()
        return True

    # What happens in the shop

    def screen(self, name: str, props: Mapping[str, str] | None = None) -> None:
        if self._client is not None:
            self._client.screen(name, dict(props or {}))

    def track(self, name: str, props: Mapping[str, Any] | None = None) -> str:
        """Record an event; gives its id, empty without a gateway."""
        return "" if self._client is None else self._client.track(name, props)

    def product_viewed(self, product: Product) -> None:
        self.track("product_viewed", _about(product))

    def searched(self, query: str, results: int) -> None:
        self.track("searched", {"query": query, "results": results})

    def favourite_changed(self, product: Product, *, is_favourite: bool) -> None:
        self.track(
            "added_to_favourites" if is_favourite else "removed_from_favourites", _about(product)
        )

    def added_to_basket(self, product: Product, variant: str, quantity: int) -> None:
        self.track("added_to_basket", {**_about(product), "variant": variant, "quantity": quantity})

    def removed_from_basket(self, position: Position) -> None:
        self.track(
            "removed_from_basket",
            {
                **_about(position.product),
                "variant": position.variant,
                "quantity": position.quantity,
            },
        )

    def checkout_started(self, basket: Basket) -> None:
        self.track(
            "checkout_started",
            {"amount": basket.total / 100, "currency": CURRENCY, "items": basket.quantity},
        )

    def purchase(self, order: Order) -> None:
        self.track(
            "purchase",
            {
                "order": order.number,
                "amount": order.total / 100,
                "currency": CURRENCY,
                "items": order.quantity,
                "products": list(order.products),
            },
        )
        if self._client is not None:
            self._client.increment("orders")
            self._client.set_user_properties({"last_order_amount": order.total / 100})

    # Who it is

    def log_in(self, person: Person, *, language: str) -> None:
        if self._client is not None:
            self._client.identify(
                person.user_id, {"name": person.name, "email": person.email, "language": language}
            )

    def log_out(self) -> None:
        if self._client is not None:
            self._client.reset()

    # What the person allows

    @property
    def consent(self) -> dict[str, bool]:
        """What holds for each of `PURPOSES`; what nobody was asked about is allowed."""
        chosen = {} if self._client is None else self._client.consent.status
        return {purpose: chosen.get(purpose, True) for purpose in PURPOSES}

    def set_consent(self, purpose: str, *, is_granted: bool) -> None:
        if self._client is not None:
            change = self._client.consent.grant if is_granted else self._client.consent.revoke
            change(purpose)
            self.changed()

    @property
    def is_opted_out(self) -> bool:
        return self._client is not None and self._client.is_opted_out

    def set_opted_out(self, *, is_out: bool) -> None:
        if self._client is not None:
            (self._client.opt_out if is_out else self._client.opt_in)()
            self.changed()

    def delete_local_data(self) -> None:
        if self._client is not None:
            self._client.delete_local_data()

    # Messages

    def pause_messages(self, reason: str) -> AbstractContextManager[object]:
        """Hold in-app messages back until the context is left."""
        return nullcontext() if self._client is None else self._client.in_app.pause(reason)

    @property
    def inbox(self) -> tuple[InboxMessage, ...]:
        return () if self._client is None else self._client.inbox.messages()

    @property
    def unread(self) -> int:
        return 0 if self._client is None else self._client.inbox.unread

    def mark_read(self, message_id: str) -> None:
        if self._client is not None:
            self._client.inbox.mark_read(message_id)

    def remove_message(self, message_id: str) -> None:
        if self._client is not None:
            self._client.inbox.remove(message_id)

    # Push and links

    def register_push(self, token: str) -> None:
        if self._client is not None:
            self._client.push.register(token, provider="fcm")

    def unregister_push(self) -> None:
        if self._client is not None:
            self._client.push.unregister()

    def handle_push(self, payload: Mapping[str, Any]) -> PushHandling:
        return (
            PushHandling.IGNORED
            if self._client is None
            else self._client.push.handle(dict(payload))
        )

    def deep_link(self, url: str) -> None:
        if self._client is not None:
            self._client.deep_link(url)

    # Configuration

    def remote(self, key: str, default: Any = None) -> Any:
        """Give a value of the remote configuration."""
        return default if self._client is None else self._client.remote_config.get(key, default)

    def remote_values(self) -> Mapping[str, Any]:
        return {} if self._client is None else self._client.remote_config.all()

    # Life of the app

    def on_background(self) -> None:
        if self._client is not None:
            self._client.on_background()

    def on_foreground(self) -> None:
        if self._client is not None:
            self._client.on_foreground()

    def flush(self, timeout_s: float) -> FlushResult | None:
        """Send what waits. Blocks: not for the main thread."""
        return None if self._client is None else self._client.flush(timeout_s)

    def shutdown(self) -> None:
        if self._client is not None:
            self._client.shutdown(SHUTDOWN_S)

    # How it is doing

    def diagnostics(self) -> Diagnostics:
        return Diagnostics() if self._client is None else self._client.diagnostics()

    def _listen(self) -> None:
        client = self._client
        if client is None:
            return
        for topic in (
            "stream_state",
            "identity_changed",
            "config_changed",
            "inbox_changed",
            "dropped",
        ):
            client.subscribe(topic, lambda _: self.changed())
        client.subscribe("delivered", self._delivered)
        client.subscribe("message_ended", self._message_ended)

    def _message_ended(self, message_id: str) -> None:
        # Whoever takes messages off the screen comes after the client.
        self.message_ended(message_id)

    def _delivered(self, event_ids: tuple[str, ...]) -> None:
        self.last_delivered = event_ids
        self.changed()


def connect(
    endpoint: str,
    publishable_key: str,
    storage_dir: Path,
    platform: Platform,
    run_on_main: RunOnMain,
) -> Engagement:
    """Make the client; `run_on_main` brings its callbacks to the main thread. Raises zuruf's ConfigError."""

    def transport() -> HttpTransport:
        return HttpTransport(
            endpoint, connect_timeout_s=CONNECT_TIMEOUT_S, read_timeout_s=READ_TIMEOUT_S
        )

    traffic = Traffic(transport())
    config = Config(
        endpoint=endpoint,
        publishable_key=publishable_key,
        storage_dir=storage_dir,
        platform=platform,
        callback_executor=run_on_main,
        transport=traffic,
    )

    def renew() -> Zuruf:
        # A client closes its transport when it ends.
        traffic.replace(transport())
        return Zuruf(config)

    return Engagement(Zuruf(config), endpoint=endpoint, traffic=traffic, renew=renew)


def _about(product: Product) -> dict[str, Any]:
    return {
        "product_id": product.id,
        "name": product.name["en"],
        "category": product.category,
        "price": product.price / 100,
        "currency": CURRENCY,
    }
