"""Two starts at once on one data folder: which one runs, and what the other one says and does."""

from __future__ import annotations

import re
from contextlib import ExitStack, suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Final

import msgspec
import psutil

from tests.integration.daemon_process import PATIENCE_S, Child, Ended, daemon, journal_bytes

_SAYS_WHO: Final = re.compile(
    r"^dudzian: a daemon \(pid (?P<pid>\d+)\) runs on .*; stop it with: dudzian stop --data-dir .*; or choose another --data-dir\n$"
)


class Races(msgspec.Struct, kw_only=True):
    """Of all races: those that exactly one start won, the pids of those, and what was wrong with the others."""

    races: int = 0
    won: int = 0
    winners: list[int] = msgspec.field(default_factory=list)
    wrong: list[str] = msgspec.field(default_factory=list)


def race(home: Path, config: Path, number: int, races: Races) -> None:
    """One race; the loser has ended by itself, the winner is killed once it runs."""
    ended: SimpleQueue[Child] = SimpleQueue()
    with ExitStack() as both:
        children = []
        for _ in range(2):
            child = both.enter_context(daemon(home, "--config", config, "--no-ui", "--speed", 1_000, faults="journal.release=trace"))
            child.when_ended = ended.put
            children.append(child)
        loser = ended.get(timeout=PATIENCE_S)
        winner = next(each for each in children if each is not loser)
        winner.wait_for_log('"state":"running"')
        while not _on_record(home, winner.pid):  # what a winner before it left torn may come first
            winner.wait_for_point("journal.release")
        with suppress(psutil.NoSuchProcess):
            psutil.Process(winner.pid).kill()
        lost = loser.end()
        winner.end()
    races.races += 1
    races.winners.append(winner.pid)
    problem = _problem(lost, winner.pid)
    if problem:
        races.wrong.append(f"race {number}: {problem}")
    else:
        races.won += 1


def _on_record(home: Path, pid: int) -> bool:
    """Whether the entry of this process's run is in the journal."""
    return re.search(rb'"pid":%d\b[^\n]*\n' % pid, journal_bytes(home / "data")) is not None


def _problem(lost: Ended, winner: int) -> str:
    said = _SAYS_WHO.match(lost.err)
    if lost.code != 2 or lost.out:
        return f"expected exit code 2 and nothing on stdout, found {lost}"
    if said is None or int(said["pid"]) != winner:
        return f"expected one line that names pid {winner}, found {lost.err!r}"
    return ""
