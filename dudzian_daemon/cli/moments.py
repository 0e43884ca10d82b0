"""Moments and days as an operator writes them, in UTC."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Final

from dudzian_daemon.domain.errors import ConfigError
from dudzian_daemon.domain.market import DAY_NS

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def moment_ns(text: str, option: str) -> int:
    """The moment in ns since 1970: `2024-02-29T12:00:00Z`, any ISO time (without a zone it is UTC); a day alone is its end."""
    try:
        if len(text) == len("2024-02-29"):
            moment = datetime.combine(date.fromisoformat(text) + timedelta(days=1), datetime.min.time(), UTC)
        else:
            moment = datetime.fromisoformat(text)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        msg = f"{option}: expected a time such as 2024-02-29T12:00:00Z or a day such as 2024-02-29, found {text!r}"
        raise ConfigError(msg) from None
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000


def day_ns(text: str, option: str) -> int:
    """The midnight at which the day begins, in ns since 1970."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or day.year < _EPOCH.year:
        msg = f"{option}: expected a day such as 2016-01-01, from {_EPOCH.year} on, found {text!r}"
        raise ConfigError(msg)
    return (datetime.combine(day, datetime.min.time(), UTC) - _EPOCH) // timedelta(microseconds=1) * 1000


def window_ns(text: str, option: str) -> tuple[int, int]:
    """First instant and end (ns) of START:END, two days of which the second is included. Raises `ConfigError`."""
    first, colon, last = text.partition(":")
    if not colon:
        msg = f"{option}: expected START:END such as 2024-01-01:2024-02-15, found {text!r}"
        raise ConfigError(msg)
    start, end = day_ns(first, option), day_ns(last, option) + DAY_NS
    if start >= end:
        msg = f"{option}: expected a START that is not after END, found {text!r}"
        raise ConfigError(msg)
    return start, end
