"""One strategy on the instruments it trades together: its `State`, the candles it has seen, its position facts, and what it decides."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Final

import msgspec

from dudzian_daemon.domain.market import Candle, Quote, Series
from dudzian_daemon.domain.orders import Intent, Signal
from dudzian_daemon.domain.ports import MarketView, Position, SeriesNeed, Strategy
from dudzian_daemon.trading.spec import Schedule

#: More from one unit at one instant are no decisions but a fault.
MOST_SIGNALS: Final = 256
#: Beyond any leverage that a profile can allow; what is larger is a fault, not a wish.
LARGEST_TARGET: Final = 1_000.0
#: Bytes of one signal as JSON: a record is kept for ever, and nobody reads more.
LARGEST_SIGNAL: Final = 16_384

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Signal).decode


class UnitMemory(msgspec.Struct, frozen=True, kw_only=True):
    """One unit: its plugin's `State` as JSON, candles seen by series (instrument, granularity, count), latest data, position facts."""

    strategy: str
    instruments: tuple[str, ...]
    state: msgspec.Raw
    seen: tuple[tuple[str, str, int], ...]
    latest: tuple[Candle, ...]
    quotes: tuple[Quote, ...]
    positions: dict[str, Position]
    fresh: bool


class Unit:
    """One strategy instance on its instruments."""

    def __init__(self, schedule: Schedule, strategy: Strategy, instruments: tuple[str, ...]) -> None:
        self.schedule = schedule
        self.strategy = strategy
        self.instruments = instruments
        self.traded = {instrument: Series(instrument, schedule.granularity) for instrument in instruments}
        self.name = f"{schedule.strategy}[{','.join(instruments)}]"
        self.needs: tuple[SeriesNeed, ...] = strategy.series(instruments, schedule.granularity)
        self._cold: Sequence[SeriesNeed] = self.needs
        self.state = strategy.new_state()
        self.seen = {need.series: 0 for need in self.needs}
        self.latest: dict[Series, Candle] = {}
        self.quotes: dict[str, Quote] = {}
        self.positions = {instrument: Position() for instrument in instruments}
        self.fresh = False

    @property
    def warm(self) -> bool:
        """True once every declared series has delivered its warm-up; a series that has stays so until the unit is reset."""
        if self._cold:
            self._cold = [need for need in self._cold if self.seen[need.series] < need.warm_up]
        return not self._cold

    @property
    def lacking(self) -> tuple[SeriesNeed, int] | None:
        """A series that has not delivered its warm-up, and how many candles of it were seen; None once the unit is warm."""
        return None if self.warm else (self._cold[0], self.seen[self._cold[0].series])

    def decide(self, instant: int) -> list[Signal]:
        """What its strategy decides on copies of all it may look at; raises on anything but a reasonable number of well-formed signals."""
        view = MarketView(instant=instant, candles=self.latest.copy(), positions=self.positions.copy(), quotes=self.quotes.copy())
        said = self.strategy.decide(self.state, view)
        if said == ():  # what most say mostly
            return []
        signals = list(islice(said, MOST_SIGNALS + 1))
        if len(signals) > MOST_SIGNALS:
            msg = f"expected at most {MOST_SIGNALS} signals at one instant"
            raise ValueError(msg)
        return [_well_formed(signal, self.instruments) for signal in signals]

    def reset(self) -> None:
        """Forget the indicators (not the positions) and warm up again; whatever the plugin does, the warm-up counts from here."""
        self.seen = dict.fromkeys(self.seen, 0)
        self._cold = self.needs
        self.latest.clear()
        self.quotes.clear()
        self.state = self.strategy.new_state()

    def export(self) -> UnitMemory:
        """All of it, to be restored. Raises `TypeError` for a `State` that is no data."""
        return UnitMemory(
            strategy=self.schedule.strategy,
            instruments=self.instruments,
            state=msgspec.Raw(_encode(self.state)),
            seen=tuple((series.instrument, series.granularity, count) for series, count in self.seen.items()),
            latest=tuple(self.latest.values()),
            quotes=tuple(self.quotes.values()),
            positions=dict(self.positions),
            fresh=self.fresh,
        )

    def restore(self, memory: UnitMemory) -> None:
        """Be as the unit was that said so. Raises `msgspec.DecodeError` when its `State` cannot be read back."""
        self.state = msgspec.json.decode(memory.state, type=type(self.state))
        self._cold = self.needs
        self.seen |= {Series(instrument, granularity): count for instrument, granularity, count in memory.seen}
        self.latest = {Series(candle.instrument, candle.granularity): candle for candle in memory.latest}
        self.quotes = {quote.instrument: quote for quote in memory.quotes}
        self.positions |= memory.positions
        self.fresh = memory.fresh

    def take(self, series: Series, candle: Candle) -> None:
        """Count the candle, move the position facts, then let the plugin move its own state; raises what the plugin raises."""
        self.seen[series] += 1
        self.latest[series] = candle
        self.fresh = True
        position = self.positions.get(candle.instrument)
        if (
            position is not None
            and position.quantity
            and candle.end > position.entry_instant
            and series.granularity == self.schedule.granularity
        ):
            first = position.candles_held == 0
            self.positions[candle.instrument] = msgspec.structs.replace(
                position,
                candles_held=position.candles_held + 1,
                highest_close=candle.close if first else max(position.highest_close, candle.close),
                lowest_close=candle.close if first else min(position.lowest_close, candle.close),
            )
        self.strategy.on_candle(self.state, candle)


def _well_formed(signal: Signal, instruments: tuple[str, ...]) -> Signal:
    """The signal as the journal would read it back, sharing nothing with the plugin; raises if it cannot be judged or recorded."""
    if type(signal) is not Signal or signal.instrument not in instruments or type(signal.intent) is not Intent:
        msg = f"expected signals for {instruments}"
        raise TypeError(msg)
    target = signal.target or 0.0
    numbers = [signal.confidence, target, signal.stop_price or 0.0, *signal.numbers.values()]
    if [number for number in numbers if type(number) is not float or number - number != 0.0]:
        msg = f"expected finite floats, found {numbers}"
        raise ValueError(msg)
    if not 0.0 <= signal.confidence <= 1.0 or abs(target) > LARGEST_TARGET:
        msg = f"expected a confidence in [0, 1] and a target within {LARGEST_TARGET} budgets, found {signal.confidence} and {target}"
        raise ValueError(msg)
    encoded = _encode(signal)
    if len(encoded) > LARGEST_SIGNAL:
        msg = f"expected a signal of at most {LARGEST_SIGNAL} bytes, found {len(encoded)}"
        raise ValueError(msg)
    return _decode(encoded)
