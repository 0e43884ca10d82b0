"""What every profile may do now: limits on equity marked to market, once per tick, and the switches that halt everything."""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal

from dudzian_daemon.domain.market import DAY_NS
from dudzian_daemon.domain.records import RiskChange
from dudzian_daemon.domain.risk import ProfileState, TradingState, daily_loss, daily_loss_allowed, drawdown, drawdown_allowed
from dudzian_daemon.trading.ledger import Ledger
from dudzian_daemon.trading.reservations import Reservations
from dudzian_daemon.trading.spec import MANUAL, SessionSpec


class RiskStates:
    """Single writer of the profiles' states and of the switches; the gate that judges orders by them is built on it."""

    def __init__(self, spec: SessionSpec, ledger: Ledger, reservations: Reservations) -> None:
        self._profiles = spec.profiles
        self._ledger = ledger
        self.reservations = reservations
        #: Equity above the first and up to the second can trip nothing and is no new peak, while the states stay as they are.
        self._calm: tuple[Decimal, Decimal] | None = None
        self._reducing: frozenset[str] | None = None
        self.states = {name: ProfileState(day=0, start_of_day_equity=ledger.equity, peak_equity=ledger.equity) for name in spec.profiles}
        #: Whether a trip of the operator's own profile is on record, so that its reset has to be too.
        self._told_by_hand = False
        self.kill_switch = False
        #: Why nothing is known for sure and so nothing may open; empty while all is well.
        self.unknown = ""
        #: Instruments whose market is closed, and since when (ns).
        self.closed_markets: dict[str, int] = {}

    @property
    def reducing(self) -> frozenset[str]:
        """Profiles under which only reductions may pass; their books are closed."""
        if self._reducing is None:
            self._reducing = frozenset(name for name, state in self.states.items() if state.reducing)
        return self._reducing

    def judge_equity(self, instant: int, equity: Decimal) -> list[RiskChange]:
        """Compare every profile's daily loss and drawdown with its limits; returns the trips that are new.

        The profile of orders by hand trips in silence while nobody holds anything under it.
        """
        if self._calm is not None and self._calm[0] < equity <= self._calm[1]:
            return []
        changes = []
        self._moved()
        for name, state in self.states.items():
            limits = self._profiles[name]
            state.peak_equity = max(state.peak_equity, equity)
            loss, allowed = daily_loss(state, equity), daily_loss_allowed(limits, state)
            if loss >= allowed and loss > 0 and state.daily_trip_day is None:
                state.daily_trip_day = instant // DAY_NS
                changes.append(self._change(name, "tripped", "max_daily_loss_pct", allowed, loss))
            fall, allowed = drawdown(state, equity), drawdown_allowed(limits, state)
            if fall >= allowed and fall > 0 and not state.drawdown_latched:
                state.drawdown_trip_day = instant // DAY_NS
                changes.append(self._change(name, "tripped", "hard_drawdown_pct", allowed, fall))
        told = [change for change in changes if change.profile != MANUAL or self._by_hand()]
        self._told_by_hand = self._told_by_hand or any(change.profile == MANUAL for change in told)
        self._calm = self._calm_range()
        return told

    def roll_day(self, day: int, equity: Decimal, *, exposed: Collection[str]) -> list[RiskChange]:
        """Begin the UTC day `day`: a new loss base; an earlier day's trip resets for the profiles that hold nothing any more."""
        changes = []
        self._moved()
        for name, state in self.states.items():
            state.day = day
            state.start_of_day_equity = equity
            if state.daily_trip_day is not None and state.daily_trip_day < day and name not in exposed:
                state.daily_trip_day = None
                changes.append(self._change(name, "reset", "max_daily_loss_pct", None, None))
        return [change for change in changes if change.profile != MANUAL or self._told_by_hand]

    def release_drawdown(self, profile: str, instant: int, equity: Decimal, *, flat: bool, signed: bool) -> RiskChange:
        """Lift a drawdown's latch and measure the next one from `equity`: on a later day, when flat, on an operator's record.

        What is missing is the rule of the change `release_refused`.
        """
        state = self.states.get(profile)
        if state is None or state.drawdown_trip_day is None:
            return self._change(profile, "release_refused", "not_latched", None, None)
        missing = (
            "unsigned" if not signed else "not_flat" if not flat else "same_day" if instant // DAY_NS <= state.drawdown_trip_day else ""
        )
        if missing:
            return self._change(profile, "release_refused", missing, None, None)
        state.drawdown_trip_day = None
        state.peak_equity = equity
        self._moved()
        return self._change(profile, "released", "hard_drawdown_pct", None, None)

    def set_kill_switch(self, on: bool) -> RiskChange:
        """On: no opening order passes until it is switched off again; reductions and cancels do."""
        self.kill_switch = on
        return self._for_all("kill_switch", "kill_switch")

    def set_unknown(self, reason: str) -> RiskChange:
        """No opening order passes until an operator says that the state is known again; reductions and cancels do."""
        self.unknown = reason
        return self._for_all("state_unknown", reason)

    def release_unknown(self, *, signed: bool) -> RiskChange:
        """The state is known again, on an operator's record; what is missing is the rule of the change `release_refused`."""
        missing = "not_unknown" if not self.unknown else "" if signed else "unsigned"
        if missing:
            return self._for_all("release_refused", missing)
        reason, self.unknown = self.unknown, ""
        return self._for_all("released", reason)

    def set_market(self, instrument: str, *, is_open: bool, instant: int) -> RiskChange:
        """No order at all passes for an instrument whose market is closed."""
        if is_open:
            self.closed_markets.pop(instrument, None)
        else:
            self.closed_markets[instrument] = instant
        return self._for_all("market_open" if is_open else "market_closed", instrument)

    def state(self, profile: str) -> TradingState:
        """What the profile may do now."""
        if self.kill_switch or self.unknown:
            return TradingState.HALTED
        known = self.states.get(profile)
        return TradingState.REDUCING if known is not None and known.reducing else TradingState.ACTIVE

    def note(self, profile: str, change: str, rule: str, limit: Decimal | None = None, value: Decimal | None = None) -> RiskChange:
        """A change for the record that is not of a profile's state."""
        return self._change(profile, change, rule, limit, value)

    def _moved(self) -> None:
        """A state has become another: what was worked out of the states is no more."""
        self._calm = self._reducing = None

    def _calm_range(self) -> tuple[Decimal, Decimal] | None:
        """What `_calm` is with the states as they are; None without any profile."""
        falls = [state.start_of_day_equity - daily_loss_allowed(self._profiles[name], state) for name, state in self.states.items()]
        falls += [state.peak_equity - drawdown_allowed(self._profiles[name], state) for name, state in self.states.items()]
        return (max(falls), min(state.peak_equity for state in self.states.values())) if falls else None

    def _by_hand(self) -> bool:
        """Whether an operator's own orders are open or filled."""
        held = any(strategy == MANUAL and book.quantity for (strategy, _), book in self._ledger.books.items())
        return held or any(each.strategy == MANUAL for each in self.reservations.open.values())

    def _for_all(self, change: str, rule: str) -> RiskChange:
        state = TradingState.HALTED if self.kill_switch or self.unknown else TradingState.ACTIVE
        return RiskChange(profile="*", change=change, state=state, rule=rule, limit=None, value=None)

    def _change(self, profile: str, change: str, rule: str, limit: Decimal | None, value: Decimal | None) -> RiskChange:
        return RiskChange(profile=profile, change=change, state=self.state(profile), rule=rule, limit=limit, value=value)
