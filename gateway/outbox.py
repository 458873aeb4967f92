"""Effects that reach beyond a partition: committed with their cause, delivered after it, at least once.

A record for another partition can't be part of this one's transaction. It is put here by the commit and
moved by the owner of the partition afterwards; the log's memory of ids makes a second delivery harmless.
"""

from collections.abc import Awaitable, Callable

import msgspec
import structlog
from msgspec.structs import replace

from gateway import keyspace
from gateway.eventlog import EventLog
from gateway.records import (
    FINGERPRINT_BYTES,
    EventsUploaded,
    ProfileMerged,
    Record,
    marks_of,
    marks_of_causes,
)
from gateway.valkey import Valkey, Word, pairs

_LOG = structlog.get_logger("outbox")
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Record).decode

Unshelve = Callable[[str, str], Awaitable[list[bytes]]]
"""(app id, profile id) → the messages in that inbox, packed: a linked profile's go along with it."""


def put_command(partition: int, entry_id: bytes, place: int, record: Record) -> tuple[Word, ...]:
    """The command that puts a record into the outbox; `entry_id` and `place` name its cause."""
    return ("HSET", keyspace.outbox(partition), b"%b-%d" % (entry_id, place), _encode(record))


class Outbox:
    """Delivers what commits have put into the outboxes."""

    def __init__(self, valkey: Valkey, log: EventLog, unshelve: Unshelve) -> None:
        self._valkey = valkey
        self._log = log
        self._unshelve = unshelve

    async def deliver(self, partition: int) -> int:
        """Deliver everything a partition has to send, in the order of its causes; how many it was."""
        key = keyspace.outbox(partition)
        reply = await self._valkey.call("HGETALL", key)
        parcels = sorted(
            pairs(reply), key=lambda parcel: [int(part) for part in parcel[0].split(b"-")]
        )
        for name, packed in parcels:
            try:
                record = _decode(packed)
            except msgspec.MsgspecError as error:
                _LOG.error(
                    "a parcel cannot be read, it stays",
                    partition=partition,
                    name=name,
                    error=str(error),
                )
                continue
            await self._send(partition, name, record)
            await self._valkey.call("HDEL", key, name)
        return len(parcels)

    async def _send(self, partition: int, name: bytes, record: Record) -> None:
        sender = record.sender
        marks = marks_of_causes("outbox", sender.app_id, sender.profile_id, name)
        source = sender.device_id
        if isinstance(record, ProfileMerged):
            messages = await self._unshelve(sender.app_id, record.anonymous_profile_id)
            record = replace(record, messages=messages)
            source = record.anonymous_profile_id
        elif (
            isinstance(record, EventsUploaded)
            # Within a partition the device's memory holds these ids since their upload: they would all
            # be taken for repeats.
            and self._log.partition_of(sender.profile_id) != partition
        ):
            ids = [event.id for event in record.events]
            of_events = marks_of(ids[0], ids)
            events_only = of_events.fingerprints[FINGERPRINT_BYTES:]
            marks = replace(of_events, fingerprints=marks.fingerprints + events_only)
        await self._log.append(record, marks, source=source)
