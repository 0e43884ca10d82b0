"""Statistics over controller cycles and risk evaluations: pure folds, whatever the entries came from (memory or journal)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

from dudzian_daemon.domain.evaluations import Evaluation
from dudzian_daemon.domain.events import ControllerCycle
from dudzian_daemon.domain.history import Window, moment_of
from dudzian_daemon.domain.orders import Intent, OrderResult, Side, Signal

T = TypeVar("T", int, float)

_COUNTS: Final = ("total", "approved", "rejected", "unknown", "errors", "raw_true", "raw_false", "raw_none")
_RAW: Final = {True: "raw_true", False: "raw_false", None: "raw_none"}
#: Our gate refuses what it cannot judge, so none of its answers is acted upon as `unknown`.
_ACTED: Final = {True: "approved", False: "rejected", None: "unknown"}


def summarize_cycles(cycles: Iterable[ControllerCycle], window: Window, *, limit: int = -1, ttl: float | None = None) -> dict[str, Any]:
    """The summary over what `window` picks of `cycles` (oldest first); `limit` and `ttl` say how they were kept.

    An order that was accepted in one cycle and filled in another counts in `orders.total` each time, and once in `orders.distinct`.
    First and last timestamp are epoch seconds on the window's time line.
    """
    orders: list[int] = []
    signals: list[int] = []
    results: list[int] = []
    durations: list[float] = []
    sides: Counter[str] = Counter()
    statuses: Counter[str] = Counter()
    order_ids: set[str] = set()
    first = last = None
    for cycle in window.pick(cycles):
        first, last = first or cycle, cycle
        orders.append(cycle.orders)
        signals.append(len(cycle.signals))
        results.append(len(cycle.results))
        durations.append(cycle.duration_s)
        sides.update(signal_side(signal, cycle.results) for signal in cycle.signals)
        statuses.update(result.status.value for result in cycle.results)
        order_ids.update(result.order_id for result in cycle.results)
    return {
        "total": len(orders),
        "filters": window.described(),
        "config": {"limit": limit, "ttl": ttl},
        "orders": {**_spread(orders, sum), "distinct": len(order_ids)},
        "signals": {**_spread(signals, sum), "by_side": dict(sorted(sides.items()))},
        "results": {**_spread(results, sum), "status_counts": dict(sorted(statuses.items()))},
        "duration": _spread(durations, math.fsum, of_none=None),
        "first_sequence": None if first is None else first.sequence,
        "last_sequence": None if last is None else last.sequence,
        "first_timestamp": None if first is None else moment_of(first, window.by),
        "last_timestamp": None if last is None else moment_of(last, window.by),
    }


def summarize_evaluations(
    evaluations: Iterable[Evaluation], window: Window, *, limit: int = -1, ttl: float | None = None
) -> dict[str, Any]:
    """The summary over what `window` picks of `evaluations` (oldest first), as a whole and per service."""
    picked = list(window.pick(evaluations))
    by_service: dict[str, list[Evaluation]] = {}
    for evaluation in picked:
        by_service.setdefault(evaluation.service, []).append(evaluation)
    return {
        **_answers(picked),
        "services": {name: _answers(each) for name, each in sorted(by_service.items())},
        "filters": window.described(),
        "config": {"limit": limit, "ttl": ttl},
        "first_timestamp": moment_of(picked[0], window.by) if picked else None,
        "last_timestamp": moment_of(picked[-1], window.by) if picked else None,
    }


def signal_side(signal: Signal, results: Iterable[OrderResult]) -> str:
    """`buy` or `sell`: the side of the order it became, or else of the entry it asks for; otherwise its intent.

    Whether an exit sells or buys back depends on the position, which only the order knows.
    """
    for result in results:
        if result.signal_id == signal.id and result.quantity:
            return result.side.value
    if signal.intent is Intent.ENTER:
        return (Side.SELL if signal.target is not None and signal.target < 0 else Side.BUY).value
    return signal.intent.value


def _answers(evaluations: Sequence[Evaluation]) -> dict[str, Any]:
    counts = dict.fromkeys(_COUNTS, 0)
    for evaluation in evaluations:
        counts["total"] += 1
        counts[_ACTED[evaluation.normalized]] += 1
        counts["errors"] += evaluation.error is not None
        counts[_RAW[evaluation.approved]] += 1
    total = len(evaluations) or 1
    return {**counts, "approval_rate": counts["approved"] / total, "error_rate": counts["errors"] / total}


def _spread(values: Sequence[T], add: Callable[[Sequence[T]], float], *, of_none: int | None = 0) -> dict[str, Any]:
    """Total, average, least and largest; `of_none` is the least and the largest of no values."""
    total = add(values)
    if not values:
        return {"total": total, "average": 0.0, "min": of_none, "max": of_none}
    return {"total": total, "average": total / len(values), "min": min(values), "max": max(values)}
