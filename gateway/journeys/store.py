"""Journeys in Valkey, the copy of them in every process, and the decisions they led to."""

import msgspec

from gateway import keyspace
from gateway.definitions import Definitions, Table
from gateway.journeys.model import (
    Decision,
    Journey,
    LiveJourneys,
    Standings,
    index_live,
    misses,
)
from gateway.settings import Settings
from gateway.valkey import Valkey

_decode = msgspec.json.Decoder(Journey).decode
_encode = msgspec.json.Encoder().encode
_decode_decision = msgspec.msgpack.Decoder(Decision).decode


class _StateView(msgspec.Struct, array_like=True):
    """The part of a profile's state that journeys own: the second place."""

    profile: msgspec.Raw
    standings: Standings = msgspec.field(default_factory=Standings)


_decode_state = msgspec.msgpack.Decoder(_StateView).decode


class Journeys:
    """All journeys, in memory; `live` is what workers decide by."""

    def __init__(self, valkey: Valkey, definitions: Definitions, settings: Settings) -> None:
        self._valkey = valkey
        self._partitions = settings.partitions
        self.live: LiveJourneys = {}
        self._table: Table[Journey] = definitions.table(
            keyspace.JOURNEYS, _encode, _decode, self._index
        )

    def get(self, app_id: str, journey_id: str) -> Journey | None:
        return self._table.values.get(f"{app_id}/{journey_id}")

    def of_app(self, app_id: str) -> list[Journey]:
        """The journeys of an app, the oldest first."""
        mine = [journey for journey in self._table.values.values() if journey.app_id == app_id]
        return sorted(mine, key=lambda journey: (journey.created_at, journey.id))

    def trigger_events(self, app_id: str) -> list[str]:
        """The event names that live journeys of an app react to."""
        return sorted(event for app, event in self.live if app == app_id)

    async def save(self, journey: Journey, *, replacing: Journey | None = None) -> None:
        """Store a journey, new or in place of what it was; see Table.save."""
        await self._table.save(f"{journey.app_id}/{journey.id}", journey, replacing)

    async def decisions(self, app_id: str, profile_id: str) -> list[Decision]:
        """The decisions about a profile, newest first."""
        p = keyspace.partition_of(profile_id, self._partitions)
        reply, packed = await self._valkey.call_all(
            (
                ("LRANGE", keyspace.decisions(p, app_id, profile_id), 0, -1),
                ("GET", keyspace.profile(p, app_id, profile_id)),
            )
        )
        assert isinstance(reply, list)
        decisions = [_decode_decision(item) for item in reply if isinstance(item, bytes)]
        if isinstance(packed, bytes):
            standings = _decode_state(packed).standings
            decisions += misses(standings, self.live, app_id)
        return sorted(decisions, key=lambda decision: -decision.at)

    def _index(self) -> None:
        self.live = index_live(self._table.values.values(), self.live)
