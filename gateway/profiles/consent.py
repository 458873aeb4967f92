"""What a person agreed to: one answer per purpose, and whose counts."""

from collections.abc import Callable, Mapping

from msgspec import Struct

PURPOSES_MAX = 32
OBEYED = ("analytics", "messaging", "push")
"""Purposes that decide something here; kept however many others there are."""


class Consent(Struct, frozen=True, array_like=True):
    """The answer to one purpose: when it was given, ms UTC, and on which device."""

    granted: bool
    at: int
    device_id: str | None = None


Consents = dict[str, Consent]
"""Purpose → answer. A purpose that nobody was asked about is not in it, and allowed."""


def allows(consents: Consents, purpose: str) -> bool:
    """Whether nobody has denied this purpose."""
    answer = consents.get(purpose)
    return answer is None or answer.granted


def take_answers(
    consents: Consents, given: Mapping[str, bool], at: int, device_id: str | None
) -> None:
    """Note what a person answered. The newest answer counts; of two of the same moment, the denial.

    So it does not matter in which order the answers of several devices arrive.
    """
    for purpose, granted in given.items():
        _keep(consents, purpose, Consent(granted, at, device_id), _newest)


def unite(consents: Consents, others: Consents) -> None:
    """Add what was answered before a login. A denial on either side counts, however old.

    Before the login it may have been somebody else who held the device: what they agreed to must not undo
    what the known person denied, and what they denied costs nobody anything. Who is logged in may agree anew.
    """
    for purpose, answer in others.items():
        _keep(consents, purpose, answer, _denial)


def _newest(answer: Consent) -> tuple[object, ...]:
    return answer.at, not answer.granted, answer.device_id or ""


def _denial(answer: Consent) -> tuple[object, ...]:
    return not answer.granted, answer.at, answer.device_id or ""


def _keep(
    consents: Consents, purpose: str, answer: Consent, rank: Callable[[Consent], tuple[object, ...]]
) -> None:
    before = consents.get(purpose)
    if before is None:
        if len(consents) < PURPOSES_MAX or purpose in OBEYED:
            consents[purpose] = answer
    elif rank(answer) > rank(before):
        consents[purpose] = answer
