"""What the parts of the worker share. Only the worker's thread changes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from zuruf.identity import Identity, restored
from zuruf.settings import Settings, merged

if TYPE_CHECKING:
    from zuruf.clock import Clock, ClockOffset
    from zuruf.config import Config, Random
    from zuruf.events import IdSource
    from zuruf.storage import Storage

IDENTITY, CURSOR, RECOMMENDED, USER = "identity", "cursor", "config", "user"


@dataclass(slots=True)
class Workspace:
    """The queue and what is kept beside it, read once and written through."""

    config: Config
    clock: Clock
    random: Random
    ids: IdSource
    storage: Storage
    identity: Identity
    settings: Settings
    recommended: Mapping[str, Any] = field(default_factory=dict)
    offset: ClockOffset | None = None
    last_status: int | None = None
    last_error: str | None = None
    # Whose messages the queue file holds: `Recorder.person` as far as the worker has come.
    person: int = 0
    # Everything dropped since the start of this process, for diagnostics.
    dropped: Counter[str] = field(default_factory=Counter)

    def load(self) -> None:
        """Read what an earlier run kept."""
        install_id = self.ids.new_id(self.clock.wall_ms())
        self.identity = restored(self.storage.get(IDENTITY), install_id)
        self.storage.put(IDENTITY, self.identity.kept())
        recommended = self.storage.get(RECOMMENDED)
        self.recommend(recommended if isinstance(recommended, dict) else {})

    def keep(self, identity: Identity) -> None:
        self.storage.put(IDENTITY, identity.kept())
        self.identity = identity

    def recommend(self, recommended: Mapping[str, Any]) -> None:
        """Follow the gateway's recommendations from now on."""
        self.storage.put(RECOMMENDED, dict(recommended))
        self.recommended = recommended
        self.settings = merged(self.config, recommended)

    def dropped_now(self, reason: str, quantity: int) -> None:
        """Count for diagnostics what the queue has counted for the report."""
        if quantity:
            self.dropped[reason] += quantity
