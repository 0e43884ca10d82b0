"""Sessions as they lie in a data folder: which there are, what they hold, and how one that nobody runs is closed."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

import msgspec

from dudzian_daemon.adapters.head_file import HeadFile
from dudzian_daemon.adapters.journal import SessionJournal
from dudzian_daemon.adapters.journal_format import JOURNAL_FOLDER, split
from dudzian_daemon.adapters.journal_reader import Session, entry_of, latest_cycles, sessions
from dudzian_daemon.adapters.journal_recovery import SessionLog
from dudzian_daemon.adapters.keychain import SigningKey
from dudzian_daemon.adapters.log_lines import read_tail
from dudzian_daemon.domain.errors import ConfigError, IntegrityError
from dudzian_daemon.domain.records import PositionChange
from dudzian_daemon.kernel.clock import Clock
from dudzian_daemon.trading.content import ORIGIN, ContentChain


class SessionLine(msgspec.Struct, frozen=True, kw_only=True):
    """One session: how its log ends, its last cycle with that cycle's instant (ns), its lines, and when it was begun (wall ns)."""

    artifact: str
    log_id: str
    state: str
    sequence: int
    instant: int
    lines: int
    born: int


class HeldPosition(msgspec.Struct, frozen=True):
    """What a session that is left holds: signed quantity in the base asset."""

    strategy: str
    instrument: str
    quantity: Decimal


def artifacts(data_folder: Path) -> list[str]:
    """Artifacts that have a journal below the data folder."""
    folder = data_folder / JOURNAL_FOLDER
    return sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def session_lines(data_folder: Path, wanted: Iterable[str], running: str = "") -> list[SessionLine]:
    """The sessions of these artifacts, newest first; the one that a daemon writes has the log id `running`."""
    found = [_line(artifact, session, running) for artifact in wanted for session in sessions(data_folder, artifact)]
    return sorted(found, key=lambda line: (line.born, line.log_id), reverse=True)


def held_positions(session: Session, key: SigningKey) -> list[HeldPosition]:
    """Positions at the end of a session's journal, from its newest good checkpoint and the lines after it. Raises `IntegrityError`."""
    log = SessionLog(session, key)
    checkpoint = next(log.checkpoints())
    books: dict[tuple[str, str], PositionChange] = {}
    for change in () if checkpoint.state is None else checkpoint.state.core.ledger.books:
        books[(change.strategy, change.instrument)] = change
    for change in (change for entry in log.entries_after(checkpoint) for cycle in entry.cycles() for change in cycle.record.positions):
        books[(change.strategy, change.instrument)] = change
    return [HeldPosition(strategy, instrument, book.quantity) for (strategy, instrument), book in sorted(books.items()) if book.quantity]


def close_session(session: Session, key: SigningKey, clock: Clock, *, reason: str) -> None:
    """End a session that shall not go on; a torn line is cut off, on the record. Raises `IntegrityError` when it cannot be written on,
    `ConfigError` when it was closed meanwhile.
    """
    if not session.segments or session.state == "unreadable":
        msg = f"session {session.log_id} cannot be read; run: dudzian verify-decision-log {session.folder}"
        raise IntegrityError(msg)
    sequence = _sequence(session)[0]
    tail = read_tail(session.segments[-1])
    if tail.line is not None and entry_of(session.segments[-1], "at the end", tail.line).kind == "closed":
        msg = f"session {session.log_id} is closed already"
        raise ConfigError(msg)
    chain = ContentChain(link=ORIGIN if tail.line is None else split(tail.line).s.content, sequence=sequence)
    journal = SessionJournal.resume(session.segments[-1], key, chain, clock=clock)
    torn = {"torn_bytes": tail.torn} if tail.torn else {}
    journal.append_entry("closed", {"reason": reason, "sequence": sequence, **torn}, {})
    try:
        journal.commit_now()
        HeadFile(session.folder, key).write(journal.head())
    finally:
        journal.abandon()


def _line(artifact: str, session: Session, running: str) -> SessionLine:
    sequence, instant = _sequence(session)
    state = "running" if session.log_id == running and session.state != "closed" else session.state
    return SessionLine(
        artifact=artifact,
        log_id=session.log_id,
        state=state,
        sequence=sequence,
        instant=instant,
        lines=session.lines,
        born=session.born,
    )


def _sequence(session: Session) -> tuple[int, int]:
    """Sequence and instant of the last cycle; zeros where there is none, or where it cannot be read."""
    try:
        last = latest_cycles(session.folder, 1)
    except (ConfigError, IntegrityError):
        return 0, 0
    return (last[0].record.sequence, last[0].record.instant) if last else (0, 0)
