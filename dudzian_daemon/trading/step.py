"""The core: `step(tick)` is the whole life of an order on one page. Synchronous and deterministic; backtest, paper and replay call it.

It knows no clock, no disk, no loop and no randomness: time and data are the tick, everything else was in the `SessionSpec`.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

import msgspec

from dudzian_daemon.domain.market import (
    DAY_NS,
    GRANULARITIES,
    MINUTE_NS,
    Book,
    Candle,
    Command,
    Funding,
    Gap,
    Input,
    OpenPrint,
    Phase,
    Quote,
    Tick,
    Timer,
    WarmUp,
)
from dudzian_daemon.domain.orders import Match, RefusalCode
from dudzian_daemon.domain.records import CycleRecord
from dudzian_daemon.trading.controllers import TradingController
from dudzian_daemon.trading.draft import Draft
from dudzian_daemon.trading.executions import outcome
from dudzian_daemon.trading.forced_closings import ForcedClosings
from dudzian_daemon.trading.funding import FundingClock
from dudzian_daemon.trading.ledger import Ledger
from dudzian_daemon.trading.margin import MarginWatch, rests_before
from dudzian_daemon.trading.operator import OPERATOR_COMMANDS, Operator
from dudzian_daemon.trading.paper_execution import PaperTradingExecutionService
from dudzian_daemon.trading.risk_engine import ThresholdRiskEngine
from dudzian_daemon.trading.scheduler import MultiStrategyScheduler
from dudzian_daemon.trading.spec import MANUAL, SessionSpec
from dudzian_daemon.trading.state import CoreState
from dudzian_daemon.trading.strategy_host import QUARANTINED, SUSPENDED, StrategyHost

#: A tick this long after the last cycle is a cycle too, so that marks and equity become durable and visible.
LONGEST_SILENCE_NS: Final = MINUTE_NS

#: Phases of which every tick is a cycle.
EVENTFUL: Final = frozenset({Phase.COMMAND, Phase.REVISION, Phase.TIMER})

#: Commands the core obeys. `close_positions` `yes` closes the book, `on` `no` lifts the kill switch, `strategy` names one.
COMMANDS: Final = frozenset({"stop", "end_of_data", "close_positions", "suspend", "resume", "quarantine"}) | OPERATOR_COMMANDS


class StepResult(msgspec.Struct, frozen=True, gc=False):
    """The cycle's record, or None for a step that was none, and when the core wants a timer (ns) at the latest."""

    record: CycleRecord | None
    next_deadline: int | None


