"""The settle barrier: one order whatever arrives first, nothing before its turn, stragglers and gaps by the rule."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dudzian_daemon.domain.market import MINUTE_NS, SECOND_NS, Candle, Command, Gap, Input, OpenPrint, Phase, Quote, Series, Tick
from dudzian_daemon.testing.market import START_NS
from dudzian_daemon.trading.barrier import LONGEST_SETTLE_NS, Barrier, MarketInput, Missing, Offered

A, B = "binance:BTC/USDT", "kraken:BTC/USDT"
A_1M, B_1M, A_5M = Series(A, "1m"), Series(B, "1m"), Series(A, "5m")
SETTLE = 3 * SECOND_NS
Arrival = tuple[int, MarketInput]


def minute(number: float) -> int:
    return START_NS + round(number * MINUTE_NS)


def candle(end: int, series: Series = A_1M, close: float = 1.0) -> Candle:
    return Candle(end, series.instrument, series.granularity, end, 1.0, 2.0, 0.5, close, 1.0)


def print_of(instant: int, series: Series = A_1M) -> OpenPrint:
    return OpenPrint(instant, series.instrument, series.granularity, 1.0)


def quote(instant: int, instrument: str = A) -> Quote:
    return Quote(instant, instrument, 1.0, 1.1, 1.0, 1.0)


def barrier(*series: Series, **settle_ns: int) -> Barrier:
    taken = series or (A_1M, B_1M)
    return Barrier({each: (START_NS // each.step_ns + 1) * each.step_ns for each in taken}, settle_ns)


def play(gate: Barrier, arrivals: Iterable[Arrival], *, also_at: Sequence[int] = ()) -> list[Tick]:
    """Offer each at its time and advance when the last one of that time was offered, and at the times `also_at`."""
    by_time: dict[int, list[MarketInput]] = {time: [] for time in also_at}
    for time, item in arrivals:
        by_time.setdefault(time, []).append(item)
    ticks = []
    for time in sorted(by_time):
        for item in by_time[time]:
            gate.offer(item, time)
        ticks += gate.advance(time)
    return ticks


def shape(ticks: Iterable[Tick]) -> list[tuple[int, Phase, int]]:
    return [(tick.instant, tick.phase, len(tick.inputs)) for tick in ticks]


# -- what waits, and for what ------------------------------------------------------------------------------------------


def test_nothing_at_or_after_the_end_of_a_bar_is_released_before_its_candles_came() -> None:
    gate = barrier()
    assert gate.offer(print_of(minute(1)), minute(1)) is Offered.HELD
    gate.offer(quote(minute(1) + 5), minute(1) + 5)
    gate.offer(candle(minute(1)), minute(1) + SECOND_NS)
    assert gate.advance(minute(1) + SECOND_NS) == []
    assert gate.next_deadline == minute(1) + SETTLE
    gate.offer(candle(minute(1), B_1M), minute(1) + 2 * SECOND_NS)
    ticks = gate.advance(minute(1) + 2 * SECOND_NS)
    assert shape(ticks) == [(minute(1), Phase.CLOSE, 2), (minute(1), Phase.OPEN, 1), (minute(1) + 5, Phase.QUOTE, 1)]
    assert [item.held_ns for item in ticks[0].inputs if isinstance(item, Candle)] == [2 * SECOND_NS, 2 * SECOND_NS]


def test_what_lies_before_the_next_end_of_a_bar_does_not_wait() -> None:
    assert shape(play(barrier(), [(minute(0.5), quote(minute(0.5)))])) == [(minute(0.5), Phase.QUOTE, 1)]


def test_candles_that_come_in_no_time_were_waited_for_no_time() -> None:
    ticks = play(barrier(), [(minute(1), candle(minute(1), B_1M)), (minute(1), candle(minute(1)))])
    assert ticks == [Tick(minute(1), Phase.CLOSE, (candle(minute(1)), candle(minute(1), B_1M)))]


def test_after_the_settle_delay_of_its_venue_a_candle_is_waited_for_no_longer() -> None:
    gate = barrier(kraken=8 * SECOND_NS)
    gate.offer(candle(minute(1)), minute(1))
    gate.advance(minute(1))
    assert gate.next_deadline == minute(1) + 8 * SECOND_NS
    assert gate.advance(minute(1) + 8 * SECOND_NS - 1) == []
    (tick,) = gate.advance(minute(1) + 8 * SECOND_NS)
    assert tick.inputs == (msgspec.structs.replace(candle(minute(1)), held_ns=8 * SECOND_NS),)


def test_a_late_look_changes_nothing_of_what_was_waited_for() -> None:
    gate = barrier()
    gate.offer(candle(minute(1)), minute(1) + 1)
    (tick,) = gate.advance(minute(1.9))
    assert [item.held_ns for item in tick.inputs if isinstance(item, Candle)] == [SETTLE]


def test_a_coarse_candle_is_waited_for_at_the_ends_of_its_own_bars_only() -> None:
    gate = barrier(A_1M, A_5M)
    assert shape(play(gate, [(minute(1), candle(minute(1)))])) == [(minute(1), Phase.CLOSE, 1)]
    early = [(minute(number), candle(minute(number))) for number in range(2, 6)]
    assert [tick.instant for tick in play(gate, early)] == [minute(2), minute(3), minute(4)]
    (tick,) = play(gate, [(minute(5) + 1, candle(minute(5), A_5M))])
    assert [item.granularity for item in tick.inputs if isinstance(item, Candle)] == ["1m", "5m"]


# -- stragglers and gaps -----------------------------------------------------------------------------------------------


def test_a_straggler_is_stamped_with_its_release_and_makes_a_tick_of_its_own() -> None:
    gate = barrier()
    play(gate, [(minute(1), candle(minute(1)))], also_at=[minute(1) + SETTLE])
    late = minute(1) + 5 * SECOND_NS
    assert gate.offer(candle(minute(1), B_1M), late) is Offered.STRAGGLER
    gate.offer(quote(late), late)
    first, second = gate.advance(late)
    assert first == Tick(late, Phase.CLOSE, (msgspec.structs.replace(candle(minute(1), B_1M), instant=late),))
    assert second.inputs == (quote(late),)


def test_a_straggler_behind_the_next_closed_barrier_goes_first_in_its_tick() -> None:
    gate = barrier()
    play(gate, [(minute(1), candle(minute(1)))], also_at=[minute(1) + SETTLE])
    ticks = play(gate, [(minute(2), item) for item in (candle(minute(2), B_1M), candle(minute(1), B_1M), candle(minute(2)))])
    assert [(tick.instant, [(item.instrument, item.end) for item in tick.inputs if isinstance(item, Candle)]) for tick in ticks] == [
        (minute(2), [(A, minute(2)), (B, minute(1)), (B, minute(2))])
    ]


def test_a_bar_that_is_missing_holds_its_series_until_it_comes() -> None:
    gate = barrier(A_1M)
    gate.advance(minute(1) + SETTLE)
    gate.offer(candle(minute(2)), minute(2))
    assert gate.advance(minute(2) + SETTLE) == []
    late = minute(2) + 5 * SECOND_NS
    gate.offer(candle(minute(1)), late)
    ticks = gate.advance(late)
    assert [(tick.instant, tick.inputs[0].end) for tick in ticks if isinstance(tick.inputs[0], Candle)] == [
        (late, minute(1)),
        (late + 1, minute(2)),
    ]


def test_a_bar_is_missing_only_when_the_one_after_it_has_settled_and_the_venue_was_asked_again() -> None:
    gate = barrier(A_1M)
    gate.advance(minute(1) + SETTLE)
    assert gate.next_deadline == minute(2) + SETTLE
    gate.offer(candle(minute(2)), minute(2) + SECOND_NS)
    again = minute(2) + SETTLE
    assert gate.missing(again - 1) == []
    (lacking,) = gate.missing(again)
    assert lacking == Missing(A_1M, minute(0), minute(1))
    with pytest.raises(ValueError, match="not to be declared missing"):
        gate.declare_missing(lacking, again - 1)
    gate.declare_missing(lacking, again)
    ticks = gate.advance(again)
    assert shape(ticks) == [(minute(2), Phase.REVISION, 1), (minute(2), Phase.CLOSE, 1)]
    assert ticks[0].inputs == (Gap(minute(2), A, "1m", minute(0), minute(1)),)
    assert gate.offer(candle(minute(1)), again + 1) is Offered.REFUSED


def test_bars_that_are_missing_one_after_the_other_are_one_gap_and_free_what_follows() -> None:
    gate = barrier(A_1M)
    gate.advance(minute(1) + SETTLE)
    gate.offer(candle(minute(4)), minute(4))
    now = minute(4) + SETTLE + SECOND_NS
    gate.advance(now)
    (lacking,) = gate.missing(now)
    assert (lacking.start, lacking.end) == (minute(0), minute(3))
    gate.declare_missing(lacking, now)
    ticks = gate.advance(now)
    assert shape(ticks) == [(now, Phase.REVISION, 1), (now, Phase.CLOSE, 1)]
    assert gate.missing(now) == []


def test_what_came_once_is_refused_the_second_time() -> None:
    gate = barrier(A_1M)
    gate.offer(candle(minute(1)), minute(1))
    assert gate.offer(candle(minute(1), close=1.5), minute(1)) is Offered.REFUSED
    (tick,) = gate.advance(minute(1))
    assert tick.inputs == (candle(minute(1)),)
    assert gate.offer(candle(minute(1), close=1.5), minute(1.5)) is Offered.REFUSED


# -- commands and what else the core was stepped with ------------------------------------------------------------------


def test_a_command_never_waits() -> None:
    gate = barrier()
    gate.offer(quote(minute(0.5)), minute(0.5))
    gate.advance(minute(0.6))
    stop = Command(0, "c1", "stop")
    assert gate.command(stop, minute(0.7)) == Tick(minute(0.7), Phase.COMMAND, (Command(minute(0.7), "c1", "stop"),))
    gate.offer(candle(minute(1)), minute(1))
    assert gate.command(stop, minute(1) + 1).instant == minute(0.7) + 1  # closed: B has not come
    gate.offer(candle(minute(1), B_1M), minute(1) + 2)
    assert shape(gate.advance(minute(1) + 2)) == [(minute(1), Phase.CLOSE, 2)]


def test_what_is_too_late_for_its_own_instant_follows_what_was_stepped_meanwhile() -> None:
    gate = barrier()
    gate.passed(minute(0.5), Phase.TIMER)
    gate.offer(quote(minute(0.4)), minute(0.5))
    gate.offer(quote(minute(0.5)), minute(0.5))
    assert shape(gate.advance(minute(0.5))) == [(minute(0.5) + 1, Phase.QUOTE, 1), (minute(0.5) + 2, Phase.QUOTE, 1)]


@pytest.mark.parametrize(
    ("offend", "message"),
    [
        (lambda: Barrier({}), "at least one series"),
        (lambda: barrier(kraken=LONGEST_SETTLE_NS + 1), "settle delay of kraken: expected 0 to"),
        (lambda: Barrier({A_1M: START_NS + 1}), "expected the end of a bar"),
        (lambda: barrier(A_1M).offer(candle(minute(1), B_1M), minute(1)), "expected candles of binance:BTC/USDT 1m, found one of kraken"),
        (lambda: barrier(A_1M).offer(candle(minute(1) + 1), minute(1)), "expected the end of a bar"),
    ],
)
def test_what_no_feed_may_say(offend, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        offend()


# -- properties --------------------------------------------------------------------------------------------------------

SERIES = (A_1M, B_1M, A_5M)
LENGTH = 11
#: Late enough for every bar to have come, and between two barriers.
END = minute(LENGTH + 60.5)


@st.composite
def arrivals(draw: st.DrawFn) -> list[Arrival]:
    """Candles in time, late or never, prints and quotes, each at or after its instant; many at the same moment."""
    found: list[Arrival] = []
    delays = st.sampled_from([0, 0, 0, 1, SECOND_NS, SETTLE, SETTLE + 1, 20 * SECOND_NS, 2 * MINUTE_NS])
    for series in SERIES:
        for end in range(START_NS + series.step_ns, minute(LENGTH), series.step_ns):
            if draw(st.integers(0, 9)):
                found.append((end + draw(delays), candle(end, series)))
            found.append((end + draw(delays), print_of(end, series)))
    instants = draw(st.lists(st.integers(START_NS, minute(LENGTH)), max_size=8))
    found += [(instant + draw(delays), quote(instant, draw(st.sampled_from([A, B])))) for instant in instants]
    return draw(st.permutations(found))


def inputs(ticks: Iterable[Tick]) -> list[Input]:
    return [item for tick in ticks for item in tick.inputs]


@given(arrivals())
def test_the_order_is_strict_complete_and_never_ahead(found: list[Arrival]) -> None:
    gate = barrier(*SERIES)
    released: list[tuple[int, Tick]] = []
    for time in sorted({time for time, _ in found}):
        for arrival, item in found:
            if arrival == time:
                gate.offer(item, time)
        released += [(time, tick) for tick in gate.advance(time)]
    released += [(END, tick) for tick in gate.advance(END)]
    while lacking := gate.missing(END):
        for bars in lacking:
            gate.declare_missing(bars, END)
        released += [(END, tick) for tick in gate.advance(END)]
    ticks = [tick for _, tick in released]
    places = [(tick.instant, tick.phase) for tick in ticks]
    assert places == sorted(set(places))
    assert all(item.instant == tick.instant for tick in ticks for item in tick.inputs)
    came = {(item.instrument, item.granularity, item.end): time for time, item in found if isinstance(item, Candle)}
    closes = [item for item in inputs(ticks) if isinstance(item, Candle)]
    for series in SERIES:
        ends = [item.end for item in closes if (item.instrument, item.granularity) == (series.instrument, series.granularity)]
        assert ends == sorted(end for instrument, granularity, end in came if Series(instrument, granularity) == series)
    assert sum(1 for _ in inputs(ticks)) == len(found) + sum(isinstance(item, Gap) for item in inputs(ticks))
    for time, tick in released:
        for series in SERIES:
            end = tick.instant // series.step_ns * series.step_ns
            if START_NS < end < minute(LENGTH):
                assert time >= min(came.get((series.instrument, series.granularity, end), END), end + SETTLE)


@given(arrivals(), st.randoms(use_true_random=False), st.lists(st.integers(START_NS, END), max_size=10))
def test_neither_the_order_inside_a_moment_nor_looking_more_often_changes_anything(found: list[Arrival], random, looks: list[int]) -> None:
    other = list(found)
    random.shuffle(other)
    expected = play(barrier(*SERIES), found, also_at=[END])
    again = play(barrier(*SERIES), other, also_at=[*looks, END])
    assert _unordered(again) == _unordered(expected)


def _unordered(ticks: Iterable[Tick]) -> list[tuple[int, Phase, list[Input]]]:
    """Quotes of one instrument and instant have nothing but their arrival to order them."""
    return [(tick.instant, tick.phase, sorted(tick.inputs, key=repr)) for tick in ticks]
