"""Everything an app can set, with the defaults."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, get_args
from urllib.parse import urlsplit

from zuruf.decisions.settings import CHOICES
from zuruf.errors import ConfigError
from zuruf.platform import Platform, SystemPlatform, checked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zuruf.callbacks import CallbackExecutor
    from zuruf.clock import Clock
    from zuruf.events import IdSource
    from zuruf.plugins import Plugin
    from zuruf.storage import Storage
    from zuruf.transport import Transport

Stream = Literal["auto", "sse", "long_poll", "poll", "off"]

STREAMS: frozenset[str] = frozenset(get_args(Stream))


class Random(Protocol):
    """Where the jitter of retries comes from; `random.Random` is one."""

    def random(self) -> float:
        """Give a number from 0 up to, not including, 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The settings of one client. Names that end in `_s` are seconds.

    Where the gateway recommends a value (`flush_at`, `flush_interval_s`, `poll_wait_s`,
    `session_idle_s`, `session_max_s`, `display_gap_s`), it counts as long as the default was left;
    a value set here wins. For the limits of a batch the smaller of both counts.

    `storage_dir` must be private to the app: the SDK creates its files in it. Several processes of
    the app may share it, and are one device then.

    `consent_required`: nothing is recorded for a purpose, and nothing sent at all, before it was granted.

    `callback_executor` says where functions of the app run (`in_app.on_message`, `subscribe`): an
    `Executor`, or a function that takes a function and runs it (Kivy:
    `lambda run: Clock.schedule_once(lambda dt: run())`). Without one they run on a thread of the SDK.

    `stream`: the best way in which messages may come. `auto` opens a stream, falls back to held polls and
    then to short ones, and climbs back; `sse` is the same. `long_poll` tries no streams, `poll` no held polls
    either; with `off` nothing is fetched.

    `ca_file`: certificates to trust instead of the system's, in PEM form.

    `debug=True` lets mistakes raise where they are made.

    The last fields are ports: what the SDK otherwise takes from the system.
    """

    endpoint: str
    publishable_key: str = field(repr=False)
    storage_dir: Path
    consent_required: bool = False
    plugins: Sequence[Plugin] = ()

    flush_at: int = 20
    flush_interval_s: float = 30.0
    batch_events_max: int = 500
    batch_bytes_max: int = 512 * 1024
    queue_events_max: int = 10_000
    queue_bytes_max: int = 10 * 1024 * 1024
    queue_ttl_days: float = 30.0

    session_idle_s: float = 30 * 60.0
    session_max_s: float = 24 * 60 * 60.0
    display_gap_s: float = 0.0

    connect_timeout_s: float = 10.0
    read_timeout_s: float = 15.0
    poll_wait_s: float = 25.0
    stream: Stream = "auto"
    ca_file: Path | None = None

    callback_executor: CallbackExecutor | None = None
    debug: bool = False

    platform: Platform = field(default_factory=SystemPlatform)
    transport: Transport | None = None
    storage: Storage | None = None
    clock: Clock | None = None
    random: Random | None = None
    ids: IdSource | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "storage_dir", Path(self.storage_dir))
        parts = urlsplit(self.endpoint)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigError(f"endpoint must be an http or https address, not {self.endpoint!r}")
        if not self.publishable_key:
            raise ConfigError(
                "publishable_key is missing: the gateway prints it when it creates the app"
            )
        if self.publishable_key.startswith("sk_"):
            raise ConfigError("that is a secret key: it belongs on a server, never into an app")
        checked(self.platform)
        if self.display_gap_s < 0:
            raise ConfigError("display_gap_s must not be less than 0")
        if self.stream not in STREAMS:
            raise ConfigError(f"stream must be one of {', '.join(sorted(STREAMS))}")
        for name in (
            "flush_at",
            "flush_interval_s",
            "batch_events_max",
            "batch_bytes_max",
            "queue_events_max",
            "queue_bytes_max",
            "queue_ttl_days",
            "session_idle_s",
            "session_max_s",
            "connect_timeout_s",
            "read_timeout_s",
            "poll_wait_s",
        ):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name} must be more than 0")

    def chosen(self) -> dict[str, int]:
        """Give what the app set itself, by the names of `decisions.settings.CHOICES`."""
        defaults = {field.name: field.default for field in fields(self)}
        return {
            name: round(getattr(self, set_as) * factor)
            for set_as, name, factor in CHOICES
            if getattr(self, set_as) != defaults[set_as]
        }
