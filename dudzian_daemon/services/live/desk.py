"""What arrives from all venues meets here: the barrier that orders it, the open prints that quotes make, the age of every stream."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import anyio
import msgspec

from dudzian_daemon.domain.market import Book, Candle, OpenPrint, Phase, Quote, Series, Tick, price_shown
from dudzian_daemon.services.live.quote_bars import QuoteBars
from dudzian_daemon.services.live.watch import StreamAges
from dudzian_daemon.trading.barrier import Barrier, Missing, Offered


class Desk:
    """`first` is the end of the first bar to come of each series, `made` those made of quotes, `last` what the core was stepped with last.
    `prices` says what the `quoted` instruments are priced by, in the words of people: quotes or books.

    Instants are the exchange's time by `now`, which never falls here.
    """

    def __init__(
        self,
        first: Mapping[Series, int],
        made: Iterable[Series],
        quoted: Sequence[str],
        settle_ns: Mapping[str, int],
        now: Callable[[], int],
        last: Callable[[], tuple[int, Phase]],
        prices: str = "quote",
    ) -> None:
        self._barrier = Barrier(first, settle_ns)
        self._clock_now = now
        self._now = now()
        self._last = last
        made = frozenset(made)
        self._made_series = made
        self._made = QuoteBars(made)
        self._finest = _finest(first)
        #: The bar of each instrument that needs no open print any more: the one that runs now began before us.
        self._printed = {series.instrument: self._now // series.step_ns for series in self._finest.values()}
        self.ages = StreamAges({series: end - series.step_ns for series, end in first.items()}, quoted, self._now, prices)
        #: Set when something came that may be released.
        self.arrived = anyio.Event()
        #: Called with every candle that came in time to be released, and that is no made one.
        self.on_candle: Callable[[Candle], object] = lambda _candle: None

    def now(self) -> int:
        """Exchange time (ns)."""
        self._now = max(self._now, self._clock_now())
        return self._now

    @property
    def horizon(self) -> int:
        """The next end of a bar that is waited for."""
        return self._barrier.horizon

    @property
    def next_deadline(self) -> int:
        """When to take again at the latest."""
        return self._barrier.next_deadline

    def makes(self, series: Series) -> bool:
        """Whether the series is made of quotes here."""
        return series in self._made_series

    # -- what venues bring -----------------------------------------------------------------------------------------

    def candle(self, candle: Candle) -> None:
        """Take a closed candle; one that came before, or after its gap was declared, is refused by the barrier."""
        self._in_order()
        if self._barrier.offer(candle, self.now()) is not Offered.REFUSED:
            self.ages.candle(Series(candle.instrument, candle.granularity), candle.end)
            if not candle.synthetic:
                self.on_candle(candle)
        self._wake()

    def price(self, quote: Quote | Book) -> None:
        """Take a quote or book, stamped now; the first one in a bar of the instrument's finest series is that bar's open print.

        A book without one of its sides shows no price and is none: its age tells that it lacks.
        """
        self._in_order()
        now, middle = self.now(), price_shown(quote)
        if middle is None:
            return
        for candle in self._made.add(quote.instrument, middle, now):
            self.candle(candle)
        series = self._finest.get(quote.instrument)
        if series is not None:
            bar = now // series.step_ns
            if self._printed[quote.instrument] < bar:
                self._barrier.offer(OpenPrint(now, series.instrument, series.granularity, middle), now)
                self._printed[quote.instrument] = bar
        self._barrier.offer(msgspec.structs.replace(quote, instant=now), now)
        self.ages.price(quote.instrument, now)
        self._wake()

    def missing(self, venue: str) -> list[Missing]:
        """Bars of a venue's series to ask for again."""
        self._in_order()
        return [each for each in self._barrier.missing(self.now()) if each.series.instrument.partition(":")[0] == venue]

    def declare_missing(self, bars: Missing) -> None:
        """They will never come."""
        self._in_order()
        self._barrier.declare_missing(bars, self.now())
        self._wake()

    # -- what the session takes ------------------------------------------------------------------------------------

    def ready(self) -> list[Tick]:
        """The ticks whose turn has come."""
        self._in_order()
        now = self.now()
        for candle in self._made.ended(now):
            self.candle(candle)
        self.arrived = anyio.Event()
        return self._barrier.advance(now)

    def _in_order(self) -> None:
        self._barrier.passed(*self._last())

    def _wake(self) -> None:
        self.arrived.set()


def _finest(series: Iterable[Series]) -> dict[str, Series]:
    found: dict[str, Series] = {}
    for each in sorted(series, key=lambda each: -each.step_ns):
        found[each.instrument] = each
    return found
