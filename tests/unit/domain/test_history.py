"""Windows over a history, moments as callers give them, and rows as readers get them."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import msgspec
import numpy
import pandas  # type: ignore[import-untyped]  # pandas ships no types of its own
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dudzian_daemon.domain import history
from dudzian_daemon.domain.errors import ConfigError
from dudzian_daemon.domain.history import Moment
from tests.unit.domain.cycle_samples import EVENT_S, WALL_S, cycle, instant, result, signal

WARSAW = timezone(timedelta(hours=2), "CEST")
FIVE = [cycle(number) for number in range(1, 6)]


def sequences(window: history.Window) -> list[int]:
    return [each.sequence for each in window.pick(FIVE)]


# -- moments -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "moment",
    [
        WALL_S,
        float(WALL_S),
        numpy.int64(WALL_S),
        numpy.float64(WALL_S),
        datetime.fromtimestamp(WALL_S, UTC),
        datetime.fromtimestamp(WALL_S, WARSAW),
        datetime.fromtimestamp(WALL_S, UTC).replace(tzinfo=None),
        pandas.Timestamp(WALL_S, unit="s"),
        pandas.Timestamp(WALL_S, unit="s", tz="Europe/Warsaw"),
    ],
    ids=lambda moment: f"{type(moment).__name__} {moment}",
)
def test_every_way_to_say_a_moment_means_the_same(moment: Moment) -> None:
    assert history.microseconds(moment) == WALL_S * 10**6


@pytest.mark.parametrize("moment", [math.nan, math.inf, -math.inf, 1e300, 10**400, "now", None, pandas.NaT, Decimal(1), [], timedelta(1)])
def test_what_is_no_moment_is_refused_in_a_line(moment: Any) -> None:
    with pytest.raises(ConfigError, match=r"^expected a datetime or epoch seconds of the years 1 to 9999, found "):
        history.microseconds(moment)


@given(st.integers(min_value=0, max_value=2**32 * 10**6 - 1))
def test_until_2106_a_moment_survives_a_float_and_a_datetime(exact: int) -> None:
    moment = history.as_datetime(exact, UTC)
    assert history.microseconds(moment) == history.microseconds(history.as_datetime(exact, None)) == exact
    assert history.microseconds(moment.timestamp()) == exact


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-06-01", WALL_S),
        ("2026-06-01T00:00:00Z", WALL_S),
        ("2026-06-01T02:00+02:00", WALL_S),
        (str(WALL_S), WALL_S),
        (f"{WALL_S}.5", WALL_S + 0.5),
    ],
)
def test_a_moment_is_typed_as_a_date_or_as_seconds(text: str, moment: float) -> None:
    assert history.microseconds(history.parse_moment(text)) == round(moment * 10**6)


def test_a_moment_typed_wrongly_is_refused_with_an_example() -> None:
    with pytest.raises(ConfigError, match=r"expected a time as 2024-01-31T12:00:00Z \(UTC\) or in epoch seconds, found 'yesterday'"):
        history.parse_moment("yesterday")


@pytest.mark.parametrize(("zone", "hour", "aware"), [(UTC, 0, True), (WARSAW, 2, True), (None, 0, False)])
def test_a_datetime_is_in_the_zone_that_was_asked_for(zone: timezone | None, hour: int, aware: bool) -> None:
    moment = history.as_datetime(WALL_S * 10**6 + 250_000, zone)
    assert (moment.hour, moment.microsecond, moment.tzinfo) == (hour, 250_000, zone)
    assert (moment.utcoffset() is not None) is aware


# -- age -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ttl", "longest"), [(10, 10_000_000), (0.25, 250_000), (1e-9, 1), (None, None), (0, None), (-1, None)])
def test_a_time_to_live_in_microseconds(ttl: float | None, longest: int | None) -> None:
    assert history.longest_age(ttl) == longest


@pytest.mark.parametrize("ttl", [math.nan, math.inf, 1e300, 10**400, "soon", []])
def test_what_is_no_time_to_live_is_refused(ttl: Any) -> None:
    with pytest.raises(ConfigError, match=r"^ttl: expected seconds \(at most \d+\) or None, found "):
        history.longest_age(ttl)


# -- windows -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("since", "until", "limit", "expected"),
    [
        (None, None, None, [1, 2, 3, 4, 5]),
        (None, None, 2, [4, 5]),
        (None, None, 0, []),
        (None, None, -3, []),
        (None, None, 9, [1, 2, 3, 4, 5]),
        (WALL_S + 2, WALL_S + 4, None, [2, 3, 4]),
        (WALL_S + 2, WALL_S + 4, 2, [3, 4]),
        (WALL_S + 2.000001, WALL_S + 3.999999, None, [3]),
        (WALL_S + 4, WALL_S + 2, None, []),
    ],
)
def test_both_bounds_are_included_and_a_limit_takes_the_newest(
    since: float | None, until: float | None, limit: int | None, expected: list[int]
) -> None:
    assert sequences(history.window(since, until, limit, "wall")) == expected


def test_the_two_time_lines_are_told_apart() -> None:
    hours = [EVENT_S + number * 3600 for number in range(6)]
    assert sequences(history.window(hours[2], hours[4], by="instant")) == [2, 3, 4]
    assert sequences(history.window(hours[2], hours[4], by="wall")) == []
    assert sequences(history.window(WALL_S + 2, by="instant")) == []
    with pytest.raises(ConfigError, match="by: expected instant or wall, found 'clock'"):
        history.window(by="clock")


def test_a_window_says_what_it_is() -> None:
    asked = history.window(datetime.fromtimestamp(WALL_S, UTC), WALL_S + 1, -1, "wall").described()
    assert asked == {"since": float(WALL_S), "until": float(WALL_S + 1), "limit": 0, "by": "wall"}
    assert history.window().described() == {"since": None, "until": None, "limit": None, "by": "instant"}


@given(st.floats(min_value=1e9, max_value=2.0**32, exclude_max=True), st.sampled_from(["datetime", "naive", "timestamp", "float"]))
def test_a_bound_taken_from_an_entry_holds_it(finished_at: float, how: str) -> None:
    entry = cycle(1, finished_at=finished_at)
    moment = history.as_datetime(history.stamp(entry, "wall"), UTC)
    bound: Moment = {
        "datetime": moment,
        "naive": moment.replace(tzinfo=None),
        "timestamp": pandas.Timestamp(moment),
        "float": finished_at,
    }[how]
    assert list(history.window(bound, bound, by="wall").pick([entry])) == [entry]


@given(st.integers(min_value=10**18, max_value=2**32 * 10**9 - 1))
def test_event_time_as_it_is_shown_is_a_bound_that_holds_the_entry(at: int) -> None:
    entry = msgspec.structs.replace(cycle(1), instant=at)
    shown = history.cycle_row(entry, ["instant"])
    for bound in (shown["instant"], history.with_times(shown, lambda moment: history.as_datetime(moment, UTC))["instant"]):
        assert list(history.window(bound, bound, by="instant").pick([entry])) == [entry]


# -- rows ----------------------------------------------------------------------------------------------------------

BASE = ["sequence", "started_at", "finished_at", "duration_s", "orders"]


@pytest.mark.parametrize(
    ("counts", "sequences", "instants", "added"),
    [
        (False, False, False, []),
        (True, False, False, ["signals_count", "results_count"]),
        (False, True, False, ["signals", "results"]),
        (True, True, True, ["signals_count", "results_count", "signals", "results", "instant"]),
    ],
)
def test_a_row_has_the_columns_asked_for_in_their_order(counts: bool, sequences: bool, instants: bool, added: list[str]) -> None:
    columns = history.cycle_columns(counts=counts, sequences=sequences, instant=instants)
    row = history.cycle_row(cycle(3, [signal()], [result(), result()]), columns)
    assert columns == list(row) == [*BASE, *added]
    whole = {"sequence": 3, "orders": 2, "started_at": WALL_S + 2.75, "finished_at": WALL_S + 3.0, "duration_s": 0.25}
    whole |= {"signals_count": 1, "results_count": 2, "instant": instant(3) / 1e9}
    assert {name: row[name] for name in row if name in whole} == {name: whole[name] for name in whole if name in row}


def test_a_plain_value_is_the_readers_own_with_amounts_as_they_are() -> None:
    entry = cycle(1, [signal()], [result(quantity="0.10")])
    plain = history.plain(entry)
    assert (plain["signals"][0]["intent"], plain["results"][0]["status"], plain["results"][0]["side"]) == ("enter", "accepted", "buy")
    assert repr(plain["results"][0]["quantity"]) == "Decimal('0.10')"
    plain["signals"][0]["numbers"]["close"] = 0.0
    assert entry.signals[0].numbers == {"close": 100.5}
