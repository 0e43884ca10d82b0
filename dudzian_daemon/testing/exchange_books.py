"""Order books of the loopback exchange: one state of each market that whoever asks moves on, and what has changed since any earlier one."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime
from typing import Any, Final

#: Levels on each side, and how many states back a change can be told.
LEVELS: Final = 25
#: From one level to the next, in the quote asset; a test may cross the book with one below 0.
TICK = 0.01
_KEPT: Final = 2_000

#: (side, price as text) to size as text; size `0`: the level is gone.
Changes = dict[tuple[str, str], str]


class MovingBook:
    """The book of one market around its price; every look makes a new state with a number of its own."""

    def __init__(self) -> None:
        self.number = 0
        self._levels: Changes = {}
        self._changes: deque[Changes] = deque(maxlen=_KEPT)

    def move(self, price: float) -> None:
        """The state at `price`: a level a tick, its size grows with its distance and differs from state to state."""
        self.number += 1
        size = 1 + self.number % 7 / 10
        levels = {
            (side, f"{price + sign * TICK * (n + 1):.2f}"): f"{size + n:.1f}" for side, sign in (("b", -1), ("a", 1)) for n in range(LEVELS)
        }
        gone = dict.fromkeys(self._levels.keys() - levels.keys(), "0")
        self._changes.append(gone | {key: size for key, size in levels.items() if self._levels.get(key) != size})
        self._levels = levels

    def side(self, side: str, levels: int) -> list[list[str]]:
        """The best levels of side `b` or `a`, [price, size] each."""
        return [[price, size] for (which, price), size in self._levels.items() if which == side][:levels]

    def since(self, number: int) -> tuple[list[list[str]], list[list[str]]]:
        """Bids and asks that have changed after state `number`, one of the last two thousand."""
        missed = self.number - number
        merged: Changes = {}
        for changes in list(self._changes)[len(self._changes) - missed :]:
            merged |= changes
        bids, asks = ([[price, size] for (which, price), size in merged.items() if which == side] for side in ("b", "a"))
        return bids, asks


def binance_changes(name: str, book: MovingBook, told_until: dict[str, int], now_ms: int) -> dict[str, Any]:
    """The next `depthUpdate` of a socket; `told_until` holds the last state it was told of each name."""
    first = told_until.get(name, book.number - 1)
    bids, asks = book.since(first)
    told_until[name] = book.number
    return {"e": "depthUpdate", "E": now_ms, "s": name, "U": first + 1, "u": book.number, "b": bids, "a": asks}


def kraken_changes(name: str, book: MovingBook, told_until: dict[str, int], now_ms: int) -> dict[str, Any]:
    """The next message of the channel `book`: all of it first, then what has changed."""
    known = told_until.get(name)
    told_until[name] = book.number
    bids, asks = (book.side("b", LEVELS), book.side("a", LEVELS)) if known is None else book.since(known)
    data: dict[str, Any] = {"symbol": name, "checksum": 0}
    data |= {side: [{"price": float(price), "qty": float(size)} for price, size in rows] for side, rows in (("bids", bids), ("asks", asks))}
    if known is None:
        return {"channel": "book", "type": "snapshot", "data": [data]}
    stamp = datetime.fromtimestamp(now_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"channel": "book", "type": "update", "data": [data | {"timestamp": stamp}]}
