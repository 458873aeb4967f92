"""Device records in Valkey, and the remote configurations that every process keeps."""

import msgspec

from gateway import keyspace
from gateway.definitions import Definitions, Table
from gateway.devices.config import RemoteConfig
from gateway.devices.model import Device
from gateway.settings import Settings
from gateway.valkey import Valkey

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Device).decode
_encode_config = msgspec.json.Encoder().encode
_decode_config = msgspec.json.Decoder(RemoteConfig).decode
_NEVER_SET = RemoteConfig()

Found = tuple[Device | None, bytes]
"""A device, and what `save` needs to replace it; (None, b"") when there is none."""


class Devices:
    """Which devices there are, and whose they are now."""

    def __init__(self, valkey: Valkey, settings: Settings) -> None:
        self._valkey = valkey
        self._partitions = settings.partitions
        self._ttl_s = settings.token_ttl_s + settings.token_refresh_s

    async def get(self, app_id: str, device_id: str) -> Device | None:
        """A device of this app, None when there is none."""
        return (await self.look_up(app_id, device_id))[0]

    async def look_up(self, app_id: str, device_id: str) -> Found:
        """As `get`, ready to be replaced."""
        packed = await self._valkey.call("GET", self._key(app_id, device_id))
        return (_decode(packed), packed) if isinstance(packed, bytes) else (None, b"")

    async def save(self, app_id: str, device: Device, replacing: bytes) -> bool:
        """Store a device for as long as a token of it can be used.

        False when it is not what it was when the caller looked it up: then nothing was stored.
        """
        condition = ("IFEQ", replacing) if replacing else ("NX",)
        key = self._key(app_id, device.id)
        saved = await self._valkey.call("SET", key, _encode(device), *condition, "EX", self._ttl_s)
        return saved is not None

    def _key(self, app_id: str, device_id: str) -> str:
        return keyspace.device(
            keyspace.partition_of(device_id, self._partitions), app_id, device_id
        )


class RemoteConfigs:
    """The remote configurations of all apps, in memory; reading needs no I/O."""

    def __init__(self, definitions: Definitions) -> None:
        self._table: Table[RemoteConfig] = definitions.table(
            keyspace.REMOTE_CONFIGS, _encode_config, _decode_config, lambda: None
        )

    def of_app(self, app_id: str) -> RemoteConfig:
        """The remote configuration of an app, of version 0 when it never set one."""
        return self._table.values.get(app_id, _NEVER_SET)

    async def save(self, app_id: str, config: RemoteConfig, *, replacing: RemoteConfig) -> None:
        """Store what `next_version` made of what there was; see Table.save."""
        await self._table.save(app_id, config, replacing if replacing.version else None)
