"""Candles of lengths that a venue does not have, made of its quotes. They are marked synthetic: no trade stands behind them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from dudzian_daemon.domain.market import Candle, Series


class _Bar(msgspec.Struct):
    end: int
    open: float
    high: float
    low: float
    close: float


class QuoteBars:
    """One bar at a time of each series: the middle prices of the quotes that came within it, volume 0."""

    def __init__(self, series: Iterable[Series]) -> None:
        self._by_instrument: dict[str, list[Series]] = {}
        for each in sorted(series):
            self._by_instrument.setdefault(each.instrument, []).append(each)
        self._bars: dict[Series, _Bar] = {}

    def add(self, instrument: str, price: float, instant: int) -> list[Candle]:
        """Count a price; the bars that ended before it."""
        ended = list(self.ended(instant))
        for series in self._by_instrument.get(instrument, ()):
            bar = self._bars.get(series)
            if bar is None:
                end = (instant // series.step_ns + 1) * series.step_ns
                self._bars[series] = _Bar(end, price, price, price, price)
            else:
                bar.high, bar.low, bar.close = max(bar.high, price), min(bar.low, price), price
        return ended

    def ended(self, instant: int) -> Iterator[Candle]:
        """The bars that ended by `instant`; a bar in which no quote came does not exist."""
        for series, bar in list(self._bars.items()):
            if bar.end <= instant:
                del self._bars[series]
                prices = bar.open, bar.high, bar.low, bar.close
                yield Candle(bar.end, series.instrument, series.granularity, bar.end, *prices, 0.0, synthetic=True)
