"""With what a session's account opens, and who said so: docs/reference/ledger.md."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

import msgspec

from dudzian_daemon.config.paper import Capital
from dudzian_daemon.config.schema import CoreConfig
from dudzian_daemon.domain.money import CASH_STEP, ZERO, units

DEFAULT: Final = Decimal(10_000)
#: Keys that name an opening cash, the first one above 0 counts.
NAMES: Final = ("paper_balance", "paper_capital", "initial_balance", "starting_balance", "notional_capital")


class Opening(msgspec.Struct, frozen=True):
    """Cash by asset, the valuation asset among them; `source` is the key that the valuation asset's amount comes from."""

    balances: dict[str, Decimal]
    source: str


def opening(config: CoreConfig, environment: str) -> Opening:
    """The first amount above 0 of: the account's own `paper_balance`, the strategy, the risk profile, `initial_balances`, 10,000."""
    paper = config.paper(environment)
    asset, listed = paper.valuation_asset, paper.initial_balances or {}
    others = {name: amount for name, amount in listed.items() if name != asset}
    amount, source = next(_amounts(config, environment), (DEFAULT, "default"))
    return Opening({asset: amount, **others}, source)


def _amounts(config: CoreConfig, environment: str) -> Iterator[tuple[Decimal, str]]:
    chosen, paper = config.environment(environment), config.paper(environment)
    if paper.paper_balance:
        yield paper.paper_balance, "paper_trading.paper_balance"
    if chosen.default_strategy is not None:
        strategy = config.strategy(chosen.default_strategy)
        yield from _wanted(strategy, f"strategies.{chosen.default_strategy}", strategy.max_position_pct)
    profile = config.profile(chosen.risk_profile)
    yield from _wanted(profile, f"risk_profiles.{chosen.risk_profile}", profile.max_position_pct)
    listed = (paper.initial_balances or {}).get(paper.valuation_asset, ZERO)
    if listed > 0:
        yield listed, f"paper_trading.initial_balances.{paper.valuation_asset}"
    elif paper.initial_balances:
        yield ZERO, "paper_trading.initial_balances"


def _wanted(capital: Capital, where: str, position_share: Decimal | None) -> Iterator[tuple[Decimal, str]]:
    for name in NAMES:
        amount = getattr(capital, name, None)
        if amount:
            yield amount, f"{where}.{name}"
    if capital.max_position_usd and position_share:
        yield units(capital.max_position_usd, position_share, CASH_STEP), f"{where}.max_position_usd / max_position_pct"
