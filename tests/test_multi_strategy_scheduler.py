"""The multi-strategy scheduler as a whole: its reference set, its grid, and strategies that fail while the others go on."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from dudzian_daemon.config.load import load
from dudzian_daemon.config.places import bundled
from dudzian_daemon.domain.errors import StorageFull
from dudzian_daemon.domain.events import CYCLE_DURABLE
from dudzian_daemon.domain.market import HOUR_NS, Series
from dudzian_daemon.domain.orders import RefusalCode, Signal
from dudzian_daemon.domain.ports import MarketView
from dudzian_daemon.testing.market import START_NS, candles, instrument, schedule, spec
from tests.integration.bad_plugin import plugin_source
from tests.integration.daemon_process import Ended, cycles, daemon, journal_lines, short_config, verdicts
from tests.unit.services.stage import HOUR_A_SECOND, Stage, busy
from tests.unit.trading.desk import BTC, WIDE, Desk, Scripted, Seen, enter, hour

#: B-16: strategy, cadence and drift in seconds, warm-up in bars, interval, profile, most signals.
REFERENCE = {
    "core_daily_trend": ("core_daily_trend", 86_400, 900, 110, "1d", "balanced", 2),
    "core_mean_reversion": ("core_mean_reversion", 900, 120, 120, "5m", "balanced", 4),
    "core_volatility_target": ("core_volatility_target", 86_400, 900, 90, "1d", "conservative", 2),
    "core_cross_exchange": ("core_cross_exchange", 30, 10, 30, "30s", "aggressive", 6),
}
PAIRS = [instrument(f"C{number:02}") for number in range(10)]


def test_the_shipped_set_is_the_reference() -> None:
    scheduler = load(bundled("config") / "core.yaml", env={}).config.scheduler("core_multi_pipeline")
    found = {
        name: (
            entry.strategy,
            entry.cadence_seconds,
            entry.max_drift_seconds,
            entry.warmup_bars,
            entry.interval,
            entry.risk_profile,
            entry.max_signals,
        )
        for name, entry in scheduler.schedules.items()
    }
    assert found == REFERENCE
    assert (scheduler.telemetry_namespace, scheduler.decision_log_category) == ("runtime.multi_strategy.core", "runtime.scheduler.core")
    assert scheduler.health_check_interval == 120


class Loud(Scripted):
    """Wants into every instrument, each with a confidence of its own."""

    def decide(self, state: Seen, view: MarketView) -> Sequence[Signal]:
        ((key, position),) = view.positions.items()
        return () if position.quantity else (enter(key, confidence=int(key[9:11]) / 10.0),)


def test_of_ten_signals_the_four_most_confident_are_taken() -> None:
    plan = schedule("loud", PAIRS, max_signals=4)
    desk = Desk(spec({"loud": Loud()}, [plan], PAIRS, profiles={"balanced": msgspec.structs.replace(WIDE, max_open_positions=10)}))
    desk.feed(*[candles(Series(pair.key, "1h"), [100.0] * 2) for pair in PAIRS])
    assert [signal.instrument for signal in desk.signals][:10] == [pair.key for pair in reversed(PAIRS)]
    refused = {verdict.group_id.split("/")[1] for verdict in desk.verdicts[:10] if verdict.code is RefusalCode.MAX_SIGNALS}
    assert len(refused) == 6
    assert {fill.instrument for fill in desk.fills} == {pair.key for pair in PAIRS[6:]}


class Faulty(Scripted):
    """Fails as it is told: raises, or says what is no signal."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def decide(self, state: Seen, view: MarketView) -> Any:
        super().decide(state, view)
        if self.how == "raises":
            msg = "told to fail"
            raise LookupError(msg)
        return {"number": 5, "text": ["buy"], "broken": [enter(confidence=float("nan"))]}[self.how]


FAULTS = [("raises", "LookupError"), ("number", "TypeError"), ("text", "TypeError"), ("broken", "ValueError")]


@pytest.mark.parametrize(("how", "error"), FAULTS)
def test_one_that_fails_is_quarantined_and_the_others_go_on(how: str, error: str) -> None:
    steady, faulty = Scripted(), Faulty(how)
    other = instrument("ETH")
    plans = [schedule("faulty", [BTC]), schedule("steady", [other])]
    desk = Desk(spec({"faulty": faulty, "steady": steady}, plans, [BTC, other], profiles={"balanced": WIDE}))
    desk.feed(*[candles(Series(each.key, "1h"), [100.0] * 12) for each in (BTC, other)])
    assert [fault.error for fault in desk.faults] == [error] * 3
    assert [(each.strategy, each.change, each.reason) for record in desk.records for each in record.strategies] == [
        ("faulty", "quarantined", "faults")
    ]
    assert (len(faulty.views), len(steady.views)) == (3, 12)
    runs = Counter(name for record in desk.records for name in record.due)
    assert (runs["steady"], runs["faulty"]) == (12, 3)


