"""Which windows of stored candles a session replays, and what history its strategies need before each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dudzian_daemon.adapters.derived_venue import DerivedVenueStore
from dudzian_daemon.config.environment import Environment
from dudzian_daemon.config.schema import CoreConfig
from dudzian_daemon.domain.errors import ConfigError, IntegrityError
from dudzian_daemon.domain.market import Funding, Instrument, Series
from dudzian_daemon.trading.step import Core
from dudzian_daemon.trading.windows import Window


def replay_windows(config: CoreConfig, environment: str, core: Core, store: DerivedVenueStore) -> list[Window]:
    """The configured windows that have something scheduled, else one over all candles of the scheduled series. Blocks on the store."""
    chosen = config.environment(environment)
    needs = warm_up_needs(config, environment, core)

    def pair(symbol: str) -> str:
        return config.instrument(symbol, chosen.exchange).symbol

    funding = funding_rates(core.spec.instruments)
    windows = [
        Window(window.start_ns, window.end_ns, _of(needs, {pair(symbol) for symbol in window.instruments}, window.granularity), funding)
        for window in chosen.replay.windows
    ]
    if not windows:
        return [_everything(needs, store, environment, funding)]
    played = [window for window in windows if window.series]
    if not played:
        msg = f"no replay window of environment {environment!r} has candles that its schedules take: {', '.join(_names(needs))}"
        raise ConfigError(msg)
    return played


def funding_rates(instruments: Mapping[str, Instrument]) -> tuple[Funding, ...]:
    """The recorded rates of the perpetuals among `instruments`, in order of time; those of a derived venue are its source's."""
    rates = []
    for key, instrument in instruments.items():
        if instrument.funding is not None:
            rates += [Funding(instant, key, float(rate)) for instant, rate in instrument.funding.rates]
    return tuple(sorted(rates, key=lambda each: (each.instant, each.instrument)))


def require_sound(windows: Iterable[Window], store: DerivedVenueStore) -> None:
    """Check every candle file of the windows and of the history before them, so that a damaged one is found before a session is opened.

    Blocks on the store. Raises `ConfigError` naming the file and the remedy.
    """
    try:
        for window in windows:
            for series, count in window.series.items():
                store.verify(series, window.start - count * series.step_ns, window.end)
    except IntegrityError as error:
        raise ConfigError(str(error)) from error


def silent_schedules(chosen: Environment, core: Core, windows: Iterable[Window], store: DerivedVenueStore) -> list[str]:
    """Schedules that will never decide, since the store lacks a series for each of their units. Blocks on the store.

    None where the configuration names the windows: what they leave out was meant to be left out.
    """
    if chosen.replay.windows:
        return []
    stored = {
        series
        for window in windows
        for series in window.series
        if any(found.start < window.end and window.start < found.end for found in store.ranges(series))
    }
    units = core.strategies.units
    return [name for name in units if not any(all(need.series in stored for need in unit.needs) for unit in units[name])]


def warm_up_needs(config: CoreConfig, environment: str, core: Core) -> dict[Series, int]:
    """Every series that a schedule takes, with the candles that must have been seen of it before a decision."""
    scheduler = config.scheduler(config.environment(environment).scheduler)
    needs: dict[Series, int] = {}
    for name, units in core.strategies.units.items():
        for need in (need for unit in units for need in unit.needs):
            needs[need.series] = max(needs.get(need.series, 0), need.warm_up, scheduler.schedules[name].warmup_bars)
    return needs


def _of(needs: dict[Series, int], pairs: set[str], granularity: str | None) -> dict[Series, int]:
    """The needed series of some pairs, at whatever venue."""
    return {
        series: count
        for series, count in needs.items()
        if series.instrument.partition(":")[2] in pairs and granularity in (None, series.granularity)
    }


def _everything(needs: dict[Series, int], store: DerivedVenueStore, environment: str, funding: tuple[Funding, ...]) -> Window:
    ranges = [found for series in needs for found in store.ranges(series)]
    if not ranges:
        names = ", ".join(_names(needs))
        remedy = f"dudzian seed-paper-cache --environment {environment} --days 180"
        msg = f"environment {environment!r} has no candles of {names}; make some with: {remedy}"
        raise ConfigError(msg)
    return Window(min(found.start for found in ranges), max(found.end for found in ranges), needs, funding)


def _names(needs: Iterable[Series]) -> list[str]:
    return [f"{series.instrument} {series.granularity}" for series in sorted(needs)]
