"""What the core closes by itself: books of reducing profiles and quarantined strategies, positions at their stop, halves of groups."""

from __future__ import annotations

from typing import Final

from dudzian_daemon.domain.market import Book, Candle, OpenPrint, Phase, Quote
from dudzian_daemon.trading.controllers import TradingController
from dudzian_daemon.trading.draft import Draft
from dudzian_daemon.trading.ledger import Ledger
from dudzian_daemon.trading.leg_watch import Watched
from dudzian_daemon.trading.paper_execution import PaperTradingExecutionService
from dudzian_daemon.trading.risk_engine import ThresholdRiskEngine
from dudzian_daemon.trading.spec import MANUAL_SCHEDULE, SessionSpec
from dudzian_daemon.trading.strategy_host import QUARANTINED, StrategyHost

#: Inputs that show a price.
_PRICED: Final = (OpenPrint, Quote, Book, Candle)


class ForcedClosings:
    """Reads states, stops and legs on their way; has no state of its own."""

    def __init__(
        self,
        spec: SessionSpec,
        ledger: Ledger,
        gate: ThresholdRiskEngine,
        controller: TradingController,
        execution: PaperTradingExecutionService,
        strategies: StrategyHost,
    ) -> None:
        self._schedules = (*spec.schedules, MANUAL_SCHEDULE)
        self._ledger = ledger
        self._gate = gate
        self._controller = controller
        self._execution = execution
        self._strategies = strategies

    def add(self, draft: Draft) -> None:
        """Cancel what must not fill any more, and add the closing groups that are due.

        Not on a command: it moves no price, and a stop has said itself what becomes of the book.
        """
        if draft.tick.phase is Phase.COMMAND:
            return
        on_their_way = self._controller.legs.next_deadline
        if not (self._ledger.open_positions or on_their_way or self._execution.has_open_orders):
            return
        if draft.risk:
            self._cancel_tripped(draft)
        self._meet_stops(draft)
        lost = self._give_up_legs(draft) if on_their_way else []
        if lost or self._gate.reducing or self._gate.stops.closing or self._strategies.inactive:
            self._add_groups(draft, lost)

    def _cancel_tripped(self, draft: Draft) -> None:
        tripped = {change.profile for change in draft.risk if change.change == "tripped"}
        if tripped:
            stopped = [schedule.name for schedule in self._schedules if schedule.profile in tripped]
            draft.results += self._controller.cancel(draft.tick.instant, code="reducing", schedules=stopped)

    def _meet_stops(self, draft: Draft) -> None:
        """Begin to close the positions whose catastrophe stop this tick's prices have met."""
        for item in draft.tick.inputs:
            if isinstance(item, _PRICED) and (met := self._gate.stops.met(item.instrument)):
                changes, results = self._controller.close_at_stops(met, draft.tick.instant)
                draft.risk += changes
                draft.results += results

    def _give_up_legs(self, draft: Draft) -> list[Watched]:
        """Groups that have lost a leg, or waited for it too long: what is open of them ends, what was filled is to be closed."""
        lost = self._controller.legs.give_up(draft.tick.instant)
        for group in lost:
            draft.results += self._controller.cancel(draft.tick.instant, code="leg_failed", group_id=group.group_id)
            draft.risk.append(self._gate.note(group.profile, "leg_failed", "order_group"))
        return lost

    def _add_groups(self, draft: Draft, lost: list[Watched]) -> None:
        reducing, stops, inactive = self._gate.reducing, self._gate.stops, self._strategies.inactive
        abandoned = {strategy for strategy, why in inactive.items() if why == QUARANTINED}
        halves = {(group.strategy, instrument) for group in lost for instrument in group.instruments}
        draft.closings += self._controller.closing_groups(
            draft.tick.instant,
            wanted=lambda schedule, instrument: (
                schedule.profile in reducing
                or schedule.strategy in abandoned
                or (schedule.strategy, instrument) in halves
                or stops.is_closing(schedule.strategy, instrument)
            ),
        )
