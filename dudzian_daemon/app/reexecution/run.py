"""Executes a recorded session again, run by run, from its inputs alone, and compares every cycle and both chains with the record.

The seals are proved first: what is executed is what was signed. Reads only; memory does not grow with the log.
"""

from __future__ import annotations

from typing import Final

import msgspec

from dudzian_daemon.adapters.journal_reader import Entry
from dudzian_daemon.adapters.journal_recovery import identity_of, state_entry
from dudzian_daemon.adapters.log_report import Integrity, LogReport
from dudzian_daemon.adapters.tape import with_inputs
from dudzian_daemon.adapters.verify import Terms, verify_log
from dudzian_daemon.app.preparation import package_digest
from dudzian_daemon.app.recorded_run import run_entry
from dudzian_daemon.app.reexecution.core import Executor, recorded_spec
from dudzian_daemon.app.reexecution.difference import CycleDifference, DifferingValue, cycle_difference, state_difference
from dudzian_daemon.app.reexecution.recorded_log import RecordedLog
from dudzian_daemon.app.reexecution.report import ReplayReport, ReplayVerdict, RunReport
from dudzian_daemon.domain.errors import ConfigError, DudzianError, IntegrityError
from dudzian_daemon.domain.market import DAY_NS, SECOND_NS, Input
from dudzian_daemon.kernel.clock import Clock
from dudzian_daemon.trading.content import ContentChain
from dudzian_daemon.trading.spec import SessionSpec
from dudzian_daemon.trading.state import state_hash


class _Recorded(msgspec.Struct, frozen=True):
    sequence: int
    instant: int
    phase: int
    inputs: tuple[Input, ...]


class _Quiet(msgspec.Struct):
    cycles: list[msgspec.Raw]


class _Pending(msgspec.Struct):
    instant: int
    pending: tuple[Input, ...]


class _State(msgspec.Struct):
    core: _Pending


class _Checkpoint(msgspec.Struct):
    sequence: int
    state: msgspec.Raw


_decode_recorded: Final = msgspec.json.Decoder(_Recorded).decode
_decode_quiet: Final = msgspec.json.Decoder(_Quiet).decode
_decode_checkpoint: Final = msgspec.json.Decoder(_Checkpoint).decode
_decode_state: Final = msgspec.json.Decoder(_State).decode
#: Every verdict on the seals; nothing but `intact` is executed.
_BY_SEALS: Final = {
    Integrity.INTACT: ReplayVerdict.EQUAL,
    Integrity.TAMPERED: ReplayVerdict.TAMPERED,
    Integrity.NOT_A_LOG: ReplayVerdict.UNREADABLE,
    Integrity.OTHER_KEY: ReplayVerdict.OTHER_KEY,
    Integrity.UNREADABLE: ReplayVerdict.UNREADABLE,
    Integrity.KEY_MISSING: ReplayVerdict.KEY_MISSING,
}


def reexecute(log: RecordedLog, terms: Terms, clock: Clock) -> ReplayReport:
    """Prove the seals, then execute. Raises `ConfigError` or `IntegrityError` when what the log names cannot be used."""
    seals = verify_log(log.source, terms)
    report = ReplayReport(
        log=seals.log,
        log_id=seals.log_id,
        artifact=seals.artifact,
        key_id=seals.key_id,
        verdict=_BY_SEALS[seals.integrity] if seals.lacking is None else ReplayVerdict.TAMPERED,
        completeness=seals.completeness,
        torn_bytes=seals.torn_bytes,
        reason=_why(seals),
    )
    if seals.integrity is Integrity.INTACT and seals.lacking is None:
        if seals.projection:
            msg = f"expected the journal of a session at {seals.log}, found a projection: a log that tells of one"
            raise ConfigError(msg)
        began = clock.monotonic_ns()
        _Comparison(log, report).walk(seals.entries)
        report.seconds = (clock.monotonic_ns() - began) / SECOND_NS
    return report


