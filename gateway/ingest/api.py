"""`POST /v1/events`, and its server-side twin `POST /admin/v1/events`."""

from collections.abc import Awaitable
from typing import TypeVar

from msgspec.structs import replace

from gateway.apps.model import App
from gateway.apps.token import Claims
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
from gateway.ingest.model import (
    AddressedEvent,
    BatchReader,
    Reading,
    Rejection,
    Summary,
    UploadAnswer,
    time_shift_ms,
)
from gateway.metrics import add_label
from gateway.records import Event, EventsUploaded, Sender, marks_of

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
            appended = self._append(reading, sender_of(claims))
            summary = self._summary(reading)
            # See EventLog.append: 50 events are 400 objects, and 64 uploads wait at a time.
            del reading
            repeats = await appended if appended is not None else 0
        finally:
            gauges.in_flight_bytes -= len(body)
        if summary.is_hopeless:
            problem = nothing_acceptable(summary.rejected)
            await edge.refuse(send, problem, rejected=summary.rejected)
            return
        media = accepted_media(headers)
        await edge.answer(send, 200, media.encode(self._count(summary, repeats)), media.name)

    async def take_addressed(self, app: App, body: bytes) -> UploadAnswer:
        """A server's batch: each event goes to the profile it names.

        The groups of one profile are stored apart; should that break off, the same batch again stores
        what is missing. Raises Problem `nothing_acceptable` and those of BatchReader.
        """
        reading = self._addressed.read(body)
        groups: dict[Sender, list[AddressedEvent]] = {}
        for event in reading.events:
            groups.setdefault(self._addressee(app, event), []).append(event)
        summary = self._summary(reading)
        if summary.is_hopeless:
            raise nothing_acceptable(summary.rejected)
        repeats = 0
        for sender, events in groups.items():
            marks = marks_of(reading.envelope.batch_id, [event.id for event in events])
            part = replace(reading, events=events, marks=marks)
            appended = self._append(part, sender)
            assert appended is not None, "a group has events"
            repeats += await appended
        return self._count(summary, repeats)

    def _addressee(self, app: App, event: AddressedEvent) -> Sender:
        if event.user_id is not None:
            known = self._edge.apps.known_profile_id(app.id, event.user_id)
            return Sender(app.id, known, user_id=event.user_id)
        assert event.profile_id is not None, "the event says whose it is"
        return Sender(app.id, event.profile_id)

    def _append(self, reading: Reading[E], sender: Sender) -> Awaitable[int] | None:
        """Append the events of a reading, if there are any."""
        if not reading.events:
            return None
        received_at = self._edge.clock.now_ms()
        shift_ms = time_shift_ms(reading.envelope, received_at)
        record = EventsUploaded(sender, received_at, shift_ms, list[Event](reading.events))
        return self._log.append(record, reading.marks)

    def _summary(self, reading: Reading[E]) -> Summary:
        """What is left to say of a reading once its events are on their way."""
        counts = self._edge.metrics.counts
        for rejection in reading.rejected:
            add_label(counts.events_rejected, rejection.code)
        for drop in reading.envelope.client_report:
            add_label(counts.client_drops, drop.reason, drop.quantity)
        return Summary(len(reading.events), reading.repeated, reading.rejected)

    def _count(self, summary: Summary, repeats: int) -> UploadAnswer:
        counts = self._edge.metrics.counts
        accepted = summary.taken - repeats
        duplicates = repeats + summary.repeated
        counts.uploads += 1
        counts.events_accepted += accepted
        counts.events_duplicate += duplicates
        return UploadAnswer(accepted, duplicates, summary.rejected)


def sender_of(claims: Claims) -> Sender:
    """The device that a token speaks for."""
    return Sender(claims.app_id, claims.profile_id, claims.device_id)


def nothing_acceptable(rejected: list[Rejection]) -> Problem:
    """The problem of a batch without one good event."""
    return Problem("nothing_acceptable", ", ".join(sorted({verdict.code for verdict in rejected})))
