"""Who the gateway takes this device for. Kept in the queue file, changed only by its answers."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Identity:
    """The device's registration and the person on it; `user_id` is None for somebody anonymous."""

    install_id: str
    device_id: str | None = None
    profile_id: str | None = None
    token: str | None = None
    user_id: str | None = None

    def registered(self, answer: Mapping[str, Any]) -> Identity:
        """Follow a registration. A new device is nobody yet, whoever was on the old one."""
        same = self.device_id == answer["device_id"]
        return replace(
            self,
            device_id=str(answer["device_id"]),
            profile_id=str(answer["profile_id"]),
            token=str(answer["token"]),
            user_id=self.user_id if same else None,
        )

    def changed(self, answer: Mapping[str, Any], user_id: str | None) -> Identity:
        """Follow a login or a logout."""
        return replace(
            self,
            profile_id=str(answer["profile_id"]),
            token=str(answer["token"]),
            user_id=user_id,
        )

    def kept(self) -> dict[str, Any]:
        """Give the form that goes into the queue file."""
        return asdict(self)


def restored(kept: Any, new_install_id: str) -> Identity:
    """Read what `Identity.kept` gave, or begin anew."""
    if not isinstance(kept, dict) or not isinstance(kept.get("install_id"), str):
        return Identity(install_id=new_install_id)
    known = {field.name for field in fields(Identity)}
    return Identity(**{name: value for name, value in kept.items() if name in known})
