"""What happened over many cycles, in numbers: the one fold that backtest and session report share."""

from __future__ import annotations

import msgspec

from dudzian_daemon.domain.market import Candle
from dudzian_daemon.domain.orders import OrderStatus, Outcome, Verdict
from dudzian_daemon.domain.records import CycleRecord


class Counts(msgspec.Struct, kw_only=True):
    """Signals are legs; `groups` are what the gate judged of them, `closings` what the core closed by itself, without a signal.

    approved + adjusted + refused = groups + closings. `bars` are candles of all series, warm-up apart.
    """

    bars: int = 0
    cycles: int = 0
    signals: int = 0
    groups: int = 0
    closings: int = 0
    approved: int = 0
    adjusted: int = 0
    refused: int = 0
    refusal_codes: dict[str, int] = {}
    orders: int = 0
    fills: int = 0
    faults: int = 0

    def add(self, record: CycleRecord) -> None:
        """Count one cycle."""
        self.cycles += 1
        for item in record.inputs:
            self.bars += type(item) is Candle
        if record.quiet:
            return
        self.signals += len(record.signals)
        self.faults += len(record.faults)
        self.fills += len(record.fills)
        self.orders += sum(result.status is OrderStatus.ACCEPTED for result in record.results)
        for verdict in record.verdicts:
            self._add_verdict(verdict)

    def _add_verdict(self, verdict: Verdict) -> None:
        if verdict.signal_id:
            self.groups += 1
        else:
            self.closings += 1
        if verdict.outcome is Outcome.APPROVED:
            self.approved += 1
        elif verdict.outcome is Outcome.ADJUSTED:
            self.adjusted += 1
        else:
            self.refused += 1
            if verdict.code is not None:
                self.refusal_codes[verdict.code] = self.refusal_codes.get(verdict.code, 0) + 1


def decisions_text(counts: Counts) -> str:
    """Signals and what the gate made of them, as one line whose figures add up."""
    closings = f" (+ {counts.closings:,} closings by the core)" if counts.closings else ""
    codes = ", ".join(f"{code} {count}" for code, count in sorted(counts.refusal_codes.items()))
    return (
        f"{counts.signals:,} in {counts.groups:,} groups{closings}: {counts.approved:,} approved, {counts.adjusted:,} adjusted, "
        f"{counts.refused:,} refused{f' ({codes})' if codes else ''}"
    )
