"""A venue in memory: markets with a beginning, an end and outages, a page size, faults by request, and a log of what was asked."""

from __future__ import annotations

from collections.abc import Callable

from dudzian_daemon.domain.market import Candle, Series
from tests.unit.app.coverage.real_store import bar


class Market:
    """One market: traded in [start, end) ns but for the bars that open in `outages`."""

    def __init__(self, start: int, end: int, outages: tuple[tuple[int, int], ...] = (), price: float = 100.0) -> None:
        self.start, self.end, self.outages, self.price = start, end, outages, price

    def has(self, opened: int) -> bool:
        return self.start <= opened < self.end and not any(start <= opened < end for start, end in self.outages)


class ScriptedSource:
    """Fits `domain.ports.CandleSource`. `fault` is asked before every request and may raise."""

    def __init__(self, markets: dict[str, Market], *, page: int = 1000, fault: Callable[[int], None] | None = None) -> None:
        self.markets = markets
        self.page = page
        self.fault = fault
        self.asked: list[tuple[str, str, int, int]] = []
        self.closed = 0

    async def candles(self, symbol: str, granularity: str, since_ns: int, until_ns: int, limit: int) -> list[Candle]:
        self.asked.append((symbol, granularity, since_ns, until_ns))
        if self.fault is not None:
            self.fault(len(self.asked))
        market, series = self.markets[symbol], Series(f"binance:{symbol}", granularity)
        step = series.step_ns
        first = -(-max(since_ns, market.start) // step) * step
        opens = [at for at in range(first, min(until_ns - step, market.end - step) + 1, step) if market.has(at)]
        return [bar(series, at, market.price + at // step % 89) for at in opens[: min(limit, self.page)]]

    async def close(self) -> None:
        self.closed += 1
