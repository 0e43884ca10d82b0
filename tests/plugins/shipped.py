"""The shipped candles, and what every strategy must hold to on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import msgspec

from dudzian_daemon.adapters.candle_store import ParquetCandleStore, sample_root
from dudzian_daemon.adapters.derived_venue import BasisModel, DerivedVenueStore
from dudzian_daemon.domain.market import SECOND_NS, Candle, Gap, Phase, Series, Tick
from dudzian_daemon.trading.timeline import candle_ticks
from tests.unit.trading.desk import Desk


def instant(date: str) -> int:
    """Midnight UTC of an ISO date."""
    return int(datetime.fromisoformat(date).replace(tzinfo=UTC).timestamp()) * SECOND_NS


def shipped(series: Series, start: str, end: str) -> list[Candle]:
    """The sample's candles of [start, end), dates."""
    return ParquetCandleStore(sample_root(), read_only=True).read(series, instant(start), instant(end))


def shipped_for(legs: int, granularity: str, start: str, end: str) -> dict[Series, list[Candle]]:
    """Bitcoin of the sample for a strategy of one leg, and at a derived second venue too for one of two."""
    mirror = BasisModel(source="binance", basis=0.004, period_bars=8, seed=20240108)
    store = DerivedVenueStore(ParquetCandleStore(sample_root(), read_only=True), {"binance_mirror": mirror})
    wanted = [Series(f"{venue}:BTC/USDT", granularity) for venue in ("binance", "binance_mirror")[:legs]]
    return {series: list(store.read(series, instant(start), instant(end))) for series in wanted}


def played(desk: Desk, *rows: Sequence[Candle]) -> Desk:
    """The desk after these candles."""
    desk.feed(*rows)
    return desk


def saved_and_loaded_throughout(desk: Desk, *rows: Sequence[Candle]) -> Desk:
    """The desk after these candles, every `State` written out and read back before each input."""
    series = {Series(each[0].instrument, each[0].granularity): each for each in rows}
    units = [unit for units in desk.core.strategies.units.values() for unit in units]
    for tick in candle_ticks(series):
        for unit in units:
            unit.state = msgspec.json.decode(msgspec.json.encode(unit.state), type=type(unit.state))
        desk.ticks([tick])
    return desk


def hold_to_the_contract(fresh: Callable[[], Desk], *rows: Sequence[Candle], cut_every: int = 13) -> Desk:
    """Assert that a session opens and closes positions on these candles without a fault, silent until it is warm, twice the same,
    with all it knows in its State, and blind to the future; returns it."""
    whole = played(fresh(), *rows)
    records = msgspec.json.encode(whole.records)
    assert whole.faults == []
    assert whole.fills
    (units,) = whole.core.strategies.units.values()
    warm_up = max(need.warm_up for unit in units for need in unit.needs)
    assert min(signal.instant for signal in whole.signals) >= rows[0][warm_up - 1].end
    assert msgspec.json.encode(played(fresh(), *rows).records) == records
    assert msgspec.json.encode(saved_and_loaded_throughout(fresh(), *rows).records) == records
    for cut in range(warm_up, len(rows[0]), cut_every):
        last = rows[0][cut - 1].end
        shorter = played(fresh(), *[each[:cut] for each in rows])
        assert shorter.signals == [signal for signal in whole.signals if signal.instant <= last]
    return whole


def with_a_hole(fresh: Callable[[], Desk], *rows: Sequence[Candle], start: int, length: int) -> tuple[Desk, int]:
    """A session that was told that `length` candles from number `start` on will never come, and the instant it was told."""
    desk = played(fresh(), *[each[:start] for each in rows])
    told = rows[0][start + length].end - Series(rows[0][0].instrument, rows[0][0].granularity).step_ns
    gaps = tuple(Gap(told, each[0].instrument, each[0].granularity, each[start].end, told) for each in rows)
    desk.ticks([Tick(told, Phase.REVISION, gaps)])
    return played(desk, *[each[start + length :] for each in rows]), told
