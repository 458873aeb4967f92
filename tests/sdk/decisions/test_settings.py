"""Laws of settings; their cases are the vectors `merge_config` and `remote_config`."""

import re
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from zuruf.config import Config
from zuruf.decisions.remote_config import resolved
from zuruf.decisions.settings import BOUNDS, CHOICES, DEFAULTS, merged

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["gap_ms", "quiet_hours", "from", "to", "x"]), inner)
    ),
)
README = Path(__file__).resolve().parents[3] / "sdk_reference/conformance/README.md"
NAMES = [*BOUNDS, "poll_wait_s", "display", "trigger_events", "sampling", "values"]


@given(st.dictionaries(st.sampled_from(NAMES), json_values))
def test_no_recommendation_leads_out_of_bounds(recommended: dict[str, Any]) -> None:
    settings = merged({}, recommended)
    for name, (least, most) in BOUNDS.items():
        assert least <= getattr(settings, name) <= most
    assert settings.batch_events_max <= DEFAULTS.batch_events_max
    assert settings.batch_bytes_max <= DEFAULTS.batch_bytes_max
    assert 1_000 <= settings.poll_wait_ms <= 55_000
    assert all(0 <= share <= 1 for share in settings.sampling.values())


@given(
    st.dictionaries(st.sampled_from([name for _, name, _ in CHOICES]), st.integers(1, 50)),
    st.dictionaries(st.sampled_from(NAMES), json_values),
)
def test_the_app_has_the_last_word(app: dict[str, int], recommended: dict[str, Any]) -> None:
    settings = merged(app, recommended)
    for name, value in app.items():
        if name == "display_gap_ms":
            assert settings.display.gap_ms == value
        else:
            assert getattr(settings, name) <= value
            assert getattr(settings, name) == value or name.startswith("batch_")


@given(st.dictionaries(st.text(max_size=3), json_values), st.uuids().map(str))
def test_no_remote_configuration_breaks_its_reading(
    values: dict[str, Any], install_id: str
) -> None:
    assert resolved(values, install_id).keys() <= values.keys()


def test_settings_without_a_word_from_anybody_are_those_of_the_configuration() -> None:
    config = Config(endpoint="https://gateway.example", publishable_key="pk", storage_dir="zuruf")  # type: ignore[arg-type]
    assert config.chosen() == {}
    assert merged(config.chosen(), {}) == DEFAULTS
    assert round(config.flush_interval_s * 1000) == DEFAULTS.flush_interval_ms
    assert round(config.poll_wait_s * 1000) == DEFAULTS.poll_wait_ms
    assert round(config.session_idle_s * 1000) == DEFAULTS.session_idle_ms
    assert round(config.session_max_s * 1000) == DEFAULTS.session_max_ms
    assert round(config.display_gap_s * 1000) == DEFAULTS.display.gap_ms
    for name in ("flush_at", "batch_events_max", "batch_bytes_max"):
        assert getattr(config, name) == getattr(DEFAULTS, name)


def test_everything_an_app_sets_itself_is_chosen_in_the_unit_of_the_settings() -> None:
    config = Config(
        endpoint="https://gateway.example",
        publishable_key="pk",
        storage_dir="zuruf",  # type: ignore[arg-type]
        flush_at=7,
        flush_interval_s=7.5,
        batch_events_max=8,
        batch_bytes_max=9_000,
        poll_wait_s=10,
        session_idle_s=11,
        session_max_s=12,
        display_gap_s=0.5,
    )
    assert config.chosen() == {
        "flush_at": 7,
        "flush_interval_ms": 7_500,
        "batch_events_max": 8,
        "batch_bytes_max": 9_000,
        "poll_wait_ms": 10_000,
        "session_idle_ms": 11_000,
        "session_max_ms": 12_000,
        "display_gap_ms": 500,
    }
    assert config.chosen().keys() == {name for _, name, _ in CHOICES}


def test_readme_of_the_kit_has_the_bounds_and_defaults_that_are_in_force() -> None:
    _, _, text = README.read_text().partition("\n**`merge_config`.**")
    table = text.partition("\n**")[0]
    rows = {
        name: [int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*\d|\d", cells)][:3]
        for name, cells in re.findall(r"^\| `(\w+)` \|(.*)$", table, re.MULTILINE)
    }
    assert rows.pop("poll_wait_s") == [DEFAULTS.poll_wait_ms // 1000, 1, 55]
    assert rows == {
        name: [getattr(DEFAULTS, name), least, most] for name, (least, most) in BOUNDS.items()
    }