def _why(seals: LogReport) -> str:
    if seals.integrity is Integrity.KEY_MISSING:
        return f"signed by key {seals.reason}, which is not on this machine; give it by --hmac-key-file"
    if seals.integrity is Integrity.OTHER_KEY:
        return f"signed by key {seals.reason}, which is not the expected one; it was not judged"
    if seals.lacking is not None:
        return f"incomplete: {seals.lacking.place}: expected {seals.lacking.expected}, found {seals.lacking.found}"
    if seals.finding is not None:
        return f"{seals.finding.file} line {seals.finding.line}: expected {seals.finding.expected}, found {seals.finding.found}"
    return seals.reason


class _Comparison:
    """The walk through a log whose seals hold, up to the first difference."""

    def __init__(self, log: RecordedLog, report: ReplayReport) -> None:
        self._log = log
        self._report = report
        self._chain = ContentChain()
        self._executor: Executor | None = None
        self._run: RunReport | None = None
        self._identity = ""
        self._entered: tuple[str, SessionSpec] | None = None
        self._instant = 0

    def walk(self, lines: int) -> None:
        """Compare the first `lines` lines."""
        report = self._report
        for entry in self._log.entries(lines):
            if entry.kind == "run":
                self._begin(entry)
            report.difference = self._first_difference(entry)
            if report.difference is not None:
                break
        verdicts = [run.verdict for run in report.runs if run.cycles]
        if report.difference is not None:
            report.verdict = ReplayVerdict.DIFFERS
        elif ReplayVerdict.NOT_RE_EXECUTED in verdicts:
            report.verdict = ReplayVerdict.NOT_RE_EXECUTED
        elif not report.cycles:
            report.verdict = ReplayVerdict.NOTHING_TO_REPLAY
        report.content_chain, report.books = self._chain.link, self._chain.books

    def _begin(self, entry: Entry) -> None:
        """A run begins: its own core, or the one before if nothing about it has changed."""
        ran = run_entry(self._report.log_id, entry.d)
        run = RunReport(
            line=entry.seal.line,
            environment=ran.environment,
            version=ran.package.get("version", "unknown"),
            package=ran.package.get("sha256", "unknown"),
            interpreter=ran.interpreter,
            platform=ran.platform,
        )
        run.reason = self._hindrance(run)
        self._entered = None
        if run.reason:
            run.verdict, self._executor = ReplayVerdict.NOT_RE_EXECUTED, None
        elif (identity := identity_of(entry.d)) != self._identity:
            spec = recorded_spec(self._report.log_id, ran, self._log.folder)
            if self._executor is None or not self._report.cycles:
                self._identity, self._executor = identity, Executor(spec, self._log.folder)
            else:
                self._entered = identity, spec
        self._run = run
        self._report.runs.append(run)

    def _hindrance(self, run: RunReport) -> str:
        """Why the run cannot be executed here; empty if it can."""
        if run.package != package_digest():
            return f"needs dudzian {run.version}, package {run.package}"
        return "the run before it was not" if self._report.cycles and self._executor is None else ""

    def _first_difference(self, entry: Entry) -> CycleDifference | None:
        if entry.kind == "checkpoint":
            return self._compare_state(entry)
        if entry.kind == "state":
            return self._compare_hash(entry)
        parts = _cycles(entry)
        if parts and self._entered is not None and self._run is not None:
            self._run.verdict, self._run.reason = ReplayVerdict.NOT_RE_EXECUTED, "its rules are new, and no checkpoint opens it"
            self._executor = self._entered = None
        for part in parts:
            if (difference := self._compare(part, entry.seal.line)) is not None:
                return difference
        if parts and self._executor is not None and self._chain.link != entry.seal.content:
            return _of_chain(parts[-1], entry, self._chain.link)
        return None

    def _compare_state(self, entry: Entry) -> CycleDifference | None:
        """A checkpoint is never gone on from: the state reached without it has to be the same."""
        if self._executor is None or self._run is None:
            return None
        try:
            checkpoint = _decode_checkpoint(entry.d)
            state, recorded = _decode_state(checkpoint.state), bytes(checkpoint.state)
        except msgspec.DecodeError as error:
            msg = f"line {entry.seal.line}: expected a checkpoint of this version of dudzian, found another ({error})"
            raise IntegrityError(msg) from None
        if self._entered is None:
            path, reached = "state", self._executor.state(state.core.pending)
        else:  # new rules: the run goes on from the checkpoint that opens it, whose books have to be those that were reached
            path, reached = "books", self._executor.books
            (self._identity, spec), self._entered = self._entered, None
            self._executor = Executor(spec, self._log.folder)
            self._executor.restore(recorded, ahead=len(state.core.pending))
            recorded = self._executor.books
        if reached == recorded:
            self._report.checkpoints += 1
            return None
        self._run.verdict = ReplayVerdict.DIFFERS
        return state_difference(checkpoint.sequence, state.core.instant, entry.seal.line, recorded, reached, path)

    def _compare_hash(self, entry: Entry) -> CycleDifference | None:
        """Between two checkpoints the state has to be the one whose hash is on record."""
        if self._executor is None or self._run is None or self._entered is not None:
            return None
        recorded, reached = state_entry(entry), state_hash(self._executor.state(()))
        if reached == recorded.hash:
            self._report.states += 1
            return None
        self._run.verdict = ReplayVerdict.DIFFERS
        value = DifferingValue(path="state", recorded=recorded.hash, replayed=reached)
        return CycleDifference(sequence=recorded.sequence, instant=self._instant, line=entry.seal.line, values=(value,), more=0)

    def _compare(self, part: bytes, line: int) -> CycleDifference | None:
        """Make the cycle of its inputs and compare its bytes, books hash included."""
        recorded, run = _recorded(with_inputs(part, self._log.folder), line), self._run
        if run is None:
            msg = f"session {self._report.log_id} line {line}: expected a `run` entry before the first cycle"
            raise IntegrityError(msg)
        self._report.cycles += 1
        run.cycles += 1
        if self._executor is None:
            return None
        try:
            made = self._executor.cycles(recorded)
        except DudzianError:
            raise
        except Exception as error:  # noqa: BLE001 - fence "re-execution": a core that is given other inputs or rules may raise anything
            run.verdict = ReplayVerdict.DIFFERS
            return cycle_difference(part, None, line=line, fault=f"{type(error).__name__}: {' '.join(str(error).split())}")
        content = self._chain.seal(made[0]) if made else None
        if content != part:
            run.verdict = ReplayVerdict.DIFFERS
            return cycle_difference(part, content, line=line)
        self._report.compared += 1
        run.compared += 1
        if self._instant:
            self._report.market_seconds += min(recorded.instant - self._instant, DAY_NS) / SECOND_NS  # a hole in the data is no market
        self._instant = recorded.instant
        return None


def _cycles(entry: Entry) -> list[bytes]:
    """Canonical bytes of each cycle of a line."""
    if entry.kind == "cycle":
        return [entry.d]
    return [bytes(part) for part in _decode_quiet(entry.d).cycles] if entry.kind == "quiet" else []


def _recorded(part: bytes, line: int) -> _Recorded:
    try:
        return _decode_recorded(part)
    except msgspec.DecodeError as error:
        msg = f"line {line}: expected a cycle of this version of dudzian, found another ({error})"
        raise IntegrityError(msg) from None


def _of_chain(part: bytes, entry: Entry, link: str) -> CycleDifference:
    recorded = _recorded(part, entry.seal.line)
    value = DifferingValue(path="s.content", recorded=entry.seal.content, replayed=link)
    return CycleDifference(sequence=recorded.sequence, instant=recorded.instant, line=entry.seal.line, values=(value,), more=0)