def test_runs_are_on_the_grid_and_never_overlap() -> None:
    strategy = Scripted(warm_up=3)
    plan = schedule("told", [BTC], cadence_ns=4 * HOUR_NS)
    desk = Desk(spec({"told": strategy}, [plan], [BTC]))
    desk.feed(candles(Series(BTC.key, "1h"), [100.0] * 24))
    due = [record.instant for record in desk.records if record.due]
    assert due == sorted({hour(1), *(hour(number) for number in range(4, 25, 4))})  # once for the point that was behind at the start
    assert [view.instant for view in strategy.views] == due[1:]  # warm only at the second


# -- at the edge --------------------------------------------------------------------------------------------------------


async def test_how_late_a_run_began_is_a_wall_field() -> None:
    stage = Stage(12, busy(12), speed=HOUR_A_SECOND)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stage.session.run)
        await stage.until("running")
        await stage.clock.advance(2.5)
        stage.journal.faults += [StorageFull("no space left")] * 20
        await stage.clock.advance(40.0)
        tasks.cancel_scope.cancel()
    late = {record.instant: stage.journal.walls[record.sequence].get("late_ns") for record in stage.journal.durable}
    assert late[START_NS] is None  # nothing was waited for yet
    assert late[hour(1)] == late[hour(2)] == 0
    assert 15 * 10**9 < (late[hour(5)] or 0) < 20 * 10**9
    for each in stage.heard:
        if each.topic == CYCLE_DURABLE:
            late_ns = stage.journal.walls[each.message.record.sequence].get("late_ns")
            assert each.message.late_s == (None if late_ns is None else late_ns / 1e9)


async def test_text_and_stack_of_a_fault_are_wall_fields() -> None:
    stage = Stage(4, {})
    (unit,) = stage.desk.core.strategies.units["told"]
    unit.strategy = Faulty("raises")
    await stage.play()
    records = [record for record in stage.journal.durable if record.faults]
    assert [record.faults[0].error for record in records] == ["LookupError"] * 3
    assert b"told to fail" not in msgspec.json.encode(stage.journal.durable)
    for record in records:
        (detail,) = stage.journal.walls[record.sequence]["faults"]
        assert detail["text"] == "LookupError: told to fail"
        assert "in decide" in detail["stack"]
    assert [each.message.change for each in stage.heard if each.topic == "strategy.state"] == ["quarantined"]


# -- real processes ------------------------------------------------------------------------------------------------------

PLUGIN = plugin_source(
    decide="""
        if self.params.how == "block":
            time.sleep(3600)
        if self.params.how == "rubbish":
            return ["buy everything"]
        raise LookupError("the secret plan of the plugin")
    """
)


def misbehaving(home: Path, *ways: str) -> tuple[Path, Mapping[str, str]]:
    """A short demo with one more strategy for each way to misbehave, and the environment that finds its plugin."""
    folder = home / "plugins" / "strategies"
    folder.mkdir(parents=True)
    (folder / "misbehaving.py").write_text(PLUGIN, encoding="utf-8")
    strategies = "".join(f"  bad_{way}: {{plugin: misbehaving, parameters: {{how: {way}}}}}\n" for way in ways)
    schedules = "".join(
        f"        {way}_1h: {{strategy: bad_{way}, instrument_bucket: demo_pair, interval: 1h, cadence_seconds: 3600, "
        "risk_profile: balanced}\n"
        for way in ways
    )
    config = short_config(
        home,
        strategies=("strategies:\n", f"strategies:\n{strategies}"),
        schedules=("        btc_trend_d1:", f"{schedules}        btc_trend_d1:"),
        watchdog=("  metrics_service: {", "  watchdog: {warn_seconds: 0.2, limit_seconds: 1}\n  metrics_service: {"),
    )
    return config, {"DUDZIAN_PLUGINS_DIR": str(home / "plugins")}


def run(home: Path, config: Path, env: Mapping[str, str]) -> Ended:
    with daemon(home, "--config", config, "--speed", "max", "--no-ui", env=env) as child:
        return child.end()


