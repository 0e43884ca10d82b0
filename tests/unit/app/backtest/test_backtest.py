"""The backtest as a function: what is arranged for what was asked, how it tells its progress, and a journal that is interrupted."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest

from dudzian_daemon.adapters.journal_format import segments
from dudzian_daemon.app.backtest.journal import recording
from dudzian_daemon.app.backtest.run import BacktestOptions, arrange, narrowed, run, simulate
from dudzian_daemon.config.environment import midnight_ns
from dudzian_daemon.config.load import load
from dudzian_daemon.domain.errors import ConfigError
from dudzian_daemon.testing.clock import ManualClock

WEEK = BacktestOptions(first=date(2024, 2, 1), last=date(2024, 2, 7))
TREND = BacktestOptions(first=date(2024, 2, 1), last=date(2024, 2, 7), strategies=("core_daily_trend",))


def test_both_days_are_included_and_history_comes_from_before() -> None:
    arranged = arrange(TREND, {})
    (window,) = arranged.windows
    assert (window.start, window.end) == (midnight_ns(date(2024, 2, 1)), midnight_ns(date(2024, 2, 8)))
    assert {f"{series.instrument} {series.granularity}": count for series, count in window.series.items()} == {
        "binance:BTC/USDT 1d": 110,
        **{f"binance:{base}/USDT 1h": 110 for base in ("ETH", "SOL", "XRP", "LTC", "MATIC")},
    }


@pytest.mark.parametrize(
    ("options", "days"),
    [
        (BacktestOptions(last=date(2018, 3, 1)), (date(2018, 1, 1), date(2018, 3, 2))),
        (BacktestOptions(first=date(2024, 6, 1)), (date(2024, 6, 1), date(2024, 7, 1))),
    ],
    ids=["to", "from"],
)
def test_a_day_left_out_is_the_first_or_last_stored(options: BacktestOptions, days: tuple[date, date]) -> None:
    (window,) = arrange(options, {}).windows
    assert (window.start, window.end) == tuple(map(midnight_ns, days))


def test_a_window_without_anything_for_the_chosen_strategies_is_not_played() -> None:
    whole, hourly = (arrange(BacktestOptions(strategies=names), {}).windows for names in ((), ("demo_volatility_target",)))
    assert len(whole) == 2
    assert [(window.start, window.end) for window in hourly] == [(whole[1].start, whole[1].end)]


def test_narrowing_changes_schedules_profile_and_artifact_and_nothing_else() -> None:
    config = load(env={}).config
    found = narrowed(config, "demo", ["core_daily_trend"], "unlimited_research")
    schedules = found.runtime.multi_strategy_schedulers["demo_pipeline"].schedules
    assert list(schedules) == ["btc_trend_d1", "alt_trend_1h"]
    assert {schedule.risk_profile for schedule in schedules.values()} == {"unlimited_research"}
    assert found.artifact_name("demo") == "backtest_demo"
    assert narrowed(found, "demo", [], None) == found
    assert (found.strategies, found.risk, found.instruments) == (config.strategies, config.risk, config.instruments)


def test_progress_grows_from_nothing_to_all() -> None:
    told: list[tuple[int, float]] = []
    arranged = arrange(BacktestOptions(), {})
    found = simulate(arranged.core, arranged.windows, arranged.store, progress=lambda bars, share: told.append((bars, share)))
    assert told == sorted(told)
    assert 0.0 <= told[0][1] < 0.01
    assert told[-1] == (found.counts.bars, 1.0)
    assert len(told) > 5


def test_equal_inputs_give_equal_results() -> None:
    assert run(WEEK, {}) == run(WEEK, {})


def test_an_interrupted_journal_ends_with_saying_so(tmp_path: Path) -> None:
    arranged = arrange(BacktestOptions(data_dir=tmp_path, first=WEEK.first, last=WEEK.last), {})

    def interrupt(_bars: int, share: float) -> None:
        if share > 0.2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), recording(arranged.prepared, {}, ManualClock()) as journal:
        simulate(arranged.core, arranged.windows, arranged.store, recorder=journal, progress=interrupt)
    (last_file,) = segments(Path(journal.text.folder))
    last = json.loads(last_file.read_text(encoding="utf-8").splitlines()[-1])
    assert (last["d"]["kind"], last["d"]["reason"], last["d"]["sequence"]) == ("stopped", "interrupted", journal.text.cycles)
    assert journal.text.cycles > 0


def test_no_window_for_what_is_scheduled_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.mkdir()
    source = load(env={}).path.parent
    for name in ("instruments.yaml", "credentials/binance_paper.yaml"):
        target = path / name
        target.parent.mkdir(exist_ok=True)
        target.write_bytes((source / name).read_bytes())
    text = (source / "core.yaml").read_text(encoding="utf-8")
    (path / "core.yaml").write_text(
        text.replace("instruments: [ETH_USDT, SOL_USDT, XRP_USDT, LTC_USDT, MATIC_USDT]", "instruments: [SOL_USDT]")
    )
    with pytest.raises(
        ConfigError, match=r"no replay window of environment 'demo' has candles that its schedules take: binance:LTC/USDT 1d"
    ):
        arrange(BacktestOptions(config=path / "core.yaml", strategies=("demo_volatility_target",)), {})
