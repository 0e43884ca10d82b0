"""A session is executed again from its recorded inputs: equal if nothing was changed, a named first difference if one thing was."""

from __future__ import annotations

import json
from copy import deepcopy
from decimal import Decimal
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from dudzian_daemon.adapters.journal_format import segments
from dudzian_daemon.app.backtest import run as backtest
from dudzian_daemon.app.preparation import Prepared, RunOptions, prepare
from dudzian_daemon.app.reexecution.difference import CycleDifference
from dudzian_daemon.app.reexecution.report import ReplayReport, ReplayVerdict
from dudzian_daemon.app.session_spec import session_spec
from dudzian_daemon.config.canonical import canonical, from_canonical
from dudzian_daemon.domain.market import SECOND_NS, Candle
from dudzian_daemon.trading.barrier import MarketInput
from tests.integration.daemon_process import cycles
from tests.integration.test_orders_by_hand import open_config
from tests.scenario.live_like import KEY, Piece, live_session
from tests.scenario.recorded import Commands, play, replayed, resealed
from tests.unit.adapters.journal_samples import OTHER_KEY

#: Three days of two instruments by the hour, and of the mirror of one of them: trends, reversions, pairs.
WINDOW = "        - {start: 2024-02-10, end: 2024-02-13, instruments: [ETH_USDT, LTC_USDT]}"
#: The tick after which other rules hold: trades come before it and after it.
CHANGE = 80
ETH = "binance:ETH/USDT"
BY_HAND: Commands = {
    20: [("suspend", {"strategy": "core_daily_trend"}), ("order_place", {"instrument": ETH, "side": "buy", "quantity": "0.05"})],
    30: [("resume", {"strategy": "core_daily_trend"}), ("order_place", {"instrument": ETH, "side": "buy", "quantity": "9000"})],
    40: [("kill_switch", {"on": "yes"}), ("order_place", {"instrument": ETH, "side": "buy", "quantity": "0.2"})],
    50: [("kill_switch", {"on": "no"}), ("quarantine", {"strategy": "demo_mean_reversion"})],
    60: [
        (
            "order_place",
            {"instrument": ETH, "side": "buy", "quantity": "0.005", "kind": "limit", "limit_price": "2480", "time_in_force": "gtd"}
            | {"expires_at": f"{1_707_636_600 * SECOND_NS}"},
        )
    ],
}


class Home:
    """What runs, and sessions of it, made when first asked for."""

    def __init__(self, home: Path, window: str = WINDOW) -> None:
        self.home = home
        self.window = window

    @cached_property
    def config(self) -> Path:
        path = open_config(self.home)
        text = path.read_text(encoding="utf-8")
        head, _, rest = text.partition("      windows:\n")
        path.write_text(f"{head}      windows:\n{self.window}\n    d{rest.partition(chr(10) + '    d')[2]}", encoding="utf-8")
        return path

    @cached_property
    def prepared(self) -> Prepared:
        return prepare(RunOptions(config=self.config, data_dir=self.home / "data"), {})

    @cached_property
    def session(self) -> Path:
        """Nobody intervened."""
        return play(self.prepared)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("replay"))


def recorded(folder: Path) -> list[dict[str, Any]]:
    """Member `d` of all its cycles."""
    return cycles([json.loads(line) for path in segments(folder) for line in path.read_text(encoding="utf-8").splitlines()])


def require_equal(report: ReplayReport, count: int) -> None:
    assert (report.verdict, report.difference) == (ReplayVerdict.EQUAL, None)
    assert report.cycles == report.compared == count


def first_difference(folder: Path) -> CycleDifference:
    report = replayed(folder)
    assert report.verdict is ReplayVerdict.DIFFERS
    assert report.difference is not None
    assert report.compared == report.difference.sequence - 1
    return report.difference


# -- equal -------------------------------------------------------------------------------------------------------------


def test_a_session_is_what_its_inputs_lead_to(home: Home) -> None:
    made = recorded(home.session)
    assert sum(len(cycle["fills"]) for cycle in made) > 10
    report = replayed(home.session)
    require_equal(report, len(made))
    assert report.books == made[-1]["books"]
    (path,) = home.session.glob("*.jsonl")
    assert report.content_chain == json.loads(path.read_text(encoding="utf-8").splitlines()[-1])["s"]["content"]


def test_what_an_operator_did_is_an_input(home: Home) -> None:
    folder = play(home.prepared, BY_HAND)
    made = recorded(folder)
    manual = [verdict["code"] for cycle in made for verdict in cycle["verdicts"] if verdict["profile"] == "manual"]
    assert manual == [None, "position_limit", "kill_switch", None, None]
    named = {item[0] for cycle in made for item in cycle["inputs"]}
    assert {"command", "timer", "quote"} <= named  # an order expired, and a stop was filled on last prices
    require_equal(replayed(folder), len(made))


