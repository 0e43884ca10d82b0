"""Under which names a venue has had an instrument: before and after a rename, and up to the end of a market."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from dudzian_daemon.config.environment import midnight_ns
from dudzian_daemon.config.schema import CoreConfig
from dudzian_daemon.domain.spans import Span


class MarketSpan(msgspec.Struct, frozen=True):
    """The venue's market (BASE/QUOTE) that has the instrument's candles in this span."""

    symbol: str
    span: Span


def market_spans(config: CoreConfig, symbol: str, venue: str, span: Span) -> list[MarketSpan]:
    """The markets to ask for `symbol` (a key of instruments), oldest first; nothing after the market has ended."""
    return list(_spans(config, symbol, venue, span))


def _spans(config: CoreConfig, symbol: str, venue: str, span: Span) -> Iterator[MarketSpan]:
    entry = config.instruments[symbol]
    until, renamed = entry.venues[venue].listed_until, entry.renamed_to
    end = span.end if until is None else min(span.end, midnight_ns(until))
    change = end if renamed is None else max(span.start, min(end, midnight_ns(renamed.date)))
    if span.start < change:
        yield MarketSpan(f"{entry.base}/{entry.quote}", Span(span.start, change))
    if renamed is not None and change < end:
        yield MarketSpan(f"{renamed.base}/{entry.quote}", Span(change, end))
