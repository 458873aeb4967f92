"""What the parts of the worker share. Only the worker's thread changes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from zuruf.decisions import remote_config, token
from zuruf.decisions.consent import Consent
from zuruf.decisions.identity import Identity, restored
from zuruf.decisions.settings import Settings, merged
from zuruf.storage import TAKEOVERS

if TYPE_CHECKING:
    from zuruf.clock import Clock
    from zuruf.config import Config, Random
    from zuruf.decisions.clock_offset import ClockOffset
    from zuruf.events import IdSource
    from zuruf.leases import Leases
    from zuruf.storage import Storage
    from zuruf.subscriptions import Topic

Value = TypeVar("Value")

# What is kept in the queue file beside the queue.
IDENTITY, CURSOR, RECOMMENDED, USER = "identity", "cursor", "config", "user"
CONSENT_GIVEN, TOKEN_LIFE = "consent", "token_life"
# The push token of the app, the one the gateway has confirmed, and what an older one did not know.
PUSH_TOKEN, PUSH_TOLD, TOLD_LATER = "push_token", "push_told", "told_later"


@dataclass(slots=True)
class Workspace:
    """The queue and what is kept beside it, read once and written through.

    What another process of the app wrote is read again (`reload`) before anything is decided.
    """

    config: Config
    clock: Clock
    random: Random
    ids: IdSource
    storage: Storage
    leases: Leases
    identity: Identity
    settings: Settings
    # Tells the app, on its own threads, that something of a topic changed.
    tell: Callable[[Topic, object, int], None]
    recommended: Mapping[str, Any] = field(default_factory=dict)
    # Who is on the device once everything in the queue is done; None is somebody anonymous.
    user_id: str | None = None
    consent: Consent = field(default_factory=Consent)
    # When what was said about a purpose was said: newer words win at the gateway.
    consent_times: Mapping[str, int] = field(default_factory=dict)
    token_life: token.TokenLife = field(default_factory=token.TokenLife)
    values: Mapping[str, Any] = field(default_factory=dict)
    offset: ClockOffset | None = None
    last_status: int | None = None
    last_error: str | None = None
    # Whose messages the queue file holds: `Recorder.person` as far as the worker has come.
    person: int = 0
    # The same for all processes: how often another person took over the device, says the file.
    takeovers: int = 0
    # The id of the operation whose request is on its way: nothing may replace it.
    operation_on_its_way: str | None = None
    # Everything dropped since the start of this process, for diagnostics.
    dropped: Counter[str] = field(default_factory=Counter)
    _untold: Counter[str] = field(default_factory=Counter)

    def publish(self, topic: Topic, value: object) -> None:
        """Tell the app that something of a topic changed, for whom the file is now."""
        self.tell(topic, value, self.person)

    # Reading

    def load(self) -> None:
        """Read what an earlier run kept."""
        with self.storage.transaction():
            install_id = self.ids.new_id(self.clock.wall_ms())
            self.identity = restored(self.storage.get(IDENTITY), install_id)
            self.storage.put(IDENTITY, self.identity.kept())
            self.reload()

    def reload(self) -> None:
        """Read what another process may have changed."""
        get = self.storage.get
        self.identity = restored(get(IDENTITY), self.identity.install_id)
        self.token_life = token.kept(get(TOKEN_LIFE))
        self.takeovers = get(TAKEOVERS) or 0
        self.user_id = get(USER)
        recommended = get(RECOMMENDED)
        recommended = recommended if isinstance(recommended, dict) else {}
        if recommended != self.recommended:
            self.recommended = recommended
            self.settings = merged(self.config.chosen(), recommended)
            self._resolve()
        self._read_consent(get(CONSENT_GIVEN))

    def server_ms(self) -> int:
        """Give the gateway's time, as well as it is known."""
        return self.clock.wall_ms() + (0 if self.offset is None else self.offset.offset_ms)

    # Writing

    def keep(self, identity: Identity) -> None:
        self.storage.put(IDENTITY, identity.kept())
        self.identity = identity

    def keep_all(self) -> None:
        """Write everything into a queue file that is new."""
        with self.storage.transaction():
            self.keep(self.identity)
            self.storage.put(RECOMMENDED, dict(self.recommended))
            self.storage.put(TOKEN_LIFE, list(self.token_life))
            self.storage.put(TAKEOVERS, self.takeovers)
            self.storage.put(USER, self.user_id)
            self.keep_consent(self.consent, self.consent_times)

    def keep_token_life(self, expires_at: object, server_ms: int) -> None:
        self.token_life = token.told(expires_at, server_ms)
        self.storage.put(TOKEN_LIFE, list(self.token_life))

    def keep_consent(self, consent: Consent, times: Mapping[str, int]) -> None:
        self.consent = consent
        self.consent_times = {**self.consent_times, **times}
        kept = {
            "purposes": dict(consent.purposes),
            "times": dict(self.consent_times),
            "is_opted_out": consent.is_opted_out,
        }
        self.storage.put(CONSENT_GIVEN, kept)

    def keep_user(self, user_id: str | None) -> None:
        """Note who is on the device, and tell the app if that is news."""
        self.storage.put(USER, user_id)
        if self.user_id != user_id:
            self.user_id = user_id
            self.publish("identity_changed", user_id)

    def take_over(self) -> None:
        """Note for all processes that another person is on the device."""
        self.takeovers += 1
        self.storage.put(TAKEOVERS, self.takeovers)

    def recommend(self, recommended: Mapping[str, Any]) -> None:
        """Follow the gateway's recommendations from now on."""
        self.storage.put(RECOMMENDED, dict(recommended))
        self.recommended = recommended
        self.settings = merged(self.config.chosen(), recommended)
        self._resolve()

    # Drops

    def dropped_now(self, reason: str, quantity: int) -> None:
        """Count for diagnostics what the queue has counted for the report."""
        if quantity:
            self.dropped[reason] += quantity
            self._untold[reason] += quantity

    def tell_drops(self) -> None:
        """Tell the app what was dropped since the last time."""
        if self._untold:
            self.publish("dropped", dict(self._untold))
            self._untold.clear()

    # Inside

    def _resolve(self) -> None:
        resolved = remote_config.resolved(self.settings.values, self.identity.install_id)
        if resolved != self.values:
            self.values = resolved
            self.publish("config_changed", dict(resolved))

    def _read_consent(self, kept: Any) -> None:
        kept = kept if isinstance(kept, dict) else {}
        purposes, times = kept.get("purposes"), kept.get("times")
        self.consent = Consent(
            purposes=_values_of(purposes, bool),
            is_required=self.config.consent_required,
            is_opted_out=kept.get("is_opted_out") is True,
        )
        self.consent_times = _values_of(times, int)


def _values_of(kept: Any, kind: type[Value]) -> dict[str, Value]:
    if not isinstance(kept, dict):
        return {}
    return {name: value for name, value in kept.items() if isinstance(value, kind)}
