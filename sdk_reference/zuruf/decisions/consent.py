"""What a person allows, and what that lets through. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

ANALYTICS, MESSAGING, PUSH = "analytics", "messaging", "push"
PURPOSES = (ANALYTICS, MESSAGING, PUSH)
"""What the SDK obeys. Any other purpose is kept and told to the gateway."""
PURPOSE_CHARACTERS_MAX = 64

NOTHING_SAID: Mapping[str, bool] = MappingProxyType({})


class Consent(NamedTuple):
    """What was said about each purpose. What was not said is allowed, unless consent is required."""

    purposes: Mapping[str, bool] = NOTHING_SAID
    is_required: bool = False
    # Lies over everything that was said and leaves it as it is for the time after.
    is_opted_out: bool = False

    def allows(self, purpose: str) -> bool:
        return not self.is_opted_out and self.purposes.get(purpose, not self.is_required)

    @property
    def status(self) -> dict[str, bool]:
        """Give every purpose that the SDK obeys or that was named, and whether it is allowed."""
        return {purpose: self.allows(purpose) for purpose in (*PURPOSES, *self.purposes)}

    @property
    def may_contact(self) -> bool:
        """Tell whether anything may go over the network, a registration included."""
        if self.is_opted_out:
            return False
        return not self.is_required or any(self.purposes.values())

    @property
    def may_receive(self) -> bool:
        """Tell whether messages may be fetched and shown."""
        return self.may_contact and self.allows(MESSAGING)

    @property
    def may_push(self) -> bool:
        """Tell whether the push token may be told."""
        return self.may_contact and self.allows(PUSH)


class Changed(NamedTuple):
    """What follows from a change of consent.

    `tells`: what to put into the consent request, purpose → allowed; empty when there is nothing to
    tell. `purges`: the purposes whose unsent events go.
    """

    consent: Consent
    tells: Mapping[str, bool]
    purges: tuple[str, ...]


def purpose_of(event_type: str) -> str:
    """Give the purpose that an event of a type needs."""
    return MESSAGING if event_type == "message" else ANALYTICS


def is_purpose(name: object) -> bool:
    """Tell whether a name can be that of a purpose."""
    return isinstance(name, str) and 1 <= len(name) <= PURPOSE_CHARACTERS_MAX


def after_choice(consent: Consent, purposes: Iterable[str], *, allowed: bool) -> Changed:
    """Follow a grant or a revocation. While opted out it is kept, and counts afterwards."""
    named = dict.fromkeys(purposes, allowed)
    return _changed(
        consent,
        consent._replace(purposes={**consent.purposes, **named}),
        {} if consent.is_opted_out else named,
    )


def after_opt_out(consent: Consent, *, out: bool) -> Changed:
    """Follow an opt-out, which denies everything, or its end, which restores what was said."""
    if consent.is_opted_out == out:
        return Changed(consent, NOTHING_SAID, ())
    after = consent._replace(is_opted_out=out)
    return _changed(consent, after, after.status)


def _changed(before: Consent, after: Consent, tells: Mapping[str, bool]) -> Changed:
    purges = (ANALYTICS, MESSAGING)
    gone = tuple(one for one in purges if before.allows(one) and not after.allows(one))
    return Changed(after, tells, gone)
