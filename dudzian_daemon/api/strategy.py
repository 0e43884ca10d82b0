"""What a strategy plugin may import: the contract's types and the indicators. Nothing here does I/O or reads a clock."""

from dudzian_daemon.domain.indicators import AverageTrueRange, Lag, RollingExtreme, RollingMean
from dudzian_daemon.domain.market import Candle, Series
from dudzian_daemon.domain.orders import Intent, Protection, Signal
from dudzian_daemon.domain.ports import MarketView, Position, SeriesNeed, Strategy

__all__ = [
    "AverageTrueRange",
    "Candle",
    "Intent",
    "Lag",
    "MarketView",
    "Position",
    "Protection",
    "RollingExtreme",
    "RollingMean",
    "Series",
    "SeriesNeed",
    "Signal",
    "Strategy",
]
