"""Profiles in Valkey, as the worker has written them."""

import msgspec

from gateway import keyspace
from gateway.profiles.model import Profile
from gateway.settings import Settings
from gateway.valkey import Valkey


class _StateView(msgspec.Struct, array_like=True):
    """The part of a profile's state that this capability owns: the first place."""

    profile: Profile


_decode = msgspec.msgpack.Decoder(_StateView).decode


class Profiles:
    """Reads profiles. Only the worker of their partition writes them."""

    def __init__(self, valkey: Valkey, settings: Settings) -> None:
        self._valkey = valkey
        self._partitions = settings.partitions

    async def get(self, app_id: str, profile_id: str) -> Profile | None:
        """A profile of this app, None when there is none."""
        p = keyspace.partition_of(profile_id, self._partitions)
        packed = await self._valkey.call("GET", keyspace.profile(p, app_id, profile_id))
        return _decode(packed).profile if isinstance(packed, bytes) else None