def test_a_cycle_without_any_input_is_made_too(tmp_path: Path) -> None:
    """Where the data begins, the tick that opens the window has nothing to warm anybody up with."""
    first = Home(tmp_path, "        - {start: 2024-01-01, end: 2024-01-02, instruments: [ETH_USDT, LTC_USDT]}")
    made = recorded(first.session)
    assert made[0]["inputs"] == []
    require_equal(replayed(first.session), len(made))


@pytest.mark.parametrize("ticks", [0, 25, 77])
def test_a_session_that_was_left_open_is_equal_as_far_as_it_goes(home: Home, ticks: int) -> None:
    folder = play(home.prepared, ticks=ticks)
    report = replayed(folder)
    require_equal(report, len(recorded(folder)))
    assert report.completeness == "open"


def test_a_torn_line_is_no_part_of_it(home: Home, tmp_path: Path) -> None:
    folder = resealed(home.session, tmp_path, lambda d: d)
    (path,) = folder.glob("*.jsonl")
    path.write_bytes(path.read_bytes()[:-700])
    report = replayed(folder)
    assert (report.verdict, report.completeness, report.compared) == (ReplayVerdict.EQUAL, "torn", len(recorded_whole(path)))
    assert report.torn_bytes > 0


def recorded_whole(path: Path) -> list[dict[str, Any]]:
    whole = path.read_bytes().rpartition(b"\n")[0].decode()
    return cycles([json.loads(line) for line in whole.splitlines()])


def test_a_backtest_with_a_journal_is_executed_again(home: Home) -> None:
    options = backtest.BacktestOptions(config=home.config, data_dir=home.home / "backtest", journal=True, strategies=("core_daily_trend",))
    result = backtest.run(options, {"DECISION_LOG_HMAC_KEY": KEY.secret.hex()})
    assert result.journal is not None
    report = replayed(Path(result.journal.folder))
    require_equal(report, result.journal.cycles)
    assert report.content_chain == result.journal.content_chain


def test_a_live_like_session_is_executed_again(home: Home) -> None:
    """Inputs that come late, in any order, some of them never: what was waited for and declared missing is on record."""
    random = Random(5)

    def straggling(instant: int, items: list[MarketInput]) -> list[Piece]:
        kept = [item for item in items if not (isinstance(item, Candle) and random.random() < 0.05)]
        late = [(instant + random.choice([0, 2, 20, 400]) * SECOND_NS, [item]) for item in kept if isinstance(item, Candle)]
        return [(instant, [item for item in kept if not isinstance(item, Candle)]), *late]

    text = live_session(home.prepared, straggling)
    made = recorded(Path(text.folder))
    inputs = [item for cycle in made for item in cycle["inputs"]]
    assert any(item[0] == "gap" for item in inputs)
    assert any(item[0] == "candle_close" and item[1] != item[4] for item in inputs)
    require_equal(replayed(Path(text.folder)), text.cycles)


def test_every_checkpoint_holds_the_state_that_is_reached_without_it(home: Home) -> None:
    """Some of them stand between two cycles: what the core was given since the last one is in them."""
    every = range(0, 90, 3)
    folder = play(home.prepared, BY_HAND, checkpoints=every)
    (path,) = folder.glob("*.jsonl")
    states = [line["d"]["state"] for line in map(json.loads, path.read_text().splitlines()) if line["d"]["kind"] == "checkpoint"]
    assert any(state["core"]["pending"] for state in states)
    report = replayed(folder)
    require_equal(report, len(recorded(folder)))
    assert report.checkpoints == len(states) == len(every)


@pytest.mark.parametrize("tick", [3, 31, 32, 33, 60])
def test_a_session_with_restarts_is_executed_across_them(home: Home, tick: int) -> None:
    folder = play(home.prepared, BY_HAND, restarts={tick: home.prepared, tick + 20: home.prepared})
    report = replayed(folder)
    require_equal(report, len(recorded(folder)))
    assert [run.verdict for run in report.runs] == [ReplayVerdict.EQUAL] * 3
    assert sum(run.compared for run in report.runs) == report.compared


def changed_fee(home: Home) -> Prepared:
    config = msgspec.structs.replace(
        home.prepared.config, paper_trading=msgspec.structs.replace(home.prepared.config.paper_trading, taker_fee=Decimal("0.0009"))
    )
    prepared = msgspec.structs.replace(home.prepared, loaded=msgspec.structs.replace(home.prepared.loaded, config=config))
    return msgspec.structs.replace(prepared, spec=session_spec(config, prepared.environment, prepared.spec.strategies))


