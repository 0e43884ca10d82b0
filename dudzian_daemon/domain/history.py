"""The history of a session as data: which entries are wanted, and what one looks like to a reader. Keeps nothing, reads no clock.

Moments are compared in whole microseconds since 1970-01-01 UTC: what a `datetime` can say, and what epoch seconds in a
float still carry (until 2106). So a bound taken from an entry holds that entry, however it was converted on the way.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from numbers import Integral, Real
from operator import attrgetter
from typing import Any, Final, Literal, Protocol, TypedDict, TypeVar

import msgspec

from dudzian_daemon.domain.errors import ConfigError
from dudzian_daemon.domain.events import ControllerCycle
from dudzian_daemon.domain.market import SECOND_NS

#: `instant` is event time (the market's), `wall` the machine's time at which the step ended.
By = Literal["instant", "wall"]
#: A moment as a caller may give it: a datetime (naive is UTC), a pandas Timestamp, or epoch seconds.
Moment = datetime | int | float

SECOND_US: Final = 1_000_000
#: The columns of a table of cycles that are times.
CYCLE_TIMES: Final = ("started_at", "finished_at", "instant")

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST_S: Final = (datetime(1, 1, 1, tzinfo=UTC) - _EPOCH) // timedelta(seconds=1)
_LATEST_S: Final = (datetime(9999, 12, 31, tzinfo=UTC) - _EPOCH) // timedelta(seconds=1)
_MICROSECOND: Final = timedelta(microseconds=1)
_BASE: Final = ("sequence", "started_at", "finished_at", "duration_s", "orders")


class Stamped(Protocol):
    """An entry of a history with its places on both time lines: `instant` in ns, `finished_at` in epoch seconds."""

    @property
    def instant(self) -> int: ...

    @property
    def finished_at(self) -> float: ...


T = TypeVar("T", bound=Stamped)


class Window(msgspec.Struct, frozen=True):
    """Entries stamped in [since, until] (microseconds, both included), and of these the newest `limit`; None bounds nothing."""

    since: int | None
    until: int | None
    limit: int | None
    by: By

    def holds(self, entry: Stamped) -> bool:
        """Whether the entry's moment lies inside."""
        moment = stamp(entry, self.by)
        return (self.since is None or moment >= self.since) and (self.until is None or moment <= self.until)

    def pick(self, entries: Iterable[T]) -> Iterable[T]:
        """What is wanted of `entries`, which come oldest first; without a limit nothing is held in memory."""
        held = (entry for entry in entries if self.holds(entry))
        return held if self.limit is None else deque(held, maxlen=self.limit)

    def described(self) -> dict[str, Any]:
        """For a summary: what it was made from, bounds in epoch seconds."""
        return {"since": _seconds(self.since), "until": _seconds(self.until), "limit": self.limit, "by": self.by}


class Span(TypedDict, total=False):
    """What a caller may say about the entries that are wanted: a `Window` in the making."""

    since: Moment | None
    until: Moment | None
    limit: int | None
    by: By | None


def window(since: Moment | None = None, until: Moment | None = None, limit: int | None = None, by: str = "instant") -> Window:
    """The window a caller asks for; a limit below 0 is 0. Raises `ConfigError` for what is no moment, no time line."""
    if by not in ("instant", "wall"):
        msg = f"by: expected instant or wall, found {by!r}"
        raise ConfigError(msg)
    line: By = "wall" if by == "wall" else "instant"
    bounds = [None if moment is None else microseconds(moment) for moment in (since, until)]
    return Window(bounds[0], bounds[1], None if limit is None else max(limit, 0), line)


def stamp(entry: Stamped, by: By) -> int:
    """The entry's moment in microseconds since 1970 UTC."""
    return round(moment_of(entry, by) * SECOND_US)  # by way of the float that a reader is shown: it is a bound that holds the entry


def moment_of(entry: Stamped, by: By) -> float:
    """The entry's moment in epoch seconds, unrounded."""
    return entry.finished_at if by == "wall" else entry.instant / SECOND_NS


def microseconds(moment: object) -> int:
    """Microseconds since 1970 UTC. Raises `ConfigError` for what is neither a datetime nor epoch seconds that one could say."""
    if isinstance(moment, datetime) and moment - moment == timedelta(0):  # pandas' NaT calls itself a datetime, and is equal to nothing
        aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        return (aware - _EPOCH) // _MICROSECOND
    seconds = int(moment) if isinstance(moment, Integral) else float(moment) if isinstance(moment, Real) else math.nan
    if _EARLIEST_S <= seconds <= _LATEST_S:  # NaN is in no range
        return round(seconds * SECOND_US)
    msg = f"expected a datetime or epoch seconds of the years 1 to 9999, found {moment!r}"
    raise ConfigError(msg)


def longest_age(ttl: float | None) -> int | None:
    """A time to live of `ttl` seconds in microseconds, None for no end (None or <= 0). Raises `ConfigError` for what is no number."""
    if ttl is None:
        return None
    try:
        seconds = float(ttl)
    except (TypeError, ValueError, OverflowError):
        seconds = math.nan
    if not seconds <= _LATEST_S:  # NaN is not
        msg = f"ttl: expected seconds (at most {_LATEST_S}) or None, found {ttl!r}"
        raise ConfigError(msg)
    return max(round(seconds * SECOND_US), 1) if seconds > 0 else None


def parse_moment(text: str) -> Moment:
    """Epoch seconds or ISO 8601, UTC unless it says otherwise, as a person types it. Raises `ConfigError`."""
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        msg = f"expected a time as 2024-01-31T12:00:00Z (UTC) or in epoch seconds, found {text!r}"
        raise ConfigError(msg) from None


def as_datetime(moment_us: int, zone: tzinfo | None) -> datetime:
    """The moment in `zone`; without one, UTC and naive."""
    moment = _EPOCH + moment_us * _MICROSECOND
    return moment.replace(tzinfo=None) if zone is None else moment.astimezone(zone)


def plain(value: Any) -> Any:
    """Structs as dicts of their own, enums as words; amounts stay Decimals."""
    return msgspec.to_builtins(value, builtin_types=(Decimal,))


def cycle_columns(*, counts: bool, sequences: bool, instant: bool) -> list[str]:
    """Names of the columns of a table of cycles, in order."""
    groups = (_BASE, ("signals_count", "results_count") if counts else (), ("signals", "results") if sequences else ())
    return [*(name for group in groups for name in group), *(["instant"] if instant else [])]


def cycle_row(cycle: ControllerCycle, columns: Iterable[str]) -> dict[str, Any]:
    """A cycle as a row of such a table; times are epoch seconds."""
    return {name: _CELLS[name](cycle) for name in columns}


def with_times(row: dict[str, Any], convert: Callable[[int], Any]) -> dict[str, Any]:
    """The row with its times as `convert` makes them from microseconds since 1970 UTC."""
    return row | {name: convert(microseconds(row[name])) for name in CYCLE_TIMES if name in row}


def _seconds(moment_us: int | None) -> float | None:
    return None if moment_us is None else moment_us / SECOND_US


_CELLS: Final[dict[str, Callable[[ControllerCycle], Any]]] = {
    **{name: attrgetter(name) for name in _BASE},
    "signals_count": lambda cycle: len(cycle.signals),
    "results_count": lambda cycle: len(cycle.results),
    "signals": lambda cycle: plain(cycle.signals),
    "results": lambda cycle: plain(cycle.results),
    "instant": lambda cycle: cycle.instant / SECOND_NS,
}
