"""A gate over a real ledger, and orders to judge."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from dudzian_daemon.domain.market import Instrument
from dudzian_daemon.domain.orders import ApprovedGroup, Fill, OrderGroup, OrderLeg, Refused, Side, Verdict
from dudzian_daemon.domain.risk import OrderControls, RiskLimits
from dudzian_daemon.testing.market import START_NS, limits, spec
from dudzian_daemon.trading.ledger import Ledger
from dudzian_daemon.trading.risk_engine import ThresholdRiskEngine
from tests.unit.trading.desk import BTC, ETH


class Account:
    """10,000 USDT, BTC at 100 and ETH at 10, under the shipped balanced profile or the ones given."""

    def __init__(
        self, *rules: RiskLimits, opening: str = "10000", instruments: tuple[Instrument, ...] = (BTC, ETH), **changes: Any
    ) -> None:
        known = {each.key: each for each in instruments}
        self.ledger = Ledger(known, "USDT", Decimal(opening), leverage=changes.get("leverage", Decimal(1)))
        self.mark(BTC, 100.0)
        self.mark(ETH, 10.0)
        profiles = {each.name: each for each in rules or (limits(),)}
        changes.setdefault("controls", OrderControls(duplicate_window_ns=0))
        session = spec({}, changes.pop("schedules", []), instruments, profiles=profiles, opening_balance=Decimal(opening), **changes)
        self.gate = ThresholdRiskEngine(session, self.ledger)
        self.count = 0

    def mark(self, instrument: Instrument, price: float) -> None:
        self.ledger.mark(instrument.key, price, START_NS)

    def hold(self, quantity: str, price: str, instrument: Instrument = BTC, *, strategy: str = "a") -> None:
        """A purchase that has been filled, without a fee."""
        self.ledger.book(
            Fill(
                id=f"f{self.ledger.entries}",
                order_id="o",
                signal_id="s",
                strategy=strategy,
                schedule=strategy,
                instrument=instrument.key,
                side=Side.BUY,
                quantity=Decimal(quantity),
                reference_price=Decimal(price),
                slippage=Decimal(0),
                price=Decimal(price),
                fee=Decimal(0),
                fee_asset="USDT",
                filled_at=START_NS,
                fill_source="open_print",
                inside_bar=False,
                preset="p",
            )
        )

    def judge(self, side: Side, *legs: tuple[Instrument, str], reduce_only: bool = False, **fields: Any) -> ApprovedGroup | Refused:
        self.count += 1
        usual: dict[str, Any] = {
            "id": f"g{self.count}",
            "signal_id": f"g{self.count}",
            "strategy": "a",
            "schedule": "a",
            "profile": "balanced",
            "instant": START_NS,
        }
        made = tuple(
            OrderLeg(instrument=instrument.key, side=side, quantity=Decimal(quantity), reduce_only=reduce_only)
            for instrument, quantity in legs
        )
        return self.gate.judge(OrderGroup(legs=made, **usual | fields))

    def buy(self, quantity: str, instrument: Instrument = BTC, **fields: Any) -> Verdict:
        return self.judge(Side.BUY, (instrument, quantity), **fields).verdict

    def sell(self, quantity: str, instrument: Instrument = BTC, **fields: Any) -> Verdict:
        """A reduction."""
        return self.judge(Side.SELL, (instrument, quantity), reduce_only=True, **fields).verdict
