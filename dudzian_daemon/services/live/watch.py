"""How old every stream is: what makes the daemon not ready, and the two alerts of a feed, each told once and once when it is over."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

import msgspec

from dudzian_daemon.domain import events
from dudzian_daemon.domain.market import DAY_NS, HOUR_NS, SECOND_NS, Series
from dudzian_daemon.kernel import logs
from dudzian_daemon.kernel.bus import Bus

#: A quote or book older than this makes the daemon not ready; so does a candle that is overdue by its own length, at most by twelve hours.
QUOTE_AGE_NS: Final = 30 * SECOND_NS
LONGEST_LAG_NS: Final = 12 * HOUR_NS


class _Cause(msgspec.Struct, frozen=True):
    """What may be wrong with something: the alert's code, and a word of its own."""

    code: str
    word: str


_OFFLINE: Final = _Cause("ADAPTER-OFFLINE", "offline")
_LATE: Final = _Cause("DATA-LAG", "late")
_LACKING: Final = _Cause("DATA-LAG", "lacking")


class StreamAges:
    """End of the latest candle of each series and instant of the latest quote or book of each instrument, whose kind `prices` names."""

    def __init__(self, ends: Mapping[Series, int], quoted: Iterable[str], now: int, prices: str = "quote") -> None:
        self.prices = prices
        self._candles = dict(ends)
        self._quotes = dict.fromkeys(quoted, now)

    def candle(self, series: Series, end: int) -> None:
        """A candle was released."""
        self._candles[series] = max(end, self._candles[series])

    def price(self, instrument: str, instant: int) -> None:
        """A quote or book came."""
        self._quotes[instrument] = instant

    def candle_ends(self) -> dict[Series, int]:
        """End of the latest candle of each series; before the first, of the bar before it."""
        return dict(self._candles)

    def candle_ages(self, now: int) -> dict[Series, int]:
        """Nanoseconds since the end of each series' latest candle."""
        return {series: now - end for series, end in self._candles.items()}

    def price_ages(self, now: int) -> dict[str, int]:
        """Nanoseconds since each instrument's latest quote or book."""
        return {instrument: now - instant for instrument, instant in self._quotes.items()}

    def stale(self, now: int) -> list[str]:
        """Which streams are too old, one line each."""
        found = [
            f"{series.instrument} {series.granularity}: no candle for {_told(age)}"
            for series, age in self.candle_ages(now).items()
            if age > series.step_ns + min(series.step_ns, LONGEST_LAG_NS) + QUOTE_AGE_NS
        ]
        return found + [f"{name}: no {self.prices} for {_told(age)}" for name, age in self.price_ages(now).items() if age > QUOTE_AGE_NS]

    def lagging(self, now: int, limit_ns: int) -> dict[str, int]:
        """Daily series whose candle is late by more than the limit, and by how much (ns)."""
        late = {series: age - series.step_ns for series, age in self.candle_ages(now).items() if series.step_ns == DAY_NS}
        return {f"{series.instrument} {series.granularity}": by for series, by in late.items() if by > limit_ns}


class LeftAlert(msgspec.Struct, frozen=True):
    """What an earlier run has told and, since it was killed, not ended; `age_ns` is how long ago it began."""

    code: str
    subject: str
    in_store: bool
    age_ns: int


class FeedAlerts:
    """Publishes an alert when it begins and when it is over, never in between; a venue is offline after `offline_ns` without an answer."""

    def __init__(self, bus: Bus, monotonic_ns: Callable[[], int], offline_ns: int, left: Iterable[LeftAlert] = ()) -> None:
        """What is `left` is not told again, and ended as if this run had told it."""
        self._bus = bus
        self._offline_ns = offline_ns
        self._monotonic_ns = monotonic_ns
        self._active: dict[_Cause, dict[str, int]] = {cause: {} for cause in (_OFFLINE, _LATE, _LACKING)}
        for each in left:
            cause = _OFFLINE if each.code == _OFFLINE.code else _LACKING if each.in_store else _LATE
            self._active[cause][each.subject] = monotonic_ns() - each.age_ns
        self._log = logs.logger("feed")

    @property
    def active(self) -> list[tuple[str, str]]:
        """Code and subject of what goes on."""
        return [(cause.code, subject) for cause, subjects in self._active.items() for subject in subjects]

    def offline(self, venues: Mapping[str, int | None], unasked: Iterable[str] = ()) -> None:
        """`venues`: the monotonic time since when each has not answered, None for one that answers.

        What an earlier run has told of a venue is not over before this one got an answer: not while it is `unasked`, nor from its
        first failure on.
        """
        now, known = self._monotonic_ns(), self._active[_OFFLINE]
        silent = {*unasked, *(name for name, since in venues.items() if since is not None)}
        down = {name: now - began for name, began in known.items() if name in silent}
        down |= {name: now - since for name, since in venues.items() if since is not None and now - since > self._offline_ns}
        self._judge(_OFFLINE, down, {subject: f"the venue has not answered for {_told(age)}" for subject, age in down.items()})

    def lag(self, late: Mapping[str, int]) -> None:
        """`late`: how late each lagging series is (ns)."""
        self._judge(_LATE, late, {subject: f"the daily candle is late for {_told(age)}" for subject, age in late.items()})

    def lacking(self, bars: Mapping[str, int]) -> None:
        """`bars`: how many bars the candle store lacks inside each series."""
        texts = {subject: f"{count} candles lack in the store: dudzian backfill" for subject, count in bars.items()}
        self._judge(_LACKING, dict.fromkeys(bars, 0), texts)

    def _judge(self, cause: _Cause, found: Mapping[str, int], texts: Mapping[str, str]) -> None:
        """`found`: for how long (ns) each subject has been so, `texts` what is to be told of it."""
        now, active = self._monotonic_ns(), self._active[cause]
        for subject, age in found.items():
            if subject not in active:
                active[subject] = now - age
                self._tell(cause, subject, age, f"{subject}: {texts[subject]}", active=True)
        for subject in [each for each in active if each not in found]:
            age = now - active.pop(subject)
            self._tell(cause, subject, age, f"{subject}: over after {_told(age)}", active=False)

    def _tell(self, cause: _Cause, subject: str, age_ns: int, detail: str, *, active: bool) -> None:
        seconds = age_ns / SECOND_NS
        self._log.warning("feed_alert", action="tell", code=cause.code, subject=subject, active=active, seconds=seconds, detail=detail)
        alert = events.FeedAlert(
            code=cause.code, subject=subject, active=active, seconds=seconds, detail=detail, in_store=cause is _LACKING
        )
        self._bus.publish(events.FEED_ALERT, alert)


def _told(age_ns: int) -> str:
    seconds = age_ns // SECOND_NS
    return f"{seconds} s" if seconds < 600 else f"{seconds // 60} min"
