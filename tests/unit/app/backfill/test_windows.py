"""What a backfill without --since asks for is what coverage then asks for: in the middle of a bar, too."""

from __future__ import annotations

from pathlib import Path

from dudzian_daemon.adapters.candle_store import ParquetCandleStore
from dudzian_daemon.app.backfill.plan import Wish, planned
from dudzian_daemon.app.coverage.requirements import Selection, needed
from dudzian_daemon.config.load import load
from tests.unit.app.coverage.real_store import CONFIG, at


def test_the_first_bar_of_a_window_is_that_of_coverage(tmp_path: Path) -> None:
    config, store, now = load(CONFIG, env={}).config, ParquetCandleStore(tmp_path / "ohlcv"), at("2024-06-30T12:30:00")
    asked = {plan.series: plan.window.start for plan in planned(config, Wish(environment="binance_paper", now=now), store)}
    wanted = needed(config, "binance_paper", store, now, None, Selection()).requirements
    assert asked == {each.series: each.window.start for each in wanted}
