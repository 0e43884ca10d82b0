"""The pipeline from bootstrap to ledger as a program that embeds it sees it, through the public face alone."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import pytest

from dudzian_daemon import api
from dudzian_daemon.adapters.derived_venue import DerivedVenueStore
from dudzian_daemon.api.auto_trader import CONTROLLER_CYCLE, AutoTrader, ConfigError, ControllerCycle, LiveBlocked, SkippedOrder
from dudzian_daemon.api.embedding import (
    DailyTrendController,
    DailyTrendRealtimeRunner,
    EmbeddedSession,
    PaperTradingExecutionService,
    ThresholdRiskEngine,
    TradingController,
    bootstrap_environment,
    bootstrap_frontend_services,
)
from dudzian_daemon.app.plugins.template import strategy_source
from dudzian_daemon.cli.main import main
from dudzian_daemon.domain.errors import PluginError, Retryable
from dudzian_daemon.domain.market import DAY_NS, HOUR_NS, Candle, Series
from dudzian_daemon.domain.orders import OrderLeg, Side
from dudzian_daemon.kernel.bus import Bus
from dudzian_daemon.testing.clock import ManualClock
from tests.integration.daemon_process import DEMO_WINDOWS, cycles, journal_lines, write_config

HOURLY = ("daily_trend_core: {tick_seconds: 86400, interval: 1d}", "daily_trend_core: {tick_seconds: 3600, interval: 1h}")
#: Two weeks of one instrument by the hour.
WINDOW = "        - {start: 2024-02-06, end: 2024-02-20, instruments: [ETH_USDT], granularity: 1h}"
DAYS = 14


def hourly(home: Path, **changes: tuple[str, str]) -> Path:
    """The demo on two weeks, its controller on hourly candles."""
    return write_config(home, windows=(DEMO_WINDOWS, WINDOW), controller=HOURLY, **changes)


def dudzian(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([*map(str, arguments)])
    return int(ended.value.code or 0)


def played(session: EmbeddedSession, auto_trader: AutoTrader | None = None) -> DailyTrendRealtimeRunner:
    """A runner that has driven the session to the end of its data."""
    runner = DailyTrendRealtimeRunner(DailyTrendController(session), auto_trader)
    while runner.run_once() is not None:
        pass
    return runner


def books(session: EmbeddedSession) -> dict[Any, Any]:
    return {key: (book.quantity, book.cost, book.realised) for key, book in session.core.ledger.books.items()}


class Polls:
    """A stop that comes after so many polls; time passes on the session's clock while it is waited for."""

    def __init__(self, clock: ManualClock, most: int) -> None:
        self.clock = clock
        self.most = most
        self.waits: list[float] = []

    def wait(self, timeout: float, /) -> bool:
        self.waits.append(timeout)
        anyio.run(self.clock.advance, timeout)
        return len(self.waits) == self.most


# -- bootstrap, and paper whatever the mode --------------------------------------------------------------


def test_bootstrap_hands_back_a_ready_paper_execution(tmp_path: Path) -> None:
    with bootstrap_environment(config=hourly(tmp_path), data_dir=tmp_path / "data") as session:
        assert type(session.execution) is PaperTradingExecutionService
        assert type(session.risk_engine) is ThresholdRiskEngine
        assert type(session.controller) is TradingController
        assert session.auto_trader.execution is session.execution
        assert not session.auto_trader.paper_only
        assert session.prepared.config.profile("balanced").max_open_positions == 5


@pytest.mark.parametrize("mode", ["demo", "paper"])
def test_every_mode_executes_on_paper_and_says_so_in_the_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str], mode: str) -> None:
    config = hourly(tmp_path, mode=("    mode: demo\n", f"    mode: {mode}\n"))
    assert dudzian("run", "--dry-run", "--json", "--config", config, "--data-dir", tmp_path / "data") == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["mode"], plan["execution"]) == (mode, "PaperTradingExecutionService")
    assert not (tmp_path / "data").exists()


