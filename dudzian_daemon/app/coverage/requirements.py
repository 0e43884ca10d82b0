"""Which candles an environment needs: its backfill windows up to now, or what was seeded, or the windows it replays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, Protocol

import msgspec

from dudzian_daemon.adapters.candle_store import StoredRange
from dudzian_daemon.adapters.manifest import SEEDED
from dudzian_daemon.adapters.seed import USUAL_GRANULARITY
from dudzian_daemon.config.environment import midnight_ns
from dudzian_daemon.config.schema import CoreConfig
from dudzian_daemon.domain.errors import ConfigError
from dudzian_daemon.domain.market import DAY_NS, Series
from dudzian_daemon.domain.spans import Span

Kind = Literal["backfill_windows", "seeded_window", "replay_windows"]


class StoredSeries(Protocol):
    """What is asked of a store."""

    @property
    def sources(self) -> set[str]: ...

    def series(self) -> list[Series]: ...

    def ranges(self, series: Series) -> list[StoredRange]: ...


class Requirement(msgspec.Struct, frozen=True, kw_only=True):
    """Candles of one series that must be there. `traded_until` (ns) is set for a market that has ended."""

    symbol: str
    series: Series
    window: Span
    traded_until: int | None = None


class Needed(msgspec.Struct, frozen=True, kw_only=True):
    """Everything an environment needs at `as_of` (ns), and what made it so."""

    kind: Kind
    as_of: int
    requirements: tuple[Requirement, ...]


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """What a report is limited to; empty means all. Symbols in any spelling, granularities as the store has them."""

    symbols: tuple[str, ...] = ()
    granularities: tuple[str, ...] = ()
    bucket: str | None = None


def needed(config: CoreConfig, environment: str, store: StoredSeries, now: int, as_of: int | None, selection: Selection) -> Needed:
    """What must be there. Raises `ConfigError` for a name that is unknown and for a selection that leaves nothing."""
    kind, moment, found = _all(config, environment, store, now, as_of)
    venue = config.environment(environment).exchange
    wanted = {config.instrument(text, venue).key for text in selection.symbols}
    if selection.bucket is not None:
        members = {config.instrument(text, venue).key for text in config.bucket(selection.bucket).symbols}
        wanted = wanted & members if wanted else members
    chosen = [
        each
        for each in found
        if (not wanted or each.series.instrument in wanted)
        and (not selection.granularities or each.series.granularity in selection.granularities)
    ]
    if not chosen and (wanted or selection.granularities):
        known = sorted({f"{each.symbol} {each.series.granularity}" for each in found})
        msg = f"nothing of that selection is needed by environment {environment}; expected some of: {', '.join(known) or 'nothing'}"
        raise ConfigError(msg)
    return Needed(kind=kind, as_of=moment, requirements=tuple(chosen))


def _all(config: CoreConfig, environment: str, store: StoredSeries, now: int, as_of: int | None) -> tuple[Kind, int, Sequence[Requirement]]:
    if config.environment(environment).candle_source == "sample":
        windows = config.environment(environment).replay.windows
        moment = as_of if as_of is not None else max((window.end_ns for window in windows), default=now)
        return "replay_windows", moment, list(_replayed(config, environment, moment))
    if store.sources == {SEEDED}:
        moment = as_of if as_of is not None else max(each.end for series in store.series() for each in store.ranges(series))
        return "seeded_window", moment, list(_seeded(config, environment, store, moment))
    moment = now if as_of is None else as_of
    return "backfill_windows", moment, list(_backfilled(config, environment, moment))


def _backfilled(config: CoreConfig, environment: str, as_of: int) -> Iterator[Requirement]:
    """The windows of instruments.yaml, back from the newest closed bar."""
    for instrument in config.universe(environment):
        symbol = f"{instrument.base}_{instrument.quote}"
        entry = config.instruments[symbol]
        until = entry.venues[instrument.venue].listed_until
        end = as_of if until is None else min(as_of, midnight_ns(until))
        for window in entry.backfill_windows:
            series = Series(instrument.key, window.interval)
            start = as_of // series.step_ns * series.step_ns - window.lookback_days * DAY_NS
            yield Requirement(
                symbol=symbol,
                series=series,
                window=Span(start, max(start, end)),
                traded_until=None if until is None else midnight_ns(until),
            )


def _seeded(config: CoreConfig, environment: str, store: StoredSeries, as_of: int) -> Iterator[Requirement]:
    """Days of every instrument and all else that was made up, each over the whole window of its length."""
    windows: dict[str, list[StoredRange]] = {}
    for series in store.series():
        windows.setdefault(series.granularity, []).extend(store.ranges(series))
    wanted = [Series(instrument.key, USUAL_GRANULARITY) for instrument in config.universe(environment)]
    for series in dict.fromkeys([*wanted, *store.series()]):
        start = min((each.start for each in windows.get(series.granularity, [])), default=0)
        if start < as_of or series in wanted:
            yield Requirement(symbol=_symbol(series), series=series, window=Span(start, max(start, as_of)))


def _replayed(config: CoreConfig, environment: str, as_of: int) -> Iterator[Requirement]:
    """What the replay takes: the windows' own granularity, else all that the schedules of their instruments take."""
    chosen = config.environment(environment)
    schedules = config.scheduler(chosen.scheduler).schedules.values()
    for window in chosen.replay.windows:
        for symbol in window.instruments:
            taken = {each.interval for each in schedules if symbol in config.bucket(each.instrument_bucket).symbols}
            for granularity in sorted({window.granularity} if window.granularity else taken):
                series = Series(config.instrument(symbol, chosen.exchange).key, granularity)
                end = max(window.start_ns, min(window.end_ns, as_of))
                yield Requirement(symbol=symbol, series=series, window=Span(window.start_ns, end), traded_until=window.end_ns)


def _symbol(series: Series) -> str:
    return series.instrument.partition(":")[2].replace("/", "_")
