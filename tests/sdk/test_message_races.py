"""Everything that can happen to messages, in any order and at any time: what must never happen, does not."""

import contextlib
import queue
import random
from collections import Counter
from collections.abc import Callable

import pytest

from tests.sdk.conftest import ClientFactory
from tests.sdk.fakes import a_message
from tests.sdk.scripted_gateway import ScriptedGateway, stream_event
from zuruf import DisplayDecision, Message, Show, Zuruf

ROUNDS = 300
TURN_S = 0.005
DECISIONS = [None, None, None, DisplayDecision.SHOW, DisplayDecision.DEFER, DisplayDecision.DISCARD]


class App:
    """An app with one thread, on which it calls the SDK and the SDK calls it."""

    def __init__(self, client_of: ClientFactory, chance: random.Random) -> None:
        self._chance = chance
        self._jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._pauses = contextlib.ExitStack()
        self._deferred: Counter[str] = Counter()
        self.open: list[Show] = []
        self.wrong: list[str] = []
        self.asked: Counter[tuple[int, str]] = Counter()
        # How often somebody else has taken over the device.
        self.person = 0
        self.person_of_token: dict[str, int] = {}
        self.client = client_of(callback_executor=self._jobs.put)
        self.client.in_app.on_message(self._on_message)

    def _on_message(self, message: Message, show: Show) -> DisplayDecision | None:
        # What a callback raises stays in the SDK, so what is wrong is gathered.
        self.wrong += self._wrong_about(message, show)
        self.asked[self.person, message.id] += 1
        decision = self._chance.choice(DECISIONS)
        if decision is DisplayDecision.DEFER:
            self._deferred[message.id] += 1
        elif decision is not DisplayDecision.DISCARD:
            show.shown()
            self.open.append(show)
        return decision

    def _wrong_about(self, message: Message, show: Show) -> list[str]:
        token = message.id.partition("/")[0]
        wrong = {
            "somebody else's": self.person_of_token.setdefault(token, self.person) != self.person,
            "paused": self.client.in_app.is_paused,
            "over": not show.is_current,
            "two overlays": bool(self.on_screen()),
            "twice": self.asked[self.person, message.id] > self._deferred[message.id],
        }
        return [f"{message.id}: {what}" for what, is_so in wrong.items() if is_so]

    def on_screen(self) -> list[Show]:
        return [show for show in self.open if show.is_current]

    def live(self) -> None:
        """Run what the SDK wants to tell, then do something."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._jobs.get(timeout=TURN_S)()
        doings = [
            self._close,
            self._close,
            self._look_around,
            self._pause,
            self._go_on,
            self._leave,
        ]
        rare = [self._log_out, self._say_no]
        self._chance.choice(doings * 4 + rare)()

    def _close(self) -> None:
        for show in self.open:
            if self._chance.random() < 0.5:
                show.dismissed()
            else:
                show.clicked("ok")
        self.open.clear()

    def _look_around(self) -> None:
        self.client.screen("home")

    def _pause(self) -> None:
        self._pauses.enter_context(self.client.in_app.pause())

    def _go_on(self) -> None:
        self._pauses.close()

    def _leave(self) -> None:
        self.client.on_background()
        self.client.on_foreground()

    def _log_out(self) -> None:
        self.client.reset()
        self.person += 1
        self._deferred.clear()
        if self.on_screen() or self.client.inbox.messages():
            self.wrong.append("something of the person before is left")

    def _say_no(self) -> None:
        self.client.consent.revoke("messaging")
        if self.on_screen():
            self.wrong.append("something is left without consent")
        self.client.consent.grant("messaging")


def disturb(gateway: ScriptedGateway, chance: random.Random, number: int) -> None:
    """Do something that a gateway or a network does."""
    tokens = [one.token for one in gateway.seen if "messages" in one.route]
    token = tokens[-1] if tokens else "token-1"
    match chance.randrange(100):
        case 0:
            gateway.cut_streams()
        case 1:
            gateway.push_to_streams(stream_event({}, event="drain"))
        case place if place < 20 and number:
            gateway.withdraw(f"{token}/{chance.randrange(number)}")
        case _:
            gateway.deliver(a_message(f"{token}/{number}", priority=chance.randrange(3)), to=token)


@pytest.mark.parametrize("seed", range(3))
def test_no_message_comes_up_twice_or_for_somebody_else_or_over_another_one(
    gateway: ScriptedGateway, client_of: ClientFactory, seed: int
) -> None:
    chance = random.Random(seed)
    app = App(client_of, chance)
    for number in range(ROUNDS):
        disturb(gateway, chance, number)
        app.live()
    assert app.wrong == []
    assert app.asked, "nothing was tested"
    assert_alive(app.client)


def assert_alive(client: Zuruf) -> None:
    client.track("still there")
    assert client.flush().is_complete
