"""Arbitrage between two venues: fake books, candles alone, and the shipped candles against a moved copy."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any

import msgspec
import pytest

from dudzian_daemon.domain.market import SECOND_NS, Candle, Instrument, Phase, Quote, Series, Tick
from dudzian_daemon.domain.orders import Intent, Outcome, Protection, RefusalCode, Side, Signal
from dudzian_daemon.domain.ports import MarketView, Position
from dudzian_daemon.testing.market import START_NS, candles, instrument, schedule, spec
from plugins.strategies.cross_exchange_arbitrage import ArbitrageParams, CrossExchangeArbitrage
from tests.plugins.shipped import hold_to_the_contract, shipped, with_a_hole
from tests.unit.trading.desk import WIDE, Desk, close_tick

Book = tuple[float, float]

DEFAULTS = ArbitrageParams()
PRIMARY, SECONDARY = instrument("BTC"), instrument("BTC", venue="kraken")
BOTH = (PRIMARY.key, SECONDARY.key)
#: Books with a tick between bid and ask; the second is 0.3 % above the first.
LEVEL, HIGH = (100.00, 100.01), (100.30, 100.31)
WARM = START_NS + 30 * SECOND_NS


def after(seconds: float) -> int:
    """The instant so many seconds after the first candles have closed."""
    return WARM + round(seconds * SECOND_NS)


def trading(
    params: ArbitrageParams = DEFAULTS, *, granularity: str = "30s", pairs: Sequence[Instrument] = (PRIMARY, SECONDARY), **changes: Any
) -> Desk:
    """A session of the strategy in the real core, far from every limit."""
    plan = schedule("arbitrage", pairs, granularity=granularity, max_signals=6, **changes.pop("schedule", {}))
    session: dict[str, Any] = {"profiles": {"balanced": WIDE}, "allow_short": True} | changes
    return Desk(spec({"arbitrage": CrossExchangeArbitrage(params)}, [plan], pairs, **session))


def watching() -> Desk:
    """A session that has seen a candle of each venue and may decide every second; what the gate makes of it is no matter."""
    desk = trading(schedule={"cadence_ns": SECOND_NS})
    desk.feed(*[candles(Series(key, "30s"), [100.0]) for key in BOTH])
    return desk


def quoted(desk: Desk, seconds: float, shown: Mapping[str, Book]) -> None:
    """Books at one instant."""
    now = after(seconds)
    desk.ticks([Tick(now, Phase.QUOTE, tuple(Quote(now, key, bid, ask, 1000.0, 1000.0) for key, (bid, ask) in sorted(shown.items())))])


def play(desk: Desk, *shown: tuple[Book, Book], keys: Sequence[str] = BOTH) -> None:
    """Books of (primary, secondary) every 30 seconds, one second before the candles close and the strategy decides.

    The first candles close at 0 s. With more `keys` every pair shows the same.
    """
    for number, pair in enumerate(shown):
        current = {key: pair[place % 2] for place, key in enumerate(keys)}
        quoted(desk, 30 * number - 1, current)
        closed = [candles(Series(key, "30s"), [sum(current[key]) / 2], start=after(30 * number - 30))[0] for key in sorted(keys)]
        desk.ticks([close_tick(*closed)])


def said(desk: Desk) -> list[tuple[float, str, str, float | None]]:
    """Seconds, venue, why, target of every signal."""
    return [((s.instant - WARM) / SECOND_NS, s.instrument.partition(":")[0], s.reason, s.target) for s in desk.signals]


# -- parameters --------------------------------------------------------------------------------------------------------


def test_the_defaults_are_those_of_the_runbook_and_survive_the_configuration() -> None:
    expected = {
        "spread_entry": 0.0015,
        "spread_exit": 0.0005,
        "max_notional": 50_000.0,
        "max_open_seconds": 120,
        "max_age_seconds": 10.0,
        "assumed_spread": 0.0002,
        "position_size": 0.1,
    }
    assert msgspec.to_builtins(DEFAULTS) == expected
    assert msgspec.convert(expected, ArbitrageParams) == DEFAULTS


@pytest.mark.parametrize("wrong", [{"spread_entry": 0.0005}, {"max_open_seconds": 0}, {"max_notional": 0}, {"assumed_spread": 1}, {"x": 1}])
def test_parameters_that_cannot_work_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(wrong, ArbitrageParams)


def test_a_unit_takes_the_candles_of_both_venues_and_their_quotes() -> None:
    strategy = CrossExchangeArbitrage(DEFAULTS)
    assert (strategy.legs, strategy.takes_quotes) == (2, True)
    assert [need.series for need in strategy.series(BOTH, "30s")] == [Series(key, "30s") for key in BOTH]


# -- fake books --------------------------------------------------------------------------------------------------------


def test_a_gap_of_three_tenths_of_a_percent_opens_both_legs_and_closes_them_when_it_shuts() -> None:
    desk = trading()
    play(desk, (LEVEL, LEVEL), (LEVEL, HIGH), (LEVEL, HIGH), (LEVEL, HIGH), (LEVEL, LEVEL), (LEVEL, LEVEL))
    assert said(desk) == [
        (30, "binance", "long_primary_short_secondary", 0.1),
        (30, "kraken", "long_primary_short_secondary", -0.1),
        (120, "binance", "close_long_primary_short_secondary", None),
        (120, "kraken", "close_long_primary_short_secondary", None),
    ]
    assert [(fill.instrument, fill.side, float(fill.reference_price)) for fill in desk.fills] == [
        (PRIMARY.key, Side.BUY, 100.01),
        (SECONDARY.key, Side.SELL, 100.30),
        (PRIMARY.key, Side.SELL, 100.00),
        (SECONDARY.key, Side.BUY, 100.01),
    ]
    assert len({fill.quantity for fill in desk.fills}) == 1
    assert [verdict.outcome for verdict in desk.verdicts] == [Outcome.APPROVED] * 2
    assert not any(desk.core.ledger.net.values())
    assert desk.faults == []


def test_the_reverse_gap_opens_the_reverse_side() -> None:
    desk = trading()
    play(desk, (HIGH, LEVEL), (HIGH, LEVEL), (LEVEL, LEVEL), (LEVEL, LEVEL))
    assert said(desk) == [
        (0, "binance", "short_primary_long_secondary", -0.1),
        (0, "kraken", "short_primary_long_secondary", 0.1),
        (60, "binance", "close_short_primary_long_secondary", None),
        (60, "kraken", "close_short_primary_long_secondary", None),
    ]
    assert [fill.side for fill in desk.fills] == [Side.SELL, Side.BUY, Side.BUY, Side.SELL]
    assert not any(desk.core.ledger.net.values())


def test_what_the_signals_tell() -> None:
    desk = trading(ArbitrageParams(max_notional=75_000.0))
    play(desk, (LEVEL, HIGH), (LEVEL, HIGH), (LEVEL, LEVEL), (LEVEL, LEVEL))
    opened, other, closed, _ = desk.signals
    spread = (100.30 - 100.01) / ((100.005 + 100.305) / 2)
    assert opened.numbers == pytest.approx(
        {
            "spread": spread,
            "primary_bid": 100.00,
            "primary_ask": 100.01,
            "secondary_bid": 100.30,
            "secondary_ask": 100.31,
            "age_seconds": 1.0,
            "secondary_delay_ms": 0.0,
            "max_notional": 75_000.0,
        }
    )
    assert opened.confidence == pytest.approx(spread / 0.003)
    assert (opened.protection, closed.protection) == (Protection.HEDGED, Protection.HEDGED)
    assert (opened.intent, closed.intent) == (Intent.ENTER, Intent.EXIT)
    assert opened.group == other.group != ""
    assert closed.numbers["open_seconds"] == 31.0
    bought, sold = (float(fill.price) for fill in desk.fills[:2])
    assert closed.numbers["entry_spread"] == pytest.approx((sold - bought) / ((sold + bought) / 2))


@pytest.mark.parametrize(("books", "sides"), [((LEVEL, HIGH), [Side.BUY, Side.SELL]), ((HIGH, LEVEL), [Side.SELL, Side.BUY])])
def test_no_leg_is_worth_more_than_max_notional_and_both_stay_equally_large(books: tuple[Book, Book], sides: list[Side]) -> None:
    desk = trading(ArbitrageParams(max_notional=500.0))
    play(desk, books, books, (LEVEL, LEVEL), (LEVEL, LEVEL))
    opened, closed = desk.verdicts
    assert (opened.outcome, opened.code, opened.rule, opened.limit) == (
        Outcome.ADJUSTED,
        RefusalCode.ORDER_VALUE,
        "max_notional",
        Decimal(500),
    )
    assert closed.outcome is Outcome.APPROVED  # a closing is bounded by what is held, not by what may be opened
    bought, sold, *_ = desk.fills
    assert ([bought.side, sold.side], bought.quantity) == (sides, sold.quantity)
    assert opened.requested > opened.approved == bought.quantity
    assert all(Decimal(490) < fill.quantity * fill.reference_price <= Decimal(500) for fill in (bought, sold))


def test_a_max_notional_below_what_the_venue_trades_opens_neither_leg() -> None:
    desk = trading(ArbitrageParams(max_notional=0.001))
    play(desk, (LEVEL, HIGH), (LEVEL, HIGH))
    assert {(verdict.outcome, verdict.code, verdict.rule) for verdict in desk.verdicts} == {
        (Outcome.REFUSED, RefusalCode.ORDER_VALUE, "max_notional")
    }
    assert desk.fills == []


def test_a_gap_that_pays_too_little_opens_nothing() -> None:
    desk = trading()
    play(desk, (LEVEL, (100.15, 100.16)), ((100.00, 100.20), HIGH), (LEVEL, (100.30, 100.60)))
    assert [seconds for seconds, *_ in said(desk)] == [60, 60]


def test_a_gap_that_stays_is_closed_when_its_time_is_over() -> None:
    desk = trading()
    play(desk, *[(LEVEL, HIGH)] * 8)
    assert [(seconds, reason) for seconds, venue, reason, _ in said(desk) if venue == "binance"] == [
        (0, "long_primary_short_secondary"),
        (150, "close_long_primary_short_secondary"),
        (180, "long_primary_short_secondary"),
    ]
    closed = next(signal for signal in desk.signals if signal.intent is Intent.EXIT)
    assert closed.numbers["open_seconds"] == 121.0


@pytest.mark.parametrize(("late", "side"), [(PRIMARY.key, "long_primary_short_secondary"), (SECONDARY.key, "short_primary_long_secondary")])
def test_an_old_price_on_either_side_opens_nothing(late: str, side: str) -> None:
    (fresh,) = [key for key in BOTH if key != late]
    desk = watching()
    quoted(desk, 1, dict.fromkeys(BOTH, LEVEL))
    quoted(desk, 12, {fresh: HIGH})
    assert said(desk) == []
    quoted(desk, 13, {late: LEVEL})
    assert {reason for _, _, reason, _ in said(desk)} == {side}


def test_the_age_of_the_older_side_is_told() -> None:
    desk = watching()
    quoted(desk, 1, dict.fromkeys(BOTH, HIGH))
    quoted(desk, 11, {PRIMARY.key: LEVEL})
    opened = desk.signals[0]
    assert (opened.numbers["age_seconds"], opened.numbers["secondary_delay_ms"]) == (10.0, 10_000.0)


# -- what the gate and the venues make of it ---------------------------------------------------------------------------


def test_both_legs_pass_the_gate_or_none_and_the_next_books_ask_again() -> None:
    desk = trading(allow_short=False)
    play(desk, (LEVEL, HIGH), (LEVEL, HIGH))
    assert [seconds for seconds, *_ in said(desk)] == [0, 0, 30, 30]
    assert [(verdict.outcome, verdict.code) for verdict in desk.verdicts] == [(Outcome.REFUSED, RefusalCode.SHORT_NOT_ALLOWED)] * 2
    assert desk.fills == []


def test_pairs_of_one_schedule_are_groups_of_their_own() -> None:
    pairs = [PRIMARY, SECONDARY, instrument("ETH"), instrument("ETH", venue="kraken")]
    desk = trading(pairs=pairs)
    play(desk, (LEVEL, HIGH), (LEVEL, HIGH), keys=[each.key for each in pairs])
    assert len(desk.signals) == 4
    assert len({signal.group for signal in desk.signals}) == len(desk.verdicts) == 2
    assert len(desk.fills) == 4


def deciding(positions: dict[str, Position], seconds: float, primary: Book, secondary: Book, *, silent: float = 0.0) -> list[Signal]:
    """What the strategy says on these books, holding this; the secondary venue has been silent for so many seconds."""
    quotes = {
        key: Quote(after(seconds - old), key, bid, ask, 1000.0, 1000.0)
        for key, (bid, ask), old in zip(BOTH, (primary, secondary), (0.0, silent), strict=True)
    }
    strategy = CrossExchangeArbitrage(DEFAULTS)
    view = MarketView(instant=after(seconds), candles={}, positions=positions, quotes=quotes)
    return list(strategy.decide(strategy.new_state(), view))


@pytest.mark.parametrize("lone", BOTH)
@pytest.mark.parametrize("quantity", [1.0, -1.0])
def test_a_leg_without_its_other_is_left_to_the_core_until_its_time_is_over(lone: str, quantity: float) -> None:
    held = {key: Position(quantity=quantity, entry_price=100.0, entry_instant=after(0)) if key == lone else Position() for key in BOTH}
    assert deciding(held, 119, LEVEL, LEVEL) == []
    (signal,) = deciding(held, 120, LEVEL, LEVEL)
    long_primary = (quantity > 0) == (lone == PRIMARY.key)
    assert (signal.instrument, signal.intent) == (lone, Intent.EXIT)
    assert signal.reason == ("close_long_primary_short_secondary" if long_primary else "close_short_primary_long_secondary")
    assert "entry_spread" not in signal.numbers


def test_an_open_pair_is_closed_in_time_though_one_side_is_silent() -> None:
    held = {key: Position(quantity=sign, entry_price=100.0, entry_instant=after(0)) for key, sign in zip(BOTH, (1.0, -1.0), strict=True)}
    assert deciding(held, 119, LEVEL, HIGH, silent=100) == []
    assert [signal.instrument for signal in deciding(held, 120, LEVEL, HIGH, silent=101)] == list(BOTH)


@pytest.mark.parametrize("wrong", [math.nan, 0.0])
def test_what_is_no_price_opens_nothing(wrong: float) -> None:
    flat = {key: Position() for key in BOTH}
    assert deciding(flat, 1, LEVEL, HIGH) != []
    assert deciding(flat, 1, (wrong, wrong), HIGH) == []
    assert deciding(flat, 1, LEVEL, (wrong, wrong)) == []


# -- candles alone -----------------------------------------------------------------------------------------------------


def on_closes(params: ArbitrageParams, primary: float, secondary: float, *, late_seconds: int = 0) -> list[Signal]:
    """What the strategy says on two candles, the secondary one having closed earlier by so many seconds."""
    now = after(0)
    closed = {
        Series(key, "30s"): candles(Series(key, "30s"), [close], start=START_NS - late * SECOND_NS)[0]
        for key, close, late in ((PRIMARY.key, primary, 0), (SECONDARY.key, secondary, late_seconds))
    }
    strategy = CrossExchangeArbitrage(params)
    view = MarketView(instant=now, candles=closed, positions={key: Position() for key in BOTH})
    return list(strategy.decide(strategy.new_state(), view))


def test_a_close_stands_for_a_book_of_the_assumed_spread() -> None:
    wide = ArbitrageParams(assumed_spread=0.001)
    assert on_closes(wide, 100.0, 100.24) == []
    opened, _ = on_closes(wide, 100.0, 100.26)
    assert (opened.numbers["primary_bid"], opened.numbers["primary_ask"]) == pytest.approx((99.95, 100.05))
    assert opened.numbers["spread"] == pytest.approx((100.26 * 0.9995 - 100.05) / 100.13)
    assert on_closes(ArbitrageParams(assumed_spread=0.0), 100.0, 100.16) != []


def test_an_old_candle_opens_nothing() -> None:
    assert on_closes(DEFAULTS, 100.0, 100.3, late_seconds=10) != []
    assert on_closes(DEFAULTS, 100.0, 100.3, late_seconds=11) == []


@pytest.mark.parametrize(
    ("quote_age", "candle_age", "side"), [(5, 1, HIGH), (11, 1, (100.0, 100.0)), (12, 11, (100.0, 100.0)), (11, 12, HIGH)]
)
def test_a_fresh_quote_counts_before_a_close_and_an_old_one_only_if_it_is_the_newer(quote_age: int, candle_age: int, side: Book) -> None:
    """The primary venue shows 100; the secondary one has a quote and a candle, so many seconds old."""
    now, series = after(0), Series(SECONDARY.key, "30s")
    (candle,) = candles(series, [100.0], start=START_NS - candle_age * SECOND_NS)
    quotes = {PRIMARY.key: Quote(now, PRIMARY.key, 99.5, 99.51, 1000.0, 1000.0)}
    quotes[SECONDARY.key] = Quote(now - quote_age * SECOND_NS, SECONDARY.key, *HIGH, 1000.0, 1000.0)
    strategy = CrossExchangeArbitrage(ArbitrageParams(assumed_spread=0.0, max_open_seconds=1, max_age_seconds=10.0))
    held = {PRIMARY.key: Position(quantity=1.0, entry_price=100.0), SECONDARY.key: Position(quantity=-1.0, entry_price=100.0)}
    view = MarketView(instant=now, candles={series: candle}, positions=held, quotes=quotes)
    closing = strategy.decide(strategy.new_state(), view)[0]
    assert (closing.numbers["secondary_bid"], closing.numbers["secondary_ask"]) == side


# -- the shipped candles -----------------------------------------------------------------------------------------------

BY_THE_BAR = ArbitrageParams(max_open_seconds=30 * 86_400)


def moved(rows: Sequence[Candle]) -> list[Candle]:
    """The candles as a second venue might show them: up to 0.4 % away, wandering in a triangle of 12 bars."""
    basis = [1.0 + 0.004 * (abs(number % 12 - 6) / 3.0 - 1.0) for number in range(len(rows) + 1)]
    return [
        msgspec.structs.replace(
            row, instrument=SECONDARY.key, open=row.open * a, high=row.high * max(a, b), low=row.low * min(a, b), close=row.close * b
        )
        for row, a, b in zip(rows, basis, basis[1:], strict=False)
    ]


@pytest.mark.parametrize(("granularity", "start", "end"), [("1d", "2020-02-01", "2020-05-01"), ("1h", "2024-03-01", "2024-03-06")])
def test_it_holds_to_the_contract_on_the_sample(granularity: str, start: str, end: str) -> None:
    rows = shipped(Series(PRIMARY.key, granularity), start, end)
    desk = hold_to_the_contract(partial(trading, BY_THE_BAR, granularity=granularity, leverage=Decimal(3)), rows, moved(rows))
    assert {signal.reason for signal in desk.signals} == {
        "long_primary_short_secondary",
        "close_long_primary_short_secondary",
        "short_primary_long_secondary",
        "close_short_primary_long_secondary",
    }
    assert {verdict.outcome for verdict in desk.verdicts} == {Outcome.APPROVED}


def test_it_survives_a_gap_and_closes_what_was_open() -> None:
    rows = shipped(Series(PRIMARY.key, "1h"), "2024-03-01", "2024-03-06")
    make = partial(trading, BY_THE_BAR, granularity="1h")
    start = next(number for number in range(20, 60) if any(desk_at(make, rows, number).core.ledger.net.values()))
    desk, told = with_a_hole(make, rows, moved(rows), start=start, length=5)
    assert desk.faults == []
    later = [signal for signal in desk.signals if signal.instant > told]
    assert later[0].intent is Intent.EXIT


def desk_at(make: Callable[[], Desk], rows: Sequence[Candle], count: int) -> Desk:
    desk = make()
    desk.feed(rows[:count], moved(rows)[:count])
    return desk
