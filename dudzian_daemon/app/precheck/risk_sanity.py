"""The real gate under the real limits, asked four orders whose answers are known: does it refuse what it must and pass what it may?

The reference account holds 120,000 of the valuation asset and one instrument at 30,000 with an ATR of half a percent.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Final, Literal

import msgspec

from dudzian_daemon.app.session_spec import execution_preset, limits, order_controls
from dudzian_daemon.config.schema import CoreConfig
from dudzian_daemon.domain.market import DAY_NS, Instrument
from dudzian_daemon.domain.money import ONE, exact_money, quantise_down, units
from dudzian_daemon.domain.orders import OrderGroup, OrderLeg, Outcome, Protection, RefusalCode, Side, Verdict
from dudzian_daemon.domain.risk import RiskLimits
from dudzian_daemon.trading.spec import SessionSpec
from dudzian_daemon.trading.step import Core

EQUITY: Final = Decimal(120_000)
PRICE: Final = Decimal(30_000)
ATR: Final = Decimal(150)
#: Share of the least stop distance that is too tight, and one that is wide; share of the largest size that fits, and one that does not.
TIGHT: Final = Decimal("0.5")
WIDE: Final = Decimal("1.5")
FITS: Final = Decimal("0.95")
OVERSIZE: Final = Decimal("1.5")

#: A moment at which the reference prices are new: 2024-01-01.
_NOW_NS: Final = 19_723 * DAY_NS
_INSTRUMENT: Final = Instrument("reference", "BTC/USDT", "BTC", "USDT", Decimal("0.01"), Decimal("0.00001"), Decimal("0.00001"), Decimal(5))

Status = Literal["ok", "warning", "error"]


class SanityCheck(msgspec.Struct, frozen=True, kw_only=True):
    """One order to the gate: what was expected and what it said. `approved` is in the base asset."""

    profile: str
    name: str
    passed: bool
    expected: str
    found: str
    requested: Decimal
    approved: Decimal


class RiskSanity(msgspec.Struct, frozen=True, kw_only=True):
    """The answers for all profiles of an environment. `issues` are errors; both are `profile: code`."""

    status: Status
    issues: tuple[str, ...]
    warnings: tuple[str, ...]
    checks: tuple[SanityCheck, ...]
    observations: dict[str, Decimal]


def risk_sanity(config: CoreConfig, environment: str) -> RiskSanity:
    """Ask the gate under every risk profile that the environment and its schedules use."""
    chosen = config.environment(environment)
    used = {chosen.risk_profile, *(each.risk_profile for each in config.scheduler(chosen.scheduler).schedules.values())}
    warnings: list[str] = []
    checks: list[SanityCheck] = []
    observations: dict[str, Decimal] = {"equity": EQUITY, "price": PRICE, "atr": ATR}
    with exact_money():
        for name in sorted(used):
            rules = limits(name, config.profile(name))
            lacking = list(_lacking(rules))
            warnings += [f"{name}: {code}" for code in lacking]
            observations[f"{name}.max_quantity"] = largest_quantity(config, rules)
            if not lacking:
                checks += _checks(config, environment, rules)
    differing = [f"{each.profile}: max_quantity_adjustment_differs" for each in checks if each.name == "max_quantity" and not each.passed]
    issues = tuple(f"{each.profile}: {each.name}" for each in checks if not each.passed and each.name != "max_quantity")
    warnings += differing
    status: Status = "error" if issues else "warning" if warnings else "ok"
    return RiskSanity(status=status, issues=issues, warnings=tuple(warnings), checks=tuple(checks), observations=observations)


def largest_quantity(config: CoreConfig, rules: RiskLimits) -> Decimal:
    """What the limits allow of the reference instrument with a wide stop, worked out apart from the gate; in the base asset."""
    controls = order_controls(config.risk.pre_trade)
    distance = rules.stop_loss_atr_multiple * ATR * WIDE
    share = min(rules.max_position_pct, rules.max_leverage, rules.max_net_exposure, ONE)
    lot = _INSTRUMENT.lot_size
    bounds = [units(min(share * EQUITY, controls.max_order_value), PRICE, lot), quantise_down(controls.max_order_quantity, lot)]
    if distance > 0:
        bounds.append(units(rules.target_volatility * EQUITY, distance, lot))
    return min(bounds)


def _lacking(rules: RiskLimits) -> Iterator[str]:
    """Limits of 0: they allow nothing, so there is nothing to ask, and a person should look."""
    if rules.target_volatility <= 0:
        yield "target_volatility_not_positive"
    if rules.stop_loss_atr_multiple <= 0:
        yield "stop_multiple_not_positive"
    if rules.max_position_pct <= 0:
        yield "max_position_pct_not_positive"


def _checks(config: CoreConfig, environment: str, rules: RiskLimits) -> list[SanityCheck]:
    largest = largest_quantity(config, rules)
    fits = quantise_down(largest * FITS, _INSTRUMENT.lot_size)
    over = quantise_down(largest * OVERSIZE, _INSTRUMENT.lot_size)
    tight = _asked(config, environment, rules, fits, TIGHT)
    wide = _asked(config, environment, rules, fits, WIDE)
    blocked = _asked(config, environment, rules, over, WIDE, whole=True)
    clipped = _asked(config, environment, rules, over, WIDE)
    return [
        _check(rules, "tight_stop_refused", tight, "refused: stop_too_tight", passed=tight.code is RefusalCode.STOP_TOO_TIGHT),
        _check(rules, "wide_stop_accepted", wide, "approved", passed=wide.outcome is Outcome.APPROVED and wide.approved == fits),
        _check(rules, "oversize_blocked", blocked, "refused", passed=blocked.outcome is Outcome.REFUSED),
        _check(rules, "max_quantity", clipped, f"adjusted to {largest:f}", passed=clipped.approved == largest),
    ]


def _check(rules: RiskLimits, name: str, verdict: Verdict, expected: str, *, passed: bool) -> SanityCheck:
    code = f": {verdict.code}" if verdict.code is not None else ""
    return SanityCheck(
        profile=rules.name,
        name=name,
        passed=passed,
        expected=expected,
        found=f"{verdict.outcome}{code}",
        requested=verdict.requested,
        approved=verdict.approved,
    )


def _asked(
    config: CoreConfig, environment: str, rules: RiskLimits, quantity: Decimal, multiple: Decimal, *, whole: bool = False
) -> Verdict:
    """The verdict of the gate of a fresh core on a purchase whose stop is `multiple` of the least distance away."""
    core = Core(_spec(config, environment, rules))
    core.ledger.mark(_INSTRUMENT.key, float(PRICE), _NOW_NS)
    leg = OrderLeg(
        instrument=_INSTRUMENT.key,
        side=Side.BUY,
        quantity=quantity,
        reduce_only=False,
        protection=Protection.STOP,
        protective_stop=PRICE - rules.stop_loss_atr_multiple * ATR * multiple,
        atr=ATR,
    )
    group = OrderGroup(
        id="sanity",
        signal_id="sanity",
        strategy="sanity",
        schedule="sanity",
        profile=rules.name,
        instant=_NOW_NS,
        legs=(leg,),
        whole=whole,
    )
    return core.gate.preview(group)


def _spec(config: CoreConfig, environment: str, rules: RiskLimits) -> SessionSpec:
    paper = config.paper(environment)
    return SessionSpec(
        instruments={_INSTRUMENT.key: _INSTRUMENT},
        schedules=(),
        strategies={},
        profiles={rules.name: rules},
        preset=execution_preset(paper, config.preset(paper.preset)),
        valuation_asset="USDT",
        opening_balance=EQUITY,
        controls=order_controls(config.risk.pre_trade),
    )
