"""The start as the recovery: the newest session that was not closed goes on where its journal ends.

Its state is that of the last good checkpoint and of the recorded inputs after it, run again and compared with what was
recorded. Nothing is taken from anywhere but the journal; a session that nobody interrupted takes the same road.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from dudzian_daemon.adapters.head_file import last_proven_head
from dudzian_daemon.adapters.journal_format import encode
from dudzian_daemon.adapters.journal_reader import Cycle, Entry, Session, entry_of, read_object, sessions
from dudzian_daemon.adapters.journal_recovery import Checkpoint, SessionLog, identity_of, state_entry
from dudzian_daemon.adapters.keychain import SigningKey
from dudzian_daemon.adapters.log_lines import whole_lines_backwards
from dudzian_daemon.app.accepted_change import carried, changed_strategies, difference, refused
from dudzian_daemon.app.preparation import Prepared
from dudzian_daemon.app.recorded_run import LIVE, run_entry
from dudzian_daemon.app.reexecution.core import recorded_spec
from dudzian_daemon.domain.errors import ConfigError, IntegrityError
from dudzian_daemon.domain.market import Candle
from dudzian_daemon.domain.money import exact_money
from dudzian_daemon.kernel.clock import Clock, iso_utc
from dudzian_daemon.trading.content import ContentChain
from dudzian_daemon.trading.driver import Driver
from dudzian_daemon.trading.recorded import recorded_ticks
from dudzian_daemon.trading.spec import SessionSpec
from dudzian_daemon.trading.state import encode_state, state_hash
from dudzian_daemon.trading.step import Core

_decode_rows: Final = msgspec.json.Decoder(list[Candle]).decode


class PendingChange(msgspec.Struct, frozen=True, kw_only=True):
    """What a start would change: hashes of configuration and code before and now, and the raw hash of the newest `run` entry."""

    log_id: str
    run: str
    before: str
    now: str
    difference: dict[str, Any]


class Recovered(msgspec.Struct, frozen=True, kw_only=True):
    """A session that can go on: its driver after the last recorded input, its content chain, and how that was found.

    `rerun` cycles were run again, which took `rerun_ns`; `change` is what differs in configuration and code from the run before,
    empty where nothing does.
    """

    session: Session
    file: Path
    driver: Driver
    chain: ContentChain
    checkpoint_line: int
    rerun: int
    rerun_ns: int
    bad_checkpoints: int
    torn_bytes: int
    change: dict[str, Any]

    @property
    def facts(self) -> dict[str, Any]:
        """Member `d` of the entry `recovered`."""
        return {
            "sequence": self.chain.sequence,
            "checkpoint_line": self.checkpoint_line,
            "rerun_cycles": self.rerun,
            "torn_bytes": self.torn_bytes,
            "bad_checkpoints": self.bad_checkpoints,
        }


def resumable(data_folder: Path, artifact: str) -> Session | None:
    """The newest session of the artifact, if it was not closed."""
    newest = next(iter(sessions(data_folder, artifact)), None)
    return newest if newest is not None and newest.state != "closed" else None


def pending_change(session: Session, key: SigningKey, facts: dict[str, Any]) -> PendingChange | None:
    """What a start with these facts would find changed in configuration and code, None if nothing. Raises `IntegrityError`."""
    log = _log(session, key)
    before = _other_run(log, identity_of(encode(facts)))
    return None if before is None else _pending(log, before, encode(facts))


def recover(
    prepared: Prepared, session: Session, key: SigningKey, facts: dict[str, Any], accepts: Callable[[PendingChange], bool], clock: Clock
) -> Recovered:
    """Bring the session to where its journal ends; `facts` are those of this run. Reads only, and blocks.

    Raises `ConfigError` with the difference for a configuration or code that is another and not accepted, `IntegrityError` for a
    journal that is not what was written, or whose inputs give something else today.
    """
    log = _log(session, key)
    _require_same_feed(log, facts, session.log_id)
    before = _other_run(log, identity_of(encode(facts)))
    change: dict[str, Any] = {}
    if before is not None:
        pending = _pending(log, before, encode(facts))
        change = pending.difference
        if not accepts(pending):
            raise refused(change, session.log_id)
    spec = prepared.spec if before is None else recorded_spec(session.log_id, run_entry(session.log_id, before.d), session.folder)
    checkpoint, driver = _restored(log, spec)
    chain = ContentChain(link=checkpoint.content, sequence=checkpoint.sequence, books=checkpoint.books)
    began = clock.monotonic_ns()
    rerun = _run_again(log.entries_after(checkpoint), driver, chain, session.folder)
    return Recovered(
        session=session,
        file=log.files[-1],
        driver=driver if before is None else carried(driver, prepared.spec, changed_strategies(change)),
        chain=chain,
        checkpoint_line=checkpoint.line,
        rerun=rerun,
        rerun_ns=clock.monotonic_ns() - began,
        bad_checkpoints=log.bad,
        torn_bytes=log.torn_bytes,
        change=change,
    )


def _log(session: Session, key: SigningKey) -> SessionLog:
    if session.state == "unreadable":
        msg = f"session {session.log_id} cannot be read; run: dudzian verify-decision-log {session.folder}, or begin a new one with --fresh"
        raise IntegrityError(msg)
    _require_its_heads(session, key)
    return SessionLog(session, key)


def _require_its_heads(session: Session, key: SigningKey) -> None:
    """A journal that lacks lines of which a head lies beside it was cut back: it is not gone on with. Raises `IntegrityError`."""
    files = session.segments
    seen = last_proven_head(session.folder, key)
    last = next((entry_of(files[-1], "at its end", line) for _, line in whole_lines_backwards(files[-1])), None) if files else None
    if seen is None or (last is not None and last.seal.line >= seen.line):
        return
    found = "none" if last is None else f"line {last.seal.line}"
    msg = (
        f"session {session.log_id}: expected line {seen.line}, of which a head was written at {iso_utc(seen.at)}, "
        f"found {found} as its last; look at it with: dudzian verify-decision-log {session.folder}, or begin a new session with --fresh"
    )
    raise IntegrityError(msg)


def _pending(log: SessionLog, before: Entry, now: bytes) -> PendingChange:
    newest = log.newest_run()
    return PendingChange(
        log_id=log.session.log_id,
        run=before.line_hash if newest is None else newest.line_hash,
        before=identity_of(before.d),
        now=identity_of(now),
        difference=difference(before.d, now),
    )


def _require_same_feed(log: SessionLog, facts: dict[str, Any], log_id: str) -> None:
    """A session on live data does not go on with stored candles, nor the other way round. Raises `ConfigError`."""
    run = log.run_before("")
    before = "" if run is None else run_entry(log_id, run.d).feed
    if run is not None and before != facts.get("feed", ""):
        names = {LIVE: "live data", "": "stored candles"}
        msg = (
            f"session {log_id} ran on {names.get(before, before)}, this run is for {names[facts.get('feed', '')]}; "
            "run it as before, or begin a new session with --fresh"
        )
        raise ConfigError(msg)


def _other_run(log: SessionLog, identity: str) -> Entry | None:
    """The `run` entry under which the session was left, None if it was this configuration and code. Raises `IntegrityError`."""
    left_under = next(log.checkpoints()).identity
    log.bad = 0
    if left_under == identity:
        return None
    run = log.run_before(left_under)
    if run is None and left_under:
        msg = f"session {log.session.log_id}: expected the `run` entry that its checkpoint names, found none"
        raise IntegrityError(msg)
    return None if run is None or identity_of(run.d) == identity else run


def _restored(log: SessionLog, spec: SessionSpec) -> tuple[Checkpoint, Driver]:
    """A driver at the newest checkpoint whose state can be read back; at the beginning of the session if there is none."""
    for checkpoint in log.checkpoints():
        with exact_money():
            driver = Driver(Core(spec))
        if checkpoint.state is None:
            return checkpoint, driver
        try:
            driver.restore(checkpoint.state)
        except msgspec.DecodeError:
            log.bad += 1
        else:
            return checkpoint, driver
    msg = f"session {log.session.log_id}: expected a beginning"
    raise IntegrityError(msg)


def _cycles_of(entry: Entry, driver: Driver) -> Sequence[Cycle]:
    """Its cycles. An entry `state` has none: what the driver has come to has to be what it says, else `IntegrityError`."""
    if entry.kind == "state":
        recorded = state_entry(entry)
        with exact_money():
            reached = state_hash(encode_state(driver.export()))
        if reached != recorded.hash:
            msg = f"session {entry.seal.log}: the state after cycle {recorded.sequence} comes out differently than it was recorded"
            raise IntegrityError(f"{msg}; compare with: dudzian replay {entry.seal.log} --verify, or begin a new session with --fresh")
    return entry.cycles()


def _run_again(entries: Iterator[Entry], driver: Driver, chain: ContentChain, folder: Path) -> int:
    """Step the recorded inputs again; the number of cycles that came of it, each as it was recorded."""
    known, count = len(driver.export().core.pending), 0

    def rows(digest: str) -> Sequence[Candle]:
        return _decode_rows(read_object(folder, digest))

    for cycle in (cycle for entry in entries for cycle in _cycles_of(entry, driver)):
        with exact_money():
            made = [driver.step(tick) for tick in recorded_ticks(cycle.record, rows, known=known)]
        if [chain.seal(record) for record in made if record is not None] != [cycle.d]:
            msg = (
                f"session {cycle.log_id}: cycle {cycle.record.sequence} comes out differently than it was recorded, so it cannot go "
                f"on with this code; compare with: dudzian replay {cycle.log_id} --verify, or begin a new session with --fresh"
            )
            raise IntegrityError(msg)
        known, count = 0, count + 1
    return count
