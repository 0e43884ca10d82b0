"""What the venues say of the markets that are traded: which are open, and what of their rules changes while the session runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from dudzian_daemon.adapters.venue_data import VenueData
from dudzian_daemon.domain import events
from dudzian_daemon.domain.errors import Permanent, Retryable
from dudzian_daemon.domain.ports import VenueMarket
from dudzian_daemon.kernel import logs
from dudzian_daemon.kernel.bus import Bus
from dudzian_daemon.kernel.clock import Clock

#: How often they are read again (seconds).
RULES_S: Final = 4 * 3600.0
_RULES: Final = ("active", "tick_size", "lot_size", "min_quantity", "min_notional", "maker_fee", "taker_fee")


class MarketRules:
    """Of all venues of a feed; changes are told for `instruments` alone."""

    def __init__(self, instruments: Sequence[str], bus: Bus, clock: Clock) -> None:
        self._instruments = instruments
        self._bus = bus
        self._clock = clock
        self._known: dict[str, Mapping[str, VenueMarket]] = {}
        self._log = logs.logger("feed")

    async def read(self, data: VenueData) -> None:
        """What a venue has."""
        self._known[data.venue] = await data.markets()

    def is_open(self, instrument: str) -> bool:
        """Whether its venue, which was read, has the market and it is open."""
        market = self._known[venue_of(instrument)].get(symbol_of(instrument))
        return market is not None and market.active

    async def watch(self, data: VenueData) -> None:
        """Read the markets again and tell what has changed of those that are traded; it binds the next session, not this one."""
        while True:
            await self._clock.sleep(RULES_S)
            try:
                found = await data.load_markets()
            except (Retryable, Permanent) as error:
                self._log.warning("rules_not_read", venue=data.venue, text=str(error))
                continue
            for name in self._instruments:
                if venue_of(name) == data.venue:
                    self._tell_changes(name, self._known[data.venue].get(symbol_of(name)), found.get(symbol_of(name)))
            self._known[data.venue] = found

    def _tell_changes(self, instrument: str, before: VenueMarket | None, now: VenueMarket | None) -> None:
        pairs = {rule: (str(getattr(before, rule, None)), str(getattr(now, rule, None))) for rule in _RULES}
        changes = {rule: pair for rule, pair in pairs.items() if pair[0] != pair[1]}
        if changes:
            self._log.warning("market_rules", action="tell", instrument=instrument, changes=changes)
            self._bus.publish(events.MARKET_RULES, events.MarketRulesChanged(instrument=instrument, changes=changes))


def venue_of(instrument: str) -> str:
    """Venue of an instrument's key."""
    return instrument.partition(":")[0]


def symbol_of(instrument: str) -> str:
    """BASE/QUOTE of an instrument's key."""
    return instrument.partition(":")[2]
