"""What an app configures is refused where it cannot work, at once."""

from typing import Any

import pytest

from zuruf import Config, SystemPlatform
from zuruf.errors import ConfigError


def a_config(**settings: Any) -> Config:
    given = {"endpoint": "https://gateway.example", "publishable_key": "pk", "storage_dir": "zuruf"}
    return Config(**{**given, **settings})


@pytest.mark.parametrize(
    "settings",
    [
        {"endpoint": "gateway.example"},
        {"endpoint": "ftp://gateway.example"},
        {"publishable_key": ""},
        {"publishable_key": "sk_secret"},
        {"platform": SystemPlatform("toaster")},  # type: ignore[arg-type]
        {"platform": SystemPlatform("web", "wall")},  # type: ignore[arg-type]
        {"stream": "carrier pigeon"},
        {"flush_at": 0},
        {"poll_wait_s": -1},
        {"session_idle_s": 0},
        {"display_gap_s": -0.1},
    ],
)
def test_configuration_that_cannot_work_is_refused_where_it_is_made(
    settings: dict[str, Any],
) -> None:
    with pytest.raises(ConfigError):
        a_config(**settings)


def test_gap_between_messages_may_be_none() -> None:
    assert a_config(display_gap_s=0).display_gap_s == 0


def test_key_does_not_show_in_the_configuration() -> None:
    assert "pk_secret" not in repr(a_config(publishable_key="pk_secret"))
