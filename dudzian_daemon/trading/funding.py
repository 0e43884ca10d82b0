"""Funding of perpetuals: positions pay or receive at the venue's interval, at the last mark and the venue's last rate.

A position pays at a boundary if it is held through it: its fills at that very instant come after (their phase is later).
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from dudzian_daemon.domain.market import Funding, FundingTerms, Instrument, Phase
from dudzian_daemon.domain.money import from_float
from dudzian_daemon.domain.records import LedgerEntry
from dudzian_daemon.trading.ledger import Ledger


class FundingMemory(msgspec.Struct, frozen=True):
    """The venue's rates and the boundaries (ns) that are settled, by instrument."""

    rates: dict[str, Decimal]
    settled: dict[str, int]


class FundingClock:
    """Knows which boundaries are settled; asks for a timer at the next one only while a position is held."""

    def __init__(self, instruments: Mapping[str, Instrument], ledger: Ledger) -> None:
        self._terms: dict[str, FundingTerms] = {key: each.funding for key, each in instruments.items() if each.funding is not None}
        self._ledger = ledger
        self.rates: dict[str, Decimal] = {key: terms.rate for key, terms in self._terms.items()}
        #: The last boundary (ns) that is behind each held perpetual.
        self.settled: dict[str, int] = {}

    @property
    def next_deadline(self) -> int | None:
        """The earliest boundary at which something held pays, None if nothing does."""
        if not self.settled:
            return None
        return min(behind + self._terms[key].interval_ns for key, behind in self.settled.items())

    def export(self) -> FundingMemory:
        """All of it, to be restored."""
        return FundingMemory(dict(self.rates), dict(self.settled))

    def restore(self, memory: FundingMemory) -> None:
        """Be as the clock was that said so."""
        self.rates |= {key: rate for key, rate in memory.rates.items() if key in self._terms}
        self.settled = {key: behind for key, behind in memory.settled.items() if key in self._terms}

    def take(self, funding: Funding) -> None:
        """From now on the venue's rate is this one; no perpetual of ours, or no number, is no news."""
        if funding.instrument in self._terms and funding.rate - funding.rate == 0.0:
            self.rates[funding.instrument] = from_float(funding.rate)

    def settle(self, instant: int, phase: Phase) -> list[LedgerEntry]:
        """Book what is due up to the timers of `instant`; boundaries nobody called at are settled one by one at the last mark."""
        entries: list[LedgerEntry] = []
        for key in sorted(self.settled):
            interval = self._terms[key].interval_ns
            last = _last_boundary(instant, phase, interval)
            while self.settled[key] < last:
                self.settled[key] += interval
                entries += self._ledger.settle(key, self.rates[key], self.settled[key])
        return entries

    def moved(self, instrument: str, instant: int, phase: Phase) -> None:
        """A position in `instrument` has changed: one that is new pays from the next boundary on, one that ended no more."""
        terms = self._terms.get(instrument)
        if terms is None:
            return
        if not self._ledger.holders(instrument):
            self.settled.pop(instrument, None)
        elif instrument not in self.settled:
            self.settled[instrument] = _last_boundary(instant, phase, terms.interval_ns)


def _last_boundary(instant: int, phase: Phase, interval_ns: int) -> int:
    """The last boundary whose timers are not after (`instant`, `phase`)."""
    return (instant if phase >= Phase.TIMER else instant - 1) // interval_ns * interval_ns
