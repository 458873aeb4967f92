"""What a process counts. Plain integers, because a counter on the hot path must cost nanoseconds."""

import asyncio
import contextlib
import time

import msgspec
from msgspec import Struct, field
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from gateway import keyspace, tasks
from gateway.errors import StoreError
from gateway.valkey import Valkey, pairs

_PUBLISH_S = 1.0
_FORGET_S = 60.0
_LABELS_MAX = 64


class Counts(Struct, omit_defaults=True):
    """Totals since the process started."""

    uploads: int = 0
    events_accepted: int = 0
    events_duplicate: int = 0
    polls: int = 0
    messages_handed_out: int = 0
    devices_registered: int = 0
    entries_read: int = 0
    events_reacted: int = 0
    events_withheld: int = 0
    messages_sent: int = 0
    decisions: int = 0
    commits: int = 0
    commits_fenced: int = 0
    records_set_aside: int = 0
    commands_refused: int = 0
    events_rejected: dict[str, int] = field(default_factory=dict)
    problems: dict[str, int] = field(default_factory=dict)
    client_drops: dict[str, int] = field(default_factory=dict)


class Gauges(Struct, omit_defaults=True):
    """Levels right now."""

    holds: int = 0
    in_flight_bytes: int = 0
    partitions: int = 0
    log_entries: int = 0


HELP = {
    "uploads": "Batches answered with 200",
    "events_accepted": "Events written to the log",
    "events_duplicate": "Events that were in the log already",
    "polls": "Polls answered, with or without messages",
    "messages_handed_out": "Messages handed to devices",
    "devices_registered": "Registrations answered with 201",
    "entries_read": "Log entries folded",
    "events_reacted": "Events folded into profiles",
    "events_withheld": "Events not folded, because their person denies `analytics`",
    "messages_sent": "Messages put into inboxes",
    "decisions": "Decision records written",
    "commits": "Worker transactions written",
    "commits_fenced": "Worker transactions refused because the partition had a newer owner",
    "records_set_aside": "Records that could not be worked with, kept in dead:{p}",
    "commands_refused": "Commands of worker transactions that Valkey refused; see the log",
    "events_rejected": "Events rejected, by code",
    "problems": "Requests refused, by problem code",
    "client_drops": "Events that clients report to have dropped, by reason",
    "holds": "Polls and streams held open",
    "in_flight_bytes": "Bytes of request bodies being worked on",
    "partitions": "Partitions owned",
    "log_entries": "Entries in the logs of these partitions: some tens when nothing waits",
}


class _Report(Struct):
    at: float
    counts: Counts
    gauges: Gauges


class Metrics:
    """The counts of this process, published once a second so that any process can show all of them."""

    def __init__(self, process: str, valkey: Valkey) -> None:
        self.counts = Counts()
        self.gauges = Gauges()
        self._process = process
        self._valkey = valkey
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._publish())

    async def close(self) -> None:
        await tasks.end(self._task)

    async def _publish(self) -> None:
        while True:
            with contextlib.suppress(StoreError):
                await self.publish()
            await asyncio.sleep(_PUBLISH_S)

    async def publish(self) -> None:
        """Tell the others where this process stands."""
        packed = msgspec.msgpack.encode(self._report())
        await self._valkey.call("HSET", keyspace.METRICS, self._process, packed)

    async def render(self) -> bytes:
        """All processes in Prometheus' text format."""
        reply = await self._valkey.call("HGETALL", keyspace.METRICS)
        reports = {}
        for name, packed in pairs(reply):
            report = msgspec.msgpack.decode(packed, type=_Report)
            if report.at > time.time() - _FORGET_S:
                reports[name.decode()] = report
            else:
                await self._valkey.call("HDEL", keyspace.METRICS, name)
        # Not by way of the store: that may be full, and then somebody needs these figures.
        reports[self._process] = self._report()
        registry = CollectorRegistry()
        registry.register(_Fleet(reports))
        return generate_latest(registry)

    def _report(self) -> _Report:
        return _Report(time.time(), self.counts, self.gauges)


def add_label(counts: dict[str, int], label: str, amount: int = 1) -> None:
    """Count under a label; labels that clients choose are bounded, the rest counts as `other`."""
    if label not in counts and len(counts) >= _LABELS_MAX:
        label = "other"
    counts[label] = counts.get(label, 0) + amount


class _Fleet(Collector):
    def __init__(self, reports: dict[str, _Report]) -> None:
        self._reports = reports

    def collect(self) -> list[Metric]:
        metrics: list[Metric] = []
        for name in Counts.__struct_fields__:
            labelled = isinstance(getattr(Counts(), name), dict)
            labels = ["process", "code"] if labelled else ["process"]
            counter = CounterMetricFamily(f"zuruf_{name}", HELP[name], labels=labels)
            for process, report in self._reports.items():
                value = getattr(report.counts, name)
                if labelled:
                    for code, amount in value.items():
                        counter.add_metric([process, code], amount)
                else:
                    counter.add_metric([process], value)
            metrics.append(counter)
        for name in Gauges.__struct_fields__:
            gauge = GaugeMetricFamily(f"zuruf_{name}", HELP[name], labels=["process"])
            for process, report in self._reports.items():
                gauge.add_metric([process], getattr(report.gauges, name))
            metrics.append(gauge)
        return metrics
