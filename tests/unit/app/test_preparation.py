"""What is known before a run: speed, environment, and that preparing leaves no trace."""

from __future__ import annotations

import math
import sys
from importlib.metadata import distributions
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dudzian_daemon.app.preparation import RunOptions, installed, parse_speed, prepare
from dudzian_daemon.domain.errors import ConfigError


def test_speed_in_words() -> None:
    assert (parse_speed("max"), parse_speed("real"), parse_speed("160000"), parse_speed("0.5")) == (None, 1.0, 160_000.0, 0.5)


@given(st.text() | st.floats().map(str) | st.integers().map(str))
def test_any_other_speed_is_refused_in_a_line_or_is_a_number_above_0(text: str) -> None:
    try:
        speed = parse_speed(text)
    except ConfigError as error:
        assert str(error).startswith("--speed: expected max, real or a number above 0")
        assert "\n" not in str(error)
    else:
        assert speed is None or (speed > 0 and math.isfinite(speed))


def test_preparing_reads_and_writes_nothing(tmp_path: Path) -> None:
    prepared = prepare(RunOptions(data_dir=tmp_path / "data"), {})
    assert (prepared.environment, prepared.artifact, prepared.speed) == ("demo", "demo", 160_000.0)
    assert {schedule.name: schedule.strategy for schedule in prepared.spec.schedules} == {
        "alt_reversion_1h": "demo_mean_reversion",
        "alt_trend_1h": "core_daily_trend",
        "btc_trend_d1": "core_daily_trend",
        "eth_arbitrage_1h": "demo_cross_exchange",
        "volatility_1d": "demo_volatility_target",
    }
    assert not (tmp_path / "data").exists()


def test_flags_win_over_the_configuration(tmp_path: Path) -> None:
    options = RunOptions(data_dir=tmp_path, environment="paper", speed="max", metrics_port=1234)
    prepared = prepare(options, {"DUDZIAN__runtime__metrics_service__port": "99"})
    assert (prepared.environment, prepared.speed, prepared.config.runtime.metrics_service.port) == ("binance_paper", None, 1234)


def test_a_disabled_environment_does_not_run() -> None:
    with pytest.raises(ConfigError, match=r"environment 'kraken_paper' is disabled in .*set `enabled: true` there"):
        prepare(RunOptions(environment="paper_kraken"), {})


def test_the_dependencies_on_record_are_what_the_metadata_say_in_their_spelling() -> None:
    found = (distribution.metadata for distribution in distributions())
    assert installed() == dict(sorted((each["Name"], each["Version"]) for each in found))


def test_a_name_is_taken_from_the_headers_alone_and_a_nameless_distribution_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder, file, text in (
        ("a_b-1.0.dist-info", "METADATA", "Metadata-Version: 2.1\nSummary: Name: x\nVersion: 1.0 \nName: A.b\n\nName: other\nVersion: 9\n"),
        ("old.egg-info", "PKG-INFO", "Metadata-Version: 1.0\nName: old\nVersion: 0.1\n"),
        ("broken-1.dist-info", "METADATA", "Version: 1\n\nName: broken\n"),
        ("empty-1.dist-info", "RECORD", ""),
    ):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / file).write_text(text)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert installed() == {"A.b": "1.0", "old": "0.1"}
