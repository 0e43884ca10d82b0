"""Tables for notebooks: the one place that imports pandas, and only when a table is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from dudzian_daemon.domain.errors import ConfigError
from dudzian_daemon.domain.history import CYCLE_TIMES, with_times

if TYPE_CHECKING:
    from pandas import DataFrame  # type: ignore[import-untyped]  # pandas ships no types of its own

_UTC: Final = "datetime64[us, UTC]"
#: Types of the columns that are not plain objects.
_TYPES: Final = {
    **dict.fromkeys(("sequence", "orders", "signals_count", "results_count"), "int64"),
    **dict.fromkeys(("started_at", "finished_at", "instant", "duration_s", "timestamp"), "float64"),
    **dict.fromkeys(("approved", "normalized"), "boolean"),
}
_EVALUATIONS: Final = ("timestamp", "approved", "normalized", "decision", "service", "response", "error")


def cycle_frame(rows: Iterable[dict[str, Any]], columns: Iterable[str], *, coerce_timestamps: bool) -> DataFrame:
    """Rows of `history.cycle_row` as a table with `columns`, also when there are no rows; times as UTC Timestamps if asked for."""
    types = {name: _UTC if coerce_timestamps and name in CYCLE_TIMES else _TYPES.get(name, "object") for name in columns}
    return _frame([with_times(row, int) if coerce_timestamps else row for row in rows], types)


def evaluation_frame(entries: Iterable[dict[str, Any]], flattened: Mapping[str, str]) -> DataFrame:
    """Entries of risk evaluations as a table; `flattened` are further columns, each with the key of the decision it shows."""
    rows = [entry | {name: entry["decision"][key] for name, key in flattened.items() if key in entry["decision"]} for entry in entries]
    return _frame(rows, {name: _TYPES.get(name, "object") for name in (*_EVALUATIONS, *flattened)})


def _frame(rows: list[dict[str, Any]], types: Mapping[str, str]) -> DataFrame:
    """What a row lacks is NA."""
    pandas = _pandas()
    data = {name: pandas.Series([row.get(name, pandas.NA) for row in rows], dtype=dtype) for name, dtype in types.items()}
    return pandas.DataFrame(data, columns=list(types))


def _pandas() -> Any:
    """The library, on first use. Raises `ConfigError` naming the extra it comes with when it is not installed."""
    try:
        import pandas
    except ModuleNotFoundError as error:
        if error.name != "pandas":
            raise
        msg = 'a DataFrame needs pandas, which is not installed; install the extra: pip install "dudzian[research]"'
        raise ConfigError(msg) from None
    return pandas