class Core:
    """One account, its strategies, gate, simulator and ledger. Run it under `domain.money.exact_money`."""

    def __init__(self, spec: SessionSpec) -> None:
        self.spec = spec
        opening = {spec.valuation_asset: spec.opening_balance, **spec.other_balances}
        self.ledger = Ledger(
            spec.instruments,
            spec.valuation_asset,
            opening,
            leverage=spec.leverage,
            conversions=spec.conversions,
            source=spec.opening_source,
        )
        self.funding = FundingClock(spec.instruments, self.ledger)
        self.margin = MarginWatch(spec, self.ledger)
        self.strategies = StrategyHost(spec)
        self.execution_series = self.strategies.execution_series()
        self.gate = ThresholdRiskEngine(spec, self.ledger, self._reference_ages())
        self.execution = PaperTradingExecutionService(spec.instruments, spec.preset, self.ledger.position)
        self.scheduler = MultiStrategyScheduler(spec.schedules)
        self.controller = TradingController(spec, self.ledger, self.gate, self.execution, self.strategies)
        self.operator = Operator(spec, self.ledger, self.gate, self.controller)
        self.forced_closings = ForcedClosings(spec, self.ledger, self.gate, self.controller, self.execution, self.strategies)
        self.sequence = 0
        self.instant = 0
        self._day = 0
        self._last_cycle: int | None = None
        self._inputs: list[Input] = []
        self._take: dict[type, Callable[[Any, Draft], None]] = {
            OpenPrint: self._take_price,
            Quote: self._take_price,
            Book: self._take_price,
            Candle: self._take_candle,
            Command: self._take_command,
            Gap: self._take_gap,
            WarmUp: self._take_warm_up,
            Timer: self._take_timer,
            Funding: self._take_funding,
        }

    @property
    def recorded(self) -> bool:
        """Whether every input so far is on record: none waits for the next cycle."""
        return not self._inputs

    def export(self) -> CoreState:
        """Everything that what comes may depend on. Raises `TypeError` where a plugin's `State` is no data."""
        return CoreState(
            sequence=self.sequence,
            instant=self.instant,
            day=self._day,
            last_cycle=self._last_cycle,
            pending=tuple(self._inputs),
            execution_series=dict(self.execution_series),
            ledger=self.ledger.export(),
            funding=self.funding.export(),
            gate=self.gate.export(),
            venue=self.execution.export(),
            strategies=self.strategies.export(),
            schedules=self.scheduler.export(),
            controller=self.controller.export(),
        )

    def restore(self, state: CoreState) -> None:
        """Be as the core of an equal spec was that said so. Raises `msgspec.DecodeError` where a plugin cannot read its `State`."""
        self.strategies.restore(state.strategies)
        self.sequence, self.instant, self._day, self._last_cycle = state.sequence, state.instant, state.day, state.last_cycle
        self._inputs = list(state.pending)
        self.execution_series = dict(state.execution_series)
        self.ledger.restore(state.ledger)
        self.funding.restore(state.funding)
        self.gate.restore(state.gate)
        self.execution.restore(state.venue)
        self.scheduler.restore(state.schedules)
        self.controller.restore(state.controller)

    def step(self, tick: Tick) -> StepResult:
        """Take all inputs of one (instant, phase); the inputs of successive ticks are strictly increasing in their order."""
        draft = Draft(tick)
        self.instant = tick.instant
        self._inputs.extend(tick.inputs)
        if self.funding.settled:
            draft.entries += self.funding.settle(tick.instant, tick.phase)
        midnight = (self._day + 1) * DAY_NS
        if tick.instant >= midnight and (tick.instant, tick.phase) > (midnight, Phase.TIMER):
            self._roll_day(tick, draft)  # the day ended unseen: its last mark is the new day's base

        for item in tick.inputs:  # 1 match resting orders and 2 mark, input by input
            self._take[type(item)](item, draft)

        equity = self.ledger.equity
        draft.risk += self.gate.judge_equity(tick.instant, equity)  # 2 judge limits on what was just marked
        if tick.instant == (self._day + 1) * DAY_NS and tick.phase in (Phase.CLOSE, Phase.TIMER):
            self._roll_day(tick, draft)  # a candle that closes at midnight belongs to the day that ends
        self.forced_closings.add(draft)  # what the core closes by itself comes before what strategies wish

        due = self.scheduler.due(tick.instant, self.strategies.has_new_data)
        for schedule in due:  # 3 due strategies turn state and view into signals
            signals, faults = self.strategies.decide(schedule, tick.instant)
            draft.signals += signals
            draft.faults += faults
        if self.strategies.changes:
            draft.strategies += self.strategies.take_changes()

        if draft.closings or draft.signals:
            done = self.controller.process(draft.closings, draft.signals, tick.instant)  # 4 gate, 5 simulator
            draft.verdicts += done.verdicts
            draft.results += done.results

        record = self._record(tick, draft, tuple([schedule.name for schedule in due]), equity)
        return StepResult(record, self._next_deadline())

    def snapshot(self, instant: int) -> Tick | None:
        """A quote tick of last prices for the instruments with open orders: what closing orders fill on at a stop."""
        quotes = []
        for instrument in sorted({order.instrument for order in self.execution.open_orders}):
            last = self.ledger.prices.last_quote(instrument)
            if last is not None:
                price, seen = last
                quotes.append(Quote(instant, instrument, price, price, 0.0, 0.0, "last_price", instant - seen))
        return Tick(instant, Phase.QUOTE, tuple(quotes)) if quotes else None

    # -- one method per kind of input ------------------------------------------------------------------------------

    def _take_price(self, price: OpenPrint | Quote | Book, draft: Draft) -> None:
        for match in self.execution.match(price):
            self._execute(match, draft)
        self._call_margin(price, draft)
        if isinstance(price, OpenPrint):
            self.execution_series[price.instrument] = price.granularity
            self._mark(price.instrument, price.price, price.instant)
            return
        if isinstance(price, Book):
            if not (price.bids and price.asks):  # a one-sided book marks nothing and is no quote
                return
            price = price.best
        self._mark(price.instrument, (price.bid + price.ask) / 2.0, price.instant - price.age_ns)
        if price.source == "quote":
            self.strategies.on_quote(price)

    def _take_candle(self, candle: Candle, draft: Draft) -> None:
        if candle.granularity == self.execution_series.get(candle.instrument):
            if self.execution.has_open_orders_in(candle.instrument):  # else there is no stop to be before
                self._call_margin(candle, draft, before_stops=True)
            for match in self.execution.match(candle):
                self._execute(match, draft)
            self._call_margin(candle, draft)
            self._mark(candle.instrument, candle.close, candle.end)
        draft.faults += self.strategies.on_candle(candle)

    def _take_command(self, command: Command, draft: Draft) -> None:
        if command.name in OPERATOR_COMMANDS:
            effect = self.operator.take(command)
            draft.verdicts += effect.verdicts
            draft.results += effect.results
            draft.risk += effect.risk
            return
        if command.name in ("suspend", "resume", "quarantine"):
            self._take_strategy_command(command, draft)
            return
        if command.name in ("stop", "end_of_data") and command.arguments.get("keep_orders") != "yes":
            draft.results += self.controller.cancel(command.instant, code="stopped")
        if command.arguments.get("close_positions") == "yes":
            ages = {name: 2 * GRANULARITIES[granularity] for name, granularity in self.execution_series.items()}
            draft.closings += self.controller.closing_groups(command.instant, max_age_ns=ages)

    def _take_strategy_command(self, command: Command, draft: Draft) -> None:
        strategy, reason = command.arguments.get("strategy", ""), command.arguments.get("reason", "operator")
        if strategy not in self.spec.strategies:
            return
        if command.name == "resume":
            resumed, faults = self.strategies.resume(strategy, reason)
            draft.strategies.append(resumed)
            draft.faults += faults
        else:
            change = SUSPENDED if command.name == "suspend" else QUARANTINED
            draft.strategies.append(self.strategies.set_inactive(strategy, change, reason))

    def _take_gap(self, gap: Gap, draft: Draft) -> None:
        draft.faults += self.strategies.on_gap(gap)

    def _take_warm_up(self, warm_up: WarmUp, draft: Draft) -> None:
        draft.faults += self.strategies.warm_up(draft.tick.rows[warm_up.digest])

    def _take_timer(self, timer: Timer, draft: Draft) -> None:
        """Its coming is its meaning: orders expire, the day rolls, funding was settled, or nothing is left to do."""
        for match in self.execution.expire(timer.instant):
            self._ended(match, draft)

    def _take_funding(self, funding: Funding, _draft: Draft) -> None:
        self.funding.take(funding)

    # -- parts of the step -----------------------------------------------------------------------------------------

    def _execute(self, match: Match, draft: Draft) -> None:
        fill = match.fill
        if fill is None:
            self._ended(match, draft)
            return
        if not self.ledger.affords(fill):
            for ended in self.execution.refuse(match.order, fill, RefusalCode.INSUFFICIENT_CASH):
                self._ended(ended, draft)
            return
        spent = self.gate.filled(match.order, fill, match.order.left)
        self.controller.legs.filled(match.order)
        entry, change = self.ledger.book(fill)
        if not change.quantity:
            self.gate.stops.flat(fill.strategy, fill.instrument)
        self.funding.moved(fill.instrument, draft.tick.instant, draft.tick.phase)
        draft.entries.append(entry)
        if fill.strategy != MANUAL:
            self.strategies.on_fill(fill, change)
        draft.fills.append(fill)
        draft.positions.append(change)
        draft.results.append(outcome(match))
        if spent and match.order.left:
            code = RefusalCode.REPEATED_EXECUTION
            draft.results += self.controller.cancel(draft.tick.instant, code=code, order_id=match.order.id)

    def _ended(self, match: Match, draft: Draft) -> None:
        """An order ended without being filled; a leg of a group that has to be filled as a whole takes the group with it."""
        self.gate.release(match.order.id)
        self.controller.legs.failed(match.order, draft.tick.instant)
        draft.results.append(outcome(match))

    def _call_margin(self, price: OpenPrint | Quote | Book | Candle, draft: Draft, *, before_stops: bool = False) -> None:
        """Let the venue close the shorts that this price has eaten up; inside a bar those first whose stops are further away."""
        if not self.ledger.open_positions or price.instrument in self.gate.closed_markets:  # nobody can close there, the venue neither
            return
        for call in self.margin.calls(price):
            if before_stops and any(rests_before(order, call) for order in self.execution.open_orders):
                continue
            draft.risk.append(self.controller.liquidated(call))
            draft.results += self.controller.cancel_of(call.strategy, call.instrument, draft.tick.instant, code="liquidated")
            group = self.controller.liquidation(call, draft.tick.instant, self.ledger.entries)
            done = self.controller.process([group], [], draft.tick.instant)
            draft.verdicts += done.verdicts
            draft.results += done.results
            for order in [each for each in self.execution.open_orders if each.group_id == group.id]:
                for match in self.execution.liquidate(order, call.price, price.instant, inside_bar=isinstance(price, Candle)):
                    self._execute(match, draft)

    def _roll_day(self, tick: Tick, draft: Draft) -> None:
        self._day = tick.instant // DAY_NS
        held = {schedule.profile for schedule, _ in self.controller.holdings()}
        draft.risk += self.gate.roll_day(self._day, self.ledger.equity, exposed=held)

    def _mark(self, instrument: str, price: float, instant: int) -> None:
        """Value the book at the price; one that is none is no reference for orders, and the book keeps its last value."""
        lost = self.gate.pre_trade.lost
        if price > 0.0 and price - price == 0.0:
            if lost:
                lost.pop(instrument, None)
            self.ledger.mark(instrument, price, instant)
        else:
            lost[instrument] = instant

    def _reference_ages(self) -> dict[str, int]:
        """How old (ns) a price may be that an opening order is judged by: some candles, and never more than a ceiling."""
        controls = self.spec.controls
        steps = {name: GRANULARITIES[granularity] for name, granularity in self.execution_series.items()}
        return {name: min(controls.max_reference_bars * step, controls.max_reference_age_ns) for name, step in steps.items()}

    def _record(self, tick: Tick, draft: Draft, due: tuple[str, ...], equity: Decimal) -> CycleRecord | None:
        if not (due or tick.phase in EVENTFUL or draft.happened):
            silence = self._last_cycle is None or tick.instant - self._last_cycle >= LONGEST_SILENCE_NS
            if not silence:
                return None
        self.sequence += 1
        self._last_cycle = tick.instant
        inputs, self._inputs = tuple(self._inputs), []
        return CycleRecord(
            sequence=self.sequence,
            instant=tick.instant,
            phase=int(tick.phase),
            due=due,
            inputs=inputs,
            signals=tuple(draft.signals),
            verdicts=tuple(draft.verdicts),
            results=tuple(draft.results),
            fills=tuple(draft.fills),
            positions=tuple(draft.positions),
            risk=tuple(draft.risk),
            strategies=tuple(draft.strategies),
            faults=tuple(draft.faults),
            entries=tuple(draft.entries) if self.sequence > 1 else (self.ledger.opening, *draft.entries),
            cash=self.ledger.cash,
            equity=equity,
        )

    def _next_deadline(self) -> int | None:
        """The end of a group's patience or of an order, the next funding, or, unless flat, the next midnight UTC."""
        earliest, ordered = self.controller.legs.next_deadline, self.execution.has_open_orders
        if not (ordered or self.ledger.open_positions):
            return earliest
        midnight = (self._day + 1) * DAY_NS if ordered or any(self.ledger.net.values()) else None
        for due in (midnight, self.funding.next_deadline, self.execution.next_expiry):
            if due is not None and (earliest is None or due < earliest):
                earliest = due
        return earliest
