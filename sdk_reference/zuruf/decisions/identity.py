"""Who the gateway takes this device for, and what a login or logout changes. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

SUPERSEDED = "token_superseded"


class Identity(NamedTuple):
    """The device's registration and the person on it; `user_id` is None for somebody anonymous."""

    install_id: str
    device_id: str | None = None
    profile_id: str | None = None
    token: str | None = None
    user_id: str | None = None

    def registered(self, answer: Mapping[str, Any]) -> Identity:
        """Follow a registration. A new device is nobody yet, whoever was on the old one."""
        same = self.device_id == answer["device_id"]
        return self._replace(
            device_id=str(answer["device_id"]),
            profile_id=str(answer["profile_id"]),
            token=str(answer["token"]),
            user_id=self.user_id if same else None,
        )

    def changed(self, answer: Mapping[str, Any], user_id: str | None) -> Identity:
        """Follow a login or a logout."""
        return self._replace(
            profile_id=str(answer["profile_id"]),
            token=str(answer["token"]),
            user_id=user_id,
        )

    def without_token(self, code: str) -> Identity:
        """Give a token up that even a registration does not renew: only a new device is left.

        A token that was superseded without us comes from an old copy of the queue file (a restored
        backup). Who was on the device then must not be logged in again: it would undo a logout.
        """
        return self._replace(token=None, user_id=None if code == SUPERSEDED else self.user_id)

    def kept(self) -> dict[str, Any]:
        """Give the form that goes into the queue file."""
        return self._asdict()


def restored(kept: Any, new_install_id: str) -> Identity:
    """Read what `Identity.kept` gave, or begin anew."""
    if not isinstance(kept, dict) or not isinstance(kept.get("install_id"), str):
        return Identity(install_id=new_install_id)
    return Identity(**{name: value for name, value in kept.items() if name in Identity._fields})


# What follows from an answer


def clears_cursor(before: Identity, after: Identity) -> bool:
    """Tell whether messages have to be fetched from the beginning: the inbox is another one."""
    return before.profile_id != after.profile_id


def logs_in_again(before: Identity, after: Identity) -> str | None:
    """Give who has to be logged in before anything else: a new device, the same person on it."""
    return before.user_id if after.user_id is None else None


# What follows from a call


Call = Literal["identify", "reset"]
Operation = Literal["identify", "switch", "reset"]
"""`switch` is an identify that replaces one known person by another."""


class Waiting(NamedTuple):
    """What is known beside the identity: what was asked for and not yet confirmed.

    `wanted` is who is on the device after all operations that wait; `logins` are the user ids of
    the logins among them.
    """

    wanted: str | None
    logins: tuple[str, ...] = ()
    # The gateway refused the first operation: this person could not prove who they are.
    is_refused: bool = False


class Placed(NamedTuple):
    """What to do about a call.

    `ignore`: it changes nothing. `replace`: a better proof for the login that waits; it may be tried
    again. `append`: put the operation at the end of the queue. With `gives_up_refused`, drop the
    refused login and all events behind it first: they belong to nobody.
    """

    action: Literal["ignore", "replace", "append"]
    operation: Operation | None = None
    gives_up_refused: bool = False

    @property
    def is_another_person(self) -> bool:
        """Tell whether nothing of the person before may reach the app from here on."""
        return self.operation in {"switch", "reset"}


def placed(
    waiting: Waiting, confirmed: str | None, call: Call, user_id: str | None, *, has_proof: bool
) -> Placed:
    """Decide what a login or logout means. `confirmed` is who the gateway has on the device."""
    wanted = waiting.wanted
    if call == "identify" and user_id == wanted:
        retries = has_proof or waiting.is_refused
        return Placed("replace" if retries and user_id in waiting.logins else "ignore")
    if waiting.is_refused:
        wanted = confirmed
    operation: Operation = "reset"
    if call == "identify":
        operation = "identify" if wanted is None else "switch"
    return Placed("append", operation, waiting.is_refused)
