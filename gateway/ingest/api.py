"""`POST /v1/events`, and its server-side twin `POST /admin/v1/events`."""

from typing import TypeVar

from gateway.apps.model import App
from gateway.edge import (
    JSON,
    Edge,
    Receive,
    Scope,
    Send,
    accepted_media,
    media_of,
)
from gateway.errors import Problem
from gateway.eventlog import EventLog
from gateway.records import Event, EventsUploaded, Sender
from gateway.ingest.model import (
    AddressedEvent,
    BatchReader,
    Reading,
    UploadAnswer,
    time_shift_ms,
)
from gateway.metrics import add_label

E = TypeVar("E", bound=Event)


class Ingest:
    """Takes batches: checked, then durable in the log, then answered."""

    def __init__(self, edge: Edge, log: EventLog) -> None:
        self._edge = edge
        self._log = log
        self._from_json = self._reader(Event, is_json=True)
        self._from_msgpack = self._reader(Event, is_json=False)
        self._addressed = self._reader(AddressedEvent, is_json=True)

    def _reader(self, event_type: type[E], *, is_json: bool) -> BatchReader[E]:
        settings = self._edge.settings
        return BatchReader(
            event_type,
            is_json=is_json,
            events_max=settings.batch_events_max,
            event_bytes_max=settings.event_bytes_max,
        )

    async def upload(self, scope: Scope, receive: Receive, send: Send) -> None:
        """`POST /v1/events`"""
        edge = self._edge
        headers = dict(scope["headers"])
        claims = edge.device(headers)
        media = media_of(headers)
        body = await edge.read(receive, headers)
        gauges = edge.metrics.gauges
        gauges.in_flight_bytes += len(body)
        try:
            reading = (self._from_json if media is JSON else self._from_msgpack).read(body)
            self._count_client_drops(reading)
            sender = Sender(claims.app_id, claims.profile_id, claims.device_id)
            repeats = await self._store(reading, reading.events, sender)
        finally:
            gauges.in_flight_bytes -= len(body)
        await self._report(send, reading, repeats, headers)

    async def take_addressed(self, app: App, body: bytes) -> UploadAnswer:
        """A server's batch: each event goes to the profile it names.

        The groups of one profile are stored apart; should that break off, the same batch again stores
        what is missing. Raises Problem `nothing_acceptable` and those of BatchReader.
        """
        reading = self._addressed.read(body)
        groups: dict[str, list[Event]] = {}
        for event in reading.events:
            profile_id = event.profile_id
            if event.user_id is not None:
                profile_id = self._edge.apps.known_profile_id(app.id, event.user_id)
            if profile_id is None:
                raise Problem("invalid_body", "each event needs a user_id or a profile_id")
            groups.setdefault(profile_id, []).append(event)
        repeats = 0
        for profile_id, events in groups.items():
            repeats += await self._store(reading, events, Sender(app.id, profile_id))
        if not reading.events:
            raise nothing_acceptable(reading)
        return self._count(reading, repeats)

    async def _store(self, reading: Reading[E], events: list[Event] | list[E], sender: Sender) -> int:
        """Append events; how many of them were in the log already."""
        if not events:
            return 0
        received_at = self._edge.clock.now_ms()
        repeats = await self._log.append(
            EventsUploaded(
                sender,
                received_at,
                time_shift_ms(reading.envelope, received_at),
                events,  # type: ignore[arg-type]
            ),
            ids=[reading.envelope.batch_id, *[event.id for event in events]],
        )
        return len(events) if repeats is None else len(repeats)

    def _count(self, reading: Reading[E], repeats: int) -> UploadAnswer:
        counts = self._edge.metrics.counts
        accepted = len(reading.events) - repeats
        duplicates = repeats + reading.repeated
        counts.uploads += 1
        counts.events_accepted += accepted
        counts.events_duplicate += duplicates
        return UploadAnswer(accepted, duplicates, reading.rejected)

    async def _report(
        self, send: Send, reading: Reading[Event], repeats: int, headers: dict[bytes, bytes]
    ) -> None:
        for rejection in reading.rejected:
            add_label(self._edge.metrics.counts.events_rejected, rejection.code)
        if not reading.events:
            problem = nothing_acceptable(reading)
            await self._edge.refuse(send, problem, rejected=reading.rejected)
            return
        media = accepted_media(headers)
        answer = self._count(reading, repeats)
        await self._edge.answer(send, 200, media.encode(answer), media.name)

    def _count_client_drops(self, reading: Reading[Event]) -> None:
        for drop in reading.envelope.client_report:
            drops = self._edge.metrics.counts.client_drops
            add_label(drops, drop.reason, drop.quantity)


def nothing_acceptable(reading: Reading[E]) -> Problem:
    """The problem of a batch without one good event."""
    codes = sorted({rejection.code for rejection in reading.rejected})
    return Problem("nothing_acceptable", ", ".join(codes))
