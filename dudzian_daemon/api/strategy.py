"""What a strategy plugin may import: the contract's types and the indicators. Nothing here does I/O or reads a clock."""

from dudzian_daemon.domain.indicators import (
    AverageTrueRange,
    Ema,
    Lag,
    RealisedVolatility,
    RollingDeviation,
    RollingExtreme,
    RollingMean,
    ZScore,
    bars_per_year,
)
from dudzian_daemon.domain.market import SECOND_NS, Candle, Quote, Series
from dudzian_daemon.domain.orders import Intent, Protection, Signal
from dudzian_daemon.domain.ports import MarketView, Position, SeriesNeed, Strategy
from dudzian_daemon.domain.twins import CandleColumns, Turn

__all__ = [
    "SECOND_NS",
    "AverageTrueRange",
    "Candle",
    "CandleColumns",
    "Ema",
    "Intent",
    "Lag",
    "MarketView",
    "Position",
    "Protection",
    "Quote",
    "RealisedVolatility",
    "RollingDeviation",
    "RollingExtreme",
    "RollingMean",
    "Series",
    "SeriesNeed",
    "Signal",
    "Strategy",
    "Turn",
    "ZScore",
    "bars_per_year",
]
