"""With what the account opens: the first amount above 0 in the documented order, and the key it came from."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dudzian_daemon.app.balances import opening
from dudzian_daemon.app.plan import plan, plan_lines
from dudzian_daemon.app.preparation import RunOptions, prepare
from dudzian_daemon.config.load import load
from dudzian_daemon.config.places import bundled
from dudzian_daemon.config.schema import CoreConfig
from dudzian_daemon.domain.errors import ConfigError
from dudzian_daemon.trading.spec import SessionSpec


def config(env: dict[str, str] | None = None) -> CoreConfig:
    return load(bundled("config") / "core.yaml", env=env or {}).config


def with_strategy(made: CoreConfig, **fields: Any) -> CoreConfig:
    name = made.environment("binance_paper").default_strategy or ""
    strategies = dict(made.strategies) | {name: msgspec.structs.replace(made.strategies[name], **fields)}
    return msgspec.structs.replace(made, strategies=strategies)


def with_profile(made: CoreConfig, **fields: Any) -> CoreConfig:
    name = made.environment("binance_paper").risk_profile
    profiles = dict(made.risk_profiles) | {name: msgspec.structs.replace(made.risk_profiles[name], **fields)}
    return msgspec.structs.replace(made, risk_profiles=profiles)


def with_account(made: CoreConfig, **fields: Any) -> CoreConfig:
    return msgspec.structs.replace(made, paper_trading=msgspec.structs.replace(made.paper_trading, **fields))


def told(made: CoreConfig) -> tuple[object, str]:
    found = opening(made, "binance_paper")
    return found.balances["USDT"], found.source


def test_the_order_of_sources() -> None:
    """Each source hides all that come after it."""
    made = with_account(config(), initial_balances=None)
    assert told(made) == (10_000, "default")
    made = with_account(made, initial_balances={"USDT": Decimal(9)})
    assert told(made) == (9, "paper_trading.initial_balances.USDT")
    made = with_profile(made, max_position_usd=Decimal(500))
    assert told(made) == (10_000, "risk_profiles.balanced.max_position_usd / max_position_pct")
    for number, name in enumerate(("notional_capital", "starting_balance", "initial_balance", "paper_capital", "paper_balance")):
        made = with_profile(made, **{name: Decimal(100 + number)})
        assert told(made) == (100 + number, f"risk_profiles.balanced.{name}")
    made = with_strategy(made, max_position_usd=Decimal(30), max_position_pct=Decimal("0.03"))
    assert told(made) == (1000, "strategies.core_daily_trend.max_position_usd / max_position_pct")
    for number, name in enumerate(("starting_balance", "initial_balance", "paper_capital", "paper_balance")):
        made = with_strategy(made, **{name: Decimal(200 + number)})
        assert told(made) == (200 + number, f"strategies.core_daily_trend.{name}")
    made = with_account(made, paper_balance=Decimal(7))
    assert told(made) == (7, "paper_trading.paper_balance")


@pytest.mark.parametrize("name", ["paper_balance", "paper_capital", "initial_balance", "starting_balance", "max_position_usd"])
def test_only_amounts_above_0_count(name: str) -> None:
    made = with_account(with_profile(with_strategy(config(), **{name: Decimal(0)}), **{name: Decimal(0)}), paper_balance=Decimal(0))
    assert told(made) == (10_000, "paper_trading.initial_balances.USDT")


def test_other_assets_stay_beside_a_chosen_amount() -> None:
    made = with_account(config(), initial_balances={"USDT": Decimal(5), "EUR": Decimal(6)}, paper_balance=Decimal(7))
    assert opening(made, "binance_paper").balances == {"USDT": 7, "EUR": 6}
    made = with_account(config(), initial_balances={"EUR": Decimal(6)})
    assert opening(made, "binance_paper") == msgspec.structs.replace(
        opening(made, "binance_paper"), balances={"USDT": Decimal(0), "EUR": Decimal(6)}, source="paper_trading.initial_balances"
    )


def test_the_plan_shows_value_and_source(tmp_path: Path) -> None:
    variables = {"DUDZIAN__PAPER_TRADING__PAPER_BALANCE": "2500"}
    answer = plan(RunOptions(environment="demo", data_dir=tmp_path), variables)
    assert (answer.opening_balance, answer.opening_source) == ("2500 USDT", "paper_trading.paper_balance")
    lines = list(plan_lines(answer))
    assert "balance       2500 USDT (from paper_trading.paper_balance)" in lines
    assert any("leverage 3" in line and "conversions none" in line for line in lines)


def spec(tmp_path: Path, **variables: str) -> SessionSpec:
    env = {f"DUDZIAN__PAPER_TRADING__{name}": value for name, value in variables.items()}
    return prepare(RunOptions(environment="demo", data_dir=tmp_path), env).spec


def test_the_spec_and_the_first_entry_carry_the_source(tmp_path: Path) -> None:
    made = spec(tmp_path, PAPER_BALANCE="2500")
    assert (made.opening_balance, made.opening_source) == (Decimal(2500), "paper_trading.paper_balance")
    assert made.other_balances == {}


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"INITIAL_BALANCES": "{USDT: 1, EUR: 5}"}, "expected a pair that converts EUR into USDT, found none"),
        ({"INITIAL_BALANCES": "{USDT: 1, BTC: 5}", "CONVERSIONS": "{BTC: ETH_USDT}"}, "expected a pair of BTC and USDT, found ETH/USDT"),
        ({"INITIAL_BALANCES": "{USDT: 1, BNB: 5}", "CONVERSIONS": "{BNB: BNB_USDT}"}, "has no prices in this session"),
        ({"VALUATION_ASSET": "EUR"}, "is paid in USDT, but equity is told in EUR"),
    ],
)
def test_an_asset_that_nothing_converts_is_refused(tmp_path: Path, variables: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        spec(tmp_path, **variables)


def test_an_asset_that_a_traded_pair_converts_is_taken(tmp_path: Path) -> None:
    made = spec(tmp_path, INITIAL_BALANCES="{USDT: 1, BTC: 5}", CONVERSIONS="{BTC: BTC_USDT}")
    assert made.other_balances == {"BTC": 5}
    assert made.conversions == {"BTC": "binance:BTC/USDT"}


def test_maintenance_margins_are_those_of_the_profiles_names_unless_they_say_their_own(tmp_path: Path) -> None:
    found = {name: each.maintenance_margin_pct for name, each in spec(tmp_path).profiles.items()}
    assert {name: found[name] for name in ("balanced", "aggressive")} == {"balanced": Decimal("0.20"), "aggressive": Decimal("0.10")}
