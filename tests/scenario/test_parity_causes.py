"""One case per cause class is planted, and `parity` names it: the first entry that differs, where it shows, and why."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dudzian_daemon.adapters.candle_store import ParquetCandleStore, sample_root
from dudzian_daemon.app.parity.causes import Cause
from dudzian_daemon.app.parity.compare import Difference, ParityOptions, ParityReport, compare
from dudzian_daemon.app.parity.session import cycles_of, find_session
from dudzian_daemon.app.preparation import RunOptions, prepare
from dudzian_daemon.config.places import bundled
from dudzian_daemon.domain.market import DAY_NS, HOUR_NS, SECOND_NS, Candle, OpenPrint, Phase, Series
from dudzian_daemon.domain.records import CycleRecord
from dudzian_daemon.trading.barrier import MarketInput
from tests.integration.daemon_process import SHORT_WINDOWS, short_config
from tests.scenario.live_like import Delivery, Piece, at_once, facts_of, live_session

ETH, ETH_1H = "binance:ETH/USDT", Series("binance:ETH/USDT", "1h")
#: 2024-02-10T00:00:00Z and two days of ETH by the hour.
START = 1_707_523_200 * SECOND_NS
WINDOW = "        - {start: 2024-02-10, end: 2024-02-12, instruments: [ETH_USDT]}"
WARM_UP_NS = 200 * HOUR_NS
#: End of the bar that is tampered with.
NOON = START + 12 * HOUR_NS

#: What the `run` entry of every session here says: all worlds begin alike.
FACTS: dict[str, Any] = {}


class World:
    """A candle store, a configuration and a folder of plugins of our own, to run a session in and then to change."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.data = home / "data"
        self.store = ParquetCandleStore(self.data / "candles")
        self.store.write(ETH_1H, self.sample(), source="binance")
        self.plugin = home / "plugins" / "strategies" / "own_reversion.py"
        self.plugin.parent.mkdir(parents=True)
        self.plugin.write_bytes((bundled("plugins") / "strategies" / "mean_reversion.py").read_bytes())
        self.config = short_config(
            home,
            window=(SHORT_WINDOWS, WINDOW),
            store=(
                "    artifact_name: demo\n    candle_source: sample",
                "    artifact_name: demo\n    candle_source: cache\n    data_cache_path: candles",
            ),
            plugin=("on hourly candles.\n    plugin: mean_reversion", "on hourly candles.\n    plugin: own_reversion"),
        )
        self.options = RunOptions(config=self.config, data_dir=self.data, plugins_dir=home / "plugins")

    def sample(self) -> list[Candle]:
        return ParquetCandleStore(sample_root(), read_only=True).read(ETH_1H, START - WARM_UP_NS, START + 2 * DAY_NS)

    def run(self, delivery: Delivery = at_once) -> str:
        prepared = prepare(self.options, {})
        if not FACTS:
            FACTS.update(facts_of(prepared))
        return live_session(prepared, delivery, FACTS).log_id

    def edit(self, path: Path, old: str, new: str) -> None:
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1
        path.write_text(text.replace(old, new), encoding="utf-8")

    def revise(self, end: int, **values: Any) -> Candle:
        """Another version of the bar that ends at `end` is stored."""
        (candle,) = self.store.read(ETH_1H, end - HOUR_NS, end)
        revised = msgspec.structs.replace(candle, **values)
        self.store.write(ETH_1H, [revised], source="binance")
        return candle

    def without(self, *ends: int) -> None:
        """The store never had these bars."""
        for path in sorted(self.store.root.rglob("*"), reverse=True):
            if path.is_file():
                path.unlink()
        self.store = ParquetCandleStore(self.store.root)
        self.store.write(ETH_1H, [candle for candle in self.sample() if candle.end not in ends], source="binance")

    def records(self, log_id: str) -> Iterator[CycleRecord]:
        return (cycle.record for cycle in cycles_of(find_session(self.data, "demo", log_id)))

    def parity(self, **options: Any) -> ParityReport:
        return compare(ParityOptions(run=self.options, **options), {})

    def difference(self, **options: Any) -> Difference:
        report = self.parity(**options)
        assert not report.equal
        assert report.difference is not None
        assert report.compared == report.difference.sequence - 1
        return report.difference


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def delayed(delay_ns: int, end: int = NOON, instrument: str = ETH) -> Delivery:
    """The candle of one bar comes late."""

    def delivery(instant: int, items: list[MarketInput]) -> Iterator[Piece]:
        late = [item for item in items if isinstance(item, Candle) and (item.end, item.instrument) == (end, instrument)]
        yield instant, [item for item in items if item not in late]
        yield instant + delay_ns, late

    return delivery


