"""Is the gate sane under a profile? Reference orders whose right answer is computed here, apart from the gate's code, and compared.

At a reference market (equity 120,000, price 30,000, ATR half a percent of it) a stop that is too tight has to be refused, a wide one
accepted, and an order that is too large cut down to exactly what the limits leave, or refused where it must be whole. Nothing is
recorded and no session is touched.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Final

import msgspec

from dudzian_daemon.app.session_spec import execution_preset, limits, order_controls
from dudzian_daemon.config.schema import CoreConfig
from dudzian_daemon.domain.market import Instrument
from dudzian_daemon.domain.money import exact_money
from dudzian_daemon.domain.orders import OrderGroup, OrderLeg, Outcome, Protection, RefusalCode, Side, Verdict
from dudzian_daemon.domain.risk import RiskLimits
from dudzian_daemon.trading.spec import MANUAL, SessionSpec
from dudzian_daemon.trading.step import Core

EQUITY: Final = Decimal(120_000)
PRICE: Final = Decimal(30_000)
ATR: Final = Decimal(150)
#: Distance of a stop in parts of the least one that the profile allows.
TIGHT: Final = Decimal("0.5")
WIDE: Final = Decimal("1.5")
#: Size of an order in parts of what the limits leave.
FITTING: Final = Decimal("0.95")
OVERSIZED: Final = Decimal("1.5")

#: The check whose order is clipped to what the limits leave.
OVERSIZED_CHECK: Final = "oversized"

_LOT: Final = Decimal("0.00001")
_NOW: Final = 1_700_000_000_000_000_000


class SanityCheck(msgspec.Struct, frozen=True, kw_only=True):
    """One reference order: what the gate had to say, and what it said."""

    name: str
    ok: bool
    expected: str
    found: str


class RiskSanity(msgspec.Struct, frozen=True, kw_only=True):
    """`risk_status` is `ok`, or `error` if a check fails. `max_quantity` is what the limits leave, in the base asset.

    The profile of orders by hand may allow nothing, as shipped; any other that does is an error.
    """

    profile: str
    risk_status: str
    max_quantity: Decimal
    checks: tuple[SanityCheck, ...]


def risk_sanity(config: CoreConfig, environment: str, profile: str) -> RiskSanity:
    """Judge the reference orders under the profile and the account's costs. Raises `ConfigError` for a name that is not known."""
    key, rules = config.environment_id(environment), limits(profile, config.profile(profile))
    with exact_money():
        session = _session(config, key, rules)
        distance = WIDE * rules.stop_loss_atr_multiple * ATR
        most = _most(session, rules, distance)
        if not most and profile == MANUAL:
            checks: tuple[SanityCheck, ...] = (_refusal(session, rules, "allows_nothing", _LOT * 100, distance, None),)
        else:
            fitting, oversized = most * FITTING // _LOT * _LOT, most * OVERSIZED // _LOT * _LOT
            checks = (
                _refusal(
                    session, rules, "tight_stop", fitting or _LOT, TIGHT * rules.stop_loss_atr_multiple * ATR, RefusalCode.STOP_TOO_TIGHT
                ),
                _passing(session, rules, "wide_stop", fitting or _LOT, distance, fitting or _LOT, Outcome.APPROVED),
                _passing(session, rules, OVERSIZED_CHECK, oversized or 2 * _LOT, distance, most, Outcome.ADJUSTED),
                _refusal(session, rules, "oversized_whole", oversized or 2 * _LOT, distance, None, whole=True),
            )
    status = "ok" if all(check.ok for check in checks) else "error"
    return RiskSanity(profile=profile, risk_status=status, max_quantity=most, checks=checks)


def _session(config: CoreConfig, environment: str, rules: RiskLimits) -> SessionSpec:
    """The account and its costs, on one instrument without a venue's minimum."""
    paper = config.paper(environment)
    instrument = Instrument("reference", "BTC/USDT", "BTC", paper.valuation_asset, Decimal("0.01"), _LOT, _LOT, Decimal(0))
    return SessionSpec(
        instruments={instrument.key: instrument},
        schedules=(),
        strategies={},
        profiles={rules.name: rules},
        preset=execution_preset(paper, config.preset(paper.preset)),
        valuation_asset=paper.valuation_asset,
        opening_balance=EQUITY,
        controls=order_controls(config.risk.pre_trade),
    )


def _most(session: SessionSpec, rules: RiskLimits, distance: Decimal) -> Decimal:
    """The largest quantity that every limit leaves, in whole lots: the rules of docs/reference/risk-codes.md in fractions."""
    equity, price, preset, controls = Fraction(EQUITY), Fraction(PRICE), session.preset, session.controls
    share = min(rules.max_position_pct, rules.max_leverage, rules.max_net_exposure)
    cost = (1 + Fraction(preset.slippage_bps) / 10_000) * (1 + Fraction(preset.taker_fee))
    notional = min(Fraction(share) * equity, Fraction(controls.max_order_value), equity / cost)
    quantities = [notional / price, Fraction(controls.max_order_quantity)]
    if distance:
        quantities.append(Fraction(rules.target_volatility) * equity / Fraction(distance))
    if rules.max_open_positions < 1:
        quantities.append(Fraction(0))
    return int(min(quantities) / Fraction(_LOT)) * _LOT


def _verdict(session: SessionSpec, rules: RiskLimits, quantity: Decimal, distance: Decimal, *, whole: bool = False) -> Verdict:
    """A fresh gate's answer to a purchase at the reference price with its stop so far below; `whole` may not be clipped."""
    (key,), core = session.instruments, Core(session)
    core.ledger.mark(key, float(PRICE), _NOW)
    leg = OrderLeg(
        instrument=key,
        side=Side.BUY,
        quantity=quantity,
        reduce_only=False,
        protection=Protection.STOP,
        protective_stop=PRICE - distance,
        atr=ATR,
    )
    group = OrderGroup(
        id="sanity",
        signal_id="sanity",
        strategy="sanity",
        schedule="sanity",
        profile=rules.name,
        instant=_NOW,
        legs=(leg,),
        whole=whole,
    )
    return core.gate.preview(group)


def _refusal(
    session: SessionSpec,
    rules: RiskLimits,
    name: str,
    quantity: Decimal,
    distance: Decimal,
    code: RefusalCode | None,
    *,
    whole: bool = False,
) -> SanityCheck:
    verdict = _verdict(session, rules, quantity, distance, whole=whole)
    ok = verdict.outcome is Outcome.REFUSED and code in (None, verdict.code)
    return SanityCheck(name=name, ok=ok, expected=f"refused{'' if code is None else f': {code}'}", found=_said(verdict))


def _passing(
    session: SessionSpec, rules: RiskLimits, name: str, quantity: Decimal, distance: Decimal, most: Decimal, outcome: Outcome
) -> SanityCheck:
    verdict = _verdict(session, rules, quantity, distance)
    ok = verdict.outcome is outcome and verdict.approved == most > 0
    return SanityCheck(name=name, ok=ok, expected=f"{outcome}, quantity {most}", found=_said(verdict))


def _said(verdict: Verdict) -> str:
    why = "" if verdict.code is None else f": {verdict.code}"
    return f"{verdict.outcome}{why}" + ("" if verdict.outcome is Outcome.REFUSED else f", quantity {verdict.approved}")
