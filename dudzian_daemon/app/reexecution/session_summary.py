"""What a session did, told from its records alone: no key, no plugin, nothing is executed or proved."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from dudzian_daemon.app.recorded_run import run_entry
from dudzian_daemon.app.reexecution.recorded_log import RecordedLog
from dudzian_daemon.domain.errors import ConfigError
from dudzian_daemon.domain.market import Command
from dudzian_daemon.domain.records import CycleRecord
from dudzian_daemon.sinks.reports import ReportFold, SessionReport, report_lines
from dudzian_daemon.trading.content import ORIGIN


class SummaryRun(msgspec.Struct, frozen=True, kw_only=True):
    """A process life: its line, the version and hash of the package, the hash of each plugin, and its first sequence."""

    line: int
    environment: str
    version: str
    package: str
    plugins: dict[str, str]
    first_sequence: int


class SessionSummary(msgspec.Struct, kw_only=True):
    """Schema `dudzian.session_summary/1`: `changes` counts changes of risk states and strategies, `ends` is how the log ends,
    `last_hash` the raw hash of its last line.
    """

    schema: str = "dudzian.session_summary/1"
    log: str
    log_id: str
    ends: str
    torn_bytes: int
    lines: int
    last_hash: str
    runs: list[SummaryRun]
    commands: dict[str, int]
    changes: dict[str, int]
    report: SessionReport


class _Ended(msgspec.Struct):
    reason: str = ""


class _Sums:
    def __init__(self) -> None:
        self.runs: list[SummaryRun] = []
        self.commands: dict[str, int] = {}
        self.changes: dict[str, int] = {}
        self.fold: ReportFold | None = None
        self.ends, self.reason, self.lines, self.log_id = "open", "nothing: the log is open", 0, ""
        self.content = self.line_hash = ORIGIN

    def add(self, record: CycleRecord) -> None:
        if self.fold is None:  # nothing can be paid before the first cycle
            environment = self.runs[0].environment if self.runs else ""
            self.fold = ReportFold(environment=environment, log_id=self.log_id, opening_equity=record.cash)
        self.fold.add(record)
        for item in record.inputs:
            if isinstance(item, Command):
                self.commands[item.name] = self.commands.get(item.name, 0) + 1
        for change in [change.change for change in record.risk] + [change.change for change in record.strategies]:
            self.changes[change] = self.changes.get(change, 0) + 1


def summarise(log: RecordedLog, lines: int | None = None) -> SessionSummary:
    """One pass over the first `lines` lines. Raises `ConfigError` when there are no cycles, `IntegrityError` for lines that are none."""
    sums, sequence = _Sums(), 0
    for entry in log.entries(lines):
        sums.lines, sums.log_id, sums.content, sums.line_hash = sums.lines + 1, entry.seal.log, entry.seal.content, entry.line_hash
        sums.ends = "open"
        if entry.kind == "run":
            ran = run_entry(entry.seal.log, entry.d)
            sums.runs.append(
                SummaryRun(
                    line=entry.seal.line,
                    environment=ran.environment,
                    version=ran.package.get("version", ""),
                    package=ran.package.get("sha256", ""),
                    plugins={name: facts.sha256 for name, facts in ran.plugins.items()},
                    first_sequence=sequence + 1,
                )
            )
        elif entry.kind in ("closed", "stopped"):
            sums.ends, sums.reason = entry.kind, msgspec.json.decode(entry.d, type=_Ended).reason
        for cycle in entry.cycles():
            sequence = cycle.record.sequence
            sums.add(cycle.record)
    if sums.fold is None:
        msg = f"expected a session with cycles at {log.source.label}, found none"
        raise ConfigError(msg)
    return SessionSummary(
        log=log.source.label,
        log_id=sums.log_id,
        ends=sums.ends,
        torn_bytes=log.torn_bytes,
        lines=sums.lines,
        last_hash=sums.line_hash,
        runs=sums.runs,
        commands=dict(sorted(sums.commands.items())),
        changes=dict(sorted(sums.changes.items())),
        report=sums.fold.finish(ended=sums.reason, content_chain=sums.content),
    )


def summary_lines(summary: SessionSummary) -> Iterator[str]:
    """The summary for people."""
    torn = f", then {summary.torn_bytes} bytes of a line that a crash cut off" if summary.torn_bytes else ""
    yield f"log           {summary.log}: {summary.lines} lines, {summary.ends}{torn}; not proved, see --verify"
    for number, run in enumerate(summary.runs, start=1):
        yield f"run {number:<10}from cycle {run.first_sequence} on, dudzian {run.version}, package {run.package[:12]}"
    yield from report_lines(summary.report)
    for name, counts in (("commands", summary.commands), ("changes", summary.changes)):
        if counts:
            yield f"{name:<14}{', '.join(f'{key} {count}' for key, count in counts.items())}"
