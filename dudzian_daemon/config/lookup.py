"""Finding a name among known ones: every spelling of a pair, suggestions for typing errors. Knows no section."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Protocol

from dudzian_daemon.domain.errors import ConfigError


class _Rules(Protocol):
    @property
    def symbol(self) -> str: ...


class _Entry(Protocol):
    @property
    def venues(self) -> Mapping[str, _Rules]: ...


def suggestion(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the nearest known word, else the known words, else nothing."""
    names = list(known)
    by_case = {name.lower(): name for name in names}
    close = get_close_matches(word.lower(), by_case, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {by_case[close[0]]!r}?"
    return f"; known: {', '.join(names)}" if names else ""


def known(kind: str, name: str, names: Iterable[str], *, also: Iterable[str] = ()) -> str:
    """`name` itself if it is among `names`; else raises `ConfigError` with a suggestion from `names` and `also`."""
    listed = list(names)
    if name in listed:
        return name
    msg = f"unknown {kind} {name!r}{suggestion(name, [*listed, *also])}"
    raise ConfigError(msg)


def plain(symbol: str) -> str:
    """A pair without separators and in capitals: btc/usdt becomes BTCUSDT."""
    return symbol.upper().replace("/", "").replace("_", "").replace("-", "")


def instrument_key(symbol: str, instruments: Mapping[str, _Entry], venue: str = "") -> str:
    """The key in `instruments` of a pair in any spelling, the venue's own included. Raises `ConfigError`."""
    wanted = plain(symbol)
    for key, entry in instruments.items():
        rules = entry.venues.get(venue)
        if wanted == plain(key) or (rules is not None and wanted == plain(rules.symbol)):
            return key
    msg = f"unknown instrument {symbol!r}{suggestion(symbol, instruments)}"
    raise ConfigError(msg)
