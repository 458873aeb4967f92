from typing import Any, get_args, get_type_hints

import msgspec
import pytest
from msgspec import Meta

from gateway.app import create_app
from gateway.errors import SettingError
from gateway.install import settle_partitions
from gateway.settings import Settings, describe_settings, read_settings
from tests.clients import Gateway, SettableClock

BOUNDS: list[tuple[str, str, float]] = [
    (field.name, bound, limit)
    for field in msgspec.structs.fields(Settings)
    for meta in get_args(get_type_hints(Settings, include_extras=True)[field.name])[1:]
    if isinstance(meta, Meta)
    for bound in ("ge", "gt", "le", "lt")
    if (limit := getattr(meta, bound)) is not None
]


def test_setting_is_read_from_the_environment() -> None:
    environ = {
        "ZURUF_PORT": "9000",
        "ZURUF_HOLD_S_MAX": "2.5",
        "ZURUF_SERVE_ADMIN": "false",
        "HOME": "/somewhere",
    }
    settings = read_settings(environ)
    assert (settings.port, settings.hold_s_max, settings.serve_admin) == (9000, 2.5, False)


def test_flag_wins_over_the_environment_and_a_missing_flag_does_not() -> None:
    environ = {"ZURUF_PORT": "9000", "ZURUF_EDGES": "3"}
    settings = read_settings(environ, port=9001, edges=None)
    assert (settings.port, settings.edges) == (9001, 3)


def test_nothing_set_gives_the_defaults() -> None:
    assert read_settings({}) == Settings()


def test_setting_that_does_not_exist_is_refused_by_name() -> None:
    with pytest.raises(SettingError, match="prot"):
        read_settings({"ZURUF_PROT": "9000"})


@pytest.mark.parametrize("value", ["", "many", "1.5", "0x10", "٣", " 8"])
def test_setting_of_a_wrong_kind_is_refused_by_name(value: str) -> None:
    with pytest.raises(SettingError, match="edges"):
        read_settings({"ZURUF_EDGES": value})


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e400", "0", "-1"])
def test_time_is_a_positive_number_of_seconds(value: str) -> None:
    with pytest.raises(SettingError, match="hold_s_max"):
        read_settings({"ZURUF_HOLD_S_MAX": value})


@pytest.mark.parametrize("name, bound, limit", BOUNDS)
def test_setting_is_accepted_at_its_bound_and_refused_beyond(
    name: str, bound: str, limit: float
) -> None:
    def read(value: float) -> Any:
        return getattr(read_settings({f"ZURUF_{name.upper()}": str(value)}), name)

    beyond = {"ge": limit - 1, "gt": limit, "le": limit + 1, "lt": limit}[bound]
    within = {"ge": limit, "gt": limit + 1, "le": limit, "lt": limit - 1}[bound]
    assert read(within) == within
    with pytest.raises(SettingError, match=name):
        read(beyond)


def test_log_level_is_one_of_those_there_are() -> None:
    for level in ("debug", "info", "warning", "error"):
        assert read_settings({"ZURUF_LOG_LEVEL": level}).log_level == level
    for level in ("verbose", "info\n", "", "INFO!"):
        with pytest.raises(SettingError, match="log_level"):
            read_settings({"ZURUF_LOG_LEVEL": level})


def test_every_setting_is_described() -> None:
    described = describe_settings()
    assert [name for name, _, _ in described] == list(Settings.__struct_fields__)
    assert all(text and not text.endswith(".") for _, _, text in described)


def test_data_folder_is_absolute_wherever_one_starts() -> None:
    assert Settings(data_dir="~/data").data_path.is_absolute()
    assert Settings(data_dir="data").data_path.is_absolute()


async def test_number_of_partitions_is_settled_by_the_first_start(
    settings: Settings, clock: SettableClock
) -> None:
    async with Gateway(settings, clock) as first:
        assert first.core.settings.partitions == 4
        assert await settle_partitions(first.core.valkey, 64) == 4
    changed = msgspec.structs.replace(settings, partitions=8)
    async with Gateway(changed, clock) as second:
        assert second.core.settings.partitions == 4


async def test_start_without_a_store_says_what_to_do() -> None:
    with pytest.raises(SettingError, match="zuruf up"):
        await create_app(Settings()).start()
