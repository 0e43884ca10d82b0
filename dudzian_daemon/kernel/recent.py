"""A bounded memory of the newest entries that any thread may read while another adds. Knows no clock and no entry."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import Lock
from typing import Final, Generic, NamedTuple, TypeVar

UNLIMITED: Final = -1

T = TypeVar("T")


class Kept(NamedTuple, Generic[T]):
    """What is kept at one moment, oldest first, in a list of its own, and by which `limit` (-1 for no end) and `ttl` (seconds)."""

    entries: list[T]
    limit: int
    ttl: float | None


class Recent(Generic[T]):
    """Keeps at most `limit` entries, the newest, and none that is stale. Entries are handed out as they are: give it frozen ones."""

    def __init__(self, limit: int | None) -> None:
        self._lock = Lock()
        self._entries: deque[T] = deque(maxlen=_bound(limit))
        self._ttl: float | None = None
        self._stale: Callable[[T], bool] | None = None
        self._newest: T | None = None

    @property
    def limit(self) -> int:
        """How many entries are kept at most, -1 for no end."""
        bound = self._entries.maxlen
        return UNLIMITED if bound is None else bound

    @property
    def ttl(self) -> float | None:
        """Seconds after which an entry is stale, None for never."""
        return self._ttl

    @property
    def newest(self) -> T | None:
        """The entry that came last, None before the first; neither its age nor `clear` takes it away."""
        return self._newest

    def set_limit(self, limit: int | None) -> int:
        """Keep at most `limit` from now on, at once; None or below 1 is no end. Returns it as `limit` does."""
        with self._lock:
            self._entries = deque(self._entries, maxlen=_bound(limit))
            return self.limit

    def set_ttl(self, ttl: float | None, stale: Callable[[T], bool]) -> float | None:
        """Drop, now and from now on, what `stale` says is older than `ttl` seconds; None keeps everything. Returns `ttl`.

        `stale` is called under the lock: it must be quick, and may ask for `newest` but nothing else.
        """
        with self._lock:
            self._ttl, self._stale = ttl, None if ttl is None else stale
            self._prune()
            return ttl

    def add(self, *entries: T) -> None:
        """Take the newest entries, oldest first, so that a reader sees all of them or none; old ones make room."""
        with self._lock:
            for entry in entries:
                self._newest = entry
                self._entries.append(entry)
            while self._stale is not None and self._entries and self._stale(self._entries[0]):
                self._entries.popleft()

    def kept(self) -> Kept[T]:
        """What is kept and not stale."""
        with self._lock:
            self._prune()
            return Kept(list(self._entries), self.limit, self._ttl)

    def clear(self) -> None:
        """Forget all entries but which one came last."""
        with self._lock:
            self._entries.clear()

    def _prune(self) -> None:
        """Every entry is looked at, not only the oldest: their times may have jumped."""
        if self._stale is not None:
            stale = self._stale
            self._entries = deque((entry for entry in self._entries if not stale(entry)), maxlen=self._entries.maxlen)


def _bound(limit: int | None) -> int | None:
    return None if limit is None or limit <= 0 else limit
