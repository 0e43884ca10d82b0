"""Stretches of time, [start, end) in nanoseconds since 1970: joined, cut and taken away from one another."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec


class Span(msgspec.Struct, frozen=True, order=True):
    """All instants from `start` up to, not including, `end`, in ns."""

    start: int
    end: int

    @property
    def length_ns(self) -> int:
        """Its length."""
        return self.end - self.start


def joined(spans: Iterable[Span]) -> list[Span]:
    """The same instants in as few spans as possible, oldest first; empty ones are left out."""
    found: list[Span] = []
    for span in sorted(span for span in spans if span.start < span.end):
        if found and span.start <= found[-1].end:
            found[-1] = Span(found[-1].start, max(found[-1].end, span.end))
        else:
            found.append(span)
    return found


def without(span: Span, taken: Iterable[Span]) -> list[Span]:
    """What is left of `span` when the instants of `taken` are taken away, oldest first."""
    left: list[Span] = []
    start = span.start
    for each in joined(taken):
        if each.end <= start or each.start >= span.end:
            continue
        if each.start > start:
            left.append(Span(start, each.start))
        start = each.end
    if start < span.end:
        left.append(Span(start, span.end))
    return left


def within(span: Span, others: Iterable[Span]) -> list[Span]:
    """The parts of `others` that lie in `span`, joined, oldest first."""
    return joined(Span(max(each.start, span.start), min(each.end, span.end)) for each in others)