def test_a_session_that_nothing_happened_to_is_equal(world: World) -> None:
    log_id = world.run()
    report = world.parity(session=log_id[:8])
    assert (report.equal, report.difference, report.compared) == (True, None, report.cycles)
    assert (report.log_id, report.config_changes, report.code_changes) == (log_id, (), ())


# -- open_print --------------------------------------------------------------------------------------------------------


def test_a_first_trade_at_another_price_than_the_candle_opens_with(world: World) -> None:
    def delivery(instant: int, items: list[MarketInput]) -> Iterator[Piece]:
        traded = instant == NOON
        yield (
            instant,
            [
                msgspec.structs.replace(item, price=item.price + 0.25)
                if traded and isinstance(item, OpenPrint) and item.instrument == ETH
                else item
                for item in items
            ],
        )

    world.run(delivery)
    found = world.difference()
    assert found.cause is Cause.OPEN_PRINT
    opened = next(candle.open for candle in world.sample() if candle.end == NOON + HOUR_NS)
    assert found.detail == f"{ETH} 1h OpenPrint at 2024-02-10T12:00:00.000000Z: price {opened + 0.25} recorded, {opened} in the candle"


def test_a_first_trade_some_time_after_the_bar_began(world: World) -> None:
    def delivery(instant: int, items: list[MarketInput]) -> Iterator[Piece]:
        late = [item for item in items if isinstance(item, OpenPrint) and item.instrument == ETH and instant == NOON]
        yield instant, [item for item in items if item not in late]
        yield instant + SECOND_NS, [msgspec.structs.replace(item, instant=instant + SECOND_NS) for item in late]

    world.run(delivery)
    found = world.difference()
    assert (found.cause, found.detail.partition(": ")[2]) == (Cause.OPEN_PRINT, "traded 1 s after the bar began")


# -- revised_candle ----------------------------------------------------------------------------------------------------


def test_a_candle_that_was_revised_since(world: World) -> None:
    world.run()
    before = world.revise(NOON, close=2480.0)
    found = world.difference()
    assert (found.cause, found.instant) == (Cause.REVISED_CANDLE, NOON)
    expected = f"close {before.close} recorded, 2480.0 in the store"
    assert found.detail == f"{ETH} 1h candle to 2024-02-10T12:00:00.000000Z: {expected}"


def test_a_revision_that_shows_in_the_open_print_first_is_none_of_the_print(world: World) -> None:
    world.run()
    before = world.revise(NOON, open=2475.0)
    found = world.difference()
    assert found.cause is Cause.REVISED_CANDLE
    assert f"open {before.open} recorded, 2475.0 in the store" in found.detail


def test_a_revision_in_the_warm_up(world: World) -> None:
    world.run()
    before = world.revise(START - 5 * HOUR_NS, volume=1.0)
    found = world.difference()
    assert (found.sequence, found.cause) == (1, Cause.REVISED_CANDLE)
    assert found.detail == (
        f"{ETH} 1h candle to 2024-02-09T19:00:00.000000Z, in the warm-up: volume {before.volume} recorded, 1.0 in the store"
    )


def test_a_candle_that_the_store_has_lost(world: World) -> None:
    world.run()
    world.without(NOON)
    found = world.difference()
    assert found.cause is Cause.REVISED_CANDLE
    assert found.detail == f"{ETH} 1h OpenPrint at 2024-02-10T11:00:00.000000Z: the store does not have it"


def test_a_candle_that_the_store_got_later(world: World) -> None:
    world.without(START - 7 * HOUR_NS)
    world.run()
    world.store.write(ETH_1H, world.sample(), source="binance")
    found = world.difference()
    assert (found.cause, found.sequence) == (Cause.REVISED_CANDLE, 1)
    assert found.detail == f"{ETH} 1h candle to 2024-02-09T17:00:00.000000Z, in the warm-up: it is in the store only"


# -- late_data ---------------------------------------------------------------------------------------------------------


def test_a_candle_that_came_after_the_settle_delay(world: World) -> None:
    world.run(delayed(5 * SECOND_NS))
    found = world.difference()
    assert found.cause is Cause.LATE_DATA
    assert found.detail == f"{ETH} 1h candle to 2024-02-10T12:00:00.000000Z: released 5 s after its end"


