"""Hands trials to an executor of `concurrent.futures` and keeps what comes back; the executor may be a pool here or a cluster's.

Outcomes are in the order of the tasks, whoever is done first, so that a search does not depend on the number of workers.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, TypeVar

from dudzian_daemon.domain.errors import DudzianError

T = TypeVar("T")
R = TypeVar("R")


class InThisProcess(Executor):
    """Runs each call at once, where it is submitted."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """A future that is done; what `fn` raises comes out here."""
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


@contextmanager
def local_executor(jobs: int) -> Iterator[Executor]:
    """Worker processes on this machine, or this process itself for one job."""
    if jobs == 1:
        yield InThisProcess()
        return
    spawn = multiprocessing.get_context("spawn")  # the same on every platform, and it copies no threads
    with ProcessPoolExecutor(jobs, mp_context=spawn, initializer=_leave_interrupts) as pool:
        yield pool


def _leave_interrupts() -> None:
    """Ctrl-C reaches the whole group of processes: a worker finishes its task, the process that has a person to talk to decides."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def completed(
    executor: Executor, fn: Callable[[T], R], tasks: Iterable[T], backlog: int, take: Callable[[int, R], None] | None = None
) -> list[R]:
    """`fn` of every task. At most `backlog` wait at the executor; `take` is told of each outcome, with its number, as it comes.

    Raises what a task raised, and `DudzianError` when a worker has died; what was not begun is cancelled then. Interrupted, it waits for
    what is under way and takes it.
    """
    numbered = enumerate(tasks)
    running: dict[Future[R], int] = {}
    found: dict[int, R] = {}
    more = True
    try:
        while more or running:
            while more and len(running) < backlog:
                following = next(numbered, None)
                if following is None:
                    more = False
                else:
                    running[executor.submit(fn, following[1])] = following[0]
            _taken(wait(running, return_when=FIRST_COMPLETED).done, running, found, take)
    except KeyboardInterrupt:
        begun = [future for future in running if not future.cancel()]
        _taken(wait(begun).done, running, found, take)
        raise
    except BrokenExecutor as error:
        msg = "sweep: a worker process has died, perhaps for want of memory: run it again with --resume and fewer --jobs"
        raise DudzianError(msg) from error
    finally:
        for future in running:
            future.cancel()
    return [found[number] for number in sorted(found)]


def _taken(done: Iterable[Future[R]], running: dict[Future[R], int], found: dict[int, R], take: Callable[[int, R], None] | None) -> None:
    """Move outcomes from `running` to `found`."""
    for future in done:
        number = running.pop(future)
        found[number] = future.result()
        if take is not None:
            take(number, found[number])