def test_orders_are_to_be_found_in_the_paper_ledger_and_nowhere_else(tmp_path: Path) -> None:
    with bootstrap_environment(config=hourly(tmp_path), data_dir=tmp_path / "data") as session:
        assert session.prepared.chosen.keychain_key is None
        played(session)
    fills = [fill for cycle in cycles(journal_lines(tmp_path / "data")) for fill in cycle["fills"]]
    assert fills
    signed: dict[tuple[str, str], int] = {}
    for fill in fills:
        key = (fill["strategy"], fill["instrument"])
        signed[key] = signed.get(key, 0) + (1 if fill["side"] == "buy" else -1)
    assert set(signed) == {key for key, book in session.core.ledger.books.items() if book.realised or book.quantity}
    assert {fill["preset"] for fill in fills} == {"candle_default"}


# -- no execution service ----------------------------------------------------------------------------------------


def test_without_an_execution_service_orders_are_skipped_and_live_stays_refused() -> None:
    auto_trader = AutoTrader(Bus())
    assert (auto_trader.paper_only, auto_trader.live_allowed) == (True, False)
    leg = OrderLeg(instrument="binance:BTC/USDT", side=Side.BUY, quantity=Decimal(1), reduce_only=False)
    assert isinstance(auto_trader.execution, api.NullExecutionService)
    assert auto_trader.execution.execute([leg]) == [SkippedOrder(symbol="binance:BTC/USDT", side=Side.BUY, size=Decimal(1))]
    with pytest.raises(LiveBlocked, match="paper-only mode"):
        auto_trader.activate_live()


# -- confirmation, and one road for both pipelines ---------------------------------------------------------


def test_auto_mode_drives_no_cycle_until_it_is_confirmed(tmp_path: Path) -> None:
    with bootstrap_environment(config=hourly(tmp_path), data_dir=tmp_path / "data") as session:
        auto_trader = session.auto_trader
        runner = DailyTrendRealtimeRunner(DailyTrendController(session), auto_trader)
        with pytest.raises(ConfigError, match=r"auto mode is not confirmed, so no cycle is driven: call confirm_auto_trade\(\) first"):
            runner.run_once()
        assert session.core.sequence == 0
        auto_trader.confirm_auto_trade()
        assert runner.run_once() is not None
        driven = session.core.sequence
        assert driven > 0
        auto_trader.set_enable_auto_trade(False)
        auto_trader.set_enable_auto_trade(True)
        with pytest.raises(ConfigError, match="not confirmed"):
            runner.run_once()
        assert session.core.sequence == driven


