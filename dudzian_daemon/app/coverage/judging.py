"""How one series is judged: what is there, what is missing, and the command that repairs it. Pure, but for the audit it is given."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Final, Literal

import msgspec

from dudzian_daemon.adapters.series_audit import SeriesAudit, iso_second, on_grid
from dudzian_daemon.app.coverage.requirements import Kind, Requirement
from dudzian_daemon.domain.market import DAY_NS, MINUTE_NS
from dudzian_daemon.domain.spans import Span, within

Status = Literal["ok", "warning", "error"]

#: A series is stale when its newest bar opened longer ago than so many bars: the one that runs, and one for the fetching.
_FRESH_BARS: Final = 2
_MOST_HOLES: Final = 20


class Hole(msgspec.Struct, frozen=True):
    """Bars that are missing: open of the first, end of the last, how many."""

    start_iso: str
    end_iso: str
    rows: int


class CoverageEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One series. Rows are those of the window that is needed; what the venue itself lacks (`venue_gap_rows`) is not required."""

    symbol: str
    interval: str
    venue: str
    status: Status
    issues: tuple[str, ...]
    required_rows: int
    row_count: int
    missing_rows: int
    venue_gap_rows: int
    gap_minutes: int | None
    threshold_minutes: int
    longest_hole_minutes: int
    first_timestamp_iso: str | None
    last_timestamp_iso: str | None
    holes: tuple[Hole, ...]
    holes_total: int
    damaged: tuple[str, ...]
    repair: str | None

    @property
    def name(self) -> str:
        """The series in one word and its interval, as in issues."""
        return f"{self.symbol} {self.interval}" if not self.venue else f"{self.venue}:{self.symbol} {self.interval}"


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """By what is judged: the moment (ns), the longest hole that is a warning only (minutes), whose data it is."""

    environment: str
    kind: Kind
    as_of: int
    max_gap_minutes: int


def judged(requirement: Requirement, audit: SeriesAudit, venue_gaps: Sequence[Span], terms: Terms) -> CoverageEntry:
    """The entry of one series."""
    series = requirement.series
    step_minutes = series.step_ns // MINUTE_NS
    window = on_grid(series, requirement.window)
    inside = within(window, audit.stored)
    last = inside[-1].end if inside else None
    ended = requirement.traded_until is not None and requirement.traded_until <= terms.as_of
    gap = None if last is None or ended else max(0, terms.as_of - (last - series.step_ns))
    stale = gap is not None and gap > _FRESH_BARS * series.step_ns
    if last is not None and gap is not None and not stale:
        window = Span(window.start, last)  # a bar that closed a moment ago may be on its way
    known = within(window, venue_gaps)
    holes = audit.holes(window, known)
    missing = sum(hole.length_ns for hole in holes) // series.step_ns
    known_rows = sum(span.length_ns for span in known) // series.step_ns - audit_overlap(audit, known)
    required = window.length_ns // series.step_ns - known_rows
    longest = max((hole.length_ns for hole in holes), default=0) // MINUTE_NS
    inner = [hole for hole in holes if window.start < hole.start and hole.end < window.end]
    issues = _issues(inside, inner, required, missing, damaged=bool(audit.damaged), stale=stale)
    return CoverageEntry(
        symbol=requirement.symbol,
        interval=series.granularity,
        venue=series.instrument.partition(":")[0],
        status=_status(issues, inner=len(inner) == len(holes), short=longest <= terms.max_gap_minutes),
        issues=issues,
        required_rows=required,
        row_count=required - missing,
        missing_rows=missing,
        venue_gap_rows=known_rows,
        gap_minutes=None if gap is None else gap // MINUTE_NS,
        threshold_minutes=max(1, _FRESH_BARS * step_minutes),
        longest_hole_minutes=longest,
        first_timestamp_iso=iso_second(inside[0].start) if inside else None,
        last_timestamp_iso=None if last is None else iso_second(last - series.step_ns),
        holes=tuple(
            Hole(iso_second(hole.start), iso_second(hole.end), hole.length_ns // series.step_ns) for hole in islice(holes, _MOST_HOLES)
        ),
        holes_total=len(holes),
        damaged=audit.damaged,
        repair=_repair(requirement, holes or [window], terms) if issues else None,
    )


def audit_overlap(audit: SeriesAudit, known: Sequence[Span]) -> int:
    """Bars that are stored although the venue once said it has none."""
    return sum(audit.rows(span) for span in known)


def _issues(inside: Sequence[Span], inner: Sequence[Span], required: int, missing: int, *, damaged: bool, stale: bool) -> tuple[str, ...]:
    found = []
    if damaged:
        found.append("manifest_status:damaged")
    if not inside:
        found += ["manifest_status:missing", "missing_row_count"]
    elif stale:
        found.append("manifest_status:stale")
    if inner:
        found.append("manifest_status:gap")
    if missing:
        found.append(f"insufficient_rows:{required - missing}<{required}")
    return tuple(found)


def _status(issues: Sequence[str], *, inner: bool, short: bool) -> Status:
    """Short holes between bars are a warning; all else that is missing is an error."""
    if not issues:
        return "ok"
    mild = not any(issue.startswith("manifest_status:") and issue != "manifest_status:gap" for issue in issues)
    return "warning" if mild and inner and short else "error"


def _repair(requirement: Requirement, holes: Sequence[Span], terms: Terms) -> str:
    """The command that fills what is missing."""
    series = requirement.series
    first = iso_second(holes[0].start)[:10]
    if terms.kind == "replay_windows":
        return "install Dudzian again: the sample ships with it"
    if terms.kind == "seeded_window":
        first_ns = holes[0].start // DAY_NS * DAY_NS
        days = max(1, -(-(holes[-1].end - first_ns) // DAY_NS))
        return f"dudzian seed-paper-cache -e {terms.environment} --granularity {series.granularity} --start-date {first} --days {days}"
    return f"dudzian backfill -e {terms.environment} --symbol {requirement.symbol} --granularity {series.granularity} --since {first}"