def test_a_candle_that_was_waited_for_is_a_difference_unless_that_is_allowed_and_moved_no_fill(world: World) -> None:
    closes = [record for record in world.records(world.run()) if record.phase == Phase.CLOSE]
    quiet = next(record.instant for record in closes if not record.signals)
    log_id = world.run(delayed(2 * SECOND_NS, quiet))
    found = world.difference(session=log_id)
    assert (found.cause, found.instant) == (Cause.LATE_DATA, quiet)
    assert found.detail.endswith("the session waited 2 s for it")
    allowed = world.parity(session=log_id, allow_waiting=True)
    assert (allowed.equal, allowed.waited) == (True, 1)

    decided = next(record.instant for record in closes if record.results)
    found = world.difference(session=world.run(delayed(2 * SECOND_NS, decided)), allow_waiting=True)
    assert found.cause is Cause.LATE_DATA
    assert found.instant > decided
    assert found.detail.endswith("the session had waited for candles, up to 2 s")


def test_a_candle_that_never_came_was_declared_missing(world: World) -> None:
    def delivery(instant: int, items: list[MarketInput]) -> Iterator[Piece]:
        yield instant, [item for item in items if not (isinstance(item, Candle) and (item.end, item.instrument) == (NOON, ETH))]

    world.run(delivery)
    found = world.difference()
    assert found.cause is Cause.LATE_DATA
    assert found.detail.startswith(f"{ETH} 1h candle to 2024-02-10T12:00:00.000000Z: the session was told at 2024-02-10T13:00")


# -- config and code ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [
        ("position_size: 0.1\n", "position_size: 0.2\n", "paper_trading.position_size: 0.1 -> 0.2"),
        (
            "demo_alts, interval: 1h, cadence_seconds: 3600, max_drift_seconds: 120, warmup_bars: 120",
            "demo_alts, interval: 1h, cadence_seconds: 3600, max_drift_seconds: 120, warmup_bars: 130",
            "alt_reversion_1h.warmup_bars: 120 -> 130",
        ),
    ],
)
def test_a_configuration_that_was_edited(world: World, old: str, new: str, shown: str) -> None:
    world.run()
    world.edit(world.config, old, new)
    found = world.difference()
    assert found.cause is Cause.CONFIG
    assert found.detail.startswith("changed since: ")
    assert shown in found.detail
    assert world.parity().config_changes


def test_an_edit_that_changed_nothing_is_told_and_is_no_difference(world: World) -> None:
    world.run()
    world.edit(world.config, "max_age_seconds: 3600", "max_age_seconds: 3601")
    report = world.parity()
    assert report.equal
    (change,) = report.config_changes
    assert change.endswith("max_age_seconds: 3600 -> 3601")


def test_other_windows_and_ports_are_no_other_configuration(world: World) -> None:
    world.run()
    world.edit(world.config, WINDOW, WINDOW.replace("02-12", "02-11"))
    world.edit(world.config, "port: 9108", "port: 9109")
    report = world.parity()
    assert (report.equal, report.config_changes) == (True, ())


def test_a_plugin_that_was_edited(world: World) -> None:
    world.run()
    world.edit(world.plugin, "abs(zscore) < p.entry_zscore", "abs(zscore) < 1.0")
    found = world.difference()
    assert found.cause is Cause.CODE
    assert "plugins.demo_mean_reversion.sha256: " in found.detail
    assert found.detail.startswith("signals[0]: nothing recorded, {")


def test_an_edited_plugin_and_a_candle_that_was_waited_for_are_told_apart(world: World) -> None:
    closes = [record for record in world.records(world.run()) if record.phase == Phase.CLOSE]
    quiet, decided = (next(record.instant for record in closes if bool(record.results) is wanted) for wanted in (False, True))
    waited, moved = (world.run(delayed(2 * SECOND_NS, instant)) for instant in (quiet, decided))
    world.edit(world.plugin, "class MeanReversion:", "class MeanReversion:  # another hash, the same code")
    found = world.difference(session=moved, allow_waiting=True)
    assert (found.cause, bool(world.parity(session=moved).code_changes)) == (Cause.LATE_DATA, True)
    world.edit(world.plugin, "abs(zscore) < p.entry_zscore", "abs(zscore) < 1.0")
    assert world.difference(session=waited, allow_waiting=True).cause is Cause.CODE