def test_a_session_that_went_on_under_other_rules_is_executed_run_by_run(home: Home) -> None:
    folder = play(home.prepared, restarts={CHANGE: changed_fee(home)})
    made = recorded(folder)
    fills = [fill for cycle in made for fill in cycle["fills"]]
    rates = [Decimal(fill["fee"]) / (Decimal(fill["price"]) * Decimal(fill["quantity"])) for fill in fills]
    assert {rate > Decimal("0.0008") for rate in rates} == {False, True}
    report = replayed(folder)
    require_equal(report, len(made))
    assert [run.compared > 0 for run in report.runs] == [True, True]


def test_books_that_change_between_two_runs_are_a_difference(home: Home, tmp_path: Path) -> None:
    def change(d: dict[str, Any]) -> dict[str, Any]:
        if d["kind"] != "checkpoint":
            return d
        d = deepcopy(d)
        balance = next(each for each in d["state"]["core"]["ledger"]["balances"] if each[1] == "USDT")
        balance[2] = "123456.0"
        return d

    folder = resealed(play(home.prepared, restarts={CHANGE: changed_fee(home)}), tmp_path, change)
    report = replayed(folder)
    assert report.difference is not None
    (value,) = report.difference.values
    assert (value.path.startswith("books.balances["), value.recorded) == (True, "123456.0")


def test_new_rules_without_a_checkpoint_are_not_executed(home: Home, tmp_path: Path) -> None:
    folder = play(home.prepared, restarts={CHANGE: changed_fee(home)})
    without = resealed(folder, tmp_path, lambda d: {**d, "kind": "note"} if d["kind"] == "checkpoint" else d)
    report = replayed(without)
    assert (report.verdict, report.difference) == (ReplayVerdict.NOT_RE_EXECUTED, None)
    assert [run.verdict for run in report.runs] == [ReplayVerdict.EQUAL, ReplayVerdict.NOT_RE_EXECUTED]
    assert report.runs[1].reason == "its rules are new, and no checkpoint opens it"


def test_a_checkpoint_that_holds_another_state_is_a_difference(home: Home, tmp_path: Path) -> None:
    def change(d: dict[str, Any]) -> dict[str, Any]:
        if d["kind"] != "checkpoint":
            return d
        d = deepcopy(d)
        d["state"]["core"]["instant"] += 1
        return d

    folder = resealed(play(home.prepared, checkpoints=[30]), tmp_path, change)
    report = replayed(folder)
    assert report.difference is not None
    assert [value.path for value in report.difference.values] == ["state.core.instant"]


@pytest.mark.parametrize("environment", ["demo", "binance_paper"])
def test_what_a_run_records_of_its_configuration_is_enough_to_build_it(environment: str) -> None:
    prepared = prepare(RunOptions(environment=environment), {})
    config = from_canonical(canonical(prepared.config, environment))
    rebuilt = session_spec(config, environment, prepared.spec.strategies)
    rebuilt = msgspec.structs.replace(rebuilt, opening_source=prepared.spec.opening_source)
    assert rebuilt == prepared.spec
    assert list(rebuilt.instruments) == list(prepared.spec.instruments)


# -- one thing changed -------------------------------------------------------------------------------------------------


def test_an_input_that_was_changed_shows_in_the_fill_it_made(home: Home, tmp_path: Path) -> None:
    changed = next(
        cycle["sequence"]
        for cycle in recorded(home.session)
        if cycle["fills"] and any(item[0] == "open_print" and item[2] == cycle["fills"][0]["instrument"] for item in cycle["inputs"])
    )

    def change(d: dict[str, Any]) -> dict[str, Any]:
        if d.get("sequence") != changed:
            return d
        d = deepcopy(d)
        item = next(item for item in d["inputs"] if item[0] == "open_print" and item[2] == d["fills"][0]["instrument"])
        item[4] += 0.5
        return d

    difference = first_difference(resealed(home.session, tmp_path, change))
    assert difference.sequence == changed
    values = {value.path: value for value in difference.values}
    price = next(value for path, value in values.items() if path.startswith("fills[0].") and path.endswith("price"))
    assert price.recorded != price.replayed
    assert not any(path.startswith("inputs") for path in values)  # both sides had the same


def test_a_parameter_that_was_changed_shows_in_the_numbers_of_a_signal(home: Home, tmp_path: Path) -> None:
    def change(d: dict[str, Any]) -> dict[str, Any]:
        if d["kind"] == "run":
            d = deepcopy(d)
            d["config"]["strategies"]["core_daily_trend"]["parameters"]["fast_ma"] = 24
        return d

    difference = first_difference(resealed(home.session, tmp_path, change))
    assert any(value.path.startswith(("signals", "due")) for value in difference.values)


