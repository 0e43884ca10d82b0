"""Which windows of stored candles a session replays, and what history its strategies need before each."""

from __future__ import annotations

from collections.abc import Iterable

from dudzian_daemon.adapters.candle_store import ParquetCandleStore
from dudzian_daemon.config.schema import CoreConfig
from dudzian_daemon.domain.errors import ConfigError
from dudzian_daemon.domain.market import Series
from dudzian_daemon.services.feed import Window
from dudzian_daemon.trading.step import Core


def replay_windows(config: CoreConfig, environment: str, core: Core, store: ParquetCandleStore) -> list[Window]:
    """The configured windows, else one over all candles the store has of the scheduled series. Blocks on the store."""
    chosen = config.environment(environment)
    needs = _warm_up(config, environment, core)
    windows = [
        Window(
            window.start_ns,
            window.end_ns,
            _of(needs, {config.instrument(symbol, chosen.exchange).key for symbol in window.instruments}, window.granularity),
        )
        for window in chosen.replay.windows
    ]
    return windows or [_everything(needs, store, environment)]


def _warm_up(config: CoreConfig, environment: str, core: Core) -> dict[Series, int]:
    scheduler = config.scheduler(config.environment(environment).scheduler)
    needs: dict[Series, int] = {}
    for name, units in core.strategies.units.items():
        for need in (need for unit in units for need in unit.needs):
            needs[need.series] = max(needs.get(need.series, 0), need.warm_up, scheduler.schedules[name].warmup_bars)
    return needs


def _of(needs: dict[Series, int], instruments: set[str], granularity: str) -> dict[Series, int]:
    return {series: count for series, count in needs.items() if series.instrument in instruments and series.granularity == granularity}


def _everything(needs: dict[Series, int], store: ParquetCandleStore, environment: str) -> Window:
    ranges = [found for series in needs for found in store.ranges(series)]
    if not ranges:
        names = ", ".join(_names(needs))
        msg = f"no candles of {names} in {store.root}; make some with: dudzian seed-paper-cache --environment {environment} --days 180"
        raise ConfigError(msg)
    return Window(min(found.start for found in ranges), max(found.end for found in ranges), needs)


def _names(needs: Iterable[Series]) -> list[str]:
    return [f"{series.instrument} {series.granularity}" for series in sorted(needs)]
