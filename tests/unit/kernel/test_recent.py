"""The memory behind AutoTrader's histories: a model says what it keeps, threads see it whole."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from threading import Event, Thread
from typing import Self

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from dudzian_daemon.kernel.recent import UNLIMITED, Kept, Recent


def older_than(age: int, now: Callable[[], int]) -> Callable[[int], bool]:
    """Staleness of entries that are their own time."""
    return lambda entry: now() - entry > age


def keeps(_: object) -> bool:
    return False


def full(count: int = 10, limit: int | None = None) -> Recent[int]:
    recent: Recent[int] = Recent(limit)
    recent.add(*range(1, count + 1))
    return recent


def test_the_newest_are_kept_oldest_first() -> None:
    assert full(limit=3).kept() == ([8, 9, 10], 3, None)


@pytest.mark.parametrize(("asked", "answer"), [(3, 3), (1, 1), (0, UNLIMITED), (-4, UNLIMITED), (None, UNLIMITED)])
def test_a_limit_is_normalised_and_holds_at_once(asked: int | None, answer: int) -> None:
    recent = full()
    assert (recent.set_limit(asked), recent.limit) == (answer, answer)
    assert recent.kept().entries == (list(range(1, 11)) if answer == UNLIMITED else list(range(11 - answer, 11)))
    recent.add(11)
    assert len(recent.kept().entries) == (11 if answer == UNLIMITED else answer)


def test_what_a_limit_dropped_does_not_come_back() -> None:
    recent = full()
    recent.set_limit(2)
    recent.set_limit(None)
    assert recent.kept().entries == [9, 10]


def test_a_reader_gets_a_list_of_its_own() -> None:
    recent = full(3)
    recent.kept().entries.clear()
    assert recent.kept().entries == [1, 2, 3]


def test_the_newest_outlives_clearing_and_age() -> None:
    assert full(0).newest is None
    recent = full(2, limit=4)
    recent.clear()
    assert recent.kept().entries == []
    assert recent.newest == 2
    recent.add(3)
    recent.set_ttl(1.0, older_than(1, lambda: 100))
    assert recent.kept() == Kept([], 4, 1.0)
    assert recent.newest == 3


def test_nothing_is_added_by_adding_nothing() -> None:
    recent = full(2)
    recent.add()
    assert (recent.kept().entries, recent.newest) == ([1, 2], 2)


class Memory(RuleBasedStateMachine):
    """Limit, age and clock in any order, the clock's jumps back included, against a list that forgets by the same rules."""

    @initialize(limit=st.none() | st.integers(-1, 5))
    def begin(self, limit: int | None) -> None:
        self.now = 0
        self.recent: Recent[tuple[int, int]] = Recent(limit)
        self.limit = limit if limit is not None and limit > 0 else None
        self.ttl: int | None = None
        self.added: list[tuple[int, int]] = []
        self.count = 0

    @rule(times=st.lists(st.integers(-3, 3), max_size=3))
    def add(self, times: list[int]) -> None:
        entries = []
        for step in times:
            self.count += 1
            entries.append((self.count, self.now + step))
        self.recent.add(*entries)
        self.added += entries
        self._forget()

    @rule(step=st.integers(-4, 6))
    def clock_moves(self, step: int) -> None:
        self.now += step
        self._read()

    @rule(limit=st.none() | st.integers(-1, 5))
    def set_limit(self, limit: int | None) -> None:
        self.limit = limit if limit is not None and limit > 0 else None
        assert self.recent.set_limit(limit) == (self.limit or UNLIMITED)
        self.added = self.added[-self.limit :] if self.limit else self.added

    @rule(ttl=st.none() | st.integers(1, 5))
    def set_ttl(self, ttl: int | None) -> None:
        self.ttl = ttl
        assert self.recent.set_ttl(ttl, lambda entry: self.now - entry[1] > (ttl or 0)) == ttl
        self._forget()

    @rule()
    def clear(self) -> None:
        self.recent.clear()
        self.added = []

    @invariant()
    def keeps_what_the_model_keeps(self) -> None:
        self._read()

    @invariant()
    def knows_the_newest(self) -> None:
        newest = self.recent.newest
        assert (newest[0] if newest else 0) == self.count

    def _read(self) -> None:
        self._forget()
        assert self.recent.kept() == (self.added, self.limit or UNLIMITED, self.ttl)

    def _forget(self) -> None:
        """Limit first: an entry that made an older one go has done so even if it is stale itself."""
        self.added = self.added[-self.limit :] if self.limit else self.added
        if self.ttl is not None:
            self.added = [entry for entry in self.added if self.now - entry[1] <= self.ttl]


TestMemory = Memory.TestCase


@pytest.fixture
def eager_threads() -> Iterator[None]:
    """Threads take turns every ten microseconds."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


BATCH = 8


class Crowd:
    """Two threads that look at a memory again and again and one that turns its knobs, until told to end or they see what must not be."""

    def __init__(self, recent: Recent[int]) -> None:
        self._recent = recent
        self._ended = Event()
        self._threads = [Thread(target=self._again, args=(each,)) for each in (self._look, self._look, self._turn)]
        self.rounds: Counter[int | None] = Counter()
        self.faults: list[Exception] = []

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    @property
    def tired(self) -> bool:
        """Each of them has done its share, or one of them has seen enough."""
        return bool(self.faults) or min((self.rounds[thread.ident] for thread in self._threads), default=0) >= 1500

    def _again(self, what: Callable[[], None]) -> None:
        try:
            while not self._ended.is_set():
                what()
                self.rounds[threading.get_ident()] += 1
        except (AssertionError, RuntimeError) as error:
            self.faults.append(error)

    def _look(self) -> None:
        newest = self._recent.newest
        entries, limit, ttl = self._recent.kept()
        assert limit in (4 * BATCH, 8 * BATCH)
        assert ttl in (None, 1.0)
        assert len(entries) <= limit
        assert len(entries) % BATCH == 0
        assert not entries or entries == list(range(entries[0], entries[0] + len(entries)))
        assert newest is None or entries[-1] >= newest

    def _turn(self) -> None:
        assert self._recent.set_ttl(1.0, keeps) == 1.0
        assert self._recent.set_limit(4 * BATCH) == 4 * BATCH
        assert self._recent.set_ttl(None, keeps) is None
        assert self._recent.set_limit(8 * BATCH) == 8 * BATCH


def test_threads_see_batches_whole_and_lose_nothing(eager_threads: None) -> None:
    recent: Recent[int] = Recent(8 * BATCH)
    count = 0
    with Crowd(recent) as crowd:
        while not (crowd.tired and count >= 1500 * BATCH):
            recent.add(*range(count, count + BATCH))
            count += BATCH
    assert crowd.faults == []
    assert recent.newest == count - 1
