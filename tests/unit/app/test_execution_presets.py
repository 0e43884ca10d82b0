"""Named presets: from the configuration to what the simulator works by."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from dudzian_daemon.app.session_spec import execution_preset
from dudzian_daemon.config.load import load
from dudzian_daemon.config.paper import PaperTrading, shipped_presets
from dudzian_daemon.config.schema import CoreConfig
from dudzian_daemon.domain.errors import ConfigError

ROOT = Path(__file__).parents[3]


def written(tmp_path: Path, old: str, new: str) -> CoreConfig:
    """The shipped configuration with one change."""
    text = (ROOT / "config" / "core.yaml").read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "core.yaml").write_text(text.replace(old, new, 1), encoding="utf-8")
    (tmp_path / "instruments.yaml").write_text((ROOT / "config" / "instruments.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    return load(tmp_path / "core.yaml", env={}).config


def test_the_shipped_file_lists_the_presets_of_a_configuration_that_lists_none() -> None:
    listed = load(ROOT / "config" / "core.yaml", env={}).config.execution_presets
    plain = {name: msgspec.structs.replace(entry, description="") for name, entry in listed.items() if not entry.venue_fees}
    assert plain == shipped_presets()


def test_published_fees_are_charged_by_venue() -> None:
    config = load(ROOT / "config" / "core.yaml", env={"DUDZIAN__PAPER_TRADING__PRESET": "published_fees"}).config
    entry = config.preset("published_fees")
    assert all("read 20" in row.source for rows in entry.venue_fees.values() for row in rows)
    made = execution_preset(config.paper("demo"), entry)
    assert [made.rates(venue, 1).taker for venue in ("binance", "kraken", "elsewhere")] == [
        Decimal("0.001"),
        Decimal("0.0026"),
        Decimal("0.0006"),
    ]


def test_a_preset_nobody_knows_is_refused_with_those_that_are_known(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown execution preset 'candle_defualt'.*candle_default"):
        written(tmp_path, "  preset: candle_default", "  preset: candle_defualt")


def test_the_account_overrides_slippage_and_latency_of_its_preset(tmp_path: Path) -> None:
    plain = load(ROOT / "config" / "core.yaml", env={}).config.paper("demo")
    assert (plain.slippage_bps, plain.latency_ms) == (Decimal(5), 0)
    config = written(tmp_path, "  preset: candle_default", "  preset: pessimistic\n  slippage_bps: 7")
    preset = execution_preset(config.paper("demo"), config.preset("pessimistic"))
    assert (preset.name, preset.slippage_bps, preset.latency_ns, preset.touch_fills) == ("pessimistic", Decimal(7), 500_000_000, False)


def test_fees_of_a_venue_hold_from_their_day_on(tmp_path: Path) -> None:
    fees = "    venue_fees: {binance: [{valid_from: 2020-01-01, maker: 0.001, taker: 0.002}]}\n"
    config = written(tmp_path, "    slippage_bps: 5\n", "    slippage_bps: 5\n" + fees)
    preset = execution_preset(PaperTrading(), config.preset("candle_default"))
    day = 1_577_836_800_000_000_000  # 2020-01-01
    assert [preset.rates("binance", at).taker for at in (day - 1, day)] == [Decimal("0.0006"), Decimal("0.002")]
    assert preset.rates("kraken", day).maker == Decimal("0.0004")
