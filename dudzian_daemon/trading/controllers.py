"""Signals in, orders out: sizes signals, orders the groups of a tick, asks the gate, hands what it approved to the simulator."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from decimal import Decimal

import msgspec

from dudzian_daemon.domain.market import Instrument
from dudzian_daemon.domain.money import ZERO, from_float
from dudzian_daemon.domain.orders import (
    MARKET_TERMS,
    ApprovedGroup,
    Intent,
    Order,
    OrderGroup,
    OrderLeg,
    OrderResult,
    OrderStatus,
    Refused,
    Side,
    Signal,
    Verdict,
)
from dudzian_daemon.domain.records import RiskChange
from dudzian_daemon.domain.sizing import leg_to_target
from dudzian_daemon.trading.catastrophe import StopMet
from dudzian_daemon.trading.ledger import Ledger
from dudzian_daemon.trading.leg_watch import LegWatch, Watched
from dudzian_daemon.trading.margin import MarginCall
from dudzian_daemon.trading.paper_execution import PaperTradingExecutionService
from dudzian_daemon.trading.risk_engine import ThresholdRiskEngine
from dudzian_daemon.trading.spec import MANUAL, MANUAL_SCHEDULE, Schedule, SessionSpec
from dudzian_daemon.trading.strategy_host import StrategyHost


class Outcome(msgspec.Struct):
    """What became of the groups of one tick."""

    verdicts: list[Verdict]
    results: list[OrderResult]


class ClosingCount(msgspec.Struct, frozen=True):
    """The instant of the latest closing group of a strategy's instrument, and how many it had then."""

    strategy: str
    instrument: str
    instant: int
    count: int


