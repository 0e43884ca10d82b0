"""What a backfill did, or would do, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from dudzian_daemon.adapters.series_audit import iso_second
from dudzian_daemon.app.backfill.fill import SeriesOutcome
from dudzian_daemon.app.backfill.plan import SeriesPlan


class Backfilled(msgspec.Struct, frozen=True, kw_only=True):
    """The plans, what came of each, and damaged files that were moved away; without outcomes it is a plan only."""

    environment: str
    plans: Sequence[SeriesPlan]
    outcomes: Sequence[SeriesOutcome] = ()
    moved: Sequence[Path] = ()

    @property
    def failed(self) -> bool:
        """Whether a series did."""
        return any(outcome.status == "failed" for outcome in self.outcomes)


def lines(done: Backfilled) -> Iterator[str]:
    """A line of each series, and one of all."""
    yield from (f"damaged, moved to {path}" for path in done.moved)
    if done.outcomes:
        yield from (f"{each.venue}:{each.symbol} {each.interval}: {_outcome(each)}" for each in done.outcomes)
        added, requests = sum(each.added for each in done.outcomes), sum(each.requests for each in done.outcomes)
        yield f"{done.environment}: {added} candles added with {requests} requests"
        return
    yield from (f"{plan.venue}:{plan.symbol} {plan.series.granularity}: {_plan(plan)}" for plan in done.plans)
    yield f"{done.environment}: {sum(plan.missing_rows for plan in done.plans)} candles to fetch (plan only)"


def document(done: Backfilled) -> dict[str, Any]:
    """The same for a program (`--json`)."""
    return {
        "environment": done.environment,
        "quarantined": [str(path) for path in done.moved],
        "plan": [_plan_document(plan) for plan in done.plans],
        "series": done.outcomes,
    }


def _plan(plan: SeriesPlan) -> str:
    holes = "1 hole" if len(plan.holes) == 1 else f"{len(plan.holes)} holes"
    damaged = ", some files are damaged" if plan.damaged else ""
    return f"{plan.missing_rows} candles to fetch in {holes}, {plan.stored_rows} are there{damaged}"


def _outcome(outcome: SeriesOutcome) -> str:
    text = f"{outcome.status.replace('_', ' ')}, {outcome.added} added"
    text += f", {outcome.revised} revised" if outcome.revised else ""
    text += f", {outcome.venue_gap_rows} that the venue does not have" if outcome.venue_gap_rows else ""
    text += f", {outcome.left_rows} not there yet" if outcome.left_rows else ""
    return text + (f": {outcome.error}" if outcome.error else "")


def _plan_document(plan: SeriesPlan) -> dict[str, Any]:
    return {
        "symbol": plan.symbol,
        "interval": plan.series.granularity,
        "venue": plan.venue,
        "start": iso_second(plan.window.start),
        "end": iso_second(plan.window.end),
        "stored_rows": plan.stored_rows,
        "missing_rows": plan.missing_rows,
        "holes": len(plan.holes),
        "damaged": list(plan.damaged),
    }