def test_the_bridge_the_manual_pipeline_and_the_backtest_are_one_road(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = hourly(tmp_path)
    with bootstrap_environment(config=config, data_dir=tmp_path / "auto") as auto:
        auto.auto_trader.confirm_auto_trade()
        bridge = played(auto, auto.auto_trader)
    with bootstrap_environment(config=config, data_dir=tmp_path / "manual") as manual:
        played(manual)
    assert bridge.auto_trader is auto.auto_trader
    assert auto.content_chain == manual.content_chain
    assert books(auto) == books(manual)
    assert sum(map(bool, books(auto).values())) > 0
    assert dudzian("backtest", "--config", config, "--data-dir", tmp_path / "back", "--journal", "--json") == 0
    assert json.loads(capsys.readouterr().out)["journal"]["content_chain"] == auto.content_chain


def test_the_runner_tells_what_its_last_cycle_was(tmp_path: Path) -> None:
    clock = ManualClock()
    with bootstrap_environment(config=hourly(tmp_path), data_dir=tmp_path / "data", clock=clock) as session:
        controller = DailyTrendController(session)
        runner = DailyTrendRealtimeRunner(controller)
        assert (controller.strategy, controller.interval, controller.tick_seconds) == ("core_daily_trend", "1h", 3600)
        assert (runner.last_signals, runner.last_results, runner.last_started_at) == ((), (), None)
        while (record := runner.run_once()) is not None and not runner.last_signals:
            assert runner.last_results == ()
        assert record is not None
        assert {signal.schedule for signal in runner.last_signals} == {"alt_trend_1h"}
        assert {result.signal_id for result in runner.last_results} == {signal.id for signal in runner.last_signals}
        assert runner.last_started_at == clock.wall_ns() / 1e9
        assert (session.auto_trader.get_last_controller_cycle() or {})["sequence"] == record.sequence


# -- what fronts share -------------------------------------------------------------------------------------------


def test_two_fronts_share_services_and_numbers(tmp_path: Path) -> None:
    with bootstrap_environment(config=hourly(tmp_path), data_dir=tmp_path / "data") as session:
        one, other = bootstrap_frontend_services(session), bootstrap_frontend_services(session)
        assert all(getattr(one, name) is getattr(other, name) for name in ("exchanges", "live_router", "accounts", "market_intel"))
        opening = one.accounts.snapshot()
        assert (opening.sequence, opening.cash, dict(opening.positions)) == (0, Decimal(10_000), {})
        runner = DailyTrendRealtimeRunner(DailyTrendController(session))
        while not other.accounts.snapshot().positions:
            assert runner.run_once() is not None
        account = one.accounts.snapshot()
        assert account == other.accounts.snapshot()
        assert (account.cash, account.equity) == (session.core.ledger.cash, session.core.ledger.equity)
        held = {(s, i): q for venue in account.positions.values() for i, by in venue.items() for s, q in by.items()}
        assert held == {key: book.quantity for key, book in session.core.ledger.books.items() if book.quantity}
        series = Series("binance:ETH/USDT", "1h")
        latest = session.core.strategies.units["alt_trend_1h"][0].latest[series]
        assert (one.market_intel.snapshot()[series].end, one.market_intel.snapshot()[series].close) == (latest.end, latest.close)
        assert "binance" in one.exchanges.venues
        assert [candle.end for candle in one.exchanges.candles(series, latest.end - HOUR_NS, latest.end)] == [latest.end]
        with pytest.raises(LiveBlocked, match=r"1 order\(s\) were not sent"):
            one.live_router.submit("anything")


# -- polls, quiet cycles, errors -------------------------------------------------------------------------


def test_polls_are_so_many_seconds_apart(tmp_path: Path) -> None:
    clock = ManualClock()
    with bootstrap_environment(config=hourly(tmp_path), data_dir=tmp_path / "data", clock=clock) as session:
        began: list[float] = []
        runner = DailyTrendRealtimeRunner(DailyTrendController(session))
        session.bus.subscribe(CONTROLLER_CYCLE, lambda _topic, cycle: began.append(cycle.started_at), name="watch")
        stop = Polls(clock, 4)
        assert runner.run(stop, poll_seconds=5) == 4
        assert stop.waits == [5.0] * 4
        assert sorted({b - began[0] for b in began}) == [0.0, 5.0, 10.0, 15.0]
        for seconds in (0, 0.5, -1, float("nan")):
            with pytest.raises(ConfigError, match="poll_seconds: expected at least 1 seconds"):
                runner.run(stop, poll_seconds=seconds)


def test_a_cycle_without_a_signal_is_a_cycle(tmp_path: Path) -> None:
    with bootstrap_environment(config=hourly(tmp_path), data_dir=tmp_path / "data") as session:
        seen: list[ControllerCycle] = []
        session.bus.subscribe(CONTROLLER_CYCLE, lambda _topic, cycle: seen.append(cycle), name="watch")
        runner = DailyTrendRealtimeRunner(DailyTrendController(session))
        record = runner.run_once()
        assert record is not None
        assert (record.signals, seen[-1].sequence, seen[-1].signals, seen[-1].orders) == ((), record.sequence, (), 0)


def test_an_error_that_may_pass_costs_one_poll(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: Callable[..., Sequence[Candle]] = DerivedVenueStore.read
    failures = ["venue does not answer"]

    def failing(store: DerivedVenueStore, series: Series, start: int, end: int) -> Sequence[Candle]:
        if failures:
            raise Retryable(failures.pop())
        return read(store, series, start, end)

    monkeypatch.setattr(DerivedVenueStore, "read", failing)
    clock = ManualClock()
    with bootstrap_environment(config=hourly(tmp_path), data_dir=tmp_path / "data", clock=clock) as session:
        runner = DailyTrendRealtimeRunner(DailyTrendController(session))
        assert runner.run(Polls(clock, 3), poll_seconds=5) == 2
        assert (runner.errors, session.core.sequence > 0) == (1, True)


def test_a_listener_that_raises_stops_neither_cycle_nor_others(tmp_path: Path) -> None:
    with bootstrap_environment(config=hourly(tmp_path), data_dir=tmp_path / "data") as session:

        def broken(_topic: str, _cycle: object) -> None:
            raise RuntimeError

        seen: list[int] = []
        session.bus.subscribe(CONTROLLER_CYCLE, broken, name="broken")
        session.bus.subscribe(CONTROLLER_CYCLE, lambda _topic, cycle: seen.append(cycle.sequence), name="watch")
        played(session)
        assert seen == list(range(1, session.core.sequence + 1))
        assert session.bus.statistics()["broken"].faults > 0


# -- every cycle can be seen -------------------------------------------------------------------------------------


def test_a_cycle_is_an_event_and_a_line_of_the_journal(tmp_path: Path) -> None:
    seen: list[ControllerCycle] = []
    with bootstrap_environment(config=hourly(tmp_path), data_dir=tmp_path / "data") as session:
        session.auto_trader.set_controller_cycle_history_limit(None)
        session.bus.subscribe(CONTROLLER_CYCLE, lambda _topic, cycle: seen.append(cycle), name="watch")
        played(session)
        kept = [cycle["sequence"] for cycle in session.auto_trader.get_controller_cycle_history()]
    recorded = cycles(journal_lines(tmp_path / "data"))
    assert [cycle.sequence for cycle in seen] == [cycle["sequence"] for cycle in recorded] == kept
    assert [len(cycle.signals) for cycle in seen] == [len(cycle["signals"]) for cycle in recorded]
    assert sum(len(cycle["due"]) > 0 for cycle in recorded) >= DAYS * (DAY_NS // HOUR_NS) - 1
    last = journal_lines(tmp_path / "data")[-1]["d"]
    assert (last["kind"], last["reason"]) == ("closed", "end_of_data")


def test_leaving_early_is_an_operators_stop(tmp_path: Path) -> None:
    with bootstrap_environment(config=hourly(tmp_path), data_dir=tmp_path / "data") as session:
        runner = DailyTrendRealtimeRunner(DailyTrendController(session))
        while not any(book.quantity for book in session.core.ledger.books.values()):
            assert runner.run_once() is not None
    assert not any(book.quantity for book in session.core.ledger.books.values())
    lines = journal_lines(tmp_path / "data")
    assert (lines[-1]["d"]["kind"], lines[-1]["d"]["reason"]) == ("closed", "operator")


def test_a_fault_of_the_program_is_on_record_and_frees_the_folder(tmp_path: Path) -> None:
    config = hourly(tmp_path)
    with pytest.raises(ZeroDivisionError), bootstrap_environment(config=config, data_dir=tmp_path / "data") as session:
        DailyTrendRealtimeRunner(DailyTrendController(session)).run_once()
        with pytest.raises(ConfigError, match="daemon"), bootstrap_environment(config=config, data_dir=tmp_path / "data"):
            pytest.fail("two sessions had one data folder")
        raise ZeroDivisionError
    assert journal_lines(tmp_path / "data")[-1]["d"]["kind"] == "stopped"
    with bootstrap_environment(config=config, data_dir=tmp_path / "data"):
        pass


# -- who makes the signals ---------------------------------------------------------------------------------------------


def test_a_module_supplies_signals_and_is_on_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    source = strategy_source("above_mean").replace("PLUGIN = AboveMean", 'CONTROLLERS = {"core_daily_trend": AboveMean}')
    path = tmp_path / "tried_pipeline.py"
    path.write_text(source, encoding="utf-8")
    tmp_path.chmod(0o755)
    config = hourly(tmp_path)
    text = config.read_text(encoding="utf-8")
    start, end = text.index("      fast_ma: 25"), text.index("  core_mean_reversion:\n    plugin")
    config.write_text(text[:start] + "      window: 30\n" + text[end:], encoding="utf-8")
    with bootstrap_environment(config=config, data_dir=tmp_path / "data", modules=["tried_pipeline"]) as session:
        runner = DailyTrendRealtimeRunner(DailyTrendController(session))
        while not runner.last_signals:
            assert runner.run_once() is not None
        assert {signal.reason for signal in runner.last_signals} == {"mean"}
        digest = session.prepared.plugins["core_daily_trend"].digest
    entry = next(line["d"] for line in journal_lines(tmp_path / "data") if line["d"]["kind"] == "run")
    assert entry["plugins"]["core_daily_trend"] == {"kind": "controllers", "plugin": "tried_pipeline", "sha256": digest}
    assert (session.journal_folder / "objects" / digest).read_bytes() == path.read_bytes()


# -- bad input: one line each ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("default_controller: daily_trend_core", "default_controller: weekly", "unknown controller 'weekly'; known: daily_trend_core"),
        (
            "atr_multiplier: 2.0",
            "atr_multiplier: 0",
            "strategies.core_daily_trend.parameters.atr_multiplier: expected a number > 0.0, found 0",
        ),
        ("fast_ma: 25", "fast_ma: 100", "strategies.core_daily_trend.parameters.fast_ma: expected fast_ma < slow_ma, found 100 >= 100"),
        ("demo_alts: {symbols: [ETH_USDT, SOL_USDT, XRP_USDT, LTC_USDT, MATIC_USDT]", "demo_alts: {symbols: []", "demo_alts.symbols"),
    ],
    ids=["controller", "out of range", "fast >= slow", "empty universe"],
)
def test_a_configuration_that_cannot_run(tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, said: str) -> None:
    config = hourly(tmp_path, changed=(old, new))
    assert dudzian("run", "--dry-run", "--config", config, "--data-dir", tmp_path / "data") == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines, "one line for each place that is wrong"
    assert all(said in line for line in lines)
    assert not (tmp_path / "data").exists()
    with pytest.raises((ConfigError, PluginError), match=re.escape(said)), bootstrap_environment(config=config, data_dir=tmp_path / "data"):
        pytest.fail("it was started")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"name": "weekly"}, "unknown controller 'weekly'; known: daily_trend_core"),
        (
            {"strategy": "zzz"},
            "unknown strategy 'zzz'; known: core_daily_trend, demo_cross_exchange, demo_mean_reversion, demo_volatility_target",
        ),
        (
            {"strategy": "demo_volatility_target"},
            "has no schedule of strategy 'demo_volatility_target' on 1h; known: demo_mean_reversion 1h",
        ),
    ],
)
def test_a_controller_that_is_not_there(tmp_path: Path, arguments: dict[str, str], said: str) -> None:
    with bootstrap_environment(config=hourly(tmp_path), data_dir=tmp_path / "data") as session:
        with pytest.raises(ConfigError) as caught:
            DailyTrendController(session, **arguments)
        assert said in str(caught.value)
        assert caught.value.exit_code == 2
        assert played(session).errors == 0


