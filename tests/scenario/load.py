"""A flood of orders by hand of every kind into the real core, and a second look at what went past its gate."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from dudzian_daemon.domain.market import SECOND_NS, Phase, Quote, Tick
from dudzian_daemon.domain.money import exact_money
from dudzian_daemon.domain.orders import Fill, OrderStatus, Outcome, Verdict
from dudzian_daemon.domain.records import CycleRecord
from dudzian_daemon.domain.risk import OrderControls
from dudzian_daemon.testing.market import START_NS, schedule, spec
from dudzian_daemon.trading.driver import Driver
from dudzian_daemon.trading.step import Core
from tests.unit.trading.desk import BTC, ETH, WIDE, Scripted

#: What an order may be; the last one is nonsense.
ORDERS = (
    {"side": "buy", "quantity": "0.5"},
    {"side": "buy", "quantity": "0.2", "kind": "limit", "limit_price": "99.90"},
    {"side": "sell", "quantity": "0.3", "reduce_only": "yes"},
    {"side": "buy", "quantity": "0.4", "kind": "limit", "limit_price": "100.20", "time_in_force": "ioc"},
    {"side": "buy", "quantity": "9000"},
    {"side": "buy", "quantity": "0.1", "kind": "limit", "limit_price": "99.95", "take_profit": "100.05", "stop_loss": "99.50"},
    {"side": "sell", "quantity": "0.2", "reduce_only": "yes", "kind": "limit", "limit_price": "100.30"},
    {"side": "buy", "quantity": "0.2", "kind": "stop", "stop_price": "100.10"},
    {"side": "sell", "quantity": "5"},
    {"side": "sell", "quantity": "0.1", "reduce_only": "yes", "kind": "trailing_stop", "trail": "0.30"},
    {"side": "buy", "quantity": "0.3", "kind": "limit", "limit_price": "150"},
    {"side": "hold", "quantity": "NaN"},
)


class Load:
    """One core, and everything it said."""

    def __init__(self, controls: OrderControls) -> None:
        hand = msgspec.structs.replace(WIDE, name="manual")
        session = spec(
            {"told": Scripted()},
            [schedule("told", [BTC, ETH])],
            [BTC, ETH],
            profiles={"balanced": WIDE, "manual": hand},
            controls=controls,
            opening_balance=Decimal(100_000),
        )
        with exact_money():
            self.core = Core(session)
        self.driver = Driver(self.core)
        self.sent = 0
        self.records: list[CycleRecord] = []

    def run(self, seconds: int, *, rate: int) -> None:
        """`rate` orders in every second of input time, a quote each at its begin; resting orders go every ten seconds."""
        with exact_money():
            for second in range(seconds):
                now = START_NS + second * SECOND_NS
                price = 100.0 + (second % 7 - 3) * 0.1
                quotes = tuple(Quote(now, each.key, price, price + 0.02, 30.0, 30.0) for each in (BTC, ETH))
                self.records.extend(self.driver.advance(Tick(now, Phase.QUOTE, quotes)))
                for number in range(rate):
                    wish = ORDERS[self.sent % len(ORDERS)] | {"instrument": (BTC if self.sent % 24 < 12 else ETH).key}
                    self._command("order_place", wish, now + (number + 1) * (SECOND_NS // (rate + 1)))
                    self.sent += 1
                if second % 10 == 9:
                    for order in self.core.execution.open_orders:
                        self._command("order_cancel", {"order_id": order.id}, 0)

    @property
    def verdicts(self) -> list[Verdict]:
        return [verdict for record in self.records for verdict in record.verdicts if verdict.rule != "cancel"]

    @property
    def fills(self) -> list[Fill]:
        return [fill for record in self.records for fill in record.fills]

    def unchecked(self) -> list[str]:
        """Accepted orders and fills that no approval stands before, and quantities beyond the approved one."""
        approved: dict[str, Decimal] = {}
        filled: dict[str, Decimal] = {}
        found = []
        for record in self.records:
            for verdict in record.verdicts:
                if verdict.outcome is not Outcome.REFUSED:
                    approved[verdict.group_id] = verdict.approved
            accepted = [result.order_id for result in record.results if result.status is OrderStatus.ACCEPTED]
            found += [order_id for order_id in accepted if order_id.rpartition(".")[0] not in approved]
            for fill in record.fills:
                filled[fill.order_id] = filled.get(fill.order_id, Decimal(0)) + fill.quantity
                if filled[fill.order_id] > approved.get(fill.order_id.rpartition(".")[0], Decimal(0)):
                    found.append(fill.id)
        return found

    def _command(self, name: str, arguments: dict[str, str], now: int) -> None:
        self.records.extend(self.driver.command(f"c{len(self.records)}", name, arguments, now=now))
