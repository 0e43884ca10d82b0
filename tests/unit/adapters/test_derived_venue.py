"""The derived venue: declared, seeded, continuous, marked."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from dudzian_daemon.adapters.candle_store import ParquetCandleStore, sample_root
from dudzian_daemon.adapters.derived_venue import BasisModel, DerivedVenueStore
from dudzian_daemon.domain.market import DAY_NS, HOUR_NS, Series
from dudzian_daemon.testing.market import START_NS

MODEL = BasisModel("binance", 0.003, 12, 7)
REAL, MADE_UP = Series("binance:ETH/USDT", "1h"), Series("mirror:ETH/USDT", "1h")


def store() -> DerivedVenueStore:
    return DerivedVenueStore(ParquetCandleStore(sample_root(), read_only=True), {"mirror": MODEL})


@given(bar=st.integers(0, 10**6), seed=st.integers(0, 2**53 - 1))
def test_the_basis_stays_within_its_bound(bar: int, seed: int) -> None:
    model = msgspec.structs.replace(MODEL, seed=seed)
    assert abs(model.at("x", bar)) <= model.basis
    assert abs(model.at("x", bar + 1) - model.at("x", bar)) <= 2 * model.basis / model.period_bars + 1e-18


def test_candles_are_the_source_s_moved_by_the_basis_and_marked() -> None:
    end = START_NS + 30 * DAY_NS
    real, made_up = store().read(REAL, START_NS, end), store().read(MADE_UP, START_NS, end)
    assert len(real) == len(made_up) == 720
    assert not any(candle.synthetic for candle in real)
    for source, candle in zip(real, made_up, strict=True):
        assert candle.synthetic
        assert candle.instrument == "mirror:ETH/USDT"
        assert abs(candle.close / source.close - 1 - MODEL.at("mirror:ETH/USDT", candle.end // HOUR_NS)) < 1e-12
        assert candle.low <= min(candle.open, candle.close) <= max(candle.open, candle.close) <= candle.high
    assert max(abs(a.close / b.close - 1) for a, b in zip(real, made_up, strict=True)) > 0.002


def test_it_is_the_same_every_time_and_another_for_another_seed() -> None:
    end = START_NS + DAY_NS
    other = DerivedVenueStore(ParquetCandleStore(sample_root(), read_only=True), {"mirror": msgspec.structs.replace(MODEL, seed=8)})
    assert store().read(MADE_UP, START_NS, end) == store().read(MADE_UP, START_NS, end) != other.read(MADE_UP, START_NS, end)
    assert store().ranges(MADE_UP) == store().ranges(REAL)
