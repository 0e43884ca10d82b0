"""A store of candles that count as real, and the shipped configuration, for tests of coverage and backfill."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from dudzian_daemon.domain.market import Candle, Series

CONFIG = Path(__file__).resolve().parents[4] / "config" / "core.yaml"
CACHE = Path("var", "data", "binance_paper")
BASKET = ("BTC", "ETH", "SOL", "BNB", "XRP", "ADA", "LTC", "MATIC")


def at(text: str) -> int:
    """Nanoseconds since 1970 of an ISO time, UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 10**9


def bar(series: Series, opened: int, price: float = 100.0) -> Candle:
    end = opened + series.step_ns
    return Candle(end, series.instrument, series.granularity, end, price, price + 1.5, price - 0.25, price + 0.5, 12.5)


def bars(series: Series, start: int, end: int, *, without: Iterable[int] = ()) -> list[Candle]:
    """Every bar in [start, end) but those that open at the given instants; equal bars in every call."""
    gone = set(without)
    return [bar(series, opened, 50.0 + opened // series.step_ns % 97) for opened in range(start, end, series.step_ns) if opened not in gone]
