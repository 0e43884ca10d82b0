"""Named fault points for crash and disk-fault tests of real child processes; without the environment variables they do nothing.

`DUDZIAN_FAULTS="name=action[@n][;...]"` acts at every visit of the point, or only at the n-th: `pause`, `exit` (137), `kill`,
`eio`, `enospc`, `erofs`, `trace`. `DUDZIAN_FAULTS_TRACE` names a file that gets a line per visited point.
"""

from __future__ import annotations

import errno
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_STEP_SECONDS: Final = 0.01
_MOST_STEPS: Final = 30_000  # five minutes: a test that broke leaves no process behind for ever
_KILLED: Final = 137
_SIGKILL: Final = 9  # by number: Windows has no name for it, and ends the process all the same
_ERRNO: Final = {"eio": errno.EIO, "enospc": errno.ENOSPC, "erofs": errno.EROFS}


class Fault(NamedTuple):
    """What happens at a point; `visit` 0 means at every visit, n at the n-th only."""

    action: str
    visit: int


def fault_point(name: str) -> None:
    """Mark a place where a test may make the process pause, die or meet a disk fault; free when nothing is armed."""
    if _armed:
        _visit(name)


def parse(text: str) -> dict[str, list[Fault]]:
    """Faults by point from `name=action[@n];...`. Raises `ValueError` for anything else."""
    faults: dict[str, list[Fault]] = {}
    for entry in filter(None, (part.strip() for part in text.split(";"))):
        name, _, rest = entry.partition("=")
        action, at, visit = rest.partition("@")
        if not name or action not in _ACTIONS or (at and not (visit.isdecimal() and int(visit))):
            msg = f"DUDZIAN_FAULTS: expected name=action[@n] with an action of {sorted(_ACTIONS)}, found {entry!r}"
            raise ValueError(msg)
        faults.setdefault(name, []).append(Fault(action, int(visit or 0)))
    return faults


def _visit(name: str) -> None:
    _visits[name] += 1
    if _trace is not None:
        _append(_trace, name)
    for fault in _faults.get(name, ()):
        if fault.visit in (0, _visits[name]):
            _ACTIONS[fault.action](fault.action)


def _append(trace: Path, name: str) -> None:
    descriptor = os.open(trace, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, f"{name}\n".encode())
    finally:
        os.close(descriptor)


def _only_trace(_action: str) -> None:
    """The visit is in the trace already."""


def _raise_disk_error(action: str) -> None:
    number = _ERRNO[action]
    raise OSError(number, f"{os.strerror(number)} (fault point)")


def _exit(_action: str) -> None:
    os._exit(_KILLED)


def _kill(_action: str) -> None:
    os.kill(os.getpid(), _SIGKILL)


def _pause(_action: str) -> None:
    """Hold this thread, event loop and all, until the test goes on: the state of the moment is what it wants to look at.

    That is why it sleeps for real: no injected clock runs while the loop is held.
    """
    with _signal_noticed() as signalled:
        for _ in range(_MOST_STEPS):
            if signalled() or (_trace is not None and Path(f"{_trace}.go").exists()):
                return
            time.sleep(_STEP_SECONDS)


@contextmanager
def _signal_noticed() -> Iterator[Callable[[], bool]]:
    """Whether a handler of a stop signal has run since; only the main thread may ask for handlers, others see the file alone."""
    seen: list[int] = []
    previous: dict[int, Callable[[int, FrameType | None], object]] = {}

    def note(number: int, frame: FrameType | None) -> None:
        previous[number](number, frame)
        seen.append(number)

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            handler = signal.getsignal(number)
            if callable(handler):
                previous[number] = handler
                signal.signal(number, note)
    try:
        yield lambda: bool(seen)
    finally:
        for replaced, handler in previous.items():
            signal.signal(replaced, handler)


_ACTIONS: Final[Mapping[str, Callable[[str], None]]] = {
    "pause": _pause,
    "exit": _exit,
    "kill": _kill,
    "eio": _raise_disk_error,
    "enospc": _raise_disk_error,
    "erofs": _raise_disk_error,
    "trace": _only_trace,
}
_visits: Final[Counter[str]] = Counter()
_trace: Final = Path(os.environ["DUDZIAN_FAULTS_TRACE"]) if os.environ.get("DUDZIAN_FAULTS_TRACE") else None
_faults: Final = parse(os.environ.get("DUDZIAN_FAULTS", ""))
_armed: Final = bool(_faults) or _trace is not None
