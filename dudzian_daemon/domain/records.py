"""What one step leaves behind: the deterministic part of a journal line (member `d`).

Nothing here depends on wall time, key, path or process: two runs, modes or replays are equal when the chains over these
records are equal. Field order is the journal's canonical order.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from dudzian_daemon.domain.market import Input
from dudzian_daemon.domain.money import ONE, ZERO
from dudzian_daemon.domain.orders import Fill, OrderResult, Signal, Verdict


class PositionChange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A strategy's position after the cycle that changed it; `cost` is what was paid for `quantity`, fees apart.

    `margin` is what a short position has put up beside its proceeds, in the quote asset.
    """

    strategy: str
    instrument: str
    quantity: Decimal
    cost: Decimal
    realised: Decimal
    margin: Decimal = ZERO


class Posting(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """`amount` of `asset` moves into (positive) or out of (negative) `account`."""

    account: str
    asset: str
    amount: Decimal


class LedgerEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One balanced booking; `number` counts from 1 in a session. Folding all entries in order gives the ledger back.

    `kind` is `opening`, `fill`, `liquidation` or `funding`; `reference` says what an entry without an order goes back to.
    `quantity`, `cost`, `realised` and `margin` are changes of the strategy's position, `leverage` that of its margin and
    `position_value` the value of what it then holds at the last price; all but `quantity` are in the quote asset.
    """

    number: int
    kind: str
    instant: int
    postings: tuple[Posting, ...]
    reference: str = ""
    order_id: str = ""
    fill_id: str = ""
    signal_id: str = ""
    strategy: str = ""
    instrument: str = ""
    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    realised: Decimal = ZERO
    margin: Decimal = ZERO
    leverage: Decimal = ONE
    position_value: Decimal = ZERO


class StrategyFault(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A strategy raised or returned rubbish; only the exception's class name is deterministic."""

    strategy: str
    unit: str
    where: str
    error: str


class StrategyChange(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A strategy was `suspended` or `resumed` by an operator, or `quarantined` by the core or a restart; `reason` is a word."""

    strategy: str
    change: str
    reason: str


class RiskChange(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A change of a profile's risk state: `tripped`, `reset`, `day_rolled`, `liquidated`, or the kill switch (profile `*`)."""

    profile: str
    change: str
    state: str
    rule: str
    limit: Decimal | None
    value: Decimal | None


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A rule of docs/reference/ledger.md that does not hold: what the records make it, and what was found at `sequence`."""

    rule: str
    sequence: int
    subject: str
    expected: str
    found: str


class CycleRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One cycle. `inputs` are all inputs since the previous cycle, this one's included; `cash` and `equity` are in the valuation asset."""

    kind: str = "cycle"
    sequence: int
    instant: int
    phase: int
    due: tuple[str, ...]
    inputs: tuple[Input, ...]
    signals: tuple[Signal, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    results: tuple[OrderResult, ...] = ()
    fills: tuple[Fill, ...] = ()
    positions: tuple[PositionChange, ...] = ()
    risk: tuple[RiskChange, ...] = ()
    strategies: tuple[StrategyChange, ...] = ()
    faults: tuple[StrategyFault, ...] = ()
    entries: tuple[LedgerEntry, ...] = ()
    cash: Decimal
    equity: Decimal
    books: str = ""

    @property
    def quiet(self) -> bool:
        """True if a schedule was due (or a minute passed) and nothing came of it; quiet cycles may share a journal line."""
        happened = self.signals or self.results or self.fills or self.risk or self.strategies or self.faults or self.entries
        return not happened and self.phase not in (0, 1)
