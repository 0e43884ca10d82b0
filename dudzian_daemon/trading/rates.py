"""Counters of what was sent and executed, on input instants: order rates, duplicates, repeated executions.

Reductions are counted and never held back: a limit must not keep anyone in a position.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from decimal import Decimal

import msgspec

from dudzian_daemon.domain.market import MINUTE_NS, SECOND_NS
from dudzian_daemon.domain.money import ZERO
from dudzian_daemon.domain.orders import Fill, OrderGroup, OrderLeg, RefusalCode
from dudzian_daemon.domain.risk import OrderControls
from dudzian_daemon.trading.limits import Cap, refusal
from dudzian_daemon.trading.spec import MANUAL


class Executions(msgspec.Struct, gc=False):
    """Fills in one direction since the last new signal."""

    side: str
    signal_id: str
    count: int


class OrderCounters(msgspec.Struct):
    """The counters as plain values: instants (ns) of orders by strategy and of all, rising; instants of orders by their terms,
    client ids, executions.
    """

    sent: dict[str, list[int]] = {}
    everyone: list[int] = []
    recent: dict[str, int] = {}
    client_ids: dict[str, int] = {}
    executions: dict[str, Executions] = {}
    #: What was too old at this instant (ns) is dropped.
    as_of: int = -1

    def copied(self) -> OrderCounters:
        """The same counts, sharing nothing."""
        return OrderCounters(
            {name: list(instants) for name, instants in self.sent.items()},
            list(self.everyone),
            dict(self.recent),
            dict(self.client_ids),
            {key: msgspec.structs.replace(each) for key, each in self.executions.items()},
            self.as_of,
        )


class OrderRates:
    """Single writer of the counters. `refusal` judges, `count` remembers what passed."""

    def __init__(self, controls: OrderControls) -> None:
        self._controls = controls
        self.counters = OrderCounters()

    def refusal(self, group: OrderGroup, orders: Sequence[str]) -> Cap | None:
        """Why an opening group, whose legs are `orders`, is one too many, None if it is not."""
        return self._duplicate(group, orders) or self._repeated(group) or self._rate(group)

    def count(self, group: OrderGroup, orders: Sequence[str]) -> None:
        """The group has passed; `orders` are its legs as they were wished for."""
        counters = self.counters
        if group.instant != counters.as_of:
            self._forget(group.instant)
        instants = [group.instant] * len(orders)
        counters.sent.setdefault(group.strategy, []).extend(instants)
        counters.everyone.extend(instants)
        counters.recent |= dict.fromkeys(orders, group.instant)
        if group.client_id:
            counters.client_ids[group.client_id] = group.instant

    def executed(self, fill: Fill) -> bool:
        """Count a fill; true if it is the last that its signal may have."""
        key, signal = f"{fill.strategy} {fill.instrument}", _signal(fill.strategy, fill.signal_id)
        known = self.counters.executions.get(key)
        if known is None or (known.side, known.signal_id) != (fill.side, signal):
            known = self.counters.executions[key] = Executions(fill.side, signal, 0)
        known.count += 1
        return known.count >= self._controls.repeated_executions

    def _duplicate(self, group: OrderGroup, orders: Sequence[str]) -> Cap | None:
        window = self._controls.duplicate_window_ns
        seen = [self.counters.recent.get(order) for order in orders]
        ages = [group.instant - instant for instant in seen if instant is not None and group.instant - instant < window]
        if group.client_id and group.client_id in self.counters.client_ids:
            return refusal(RefusalCode.DUPLICATE_ORDER, Decimal(1), Decimal(1), rule="client_id")
        return refusal(RefusalCode.DUPLICATE_ORDER, Decimal(window), Decimal(min(ages)), rule="duplicate_window") if ages else None

    def _repeated(self, group: OrderGroup) -> Cap | None:
        limit = self._controls.repeated_executions
        for leg in group.legs:
            known = self.counters.executions.get(f"{group.strategy} {leg.instrument}")
            mine = known is not None and (known.side, known.signal_id) == (
                leg.side,
                _signal(group.strategy, leg.signal_id or group.signal_id),
            )
            count = known.count if known is not None and mine else 0
            if count >= limit:
                return refusal(RefusalCode.REPEATED_EXECUTION, Decimal(limit), Decimal(count), rule="repeated_executions")
        return None

    def _rate(self, group: OrderGroup) -> Cap | None:
        controls, everyone = self._controls, self.counters.everyone
        mine = self.counters.sent.get(group.strategy, [])
        for rule, instants, span, limit in (
            ("strategy_orders_per_second", mine, SECOND_NS, controls.strategy_orders_per_second),
            ("strategy_orders_per_minute", mine, MINUTE_NS, controls.strategy_orders_per_minute),
            ("total_orders_per_second", everyone, SECOND_NS, controls.total_orders_per_second),
            ("total_orders_per_minute", everyone, MINUTE_NS, controls.total_orders_per_minute),
        ):
            count = len(instants) - bisect_right(instants, group.instant - span)
            if count + len(group.legs) > limit:
                return Cap(RefusalCode.ORDER_RATE, rule, Decimal(limit), Decimal(count), Decimal(max(limit - count, 0)), ZERO)
        return None

    def _forget(self, now: int) -> None:
        """Drop what no window reaches any more; once an instant, since nothing of this instant can be dropped."""
        counters, window, minute_ago = self.counters, self._controls.duplicate_window_ns, now - MINUTE_NS
        kept = {name: instants[bisect_right(instants, minute_ago) :] for name, instants in counters.sent.items()}
        counters.sent = {name: instants for name, instants in kept.items() if instants}
        counters.everyone = counters.everyone[bisect_right(counters.everyone, minute_ago) :]
        counters.recent = {terms: instant for terms, instant in counters.recent.items() if now - instant <= window}
        counters.as_of = now


def _signal(strategy: str, signal_id: str) -> str:
    """What counts as one signal: orders by hand are repetitions of one another until one goes the other way."""
    return MANUAL if strategy == MANUAL else signal_id


def orders_of(group: OrderGroup) -> list[str]:
    """By leg what makes two orders the same one, as one text."""
    return [_terms(group.strategy, leg) for leg in group.legs]


def _terms(strategy: str, leg: OrderLeg) -> str:
    terms = leg.terms
    prices = f"{terms.limit_price} {terms.stop_price} {terms.trail}"
    return f"{strategy} {leg.instrument} {leg.side} {leg.quantity!s} {terms.kind} {prices}"
