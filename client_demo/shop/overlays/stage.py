"""Which messages are on the screen, and what is reported about them. No window, no threads.

At most one overlay has the stage. Inline messages have a slot of their own, the most important one first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

from client_demo.shop.observable import Signal
from zuruf import Button, DisplayDecision, Message

State = Literal["arriving", "visible", "leaving", "gone"]
Reason = Literal["closed", "swiped", "timeout", "back", "scrim", "answered"]
"""Why a person does not see a message any more, as it is reported."""


UNREAD = frozenset({"timeout", "withdrawn"})
"""It went without the person: nobody knows whether it was read."""


class Report(Protocol):
    """What is told about a message: `zuruf.Show`, or nothing for one that is read again."""

    @property
    def is_current(self) -> bool: ...
    def shown(self) -> None: ...
    def clicked(self, button_id: str) -> None: ...
    def answered(self, answers: dict[str, object]) -> None: ...
    def dismissed(self, reason: str = ...) -> None: ...
    def failed(self, reason: object = ...) -> None: ...


class ReadAgain:
    """For a message opened from the inbox: it was shown before, nothing is reported anew."""

    is_current = True

    def shown(self) -> None: ...
    def clicked(self, button_id: str) -> None: ...
    def answered(self, answers: dict[str, object]) -> None: ...
    def dismissed(self, reason: str = "closed") -> None: ...
    def failed(self, reason: object = "failed") -> None: ...


class Showing:
    """One message on its way over the screen: arriving, visible, leaving, gone."""

    def __init__(
        self, message: Message, report: Report, on_button: Callable[[Button], None]
    ) -> None:
        self.message = message
        self.state: State = "arriving"
        self.changed = Signal()
        self.is_withdrawn = False
        self.was_read = False
        """The person did something about it, so it is no news any more when it lies in the inbox."""
        self.is_read_again = isinstance(report, ReadAgain)
        self._report = report
        self._on_button = on_button

    @property
    def is_current(self) -> bool:
        """False when it must not be on the screen any more."""
        return self._report.is_current and not self.is_withdrawn

    def became_visible(self) -> None:
        """The person can see it now."""
        if self.state == "arriving":
            self.state = "visible"
            self._report.shown()
            self.changed()

    def choose(self, button: Button) -> None:
        """The person pressed a button: reported, done, and the overlay leaves."""
        if self.state not in {"arriving", "visible"}:
            return
        self.became_visible()
        self._report.clicked(button.id)
        self._leave("closed")
        self._on_button(button)

    def answer(self, answers: dict[str, object]) -> None:
        """The person answered the survey. The thanks stay on the screen."""
        if self.state in {"arriving", "visible"}:
            self._report.answered(answers)

    def close(self, reason: Reason) -> None:
        """The person, or time, closed it."""
        if self.state in {"arriving", "visible"}:
            self._leave(reason)

    def withdraw(self) -> None:
        """The gateway took it back, it expired, or somebody else uses the device: it goes, unasked."""
        self.is_withdrawn = True
        if self.state in {"arriving", "visible"}:
            # The SDK knows already; the report only frees the place for the next message.
            self._leave("withdrawn")

    def fail(self, error: object) -> None:
        """It could not be drawn."""
        if self.state != "gone":
            self._report.failed(error)
            self.state = "gone"
            self.changed()

    def left(self) -> None:
        """It is off the screen."""
        if self.state != "gone":
            self.state = "gone"
            self.changed()

    def _leave(self, reason: str) -> None:
        self.state = "leaving"
        self.was_read = reason not in UNREAD
        self._report.dismissed(reason)
        self.changed()


class Stage:
    """The overlay that is on the screen, and the inline messages."""

    def __init__(self, on_button: Callable[[Button], None]) -> None:
        self.overlay: Showing | None = None
        self.changed = Signal()
        self._inline: list[Showing] = []
        self._on_button = on_button

    @property
    def inline(self) -> Showing | None:
        """The inline message to show: the most important, then the newest one."""
        waiting = [one for one in self._inline if one.state in {"arriving", "visible"}]
        return max(waiting, key=_importance, default=None)

    @property
    def is_free(self) -> bool:
        return self.overlay is None or self.overlay.state == "gone"

    def offer(self, message: Message, report: Report) -> DisplayDecision:
        """Take a message; DEFER while another one is on the screen, DISCARD when it is over already."""
        if not report.is_current:
            return DisplayDecision.DISCARD
        if not message.is_overlay:
            self._take_inline(Showing(message, report, self._on_button))
            return DisplayDecision.SHOW
        if not self.is_free:
            return DisplayDecision.DEFER
        self._take(Showing(message, report, self._on_button))
        return DisplayDecision.SHOW

    def read_again(self, message: Message) -> bool:
        """Put a message of the inbox on the screen; False while another one is there."""
        if not self.is_free:
            return False
        self._take(Showing(message, ReadAgain(), self._on_button))
        return True

    def ended(self, message_id: str) -> None:
        """A message must not be on the screen any more."""
        for showing in (self.overlay, *self._inline):
            if showing is not None and showing.message.id == message_id:
                showing.withdraw()

    def clear(self) -> None:
        """Nothing may stay: the person has logged out."""
        for showing in (self.overlay, *list(self._inline)):
            if showing is not None:
                showing.withdraw()

    def back(self) -> bool:
        """Close the overlay by the Back key; False when there is none, and Back means something else."""
        if self.overlay is None or self.overlay.state in {"leaving", "gone"}:
            return False
        self.overlay.close("back")
        return True

    def _take(self, showing: Showing) -> None:
        self.overlay = showing

        def follow() -> None:
            if showing.state == "gone" and self.overlay is showing:
                self.overlay = None
                self.changed()

        showing.changed.connect(follow)
        self.changed()

    def _take_inline(self, showing: Showing) -> None:
        self._inline.append(showing)

        def follow() -> None:
            if showing.state in {"leaving", "gone"} and showing in self._inline:
                self._inline.remove(showing)
                self.changed()

        showing.changed.connect(follow)
        self.changed()


def _importance(showing: Showing) -> tuple[int, int]:
    return (showing.message.priority, showing.message.created_at)
