"""What must not type-check. An ignore that nothing needs is an error of strict mypy, so each line proves its own refusal."""

from __future__ import annotations

from collections.abc import Sequence

from dudzian_daemon.api.strategy import MarketView, Strategy
from dudzian_daemon.domain.orders import ApprovedGroup, Order, OrderGroup, OrderLeg, Refused, Signal
from dudzian_daemon.trading.paper_execution import PaperTradingExecutionService
from dudzian_daemon.trading.risk_engine import ThresholdRiskEngine
from tests.typing.strategy_plugin import CrossParams, MeanCross


def round_the_gate(execution: PaperTradingExecutionService, group: OrderGroup, leg: OrderLeg, order: Order, signal: Signal) -> None:
    """Nothing but an approved group reaches the simulator."""
    execution.submit(group, 0)  # type: ignore[arg-type]
    execution.submit(leg, 0)  # type: ignore[arg-type]
    execution.submit(order, 0)  # type: ignore[arg-type]
    execution.submit(signal, 0)  # type: ignore[arg-type]


def the_answer_unread(execution: PaperTradingExecutionService, gate: ThresholdRiskEngine, group: OrderGroup) -> None:
    """The gate's answer may be a refusal: only who has looked may go on."""
    execution.submit(gate.judge(group), 0)  # type: ignore[arg-type]
    answer = gate.judge(group)
    if isinstance(answer, Refused):
        execution.submit(answer, 0)  # type: ignore[arg-type]
    else:
        execution.submit(answer, 0)


def an_approval_changed(approved: ApprovedGroup, group: OrderGroup) -> None:
    """What was approved stays as it was."""
    approved.group = group  # type: ignore[misc]


class Talkative(MeanCross):
    """Answers in words."""

    def decide(self, state: object, view: MarketView) -> Sequence[str]:  # type: ignore[override]
        return ["buy"]


words: Strategy = Talkative(CrossParams())  # type: ignore[assignment]
nothing: Strategy = CrossParams()  # type: ignore[assignment]
