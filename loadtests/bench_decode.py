"""`python -m loadtests.bench_decode`: reading a batch of 50 events, by the way it is decoded."""

from __future__ import annotations

import json
import random
import tempfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import msgspec
import uvloop
from isal import isal_zlib
from msgspec import Meta, Raw, Struct

from loadtests import payloads, report, twin
from loadtests.figures import Figures
from loadtests.measures import EVENTS_A_BATCH, Plan

Key = Annotated[str, Meta(max_length=128)]
Text = Annotated[str, Meta(min_length=1, max_length=128)]
Milliseconds = Annotated[int, Meta(ge=0, le=4102444800000)]
Value = str | int | float | bool | list[Any] | dict[Key, Any] | None


class Typed(Struct):
    id: UUID
    type: Text
    name: Text
    ts: Milliseconds
    session_id: Text | None = None
    props: Annotated[dict[Key, Value], Meta(max_length=256)] = {}


class Sparing(Struct):
    """Ids stay text and props stay bytes, to be looked at by whoever needs them."""

    id: Text
    type: Text
    name: Text
    ts: Milliseconds
    session_id: Text | None = None
    props: Raw = Raw(b"{}")


class TypedBatch(Struct):
    batch_id: UUID
    sent_at: Milliseconds
    events: list[Typed]


class SparingBatch(Struct):
    batch_id: Text
    sent_at: Milliseconds
    events: list[Sparing]


async def measure(figures: Figures, plan: Plan, rounds: int, _directory: Path) -> None:
    source = random.Random(plan.seed)
    body = payloads.encode(payloads.batch(source, events=EVENTS_A_BATCH))
    packed = payloads.compress(body)
    encoded = msgspec.msgpack.encode(json.loads(body))
    typed, sparing = msgspec.json.Decoder(TypedBatch), msgspec.json.Decoder(SparingBatch)
    untyped, typed_msgpack = msgspec.json.Decoder(), msgspec.msgpack.Decoder(TypedBatch)
    ways: dict[str, Callable[[], object]] = {
        "msgspec, typed": lambda: typed.decode(body),
        "msgspec, props as bytes": lambda: sparing.decode(body),
        "msgspec, untyped": lambda: untyped.decode(body),
        "msgspec, typed, MessagePack": lambda: typed_msgpack.decode(encoded),
        "pydantic, as the twin does": lambda: twin.validated(body),
        "json.loads": lambda: json.loads(body),
    }
    inflating: dict[str, Callable[[], object]] = {
        "isal": lambda: isal_zlib.decompress(packed, 31),
        "zlib": lambda: zlib.decompress(packed, 31),
    }
    for number in range(rounds):
        for name, way in ways.items():
            figures.add("decode", "50 events", name, "µs", _microseconds(way), number)
        for name, way in inflating.items():
            figures.add("inflate", "50 events", name, "µs", _microseconds(way), number)
    sizes = {"JSON": len(body), "JSON, gzip": len(packed), "MessagePack": len(encoded)}
    for name, size in sizes.items():
        figures.add("size", "50 events", name, "bytes", size)


def _microseconds(work: Callable[[], object], calls: int = 300) -> float:
    work()
    began = time.perf_counter()
    for _ in range(calls):
        work()
    return (time.perf_counter() - began) / calls * 1e6


def main() -> None:
    figures = Figures()
    with tempfile.TemporaryDirectory() as directory:
        uvloop.run(measure(figures, Plan(), 7, Path(directory)))
    report.show(report.console(), figures, ())


if __name__ == "__main__":
    main()
