"""What one step has caused so far; the parts of the step add to it in turn."""

from __future__ import annotations

import msgspec

from dudzian_daemon.domain.market import Tick
from dudzian_daemon.domain.orders import Fill, OrderGroup, OrderResult, Signal, Verdict
from dudzian_daemon.domain.records import LedgerEntry, PositionChange, RiskChange, StrategyChange, StrategyFault


class Draft(msgspec.Struct):
    """The tick of a step and what it has caused so far."""

    tick: Tick
    signals: list[Signal] = []
    verdicts: list[Verdict] = []
    results: list[OrderResult] = []
    fills: list[Fill] = []
    positions: list[PositionChange] = []
    risk: list[RiskChange] = []
    strategies: list[StrategyChange] = []
    faults: list[StrategyFault] = []
    entries: list[LedgerEntry] = []
    closings: list[OrderGroup] = []

    @property
    def happened(self) -> bool:
        """True if there is anything to put on record but inputs and signals."""
        return bool(self.verdicts or self.results or self.fills or self.risk or self.strategies or self.faults or self.entries)
