"""The trading configuration of one environment: the same bytes for the same rules, and enough to run them again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from dudzian_daemon.config import canonical as module
from dudzian_daemon.config import environment, paper, reporting, risk, runtime, schema, universe
from dudzian_daemon.config.canonical import canonical, canonical_full, from_canonical
from dudzian_daemon.config.fields import Section
from dudzian_daemon.config.load import load

Replaced = Callable[..., Path]


def bytes_of(main: Path, environment: str = "demo", **variables: str) -> bytes:
    return canonical(load(main, env={f"DUDZIAN__{name}": value for name, value in variables.items()}).config, environment)


def test_it_holds_what_the_environment_uses_and_no_more(folder: Path) -> None:
    tree = json.loads(bytes_of(folder / "core.yaml"))
    assert list(tree["environments"]) == ["demo"]
    assert list(tree["risk_profiles"]) == ["balanced", "conservative", "manual"]
    assert list(tree["risk"]["instrument_buckets"]) == ["demo_alts", "demo_btc"]
    assert list(tree["instruments"]) == ["BTC_USDT", "ETH_USDT", "LTC_USDT", "MATIC_USDT", "SOL_USDT", "XRP_USDT"]
    assert list(tree["instruments"]["BTC_USDT"]["venues"]) == ["binance"]
    assert tree["paper_trading"]["initial_balances"] == {"USDT": "10000"}
    assert tree["instruments"]["MATIC_USDT"]["renamed_to"] == {"base": "POL", "date": "2024-09-10"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("port: 9108", "port: 9999"),
        ("logging: {level: INFO}", "logging: {level: DEBUG}"),
        ("close_positions: operator", "close_positions: never"),
        ("cpu_percent: 65", "cpu_percent: 90"),
        ("    path: logs/decision_journal", "    path: logs/elsewhere"),
        ("    artifact_name: demo", "    artifact_name: demo2"),
        ("taker_fee: 0.0006", "taker_fee: 0.00060"),
        ("initial_balances: {USDT: 10000}", "initial_balances: {USDT: '1e4'}"),
        ("demo_btc: {symbols: [BTC_USDT]", "demo_btc: {symbols: [BTCUSDT]"),
        ("hard_drawdown_pct: 0.20", "hard_drawdown_pct: 0.25"),
        ("aliases: [paper_kraken]", "aliases: [paper_kraken, pk]"),
        ("  slippage_bps: 5\n", ""),
    ],
)
def test_what_does_not_change_trading_does_not_change_it(folder: Path, replaced: Replaced, old: str, new: str) -> None:
    before = bytes_of(folder / "core.yaml")
    assert bytes_of(replaced(old, new)) == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("taker_fee: 0.0006", "taker_fee: 0.0007"),
        ("hard_drawdown_pct: 0.10", "hard_drawdown_pct: 0.11"),
        ("fast_ma: 25", "fast_ma: 26"),
        ("atr_multiplier: 2.0", "atr_multiplier: 2.5"),
        ("end: 2021-02-17", "end: 2021-02-18"),
        ("warmup_bars: 110, risk_profile: conservative", "warmup_bars: 111, risk_profile: conservative"),
        ("  latency_ms: 0", "  latency_ms: 0\n  seed: 1"),
        ("demo_btc: {symbols: [BTC_USDT], max_position_pct: 0.05", "demo_btc: {symbols: [BTC_USDT], max_position_pct: 0.06"),
    ],
)
def test_what_changes_trading_changes_it(folder: Path, replaced: Replaced, old: str, new: str) -> None:
    before = bytes_of(folder / "core.yaml")
    assert bytes_of(replaced(old, new)) != before


def test_the_replay_speed_is_pacing_and_a_fee_of_the_environment_is_trading(folder: Path) -> None:
    main = folder / "core.yaml"
    before = bytes_of(main)
    assert bytes_of(main, ENVIRONMENTS__DEMO__REPLAY__SPEED="max") == before
    own = bytes_of(main, ENVIRONMENTS__DEMO__PAPER_TRADING__TAKER_FEE="0.001")
    common = bytes_of(main, PAPER_TRADING__TAKER_FEE="0.001")
    assert own == common != before


@pytest.mark.parametrize("environment", ["demo", "paper_binance"])
def test_a_session_can_be_set_up_again_from_it(folder: Path, environment: str) -> None:
    config = load(folder / "core.yaml", env={}).config
    recorded = canonical(config, environment)
    again = from_canonical(recorded)
    assert canonical(again) == recorded
    scheduler = config.environment(environment).scheduler
    assert again.paper() == config.paper(environment)
    assert {
        name: again.profile(schedule.risk_profile).max_position_pct for name, schedule in again.scheduler(scheduler).schedules.items()
    } == {name: config.profile(schedule.risk_profile).max_position_pct for name, schedule in config.scheduler(scheduler).schedules.items()}


def test_the_full_form_is_the_whole_configuration(folder: Path) -> None:
    config = load(folder / "core.yaml", env={}).config
    assert from_canonical(canonical_full(config)) == config


def test_every_field_that_is_left_out_exists() -> None:
    structs = {
        name: item
        for source in (environment, paper, reporting, risk, runtime, schema, universe)
        for name, item in vars(source).items()
        if isinstance(item, type)
    }
    for name, left_out in module.NOT_TRADING.items():
        struct = structs[name]
        assert issubclass(struct, Section)
        required = {field.name for field in msgspec.structs.fields(struct) if field.required}
        assert left_out <= set(struct.__struct_fields__)
        assert not left_out & required, f"{name} could not be read back"


def test_a_loaded_number_is_spelled_as_the_record_spells_it(replaced: Replaced) -> None:
    """A verdict's limit has its digits, and a re-execution makes the limit of the record."""
    loaded = load(replaced("taker_fee: 0.0006", "taker_fee: 0.00060"), env={}).config
    read_back = from_canonical(canonical(loaded, "demo"))
    assert [str(each.paper("demo").taker_fee) for each in (loaded, read_back)] == ["0.0006", "0.0006"]
    assert list(loaded.execution_presets) != sorted(loaded.execution_presets)  # entries stay in the order of the file