@pytest.mark.parametrize(
    ("source", "name", "said"),
    [
        ("def broken(:\n", "own_trend", "own_trend.py:1: invalid syntax"),
        ("PLUGIN = 1\n", "other_name", "plugin strategies/own_trend: no such file in "),
    ],
    ids=["syntax error", "wrong name"],
)
def test_a_plugin_of_ones_own_that_does_not_load(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], source: str, name: str, said: str
) -> None:
    (tmp_path / "own" / "strategies").mkdir(parents=True, mode=0o755)
    (tmp_path / "own" / "strategies" / f"{name}.py").write_text(source)
    config = hourly(tmp_path, plugin=("plugin: daily_trend", "plugin: own_trend"))
    options = ("--config", config, "--data-dir", tmp_path / "data", "--plugins-dir", tmp_path / "own")
    assert dudzian("run", "--dry-run", *options) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert not (tmp_path / "data").exists()


# -- the howto ---------------------------------------------------------------------------------------------------------


def test_the_example_of_the_howto_runs(tmp_path: Path) -> None:
    page = (Path(__file__).parents[1] / "docs" / "howto" / "embed.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    script = tmp_path / "example.py"
    script.write_text(example, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", script], capture_output=True, text=True, check=False, env=os.environ | {"TMPDIR": str(tmp_path)}
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert any("enter breakout" in line for line in lines), lines
    assert any(line.startswith("buy ") for line in lines), lines
    folder = Path(lines[-1].partition(" ")[2])
    assert dudzian("verify-decision-log", "--data-dir", folder.parents[3]) == 0


# -- the face ----------------------------------------------------------------------------------------------------------


def test_every_public_name_is_to_be_had_from_the_face() -> None:
    from dudzian_daemon.api import auto_trader, embedding, strategy

    for module in (auto_trader, embedding, strategy):
        assert all(getattr(api, name) is getattr(module, name) for name in module.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'Nonsense'"):
        _ = api.Nonsense  # type: ignore[attr-defined] # that is the point


def test_a_strategy_loads_nothing_of_the_daemon() -> None:
    script = "import sys; from dudzian_daemon.api import Signal, Strategy; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not {"aiohttp", "pyarrow", "numpy", "anyio", "structlog", "dudzian_daemon.app", "dudzian_daemon.adapters"} & loaded
