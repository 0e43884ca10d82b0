"""The typed configuration: limits hold however a section is made, and names are found in every spelling."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from dudzian_daemon.config.environment import Replay, ReplayWindow
from dudzian_daemon.config.fields import Granularity
from dudzian_daemon.config.load import load
from dudzian_daemon.config.paper import PaperTrading
from dudzian_daemon.config.schema import CoreConfig
from dudzian_daemon.domain.errors import ConfigError
from dudzian_daemon.domain.market import DAY_NS, GRANULARITIES, Instrument


@pytest.fixture(scope="module")
def config() -> CoreConfig:
    return load(Path(__file__).parent / "sample" / "core.yaml", env={}).config


def test_granularities_are_those_of_the_domain() -> None:
    assert get_args(Granularity) == tuple(GRANULARITIES)


def test_window_days_are_utc_midnights(config: CoreConfig) -> None:
    window = config.environment("demo").replay.windows[0]
    assert (window.start_ns, window.end_ns - window.start_ns) == (1_602_720_000_000_000_000, 125 * DAY_NS)


@pytest.mark.parametrize("amount", ["-1", "1.1", "NaN", "Infinity", "1e-40", "0." + "1" * 40])
def test_decimals_outside_their_limits_are_refused(config: CoreConfig, amount: str) -> None:
    with pytest.raises(ValueError, match="max_position_pct: expected"):
        msgspec.structs.replace(config.profile("balanced"), max_position_pct=Decimal(amount))
    with pytest.raises(msgspec.ValidationError, match="expected"):
        msgspec.convert({"initial_balances": {"USDT": f"-{amount.removeprefix('-')}"}}, PaperTrading)


@pytest.mark.parametrize("size", ["0", "-0.1", "1.0000001"])
def test_a_position_size_is_above_nothing(size: str) -> None:
    with pytest.raises(ValueError, match="position_size: expected a number"):
        PaperTrading(position_size=Decimal(size))


def test_a_rebate_is_a_fee_below_nothing() -> None:
    assert PaperTrading(maker_fee=Decimal("-0.0001")).maker_fee < 0
    with pytest.raises(ValueError, match="maker_fee"):
        PaperTrading(maker_fee=Decimal("-0.02"))


def test_sections_are_frozen_and_know_their_keys() -> None:
    with pytest.raises(AttributeError):
        Replay().speed = 1  # type: ignore[misc]
    with pytest.raises(msgspec.ValidationError, match="unknown field `sped`"):
        msgspec.convert({"sped": 1}, Replay)
    assert msgspec.convert({"speed": "max"}, Replay).speed == "max"


@pytest.mark.parametrize("name", ["binance_paper", "paper_binance", "paper"])
def test_an_environment_answers_to_its_aliases(config: CoreConfig, name: str) -> None:
    assert config.environment_id(name) == "binance_paper"
    assert config.environment(name) is config.environments["binance_paper"]
    assert config.artifact_name(name) == "paper_binance"


def test_without_a_name_it_is_the_default_environment(config: CoreConfig) -> None:
    assert (config.environment_id(), config.artifact_name()) == ("demo", "demo")


@pytest.mark.parametrize(
    ("look_up", "expected"),
    [
        (lambda config: config.environment("binance_papr"), "unknown environment 'binance_papr'; did you mean 'binance_paper'?"),
        (
            lambda config: config.environment("x"),
            "unknown environment 'x'; known: demo, binance_paper, kraken_paper, paper_binance, paper, paper_kraken",
        ),
        (lambda config: config.profile("Balanced"), "unknown risk profile 'Balanced'; did you mean 'balanced'?"),
        (lambda config: config.strategy("x"), "unknown strategy 'x'; known: core_daily_trend"),
        (lambda config: config.controller("x"), "unknown controller 'x'; known: daily_trend_core"),
        (lambda config: config.scheduler("x"), "unknown scheduler 'x'; known: demo_pipeline, core_multi_pipeline"),
        (lambda config: config.bucket("demo_btcc"), "unknown instrument bucket 'demo_btcc'; did you mean 'demo_btc'?"),
        (lambda config: config.instrument("BTC_USDC", "binance"), "unknown instrument 'BTC_USDC'; did you mean 'BTC_USDT'?"),
        (lambda config: config.instrument("ETH_USDT", "kraken"), "unknown venue of ETH_USDT 'kraken'; known: binance"),
    ],
)
def test_an_unknown_name_is_one_line_with_the_known_ones(
    config: CoreConfig, look_up: Callable[[CoreConfig], object], expected: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        look_up(config)
    assert str(caught.value) == expected


@pytest.mark.parametrize("symbol", ["BTC_USDT", "BTC/USDT", "BTCUSDT", "btc-usdt", "XBTUSDT"])
def test_a_pair_in_any_spelling_has_the_venues_rules(config: CoreConfig, symbol: str) -> None:
    assert config.instrument(symbol, "kraken") == Instrument(
        venue="kraken",
        symbol="BTC/USDT",
        base="BTC",
        quote="USDT",
        tick_size=Decimal("0.1"),
        lot_size=Decimal("0.00000001"),
        min_quantity=Decimal("0.00005"),
        min_notional=Decimal("0.5"),
    )


def test_the_universe_is_the_environments_list_or_all_of_its_venue(config: CoreConfig) -> None:
    assert [instrument.key for instrument in config.universe("kraken_paper")] == ["kraken:BTC/USDT"]
    assert len(config.universe("demo")) == 8
    narrow = msgspec.structs.replace(config.environment("demo"), instrument_universe=("SOL_USDT",))
    changed = msgspec.structs.replace(config, environments={"demo": narrow})
    assert [instrument.key for instrument in changed.universe()] == ["binance:SOL/USDT"]


def test_pairs_in_the_configuration_become_their_keys(replaced: Callable[..., Path]) -> None:
    main = replaced("demo_btc: {symbols: [BTC_USDT]", "demo_btc: {symbols: [btc/usdt]")
    assert load(main, env={}).config.bucket("demo_btc").symbols == ("BTC_USDT",)


def test_an_environments_own_account_lies_over_the_common_one(replaced: Callable[..., Path]) -> None:
    main = replaced(
        "    exchange: kraken\n", "    exchange: kraken\n    paper_trading: {taker_fee: 0.0026, initial_balances: {EUR: 500}}\n"
    )
    config = load(main, env={}).config
    own, common = config.paper("kraken_paper"), config.paper("demo")
    assert (own.taker_fee, own.initial_balances, own.maker_fee) == (Decimal("0.0026"), {"EUR": Decimal(500)}, common.maker_fee)
    assert common == config.paper_trading


def test_data_quality_is_the_environments_else_its_profiles(replaced: Callable[..., Path]) -> None:
    main = replaced("    exchange: kraken\n", "    exchange: kraken\n    data_quality: {max_gap_minutes: 5}\n")
    config = load(main, env={}).config
    assert config.data_quality("kraken_paper").max_gap_minutes == 5
    assert config.data_quality("demo") == config.profile("balanced").data_quality


def test_a_window_needs_instruments() -> None:
    with pytest.raises(msgspec.ValidationError, match="length >= 1"):
        msgspec.convert({"start": "2024-01-01", "end": "2024-01-02", "instruments": [], "granularity": "1d"}, ReplayWindow)
