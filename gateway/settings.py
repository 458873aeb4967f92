"""Every knob of the gateway: one table that the commands, the docs and the tests read."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, get_args, get_type_hints

import msgspec
from msgspec import Meta, Struct

from gateway.errors import SettingError

PREFIX = "ZURUF_"

Port = Annotated[int, Meta(ge=0, le=65535)]
Count = Annotated[int, Meta(ge=1)]
Processes = Annotated[int, Meta(ge=1, le=256)]
Bytes = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0, le=1e9)]
Rate = Annotated[float, Meta(gt=0, le=1e9)]


def _describe(text: str) -> Meta:
    return Meta(description=text)


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings. Each is also `ZURUF_<NAME>` in the environment."""

    # -- where things are ---------------------------------------------------------------------
    data_dir: Annotated[str, _describe("folder of everything that must survive a restart")] = "data"
    host: Annotated[str, _describe("address the edge and the console listen on")] = "127.0.0.1"
    port: Annotated[Port, _describe("port of the device API")] = 8080
    console_port: Annotated[Port, _describe("port of the console; 0: port + 1")] = 0
    valkey_url: Annotated[
        str,
        Meta(pattern=r"^((unix|valkeys?|rediss?)://.+)?\Z"),
        _describe("an own Valkey (`unix:///…` or `valkey://host:port`); empty: embedded"),
    ] = ""
    store_bytes_max: Annotated[
        Bytes, _describe("memory of the embedded Valkey; above it uploads get 503, nothing is lost")
    ] = 4 * 1024 * 1024 * 1024
    secret: Annotated[
        str, _describe("install secret that token keys derive from; empty: kept in the data folder")
    ] = ""
    edges: Annotated[Processes, _describe("edge processes")] = 2
    workers: Annotated[Processes, _describe("worker processes")] = 1
    partitions: Annotated[
        int, Meta(ge=1, le=1024), _describe("partitions; fixed when the data folder is created")
    ] = 64
    serve_admin: Annotated[
        bool, _describe("the edge answers `/admin/v1` too; turn off where it faces the internet")
    ] = True
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        _describe("least level that is logged: debug, info, warning or error"),
    ] = "info"

    # -- limits of a request ------------------------------------------------------------------
    body_bytes_max: Annotated[Bytes, _describe("a body on the wire")] = 512 * 1024
    inflated_bytes_max: Annotated[Bytes, _describe("a body after decompression")] = 4 * 1024 * 1024
    batch_events_max: Annotated[Count, _describe("events in a batch")] = 500
    event_bytes_max: Annotated[Bytes, _describe("one event as sent")] = 32 * 1024
    in_flight_bytes_max: Annotated[
        Bytes, _describe("bodies being worked on, per edge process; above it 503")
    ] = 64 * 1024 * 1024
    connections_max: Annotated[Count, _describe("open connections per edge process")] = 20_000
    holds_max: Annotated[Count, _describe("held polls and streams per edge process")] = 16_000
    header_timeout_s: Annotated[Seconds, _describe("time for a request's head to arrive")] = 5.0
    body_timeout_s: Annotated[Seconds, _describe("time for a request's body to arrive")] = 15.0
    keep_alive_s: Annotated[Seconds, _describe("an idle connection is closed after this")] = 75.0

    # -- rates (token buckets, per edge process) ----------------------------------------------
    device_rate: Annotated[Rate, _describe("requests per second of one device")] = 50.0
    device_burst: Annotated[Count, _describe("requests at once of one device")] = 200
    app_rate: Annotated[Rate, _describe("requests per second of one app")] = 50_000.0
    app_burst: Annotated[Count, _describe("requests at once of one app")] = 100_000
    registration_rate: Annotated[
        Rate, _describe("registrations per second of one client address")
    ] = 200.0
    registration_burst: Annotated[
        Count, _describe("registrations at once of one client address")
    ] = 2_000

    # -- devices and messages -----------------------------------------------------------------
    token_ttl_s: Annotated[Count, _describe("life of a device token")] = 30 * 86_400
    token_refresh_s: Annotated[
        Count, _describe("how long after its end a token still refreshes its device")
    ] = 90 * 86_400
    hold_s_max: Annotated[Seconds, _describe("longest hold of a poll")] = 55.0
    stream_heartbeat_s: Annotated[Seconds, _describe("comment line on a quiet stream")] = 25.0
    recheck_s: Annotated[
        Seconds, _describe("a hold re-reads its inbox once after this, should a wake-up be lost")
    ] = 10.0
    inbox_messages_max: Annotated[Count, _describe("live messages of a profile")] = 50
    inbox_ttl_s: Annotated[Count, _describe("an inbox nobody touches is dropped after this")] = (
        400 * 86_400
    )

    # -- event log and workers ----------------------------------------------------------------
    dedupe_ids_max: Annotated[
        int, Meta(ge=501), _describe("ids remembered per device; more than a full batch")
    ] = 1024
    dedupe_ttl_s: Annotated[Count, _describe("ids are remembered this long after an upload")] = (
        7 * 86_400
    )
    lease_s: Annotated[Seconds, _describe("a worker that is silent this long loses partitions")] = (
        3.0
    )
    worker_entries_max: Annotated[Count, _describe("log entries in one worker turn, at most")] = 256
    worker_turn_s: Annotated[
        Seconds,
        _describe("how long a worker turn should take: what comes in meanwhile waits for it"),
    ] = 0.01
    worker_profiles_max: Annotated[
        Count,
        _describe("profiles a worker keeps in memory between turns; many make its collector pause"),
    ] = 2_000
    store_lanes: Annotated[
        Count, _describe("connections to Valkey per process; more of them save fsyncs under load")
    ] = 4
    store_timeout_s: Annotated[Seconds, _describe("Valkey must answer within this")] = 5.0
    drain_s: Annotated[Seconds, _describe("time to finish requests after SIGTERM")] = 5.0

    # -- definitions --------------------------------------------------------------------------
    journeys_max: Annotated[Count, _describe("journeys of one app")] = 1_000
    decisions_max: Annotated[Count, _describe("decision records kept per profile")] = 100

    @property
    def data_path(self) -> Path:
        """The data folder, absolute."""
        return Path(self.data_dir).expanduser().resolve()


def read_settings(
    environ: Mapping[str, str] = os.environ, **overrides: str | float | bool | None
) -> Settings:
    """Settings from `ZURUF_*` variables; overrides that are not None win (command-line flags).

    Raises SettingError with the setting's name when one is unknown or out of bounds.
    """
    values: dict[str, str | float | bool] = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in environ.items()
        if name.startswith(PREFIX)
    }
    values |= {name: value for name, value in overrides.items() if value is not None}
    try:
        return msgspec.convert(values, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise SettingError(str(error)) from None


def describe_settings() -> list[tuple[str, str, str]]:
    """(name, default, description) of every setting, in order."""
    hints = get_type_hints(Settings, include_extras=True)
    rows = []
    for field in msgspec.structs.fields(Settings):
        text = next(
            meta.description
            for meta in get_args(hints[field.name])[1:]
            if isinstance(meta, Meta) and meta.description
        )
        rows.append((field.name, str(field.default), text))
    return rows