class ControllerMemory(msgspec.Struct, frozen=True):
    """What a controller remembers from tick to tick."""

    legs: tuple[Watched, ...]
    closed: tuple[ClosingCount, ...]


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
        self.legs = LegWatch(spec.leg_timeout_ns)
        #: By strategy and instrument: the instant of its latest closing group, and how many it had then.
        self._closed: dict[tuple[str, str], tuple[int, int]] = {}

    def export(self) -> ControllerMemory:
        """All it remembers, to be restored."""
        return ControllerMemory(self.legs.export(), tuple(ClosingCount(*key, *latest) for key, latest in self._closed.items()))

    def restore(self, memory: ControllerMemory) -> None:
        """Be as the controller was that said so."""
        self.legs.restore(memory.legs)
        self._closed = {(each.strategy, each.instrument): (each.instant, each.count) for each in memory.closed}

    def process(self, closings: Iterable[OrderGroup], signals: Iterable[Signal], instant: int) -> Outcome:
        """Judge closing groups, then reducing ones, then the rest in the order given; each reserves before the next."""
        outcome = Outcome([], [])
        entries: Counter[str] = Counter()
        sized = []
        for group in _in_groups(signals):
            entries[group[0].schedule] += group[0].intent is not Intent.EXIT
            sized.append(self._group(group, rank=entries[group[0].schedule]))
        for each in closings:
            self._judge(each, instant, outcome)
        for each in sorted(sized, key=lambda group: any(not leg.reduce_only for leg in group.legs)):
            outcome.results += self._stop_entering(each, instant)
            self._judge(each, instant, outcome)
        return outcome

    def holdings(self) -> list[tuple[Schedule, str]]:
        """Every position that is held: the schedule it is under, and its instrument."""
        held = sorted(key for key, book in self._ledger.books.items() if book.quantity)
        return [(self._schedule(strategy, instrument), instrument) for strategy, instrument in held]

    def open_order(self, order_id: str) -> Order | None:
        """The open order with that id."""
        return next((order for order in self._execution.open_orders if order.id == order_id), None)

    def close_at_stops(self, met: Iterable[StopMet], instant: int) -> tuple[list[RiskChange], list[OrderResult]]:
        """Catastrophe stops that the latest prices have met: for the record, and the orders cancelled that would have opened more."""
        changes: list[RiskChange] = []
        results: list[OrderResult] = []
        for stop in met:
            changes.append(self._gate.note(stop.profile, "stop_met", "catastrophe_stop_pct", stop.limit, stop.loss))
            results += self.cancel_of(stop.strategy, stop.instrument, instant, code="catastrophe_stop")
        return changes, results

    def closing_groups(
        self, instant: int, *, wanted: Callable[[Schedule, str], bool] | None = None, max_age_ns: Mapping[str, int] | None = None
    ) -> list[OrderGroup]:
        """Reduce-only groups for what the strategies hold and are not closing yet; `wanted(schedule, instrument)` chooses.

        With `max_age_ns` by instrument the gate refuses to close on a last price older than that.
        """
        groups: list[OrderGroup] = []
        for schedule, instrument in self.holdings():
            if wanted is None or wanted(schedule, instrument):
                groups += self._closing(schedule, instrument, instant, None if max_age_ns is None else max_age_ns[instrument])
        return groups

    def cancel(
        self,
        instant: int,
        *,
        code: str,
        schedules: Collection[str] | None = None,
        group_id: str | None = None,
        order_id: str | None = None,
    ) -> list[OrderResult]:
        """Take resting orders out of the book (as `PaperTradingExecutionService.cancel`) and free what they had reserved."""
        results = []
        for order, result in self._execution.cancel(code=code, schedules=schedules, group_id=group_id, order_id=order_id):
            self._gate.release(order.id)
            self.legs.failed(order, instant)
            results.append(result)
        return results

    def cancel_of(self, strategy: str, instrument: str, instant: int, *, code: str) -> list[OrderResult]:
        """Take the strategy's open orders in the instrument out of the book, each with its group."""
        groups = dict.fromkeys(
            order.group_id for order in self._execution.open_orders if (order.strategy, order.instrument) == (strategy, instrument)
        )
        return [result for group_id in groups for result in self.cancel(instant, code=code, group_id=group_id)]

    def liquidated(self, call: MarginCall) -> RiskChange:
        """The margin call for the record."""
        change = self._gate.note(call.profile, "liquidated", "maintenance_margin_pct")
        return msgspec.structs.replace(change, limit=call.required, value=call.equity)

    def liquidation(self, call: MarginCall, instant: int, number: int) -> OrderGroup:
        """The group by which the venue closes the called short; `number` makes it unique."""
        (group,) = self._closing(self._schedule(call.strategy, call.instrument), call.instrument, instant, None)
        return msgspec.structs.replace(group, id=f"{call.strategy}/{call.instrument}/{instant}/liquidation{number}")

    def _closing(self, schedule: Schedule, instrument: str, instant: int, max_age_ns: int | None) -> list[OrderGroup]:
        """The group that closes what is left of one position; none where it is being closed already, or cannot be."""
        strategy = schedule.strategy
        book = self._ledger.books[strategy, instrument]
        left = abs(book.quantity) - self._gate.reserved_reducing(strategy, instrument)
        if left <= 0 or instrument in self._gate.closed_markets:
            return []
        side = Side.SELL if book.quantity > 0 else Side.BUY
        mark = self._ledger.prices.last_price(instrument)
        return [
            OrderGroup(
                id=self._closing_id(strategy, instrument, instant),
                signal_id="",
                strategy=strategy,
                schedule=schedule.name,
                profile=schedule.profile,
                instant=instant,
                legs=(OrderLeg(instrument=instrument, side=side, quantity=left, reduce_only=True),),
                age_ns=instant - mark.instant if mark is not None else 0,
                max_age_ns=max_age_ns,
            )
        ]

    def _stop_entering(self, group: OrderGroup, instant: int) -> list[OrderResult]:
        """What the strategy has not got yet of a position that it leaves or shrinks now, it shall not get any more."""
        left = [leg.instrument for leg in group.legs if leg.reduce_only and self._gate.enlarging(group.strategy, leg.instrument)]
        return [result for key in left for result in self.cancel_of(group.strategy, key, instant, code="left")]

    def _schedule(self, strategy: str, instrument: str) -> Schedule:
        return MANUAL_SCHEDULE if strategy == MANUAL else self._strategies.schedule_of(strategy, instrument)

    def _closing_id(self, strategy: str, instrument: str, instant: int) -> str:
        """A position that one closing has left open is closed again, perhaps at the same instant."""
        latest, count = self._closed.get((strategy, instrument), (instant, 0))
        count = count + 1 if latest == instant else 1
        self._closed[strategy, instrument] = (instant, count)
        return f"{strategy}/{instrument}/{instant}/close" + (f"{count}" if count > 1 else "")

    def _judge(self, group: OrderGroup, instant: int, outcome: Outcome) -> None:
        answer = self._gate.judge(group)
        outcome.verdicts.append(answer.verdict)
        if isinstance(answer, ApprovedGroup):
            outcome.results.extend(self._execution.submit(answer, instant))
            self.legs.start(answer, instant)
        else:
            outcome.results.extend(rejected(answer))

    def _group(self, signals: list[Signal], rank: int) -> OrderGroup:
        first = signals[0]
        schedule = self._strategies.schedule_of(first.strategy, first.instrument)
        candles = [candle for signal in signals if (candle := self._strategies.latest_candle(schedule, signal.instrument)) is not None]
        return OrderGroup(
            id=first.id,
            signal_id=first.id,
            strategy=first.strategy,
            schedule=schedule.name,
            profile=schedule.profile,
            instant=first.instant,
            legs=_evened([self._leg(signal, schedule) for signal in signals], self._spec.instruments),
            rank=rank,
            max_rank=schedule.max_signals,
            age_ns=max([first.instant - candle.end for candle in candles], default=0),
            max_age_ns=min(schedule.cadence_ns // 4, self._spec.max_decision_age_ns),
            held_ns=max([candle.held_ns for candle in candles], default=0),
        )

    def _leg(self, signal: Signal, schedule: Schedule) -> OrderLeg:
        position = self._ledger.position(signal.strategy, signal.instrument)
        if signal.intent is Intent.EXIT:
            side = Side.BUY if position < 0 else Side.SELL
            return OrderLeg(instrument=signal.instrument, side=side, quantity=abs(position), reduce_only=True, signal_id=signal.id)
        target = schedule.position_size if signal.target is None else from_float(signal.target)
        coming = self._gate.enlarging(signal.strategy, signal.instrument)
        held = (position or coming) and signal.intent is Intent.ENTER
        leg = None if held else self._to_target(signal, position, target, schedule)
        if leg is not None and coming and not leg.reduce_only:  # the rest of an earlier order counts as if it were filled
            leg = msgspec.structs.replace(leg, quantity=max(leg.quantity - coming, ZERO))
        leg = leg or OrderLeg(instrument=signal.instrument, side=Side.BUY, quantity=ZERO, reduce_only=False)
        return msgspec.structs.replace(
            leg,
            signal_id=signal.id,
            protection=signal.protection,
            protective_stop=None if signal.stop_price is None else from_float(signal.stop_price),
            atr=from_float(signal.numbers["atr"]) if "atr" in signal.numbers else None,
            max_notional=from_float(signal.numbers["max_notional"]) if "max_notional" in signal.numbers else None,
        )

    def _to_target(self, signal: Signal, position: Decimal, target: Decimal, schedule: Schedule) -> OrderLeg | None:
        mark = self._ledger.prices.last_price(signal.instrument)
        if mark is None or mark.price <= 0:
            return None
        budget = self._ledger.equity * schedule.allocation
        lot_size = self._spec.instruments[signal.instrument].lot_size
        return leg_to_target(signal.instrument, position, target, budget, mark.price, lot_size)


def _in_groups(signals: Iterable[Signal]) -> Iterable[list[Signal]]:
    """Signals that belong together, in the order of their first member; ungrouped ones alone."""
    groups: dict[tuple[str, ...], list[Signal]] = {}
    for signal in signals:
        groups.setdefault((signal.schedule, signal.group) if signal.group else (signal.id,), []).append(signal)
    return groups.values()


def _evened(legs: list[OrderLeg], instruments: Mapping[str, Instrument]) -> tuple[OrderLeg, ...]:
    """Opening legs of one asset made equally large, so that a hedge is one; rounded down to the coarser lot by the gate."""
    opening = [leg for leg in legs if not leg.reduce_only]
    bases = {instruments[leg.instrument].base for leg in opening if leg.instrument in instruments}
    if len(opening) < len(legs) or len(legs) == 1 or len(bases) != 1:
        return tuple(legs)
    quantity = min(leg.quantity for leg in legs)
    return tuple(msgspec.structs.replace(leg, quantity=quantity) for leg in legs)


def rejected(refused: Refused) -> list[OrderResult]:
    """A refused group as order results, one a leg."""
    group = refused.group
    return [
        OrderResult(
            order_id=group.order_id(number),
            signal_id=leg.signal_id or group.signal_id,
            strategy=group.strategy,
            instrument=leg.instrument,
            side=leg.side,
            status=OrderStatus.REJECTED,
            quantity=leg.quantity,
            code=refused.verdict.code,
            terms=None if leg.terms == MARKET_TERMS else leg.terms,
        )
        for number, leg in enumerate(group.legs)
    ]
