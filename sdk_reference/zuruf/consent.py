"""`client.consent`: what the person allows."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zuruf.core import Core


class Consent(StrEnum):
    """The purposes that the SDK itself obeys. An app may ask for more, under names of its own."""

    ANALYTICS = "analytics"
    """Recording what happens in the app."""
    MESSAGING = "messaging"
    """Fetching and showing messages."""
    PUSH = "push"
    """Telling the gateway the push token."""


class ConsentChoices:
    """What was granted and revoked, purpose by purpose. Kept, and told to the gateway."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def grant(self, *purposes: str) -> None:
        """Allow purposes from here on."""
        self._choose("grant", purposes, granted=True)

    def revoke(self, *purposes: str) -> None:
        """Deny purposes from here on. Events that need them and wait to be sent are deleted."""
        self._choose("revoke", purposes, granted=False)

    @property
    def status(self) -> Mapping[str, bool]:
        """What was chosen so far: purpose → granted. A purpose nobody chose about is not in it."""
        return self._core.recorder.consent

    def _choose(self, call: str, purposes: tuple[str, ...], *, granted: bool) -> None:
        self._core.attempt(
            f"consent.{call}",
            lambda: self._core.recorder.choose(dict.fromkeys(purposes, granted)),
        )
