"""Tables for notebooks: names and types of the columns with and without rows, and what is said where pandas is not."""

from __future__ import annotations

import sys
from typing import Any

import pandas  # type: ignore[import-untyped]  # pandas ships no types of its own
import pytest

from dudzian_daemon.adapters.frames import cycle_frame, evaluation_frame
from dudzian_daemon.domain import history
from dudzian_daemon.domain.errors import ConfigError
from tests.unit.domain import cycle_samples as samples
from tests.unit.domain.cycle_samples import EVENT_S, WALL_S, cycle, evaluation, result, signal

COLUMNS = history.cycle_columns(counts=True, sequences=True, instant=True)
BASE = ["timestamp", "approved", "normalized", "decision", "service", "response", "error"]
UTC_TIME = "datetime64[us, UTC]"


def rows(*cycles: Any) -> list[dict[str, Any]]:
    return [history.cycle_row(each, COLUMNS) for each in cycles]


@pytest.mark.parametrize("count", [0, 1, 3])
@pytest.mark.parametrize(("coerce", "time"), [(True, UTC_TIME), (False, "float64")])
def test_the_columns_of_cycles_have_their_types_also_without_rows(count: int, coerce: bool, time: str) -> None:
    frame = cycle_frame(rows(*(cycle(number) for number in range(count))), COLUMNS, coerce_timestamps=coerce)
    assert (len(frame), list(frame.columns)) == (count, COLUMNS)
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == {
        **dict.fromkeys(("sequence", "orders", "signals_count", "results_count"), "int64"),
        **dict.fromkeys(("started_at", "finished_at", "instant"), time),
        "duration_s": "float64",
        **dict.fromkeys(("signals", "results"), "object"),
    }


def test_times_of_cycles_are_utc_timestamps_to_the_microsecond() -> None:
    frame = cycle_frame(rows(cycle(1, finished_at=WALL_S + 0.123456)), COLUMNS, coerce_timestamps=True)
    assert frame["finished_at"][0] == pandas.Timestamp("2026-06-01T00:00:00.123456Z")
    assert frame["instant"][0] == pandas.Timestamp(EVENT_S + 3600, unit="s", tz="UTC")


def test_signals_and_results_are_lists_in_a_cell() -> None:
    frame = cycle_frame(rows(cycle(1, [signal()], [result(), result()])), COLUMNS, coerce_timestamps=True)
    assert [each["id"] for each in frame["signals"][0]] == ["s1"]
    assert [each["status"] for each in frame["results"][0]] == ["accepted", "accepted"]
    assert (frame["signals_count"][0], frame["results_count"][0]) == (1, 2)


@pytest.mark.parametrize("empty", [True, False])
def test_the_columns_of_evaluations_have_their_types_also_without_rows(empty: bool) -> None:
    entries = [] if empty else [evaluation(samples.APPROVED).entry()]
    frame = evaluation_frame(entries, {"decision_intent": "intent"})
    assert list(frame.columns) == [*BASE, "decision_intent"]
    assert [str(frame.dtypes[name]) for name in ("timestamp", "approved", "normalized")] == ["float64", "boolean", "boolean"]


def test_what_an_evaluation_lacks_is_na() -> None:
    asked = [evaluation(samples.APPROVED, asked=signal("s1")), evaluation(samples.UNJUDGED, 2), evaluation(samples.CLOSING, 3)]
    frame = evaluation_frame([each.entry() for each in asked], {"decision_intent": "intent", "decision_colour": "colour"})
    assert frame["approved"].tolist() == [True, pandas.NA, True]
    assert frame["error"].isna().tolist() == [True, False, True]
    assert frame["response"].isna().tolist() == [False, True, False]
    assert frame["decision_intent"].tolist() == ["enter", pandas.NA, pandas.NA]
    assert frame["decision_colour"].isna().all()


@pytest.mark.parametrize("rows_of", ["cycles", "evaluations"])
def test_without_pandas_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, rows_of: str) -> None:
    monkeypatch.delitem(sys.modules, "pandas")
    monkeypatch.setattr(sys, "meta_path", [NoPandas(), *sys.meta_path])
    with pytest.raises(ConfigError) as refused:
        if rows_of == "cycles":
            cycle_frame([], COLUMNS, coerce_timestamps=True)
        else:
            evaluation_frame([], {})
    assert str(refused.value) == 'a DataFrame needs pandas, which is not installed; install the extra: pip install "dudzian[research]"'
    assert (refused.value.exit_code, refused.value.__suppress_context__) == (2, True)


class NoPandas:
    """An installation without pandas."""

    @staticmethod
    def find_spec(name: str, *_: object) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
