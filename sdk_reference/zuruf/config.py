"""Everything an app can set, with the defaults."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, get_args
from urllib.parse import urlsplit

from zuruf.errors import ConfigError

if TYPE_CHECKING:
    from zuruf.clock import Clock
    from zuruf.events import IdSource
    from zuruf.storage import Storage
    from zuruf.transport import Transport

Platform = Literal[
    "ios", "android", "tvos", "androidtv", "firetv", "tizen", "webos", "roku", "web", "desktop"
]
FormFactor = Literal["phone", "tablet", "tv", "desktop"]
Stream = Literal["auto", "long_poll", "poll", "off"]
CallbackExecutor = Executor | Callable[[Callable[[], None]], object]

PLATFORMS: frozenset[str] = frozenset(get_args(Platform))
FORM_FACTORS: frozenset[str] = frozenset(get_args(FormFactor))
STREAMS: frozenset[str] = frozenset(get_args(Stream))


class Random(Protocol):
    """Where the jitter of retries comes from; `random.Random` is one."""

    def random(self) -> float:
        """Give a number from 0 up to, not including, 1."""


@dataclass(frozen=True, slots=True)
class Screen:
    """The screen of the device, in pixels."""

    width: int
    height: int
    density: float = 1.0


@dataclass(frozen=True, slots=True)
class Device:
    """What the app knows about the device it runs on. All of it may be missing."""

    manufacturer: str | None = None
    model: str | None = None
    os_version: str | None = None
    app_version: str | None = None
    locale: str | None = None
    timezone: str | None = None
    screen: Screen | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The settings of one client.

    `flush_at`, `flush_interval_s` and `poll_wait_s` left at their defaults follow what the gateway
    recommends; a value set here wins. For the limits of a batch the smaller of both counts.

    `storage_dir` must be private to the app and to this client: the SDK creates its files in it and
    holds them exclusively while it runs.

    `callback_executor` says where `on_message` callbacks run: an `Executor`, or a function that
    takes a function and runs it (Kivy: `lambda run: Clock.schedule_once(lambda dt: run())`). Without
    one they run on a thread of the SDK.

    `debug=True` lets mistakes raise where they are made.
    """

    endpoint: str
    publishable_key: str = field(repr=False)
    storage_dir: Path
    platform: Platform = "desktop"
    form_factor: FormFactor = "desktop"
    device: Device = field(default_factory=Device)

    flush_at: int = 20
    flush_interval_s: float = 30.0
    batch_events_max: int = 500
    batch_bytes_max: int = 512 * 1024
    queue_events_max: int = 10_000
    queue_bytes_max: int = 10 * 1024 * 1024
    queue_ttl_days: float = 30.0

    connect_timeout_s: float = 10.0
    read_timeout_s: float = 15.0
    poll_wait_s: float = 25.0
    stream: Stream = "auto"

    debug: bool = False
    callback_executor: CallbackExecutor | None = None
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
        for name, allowed in (
            ("platform", PLATFORMS),
            ("form_factor", FORM_FACTORS),
            ("stream", STREAMS),
        ):
            if getattr(self, name) not in allowed:
                raise ConfigError(f"{name} must be one of {', '.join(sorted(allowed))}")
        for name in (
            "flush_at",
            "flush_interval_s",
            "batch_events_max",
            "batch_bytes_max",
            "queue_events_max",
            "queue_bytes_max",
            "queue_ttl_days",
            "connect_timeout_s",
            "read_timeout_s",
            "poll_wait_s",
        ):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name} must be more than 0")
