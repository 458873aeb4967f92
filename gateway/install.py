"""What the first start decides for ever: the number of partitions, and the secret of the installation."""

import contextlib
import os
import secrets

import structlog

from gateway import keyspace
from gateway.errors import SettingError
from gateway.settings import Settings
from gateway.valkey import Valkey

_LOG = structlog.get_logger("install")
_SECRET_BYTES = 32


async def settle_partitions(valkey: Valkey, wanted: int) -> int:
    """The number of partitions, which the first start decides for ever."""
    settled = await valkey.call("HGET", keyspace.INSTALL, "partitions")
    if settled is None:
        await valkey.call("HSETNX", keyspace.INSTALL, "partitions", wanted)
        settled = await valkey.call("HGET", keyspace.INSTALL, "partitions")
    assert isinstance(settled, bytes)
    if int(settled) != wanted:
        _LOG.warning("partitions are fixed at install", settled=int(settled), wanted=wanted)
    return int(settled)


def install_secret(settings: Settings) -> bytes:
    """The secret of this installation, made at the first start and kept in the data folder (0600)."""
    if settings.secret:
        return settings.secret.encode()
    if not settings.valkey_url.startswith("unix:"):
        _LOG.warning("no ZURUF_SECRET: this machine's tokens are good on this machine only")
    path = settings.data_path / "secret"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        # Linked into place when it is whole, so that nobody reads half of it; the first one wins.
        draft = path.with_name(f"secret.{os.getpid()}")
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(_SECRET_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(draft)
        draft.unlink()
    secret = path.read_bytes()
    if len(secret) < _SECRET_BYTES:
        raise SettingError(f"the secret in {path} is damaged: bring it back from a backup")
    return secret
