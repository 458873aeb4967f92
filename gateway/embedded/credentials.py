"""What a developer needs to talk to this installation, kept in `<data folder>/credentials.json`."""

import os
import tempfile
from pathlib import Path

import msgspec
from msgspec import Struct

FILE_NAME = "credentials.json"


class AppCredentials(Struct, frozen=True, kw_only=True):
    """One app and its keys: publishable for devices, secret for servers."""

    id: str
    name: str
    publishable_key: str
    secret_key: str


class Credentials(Struct, frozen=True, kw_only=True):
    """Where the installation answers, and the demo app."""

    url: str
    console_url: str
    app: AppCredentials


def read_credentials(data_dir: Path) -> Credentials | None:
    """What was written last; None if nothing readable is there."""
    try:
        return msgspec.json.decode((data_dir / FILE_NAME).read_bytes(), type=Credentials)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


def write_credentials(data_dir: Path, credentials: Credentials) -> None:
    """Replace the file in one step, readable for its owner only."""
    text = msgspec.json.format(msgspec.json.encode(credentials), indent=2)
    # mkstemp creates with mode 0600, so the keys are never readable for others.
    file, temporary = tempfile.mkstemp(prefix=FILE_NAME, dir=data_dir)
    try:
        with os.fdopen(file, "wb") as handle:
            handle.write(text + b"\n")
            handle.flush()
            os.fsync(handle.fileno())
        Path(temporary).replace(data_dir / FILE_NAME)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
