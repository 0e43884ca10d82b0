"""A thread that looks at another one: which call it is in, and since when. It knows no strategy; what to do about it is given.

Only time in which the watchdog itself ran counts, so that a machine that slept or a process that was stopped blames nobody.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable
from typing import Final, Self

import msgspec

from dudzian_daemon.kernel.clock import SECOND_NS, Clock
from dudzian_daemon.kernel.stacks import stack_of

POLL_SECONDS: Final = 0.2
#: A budget is for this long.
WINDOW_SECONDS: Final = 60.0
#: The most that one look adds to the age of a call.
_MOST_PER_LOOK_NS: Final = SECOND_NS
#: While no answer comes: who has at least this share of the time in calls that were long themselves is to blame.
_BLAMED_SHARE: Final = 0.25


class Call(msgspec.Struct, frozen=True):
    """One call of foreign code: its number tells it from the call before, `owner` whose budget it uses."""

    number: int
    name: str
    owner: str


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """In seconds: when a call is late and when it is over, what an owner's calls may take within the window, and how long the
    watched thread may spend in calls before it answers what it was asked; None: nothing waits for an answer.
    """

    warn_seconds: float
    limit_seconds: float
    budget_seconds: float
    answer_seconds: float | None = None


class Stall(msgspec.Struct, frozen=True):
    """What did not come back: the call, whose it is (empty: no single call was long), for how long (s) it was watched, where it is."""

    name: str
    owner: str
    seconds: float
    stack: str


class Watchdog:
    """A context. Tells `on_late` once per call that is late, `on_budget` when an owner has used up its budget (which then begins
    anew), and `on_limit` once a call is over or an answer is.

    Calls that come back between two looks use up no budget. All three are called in the watchdog's thread. `running` says what the
    watched thread is in, None between calls; `limits` is asked at every look.
    """

    def __init__(
        self,
        clock: Clock,
        running: Callable[[], Call | None],
        limits: Callable[[], Limits],
        *,
        on_late: Callable[[Stall], object],
        on_budget: Callable[[Stall], object],
        on_limit: Callable[[Stall], object],
    ) -> None:
        self._clock = clock
        self._running = running
        self._limits = limits
        self._on_late = on_late
        self._on_budget = on_budget
        self._on_limit = on_limit
        self._watched = threading.get_ident()
        self._seen: Call | None = None
        self._age_ns = 0
        self._looked_ns = clock.monotonic_ns()
        self._told = 0
        self._spent = _Spent(round(WINDOW_SECONDS * SECOND_NS))
        self._silence = _Silence()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="watchdog", daemon=True)

    def __enter__(self) -> Self:
        """Look at the calling thread from now on, a few times a second."""
        self._watched = threading.get_ident()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Look no more; returns when the thread has ended."""
        self._ended.set()
        self._thread.join()

    def look(self) -> None:
        """One look."""
        limits, call, now = self._limits(), self._running(), self._clock.monotonic_ns()
        passed, self._looked_ns = min(now - self._looked_ns, _MOST_PER_LOOK_NS), now
        if limits.answer_seconds is None:
            self._silence = _Silence()
        if call is None or call != self._seen:
            self._seen, self._age_ns, self._told = call, 0, 0
            held_ns = 0
        else:
            held_ns = passed
        if call is not None:
            self._judge(limits, call, passed, held_ns, now)

    def _judge(self, limits: Limits, call: Call, passed: int, held_ns: int, now: int) -> None:
        """`held_ns` of what has `passed` since the last look went by in this very call."""
        self._age_ns += held_ns
        for stage, seconds, tell in ((1, limits.warn_seconds, self._on_late), (2, limits.limit_seconds, self._on_limit)):
            if self._told < stage and self._age_ns >= seconds * SECOND_NS:
                self._told = stage
                tell(self._stall(call.name, call.owner, self._age_ns))
        spent_ns = self._spent.add(call.owner, held_ns, now)
        if spent_ns >= limits.budget_seconds * SECOND_NS:
            self._spent.forget(call.owner)
            self._on_budget(self._stall(call.name, call.owner, spent_ns))
        if limits.answer_seconds is not None:
            self._silence.add(call, passed, held_ns)
            if self._silence.is_over(limits.answer_seconds):
                self._on_limit(self._stall(*self._silence.blamed(call), self._silence.total_ns))

    def _stall(self, name: str, owner: str, nanoseconds: int) -> Stall:
        return Stall(name, owner, nanoseconds / SECOND_NS, stack_of(self._watched))

    def _work(self) -> None:
        while not self._ended.wait(POLL_SECONDS):
            self.look()


class _Spent:
    """Time by owner within the last `window_ns`."""

    def __init__(self, window_ns: int) -> None:
        self._window_ns = window_ns
        self._pieces: deque[tuple[int, str, int]] = deque()
        self._sums: Counter[str] = Counter()

    def add(self, owner: str, spent_ns: int, now: int) -> int:
        """Add to the owner's time; returns what it is now."""
        while self._pieces and self._pieces[0][0] <= now - self._window_ns:
            _, former, piece = self._pieces.popleft()
            self._sums[former] -= piece
        if spent_ns:
            self._pieces.append((now, owner, spent_ns))
            self._sums[owner] += spent_ns
        return self._sums[owner]

    def forget(self, owner: str) -> None:
        """Its time begins anew."""
        self._pieces = deque(piece for piece in self._pieces if piece[1] != owner)
        del self._sums[owner]


class _Silence:
    """What the watched thread did since it was asked for an answer that did not come yet."""

    def __init__(self) -> None:
        self.total_ns = 0
        self._held: Counter[tuple[str, str]] = Counter()
        self._told = False

    def add(self, call: Call, passed: int, held_ns: int) -> None:
        self.total_ns += passed
        self._held[call.name, call.owner] += held_ns

    def is_over(self, seconds: float) -> bool:
        """True once."""
        over = not self._told and self.total_ns >= seconds * SECOND_NS
        self._told = self._told or over
        return over

    def blamed(self, call: Call) -> tuple[str, str]:
        """Name and owner of what was in the way most; no owner where many short calls were."""
        (blamed, held_ns), *_ = self._held.most_common(1)
        return blamed if held_ns >= _BLAMED_SHARE * self.total_ns else (call.name, "")
