"""A market with something for every taste: rises, falls, sideways stretches and jumps, the same for the same seed."""

from __future__ import annotations

from random import Random

import msgspec

from dudzian_daemon.domain.market import Candle, Series
from dudzian_daemon.testing.market import START_NS, Bar, candles

#: Drift per bar of the stretches that follow each other.
DRIFTS = (0.0, 0.004, -0.005, 0.0, 0.007, -0.001, -0.006, 0.002)
STRETCH = 80
#: What trades in a candle, in the quote asset, at any price.
TRADED = 10_000_000.0


def lively(series: Series, count: int, *, seed: int = 1, scale: float = 100.0, start: int = START_NS) -> list[Candle]:
    """`count` candles that begin near `scale`."""
    random = Random(f"{seed} {series.instrument}")
    bars: list[Bar] = []
    close = scale
    for number in range(count):
        opened = close * (1.0 + random.uniform(-0.001, 0.001))
        close = opened * (1.0 + DRIFTS[number // STRETCH % len(DRIFTS)] + random.gauss(0.0, 0.008))
        reach = 1.0 + abs(random.gauss(0.0, 0.003))
        bars.append((opened, max(opened, close) * reach, min(opened, close) / reach, close))
    return [msgspec.structs.replace(candle, volume=TRADED / candle.close) for candle in candles(series, bars, start=start)]
