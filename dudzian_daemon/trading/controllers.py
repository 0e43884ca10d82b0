"""Signals in, orders out: sizes signals, orders the groups of a tick, asks the gate, hands what it approved to the simulator."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal

import msgspec

from dudzian_daemon.domain.money import ZERO, from_float
from dudzian_daemon.domain.orders import (
    ApprovedGroup,
    Intent,
    OrderGroup,
    OrderLeg,
    OrderResult,
    OrderStatus,
    Refused,
    Side,
    Signal,
    Verdict,
)
from dudzian_daemon.domain.sizing import leg_to_target
from dudzian_daemon.trading.ledger import Ledger
from dudzian_daemon.trading.paper_execution import PaperTradingExecutionService
from dudzian_daemon.trading.risk_engine import ThresholdRiskEngine
from dudzian_daemon.trading.spec import Schedule, SessionSpec
from dudzian_daemon.trading.strategy_host import StrategyHost


class Outcome(msgspec.Struct):
    """What became of the groups of one tick."""

    verdicts: list[Verdict]
    results: list[OrderResult]


class TradingController:
    """The one road from a signal, a limit trip or an operator's close to an order."""

    def __init__(
        self,
        spec: SessionSpec,
        ledger: Ledger,
        gate: ThresholdRiskEngine,
        execution: PaperTradingExecutionService,
        strategies: StrategyHost,
    ) -> None:
        self._spec = spec
        self._ledger = ledger
        self._gate = gate
        self._execution = execution
        self._strategies = strategies

    def process(self, closings: Iterable[OrderGroup], signals: Iterable[Signal], instant: int) -> Outcome:
        """Judge closing groups, then reducing signals, then the rest in the order given; each reserves before the next."""
        outcome = Outcome([], [])
        entries: Counter[str] = Counter()
        sized = []
        for signal in signals:
            entries[signal.schedule] += signal.intent is not Intent.EXIT
            sized.append(self._group(signal, rank=entries[signal.schedule]))
        for group in (*closings, *sorted(sized, key=lambda group: not group.legs[0].reduce_only)):
            self._judge(group, instant, outcome)
        return outcome

    def closing_groups(
        self, instant: int, *, profiles: Collection[str] | None = None, max_age_ns: Mapping[str, int] | None = None
    ) -> list[OrderGroup]:
        """Reduce-only groups for what the strategies (of `profiles`, if given) hold and are not closing yet.

        With `max_age_ns` by instrument the gate refuses to close on a last price older than that.
        """
        groups = []
        for strategy, instrument in sorted(self._ledger.books):
            book = self._ledger.books[(strategy, instrument)]
            schedule = self._strategies.schedule_of(strategy, instrument)
            left = abs(book.quantity) - self._gate.reserved_reducing(strategy, instrument)
            if left <= 0 or (profiles is not None and schedule.profile not in profiles):
                continue
            side = Side.SELL if book.quantity > 0 else Side.BUY
            leg = OrderLeg(instrument=instrument, side=side, quantity=left, reduce_only=True)
            mark = self._ledger.last_price(instrument)
            age = instant - mark.instant if mark is not None else 0
            groups.append(
                OrderGroup(
                    id=f"{strategy}/{instrument}/{instant}/close",
                    signal_id="",
                    strategy=strategy,
                    schedule=schedule.name,
                    profile=schedule.profile,
                    instant=instant,
                    legs=(leg,),
                    age_ns=age,
                    max_age_ns=None if max_age_ns is None else max_age_ns[instrument],
                )
            )
        return groups

    def cancel(self, *, code: str, strategy: str | None = None) -> list[OrderResult]:
        """Take resting orders out of the book and free what they had reserved."""
        results = []
        for order, result in self._execution.cancel(code=code, strategy=strategy):
            self._gate.release(order.id)
            results.append(result)
        return results

    def _judge(self, group: OrderGroup, instant: int, outcome: Outcome) -> None:
        answer = self._gate.judge(group)
        outcome.verdicts.append(answer.verdict)
        if isinstance(answer, ApprovedGroup):
            outcome.results.extend(self._execution.submit(answer, instant))
        else:
            outcome.results.extend(rejected(answer))

    def _group(self, signal: Signal, rank: int) -> OrderGroup:
        schedule = self._strategies.schedule_of(signal.strategy, signal.instrument)
        candle = self._strategies.latest_candle(schedule, signal.instrument)
        return OrderGroup(
            id=signal.id,
            signal_id=signal.id,
            strategy=signal.strategy,
            schedule=schedule.name,
            profile=schedule.profile,
            instant=signal.instant,
            legs=(self._leg(signal, schedule),),
            surplus=rank > schedule.max_signals,
            age_ns=0 if candle is None else signal.instant - candle.end,
            max_age_ns=min(schedule.cadence_ns // 4, self._spec.max_decision_age_ns),
            held_ns=0 if candle is None else candle.held_ns,
        )

    def _leg(self, signal: Signal, schedule: Schedule) -> OrderLeg:
        position = self._ledger.position(signal.strategy, signal.instrument)
        if signal.intent is Intent.EXIT:
            side = Side.BUY if position < 0 else Side.SELL
            return OrderLeg(instrument=signal.instrument, side=side, quantity=abs(position), reduce_only=True)
        target = schedule.position_size if signal.target is None else from_float(signal.target)
        held = position != 0 and signal.intent is Intent.ENTER
        return (None if held else self._to_target(signal, position, target, schedule)) or OrderLeg(
            instrument=signal.instrument, side=Side.BUY, quantity=ZERO, reduce_only=False
        )

    def _to_target(self, signal: Signal, position: Decimal, target: Decimal, schedule: Schedule) -> OrderLeg | None:
        mark = self._ledger.last_price(signal.instrument)
        if mark is None:
            return None
        budget = self._ledger.equity * schedule.allocation
        lot_size = self._spec.instruments[signal.instrument].lot_size
        return leg_to_target(signal.instrument, position, target, budget, mark.price, lot_size)


def rejected(refused: Refused) -> list[OrderResult]:
    """A refused group as order results, one a leg."""
    group = refused.group
    return [
        OrderResult(
            order_id=group.order_id(number),
            signal_id=group.signal_id,
            strategy=group.strategy,
            instrument=leg.instrument,
            side=leg.side,
            status=OrderStatus.REJECTED,
            quantity=leg.quantity,
            code=refused.verdict.code,
        )
        for number, leg in enumerate(group.legs)
    ]