def logged(home: Path, event: str) -> list[dict[str, Any]]:
    lines = (home / "data" / "logs" / "runtime" / "demo.log").read_text(encoding="utf-8").splitlines()
    return [line for line in map(json.loads, lines) if line["event"] == event]


def runs(home: Path) -> Counter[str]:
    """Runs by schedule, as telemetry has them."""
    text = (home / "data" / "audit" / "metrics" / "telemetry.jsonl").read_text(encoding="utf-8")
    return Counter(json.loads(line)["schedule"] for line in text.splitlines())


@pytest.mark.integration
def test_faulty_strategies_are_quarantined_on_the_record_of_a_daemon(tmp_path: Path) -> None:
    ended = run(tmp_path, *misbehaving(tmp_path, "raise", "rubbish"))
    assert ended.code == 0
    lines = journal_lines(tmp_path / "data")
    faults = [fault for cycle in cycles(lines) for fault in cycle["faults"]]
    assert Counter((fault["strategy"], fault["error"]) for fault in faults) == {
        ("bad_raise", "LookupError"): 3,
        ("bad_rubbish", "TypeError"): 3,
    }
    changes = [change for cycle in cycles(lines) for change in cycle["strategies"]]
    assert sorted(change["strategy"] for change in changes) == ["bad_raise", "bad_rubbish"]
    assert {(change["change"], change["reason"]) for change in changes} == {("quarantined", "faults")}

    told = [detail for line in lines for detail in (line["w"].get("faults", []) if isinstance(line["w"], dict) else [])]
    assert sum("the secret plan" in detail["text"] and "misbehaving.py" in detail["stack"] for detail in told) == 3
    assert not any("the secret plan" in json.dumps(line["d"]) for line in lines if line["d"]["kind"] != "run")
    assert sorted(line["strategy"] for line in logged(tmp_path, "strategy")) == ["bad_raise", "bad_rubbish"]
    assert len(logged(tmp_path, "strategy_fault")) == 6

    count = runs(tmp_path)
    assert count["raise_1h"] == count["rubbish_1h"] == 3  # three faults, then never due again
    assert count["alt_trend_1h"] == count["alt_reversion_1h"] == 29 * 24
    status = json.loads((tmp_path / "data" / "run" / "status.json").read_text(encoding="utf-8"))
    assert {unit["name"] for unit in status["units"] if unit["state"] == "quarantined"} == {
        "strategy:bad_raise[binance:ETH/USDT]",
        "strategy:bad_rubbish[binance:ETH/USDT]",
    }
    assert {verdict.integrity for verdict in verdicts(tmp_path)} == {"intact"}


@pytest.mark.integration
def test_a_blocking_strategy_ends_the_process_and_the_restart_quarantines_it(tmp_path: Path) -> None:
    config, env = misbehaving(tmp_path, "block")
    file = tmp_path / "data" / "run" / "quarantine.json"

    ended = run(tmp_path, config, env)
    assert (ended.code, "Shutdown complete" in ended.out) == (1, False)
    assert "dudzian: strategy bad_block[binance:ETH/USDT] has not come back for 1." in ended.err
    (named,) = logged(tmp_path, "strategy_blocks")
    assert named["unit"] == "bad_block[binance:ETH/USDT]" and "time.sleep(3600)" in named["stack"] and named["seconds"] < 1.0
    (left,) = json.loads(file.read_text(encoding="utf-8"))["blocked"]
    assert (left["strategy"], left["unit"]) == ("bad_block", "bad_block[binance:ETH/USDT]")
    assert "time.sleep(3600)" in left["stack"]
    recorded = cycles(journal_lines(tmp_path / "data"))

    again = run(tmp_path, config, env)
    assert (again.code, again.out.splitlines()[-1]) == (0, "Shutdown complete")
    assert "dudzian: quarantined, since it did not come back in an earlier run: bad_block\n" in again.err
    assert not file.exists()
    told = cycles(journal_lines(tmp_path / "data"))  # of one session: the restart went on with it
    assert told[: len(recorded)] == recorded
    first = told[len(recorded)]  # before anything that could call it again
    assert first["strategies"] == [{"strategy": "bad_block", "change": "quarantined", "reason": "blocking"}]
    (command,) = [item for item in first["inputs"] if item[0] == "command"]
    assert command[2:] == [f"opening-{first['sequence']}", "quarantine", {"strategy": "bad_block", "reason": "blocking"}]
    assert not any("block_1h" in cycle["due"] for cycle in told)
    assert sum("alt_trend_1h" in cycle["due"] for cycle in told) == 29 * 24
    assert {verdict.integrity for verdict in verdicts(tmp_path)} == {"intact"}
