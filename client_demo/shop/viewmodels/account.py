"""Who is logged in, and finding the account of an address. No window."""

from __future__ import annotations

from collections.abc import Iterable

from client_demo.shop.model.store import PEOPLE, Person


def initials(name: str) -> str:
    """Give the letters that stand for somebody who has no picture."""
    parts = name.split()
    return "".join(part[0] for part in (parts[:1] + parts[1:][-1:])).upper()


def account_of(text: str, people: Iterable[Person] = PEOPLE) -> Person | None:
    """Find the account of an e-mail address or user id as it was typed; None when there is none."""
    wanted = text.strip().casefold()
    return next(
        (
            person
            for person in people
            if wanted in {person.email.casefold(), person.user_id.casefold()}
        ),
        None,
    )
