"""The settle barrier of a live feed: market inputs in whatever order they arrive become ticks in the one total order.

Where T is the end of a bar that somebody takes, no input with instant >= T is released before the candles of T have come,
or the settle delay has passed. What is released is a pure function of the arrivals with their times. It waits for nothing
itself and reads no clock: the feed says when, and asks again at `next_deadline`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from heapq import heappop, heappush
from types import MappingProxyType
from typing import Final

import msgspec

from dudzian_daemon.domain.market import SECOND_NS, Book, Candle, Command, Gap, OpenPrint, Phase, Quote, Series, Tick

#: How long after the end of a bar its candle is waited for, where a venue says nothing else, and the most it may say.
DEFAULT_SETTLE_NS: Final = 3 * SECOND_NS
LONGEST_SETTLE_NS: Final = 10 * SECOND_NS

MarketInput = OpenPrint | Candle | Quote | Book

_PHASES: Final[Mapping[type, Phase]] = MappingProxyType(
    {Gap: Phase.REVISION, Candle: Phase.CLOSE, OpenPrint: Phase.OPEN, Quote: Phase.QUOTE, Book: Phase.QUOTE}
)
#: (instant, phase, instrument, granularity, feed sequence): keys of instruments begin with the venue, so their order is venue rank.
_Key = tuple[int, Phase, str, str, int]


class Offered(StrEnum):
    """What became of an input: it waits for its turn, it came after its barrier had opened, or its bar's turn is over.

    What is `refused` was released already or declared missing: the feed may store it as a version, strategies never get it.
    """

    HELD = "held"
    STRAGGLER = "straggler"
    REFUSED = "refused"


class Missing(msgspec.Struct, frozen=True):
    """Bars of `series` that lie in [start, end) and have not come, although the bar after them is due: time to ask the venue again."""

    series: Series
    start: int
    end: int


class _Stream(msgspec.Struct):
    """One series: the end of the bar whose turn it is, and candles that have come and were not released, by their end."""

    series: Series
    due: int
    settle_ns: int
    came: dict[int, Candle] = {}

    def complete(self, until: int) -> bool:
        """True if every bar from the one whose turn it is up to the one that ends at `until` has come."""
        return all(end in self.came for end in range(self.due, until + 1, self.series.step_ns))

    def take(self, until: int) -> list[Candle]:
        """The bars whose turn it is, one after the other, up to the one that ends at `until` or the first that has not come."""
        taken = []
        while self.due <= until and self.due in self.came:
            taken.append(self.came.pop(self.due))
            self.due += self.series.step_ns
        return taken


class _Waiting(msgspec.Struct, frozen=True):
    """An input whose turn is not yet; one that is `alone` makes a tick of its own."""

    item: OpenPrint | Candle | Quote | Book | Gap
    alone: bool


class Barrier:
    """Owns the order of one feed's inputs. `first` names the series that are taken, with the end of the first bar to come of each.

    `settle_ns` is the settle delay of venues that do not have the default. Times of arrival are those of the clock that stamps
    the inputs (exchange time); one that falls counts as the one before it. Raises `ValueError` for a delay or an end that cannot be.
    """

    def __init__(self, first: Mapping[Series, int], settle_ns: Mapping[str, int] = MappingProxyType({})) -> None:
        if not first:
            msg = "expected at least one series to wait for, found none"
            raise ValueError(msg)
        for venue, delay in settle_ns.items():
            if not 0 <= delay <= LONGEST_SETTLE_NS:
                msg = f"settle delay of {venue}: expected 0 to {LONGEST_SETTLE_NS} ns, found {delay}"
                raise ValueError(msg)
        for series, end in first.items():
            _require_on_grid(series, end)
        self._streams = {
            series: _Stream(series, end, settle_ns.get(series.instrument.partition(":")[0], DEFAULT_SETTLE_NS))
            for series, end in sorted(first.items())
        }
        self._steps = sorted({series.step_ns for series in first})
        self._opened = min(first.values()) - 1
        self._now = 0
        self._last: tuple[int, Phase] = (0, Phase.COMMAND)
        self._sequence = 0
        self._held: list[tuple[_Key, _Waiting]] = []
        self._ready: list[Tick] = []

    @property
    def horizon(self) -> int:
        """The next end of a bar that is waited for: everything before it may be stepped, nothing at or after it."""
        return min((self._opened // step + 1) * step for step in self._steps)

    @property
    def next_deadline(self) -> int:
        """When to call `advance` at the latest, and ask for what is `missing`, if nothing arrives before. Ask after `advance`."""
        streams = (stream for stream in self._streams.values() if stream.due not in stream.came)
        asked_again = (stream.due + stream.series.step_ns + stream.settle_ns for stream in streams)
        return min([self._deadline(), *(instant for instant in asked_again if instant > self._now)])

    # -- what the feed says ----------------------------------------------------------------------------------------

    def offer(self, item: MarketInput, arrival_ns: int) -> Offered:
        """Take an input that arrived at `arrival_ns`. Inputs of one arrival time are one batch: their order does not matter.

        Raises `ValueError` for a candle of a series that is not taken, or whose end is not on the grid.
        """
        self._pass(arrival_ns, reached=False)
        if not isinstance(item, Candle):
            self._hold(item)
            return Offered.HELD
        series = Series(item.instrument, item.granularity)
        stream = self._streams.get(series)
        if stream is None:
            msg = f"expected candles of {', '.join(map(_name, self._streams))}, found one of {_name(series)}"
            raise ValueError(msg)
        _require_on_grid(series, item.end)
        if item.end < stream.due or item.end in stream.came:
            return Offered.REFUSED
        stream.came[item.end] = item
        return Offered.STRAGGLER if item.end <= self._opened else Offered.HELD

    def advance(self, now_ns: int) -> list[Tick]:
        """The ticks whose turn has come by `now_ns`, in order: the (instant, phase) of each is above that of the one before."""
        self._pass(now_ns, reached=True)
        ready, self._ready = self._ready, []
        return ready

    def command(self, command: Command, now_ns: int) -> Tick:
        """The tick of a command, which never waits: stamped now, or behind a closed barrier just after what was released last.

        Step what `advance(now_ns)` gives before it.
        """
        instant = self._last[0] + 1 if now_ns >= self.horizon else max(now_ns, self._last[0] + 1)
        self.passed(instant, Phase.COMMAND)
        return Tick(instant, Phase.COMMAND, (msgspec.structs.replace(command, instant=instant),))

    def passed(self, instant: int, phase: Phase) -> None:
        """The core was stepped by somebody else (warm-up, timer, snapshot): what is released from now on comes after that."""
        self._last = max(self._last, (instant, phase))

    def missing(self, now_ns: int) -> list[Missing]:
        """The bars to ask the venue for again. Offer what it has of them, then `declare_missing` what it lacks."""
        found = []
        for stream in self._streams.values():
            step, end = stream.series.step_ns, stream.due
            while end not in stream.came and end + step + stream.settle_ns <= now_ns:
                end += step
            if end > stream.due:
                found.append(Missing(stream.series, stream.due - step, end - step))
        return found

    def declare_missing(self, bars: Missing, now_ns: int) -> None:
        """The venue was asked again and lacks these bars: one `gap` says that they never come, and what follows them is free to go.

        Raises `ValueError` unless they are what `missing(now_ns)` names, or the first of it.
        """
        named = next((each for each in self.missing(now_ns) if each.series == bars.series), None)
        if named is None or bars.start != named.start or not bars.start < bars.end <= named.end:
            msg = f"{_name(bars.series)}: the bars from {bars.start} to {bars.end} are not to be declared missing at {now_ns}"
            raise ValueError(msg)
        _require_on_grid(bars.series, bars.end)
        self._pass(now_ns, reached=False)
        self._streams[bars.series].due = bars.end + bars.series.step_ns
        instant = min(self._now, self.horizon)
        self._hold(Gap(instant, bars.series.instrument, bars.series.granularity, bars.start, bars.end))

    # -- time passes -----------------------------------------------------------------------------------------------

    def _pass(self, until: int, *, reached: bool) -> None:
        """Time passes up to `until`; what happens at that very moment is decided only when it is `reached`, its arrivals complete."""
        until = max(until, self._now)
        if until == self._now and not reached:
            return
        self._settle()
        while (deadline := self._deadline()) < until or (reached and deadline == until):
            self._now = max(self._now, deadline)
            self._open()
            self._settle()
        self._now = until

    def _settle(self) -> None:
        """Release all that has come and need not wait."""
        while True:
            if self._now < self.horizon:
                for stream in self._streams.values():
                    for candle in stream.take(self._opened):
                        self._hold(msgspec.structs.replace(candle, instant=self._now, held_ns=0), alone=True)
            self._release()
            if not all(stream.complete(self.horizon) for stream in self._awaited()):
                return
            self._open()

    def _open(self) -> None:
        """Let the candles of the horizon go, as far as they have come: all at its instant, with the time it was waited for."""
        horizon = self.horizon
        held_ns = max(0, self._now - horizon)
        for stream in self._streams.values():
            for candle in stream.take(horizon):
                self._hold(msgspec.structs.replace(candle, instant=horizon, held_ns=held_ns))
        self._opened = horizon

    def _awaited(self) -> Iterable[_Stream]:
        horizon = self.horizon
        return (stream for stream in self._streams.values() if stream.due <= horizon and not horizon % stream.series.step_ns)

    def _deadline(self) -> int:
        """When the horizon opens at the latest."""
        horizon = self.horizon
        return horizon + max((stream.settle_ns for stream in self._awaited() if not stream.complete(horizon)), default=0)

    # -- one order -------------------------------------------------------------------------------------------------

    def _hold(self, item: OpenPrint | Candle | Quote | Book | Gap, *, alone: bool = False) -> None:
        granularity = "" if isinstance(item, Quote | Book) else item.granularity
        self._sequence += 1
        heappush(self._held, ((item.instant, _PHASES[type(item)], item.instrument, granularity, self._sequence), _Waiting(item, alone)))

    def _release(self) -> None:
        """Move what lies before the horizon into ticks; what comes too late for its own instant is stamped just after the last one."""
        begun = len(self._ready)
        while self._held:
            (instant, phase, *_), waiting = self._held[0]
            joins = len(self._ready) > begun and not waiting.alone and (instant, phase) == self._last
            if not joins and (instant, phase) <= self._last:
                instant = self._last[0] + 1
            if instant >= self.horizon:
                return
            heappop(self._held)
            self._last = (instant, phase)
            item = waiting.item if waiting.item.instant == instant else msgspec.structs.replace(waiting.item, instant=instant)
            before = self._ready.pop().inputs if joins else ()
            self._ready.append(Tick(instant, phase, (*before, item)))


def in_order(tick: Tick, last: tuple[int, Phase]) -> Tick:
    """The tick, or where something was stepped since it was released that comes after it, the same just behind that."""
    if (tick.instant, tick.phase) > last:
        return tick
    instant = last[0] + 1
    inputs = tuple(msgspec.structs.replace(item, instant=instant) for item in tick.inputs)
    return Tick(instant, tick.phase, inputs, tick.rows)


def _require_on_grid(series: Series, end: int) -> None:
    if end % series.step_ns:
        msg = f"{_name(series)}: expected the end of a bar, a multiple of {series.step_ns} ns, found {end}"
        raise ValueError(msg)


def _name(series: Series) -> str:
    return f"{series.instrument} {series.granularity}"
