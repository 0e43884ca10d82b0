"""What a strategy says of itself before its first candle: its parameters, the series it needs, its first `State`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from dudzian_daemon.domain.market import GRANULARITIES
from dudzian_daemon.domain.ports import SeriesNeed


def decoded_params(kind: type[Any], parameters: Mapping[str, object]) -> Any:
    """`parameters` as the plugin's `Params`. Raises `msgspec.ValidationError` for a value, or a default, outside its type or range."""
    params = msgspec.convert(dict(parameters), kind)
    msgspec.convert(msgspec.to_builtins(params), kind)  # a default is taken unseen
    return params


def declared_problem(needs: object, state: object) -> str:
    """What is wrong with what `series` and `new_state` of a strategy have answered; empty if nothing is."""
    if not isinstance(needs, tuple) or not needs or not all(isinstance(need, SeriesNeed) for need in needs):
        return f"series: expected a tuple of SeriesNeed, found {needs!r:.60}"
    for need in needs:
        if need.series.granularity not in GRANULARITIES:
            return f"series: expected a granularity of {', '.join(GRANULARITIES)}, found {need.series.granularity!r}"
        if type(need.warm_up) is not int or need.warm_up < 0:
            return f"series: expected a warm-up of 0 or more candles, found {need.warm_up!r}"
    return "" if isinstance(state, msgspec.Struct) else f"new_state: expected a msgspec.Struct, found {state!r:.60}"