def test_a_line_of_a_strategy_that_was_changed_shows(home: Home, tmp_path: Path) -> None:
    source = home.prepared.plugins["demo_mean_reversion"].source
    edited = source.replace(b"abs(zscore) < p.entry_zscore", b"abs(zscore) < p.entry_zscore + 0.2")
    assert edited != source
    digest = sha256(edited).hexdigest()

    def change(d: dict[str, Any]) -> dict[str, Any]:
        if d["kind"] == "run":
            d = deepcopy(d)
            d["plugins"]["demo_mean_reversion"]["sha256"] = digest
        return d

    folder = resealed(home.session, tmp_path, change)
    (folder / "objects" / digest).write_bytes(edited)
    difference = first_difference(folder)
    entered = next(value for value in difference.values if value.path.startswith("signals"))
    assert entered.recorded != entered.replayed


def test_a_fee_that_was_changed_shows_in_the_first_fill(home: Home, tmp_path: Path) -> None:
    def change(d: dict[str, Any]) -> dict[str, Any]:
        if d["kind"] == "run":
            d = deepcopy(d)
            d["config"]["paper_trading"]["taker_fee"] = "0.0007"
        return d

    difference = first_difference(resealed(home.session, tmp_path, change))
    assert difference.sequence == next(cycle["sequence"] for cycle in recorded(home.session) if cycle["fills"])
    assert "fills[0].fee" in {value.path for value in difference.values}


@pytest.mark.parametrize("member", ["verdicts", "results", "entries", "cash"])
def test_an_outcome_that_was_changed_shows_where_it_stands(home: Home, tmp_path: Path, member: str) -> None:
    changed = next(cycle["sequence"] for cycle in recorded(home.session)[5:] if cycle[member])

    def change(d: dict[str, Any]) -> dict[str, Any]:
        if d.get("sequence") != changed:
            return d
        return {**d, member: "1.00" if member == "cash" else d[member][:-1]}

    difference = first_difference(resealed(home.session, tmp_path, change))
    assert difference.sequence == changed
    chained = {"books"} if member in ("results", "cash") else set()
    assert {value.path.partition("[")[0] for value in difference.values} == {member} | chained


def test_a_core_that_fails_on_what_it_is_given_is_a_difference(home: Home, tmp_path: Path) -> None:
    made = recorded(home.session)
    ended = next(cycle["sequence"] for cycle in made if any(item[0] == "command" for item in cycle["inputs"]))

    def change(d: dict[str, Any]) -> dict[str, Any]:
        if d.get("sequence") != ended:
            return d
        before = ["open_print", d["inputs"][0][1], ETH, "7h", 2500.0]
        return {**d, "inputs": [before, *d["inputs"]]}

    difference = first_difference(resealed(home.session, tmp_path, change))
    assert (difference.sequence, difference.values, difference.fault) == (ended, (), "KeyError: '7h'")


# -- not executed ------------------------------------------------------------------------------------------------------


def test_another_package_is_not_re_executed_and_says_what_it_takes(home: Home, tmp_path: Path) -> None:
    def change(d: dict[str, Any]) -> dict[str, Any]:
        return {**d, "package": {"version": "0.0.9", "sha256": "ab" * 32}} if d["kind"] == "run" else d

    report = replayed(resealed(home.session, tmp_path, change))
    assert (report.verdict, report.compared, report.difference) == (ReplayVerdict.NOT_RE_EXECUTED, 0, None)
    (run,) = report.runs
    assert (run.verdict, run.reason) == (ReplayVerdict.NOT_RE_EXECUTED, f"needs dudzian 0.0.9, package {'ab' * 32}")
    assert run.cycles == len(recorded(home.session))


def test_nothing_is_executed_before_the_seals_are_proved(home: Home, tmp_path: Path) -> None:
    folder = resealed(home.session, tmp_path, lambda d: d, OTHER_KEY)
    report = replayed(folder)
    assert (report.verdict, report.runs) == (ReplayVerdict.TAMPERED, [])
    assert "line 1: expected a line whose bytes fit its MAC" in report.reason


def test_an_object_that_is_missing_is_named(home: Home, tmp_path: Path) -> None:
    folder = resealed(home.session, tmp_path, lambda d: d)
    digest = home.prepared.plugins["demo_mean_reversion"].digest
    (folder / "objects" / digest).unlink()
    report = replayed(folder)
    assert (report.verdict, f"line 2: expected object {digest}, which the line names" in report.reason) == (ReplayVerdict.TAMPERED, True)


def test_an_object_that_was_changed_is_tampering(home: Home, tmp_path: Path) -> None:
    folder = resealed(home.session, tmp_path, lambda d: d)
    path = folder / "objects" / home.prepared.plugins["demo_mean_reversion"].digest
    path.write_bytes(path.read_bytes() + b"\n")
    assert replayed(folder).verdict is ReplayVerdict.TAMPERED
