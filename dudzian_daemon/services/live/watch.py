"""How old every stream is: what makes the daemon not ready, and the two alerts of a feed, each told once and once when it is over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from dudzian_daemon.domain import events
from dudzian_daemon.domain.market import DAY_NS, HOUR_NS, SECOND_NS, Series
from dudzian_daemon.kernel import logs
from dudzian_daemon.kernel.bus import Bus

#: A quote older than this makes the daemon not ready; so does a candle that is overdue by its own length, at most by twelve hours.
QUOTE_AGE_NS: Final = 30 * SECOND_NS
LONGEST_LAG_NS: Final = 12 * HOUR_NS


class StreamAges:
    """End of the latest candle of each series and instant of the latest quote of each instrument."""

    def __init__(self, ends: Mapping[Series, int], quoted: Iterable[str], now: int) -> None:
        self._candles = dict(ends)
        self._quotes = dict.fromkeys(quoted, now)

    def candle(self, series: Series, end: int) -> None:
        """A candle was released."""
        self._candles[series] = max(end, self._candles[series])

    def quote(self, instrument: str, instant: int) -> None:
        """A quote came."""
        self._quotes[instrument] = instant

    def candle_ends(self) -> dict[Series, int]:
        """End of the latest candle of each series; before the first, of the bar before it."""
        return dict(self._candles)

    def candle_ages(self, now: int) -> dict[Series, int]:
        """Nanoseconds since the end of each series' latest candle."""
        return {series: now - end for series, end in self._candles.items()}

    def quote_ages(self, now: int) -> dict[str, int]:
        """Nanoseconds since each instrument's latest quote."""
        return {instrument: now - instant for instrument, instant in self._quotes.items()}

    def stale(self, now: int) -> list[str]:
        """Which streams are too old, one line each."""
        found = [
            f"{series.instrument} {series.granularity}: no candle for {_told(age)}"
            for series, age in self.candle_ages(now).items()
            if age > series.step_ns + min(series.step_ns, LONGEST_LAG_NS) + QUOTE_AGE_NS
        ]
        return found + [f"{name}: no quote for {_told(age)}" for name, age in self.quote_ages(now).items() if age > QUOTE_AGE_NS]

    def lagging(self, now: int, limit_ns: int) -> dict[str, int]:
        """Daily series whose candle is late by more than the limit, and by how much (ns)."""
        late = {series: age - series.step_ns for series, age in self.candle_ages(now).items() if series.step_ns == DAY_NS}
        return {f"{series.instrument} {series.granularity}": by for series, by in late.items() if by > limit_ns}


class VenueStates:
    """Publishes `adapter.state`: every failed request, and that a venue answers when it had not, or is looked at for the first time."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._told: dict[str, Counter[str]] = {}
        self._answering: set[str] = set()

    def look(self, venue: str, failures: Mapping[str, int], *, answers: bool) -> None:
        """`failures` by kind since the venue was opened, and whether it answers now."""
        told = self._told.setdefault(venue, Counter())
        new = Counter(failures) - told
        told.update(new)
        for kind in new.elements():
            self._bus.publish(events.ADAPTER_STATE, events.AdapterState(adapter=venue, reachable=False, error=kind))
        if answers and (new or venue not in self._answering):
            self._bus.publish(events.ADAPTER_STATE, events.AdapterState(adapter=venue, reachable=True))
        (self._answering.add if answers else self._answering.discard)(venue)


class FeedAlerts:
    """Publishes an alert when it begins and when it is over, never in between; a venue is offline after `offline_ns` without an answer."""

    def __init__(self, bus: Bus, monotonic_ns: Callable[[], int], offline_ns: int) -> None:
        self._bus = bus
        self._offline_ns = offline_ns
        self._monotonic_ns = monotonic_ns
        self._active: dict[tuple[str, str], int] = {}
        self._log = logs.logger("feed")

    @property
    def active(self) -> list[tuple[str, str]]:
        """Code and subject of what goes on."""
        return list(self._active)

    def offline(self, venues: Mapping[str, int | None]) -> None:
        """`venues`: the monotonic time since when each has not answered, None for one that answers."""
        now = self._monotonic_ns()
        down = {name: now - since for name, since in venues.items() if since is not None and now - since > self._offline_ns}
        self._judge("ADAPTER-OFFLINE", down, "the venue has not answered")

    def lag(self, late: Mapping[str, int]) -> None:
        """`late`: how late each lagging series is (ns)."""
        self._judge("DATA-LAG", late, "the daily candle is late")

    def _judge(self, code: str, found: Mapping[str, int], text: str) -> None:
        now = self._monotonic_ns()
        for subject, age in found.items():
            if (code, subject) not in self._active:
                self._active[(code, subject)] = now - age
                self._tell(code, subject, active=True, seconds=age / SECOND_NS, detail=f"{subject}: {text} for {_told(age)}")
        for known, subject in [key for key in self._active if key[0] == code and key[1] not in found]:
            age = now - self._active.pop((known, subject))
            self._tell(code, subject, active=False, seconds=age / SECOND_NS, detail=f"{subject}: over after {_told(age)}")

    def _tell(self, code: str, subject: str, *, active: bool, seconds: float, detail: str) -> None:
        self._log.warning("feed_alert", action="tell", code=code, subject=subject, active=active, seconds=seconds)
        alert = events.FeedAlert(code=code, subject=subject, active=active, seconds=seconds, detail=detail)
        self._bus.publish(events.FEED_ALERT, alert)


def _told(age_ns: int) -> str:
    seconds = age_ns // SECOND_NS
    return f"{seconds} s" if seconds < 600 else f"{seconds // 60} min"
