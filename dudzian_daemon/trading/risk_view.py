"""What the gate sees, profile by profile, for people: limits, losses, exposure, margin, state. Reads the core, moves nothing."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Literal

import msgspec

from dudzian_daemon.domain.money import ZERO
from dudzian_daemon.domain.orders import Side
from dudzian_daemon.domain.risk import RiskLimits, TradingState, daily_loss, daily_loss_allowed, drawdown, drawdown_allowed
from dudzian_daemon.trading.entries import Book
from dudzian_daemon.trading.spec import MANUAL
from dudzian_daemon.trading.step import Core


class RiskView(msgspec.Struct, frozen=True, kw_only=True):
    """One profile. Amounts are in the valuation asset, losses are marked to market; shares are in parts of 1, as floats for reading."""

    profile: str
    state: TradingState
    force_liquidation: bool
    limits: RiskLimits
    start_of_day_equity: Decimal
    peak_equity: Decimal
    equity: Decimal
    daily_loss: Decimal
    daily_loss_allowed: Decimal
    daily_loss_pct: float
    drawdown: Decimal
    drawdown_allowed: Decimal
    drawdown_pct: float


class Held(msgspec.Struct, frozen=True):
    """What all strategies of one profile hold of an instrument together, at its last price in the valuation asset."""

    side: Literal["long", "short"]
    notional: Decimal


class AccountView(msgspec.Struct, frozen=True, kw_only=True):
    """The account as all profiles share it; `reserved` is the notional of opening orders that are open."""

    sequence: int
    kill_switch: bool
    state_unknown: str
    closed_markets: list[str]
    equity: Decimal
    available: dict[str, Decimal]
    blocked: dict[str, Decimal]
    maintenance: dict[str, Decimal]
    gross_notional: Decimal
    long_notional: Decimal
    short_notional: Decimal
    reserved: Decimal
    active_positions: int
    profiles: list[RiskView]


def account_view(core: Core) -> AccountView:
    """The state of the gate now."""
    ledger, gate = core.ledger, core.gate
    sides = {side: gate.exposure(side) for side in Side}
    reserved = sum((each.notional * ledger.prices.rate_of(each.instrument) for each in gate.reservations.opening()), ZERO)
    return AccountView(
        sequence=core.sequence,
        kill_switch=gate.kill_switch,
        state_unknown=gate.unknown,
        closed_markets=sorted(gate.closed_markets),
        equity=ledger.equity,
        available={asset: ledger.available(asset) for asset in ledger.wallet},
        blocked={asset: ledger.blocked(asset) for asset in ledger.wallet},
        maintenance={asset: gate.maintenance(asset) for asset in ledger.wallet},
        gross_notional=sides[Side.BUY] + sides[Side.SELL],
        long_notional=sides[Side.BUY],
        short_notional=sides[Side.SELL],
        reserved=reserved,
        active_positions=sum(1 for quantity in ledger.net.values() if quantity),
        profiles=[_profile(core, name) for name in sorted(gate.states)],
    )


def held_by_profile(core: Core) -> dict[str, dict[str, Held]]:
    """Positions by profile and instrument; what two strategies of a profile hold against each other is netted."""
    net: dict[tuple[str, str], Decimal] = {}
    for profile, instrument, book in _books(core):
        net[profile, instrument] = net.get((profile, instrument), ZERO) + book.quantity
    held: dict[str, dict[str, Held]] = {}
    for (profile, instrument), quantity in sorted(net.items()):
        mark = core.ledger.prices.last_price(instrument)
        if quantity and mark is not None:
            notional = abs(quantity) * mark.price * core.ledger.prices.rate_of(instrument)
            held.setdefault(profile, {})[instrument] = Held("long" if quantity > 0 else "short", notional)
    return held


def realised_by_profile(core: Core) -> dict[str, Decimal]:
    """Realised profit and loss of the session by profile, fees apart, in the valuation asset at the rates of now."""
    realised: dict[str, Decimal] = {}
    for profile, instrument, book in _books(core):
        amount = book.realised * core.ledger.prices.rate_of(instrument)
        realised[profile] = realised.get(profile, ZERO) + amount
    return realised


def _books(core: Core) -> Iterator[tuple[str, str, Book]]:
    """Each position, open or closed: the profile it is under, its instrument, itself."""
    for (strategy, instrument), book in core.ledger.books.items():
        yield (MANUAL if strategy == MANUAL else core.strategies.schedule_of(strategy, instrument).profile), instrument, book


def _profile(core: Core, name: str) -> RiskView:
    state, limits, equity = core.gate.states[name], core.spec.profiles[name], core.ledger.equity
    loss, fall = daily_loss(state, equity), drawdown(state, equity)
    return RiskView(
        profile=name,
        state=core.gate.state(name),
        force_liquidation=state.reducing,
        limits=limits,
        start_of_day_equity=state.start_of_day_equity,
        peak_equity=state.peak_equity,
        equity=equity,
        daily_loss=loss,
        daily_loss_allowed=daily_loss_allowed(limits, state),
        daily_loss_pct=_share(loss, state.start_of_day_equity),
        drawdown=fall,
        drawdown_allowed=drawdown_allowed(limits, state),
        drawdown_pct=_share(fall, state.peak_equity),
    )


def _share(part: Decimal, whole: Decimal) -> float:
    return float(part) / float(whole) if whole else 0.0
