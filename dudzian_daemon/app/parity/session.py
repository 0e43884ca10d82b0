"""A recorded session as `dudzian parity` needs it: what ran, on what, and which commands came in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

from dudzian_daemon.adapters.journal_reader import Cycle, Session, entries, sessions
from dudzian_daemon.adapters.keychain import SigningKey
from dudzian_daemon.adapters.log_sources import find_logs
from dudzian_daemon.adapters.verify import Terms, verify_log
from dudzian_daemon.app.recorded_run import RunEntry, recorded_config, run_entry
from dudzian_daemon.config.schema import CoreConfig
from dudzian_daemon.domain.errors import ConfigError, IntegrityError
from dudzian_daemon.domain.market import Command, Series, WarmUp

#: Stands for the newest session where a log id is asked for.
NEWEST: Final = "newest"


class Seals(StrEnum):
    """What is known of a session's seals before it is compared; a session with broken ones is not."""

    INTACT = "intact"
    UNSIGNED = "unsigned"
    KEY_MISSING = "not checked: key missing"


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """A session as far as it must be known before it is compared: instants (ns) of the first tick and of the last price.

    `opening` are the warm-ups of the first tick.
    """

    session: Session
    run: RunEntry
    config: CoreConfig
    commands: tuple[Command, ...]
    series: frozenset[Series]
    opening: tuple[WarmUp, ...]
    first: int
    last: int
    cycles: int
    content: str


def find_session(data_folder: Path, artifact: str, wanted: str) -> Session:
    """The one session that is meant. Raises `ConfigError` naming those there are."""
    found = sessions(data_folder, artifact)
    chosen = found[:1] if wanted == NEWEST else [session for session in found if session.log_id.startswith(wanted)]
    if len(chosen) == 1:
        return chosen[0]
    known = ", ".join(session.log_id for session in found[:5]) or "none"
    count = "no session" if not chosen else f"{len(chosen)} sessions"
    msg = f"--session: expected one session of {artifact} below {data_folder}, found {count} for {wanted!r}; known: {known}"
    raise ConfigError(msg)


def check_seals(session: Session, key: Callable[[str], SigningKey | None]) -> Seals:
    """Whether the session is what was written, as `verify-decision-log` judges it. Raises `IntegrityError` when not."""
    (source,) = find_logs(session.folder)
    report = verify_log(source, Terms(key=key, allow_unsigned=True))
    if report.integrity == "key_missing":
        return Seals.KEY_MISSING
    if report.integrity != "intact":
        msg = str(report.finding) if report.finding else f"session {session.log_id}: {report.reason}"
        raise IntegrityError(msg)
    return Seals.UNSIGNED if report.unsigned else Seals.INTACT


def read_recorded(session: Session) -> Recorded:
    """One pass over the session. Raises `ConfigError` when there is nothing in it to compare, `IntegrityError` when it is damaged."""
    run: RunEntry | None = None
    commands: list[Command] = []
    series: set[Series] = set()
    opening: list[WarmUp] = []
    first = last = cycles = 0
    content = ""
    for path in session.segments:
        for entry in entries(path):
            if entry.kind == "run" and run is None:
                run = run_entry(session.log_id, entry.d)
            content = entry.seal.content
            for cycle in entry.cycles():
                cycles += 1
                first = first or cycle.record.instant
                for item in cycle.record.inputs:
                    if isinstance(item, Command):
                        commands.append(item)
                        continue
                    if isinstance(item, WarmUp) and item.instant == first:
                        opening.append(item)
                    if instrument := getattr(item, "instrument", ""):
                        series.add(Series(instrument, getattr(item, "granularity", "")))
                        last = item.instant
    if run is None or not cycles:
        msg = f"session {session.log_id}: expected a `run` entry and cycles, found {'no cycles' if run else 'no `run` entry'}"
        raise ConfigError(msg)
    return Recorded(
        session=session,
        run=run,
        config=recorded_config(session.log_id, run),
        commands=tuple(commands),
        series=frozenset(series),
        opening=tuple(opening),
        first=first,
        last=last,
        cycles=cycles,
        content=content,
    )


def cycles_of(session: Session) -> Iterator[Cycle]:
    """All cycles in order, with flat memory."""
    return (cycle for path in session.segments for entry in entries(path) for cycle in entry.cycles())
