"""What a run writes into: the session's journal with its `run` entry, the artifact's decision log, the ledger's daily files."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path
from typing import Any

from dudzian_daemon.adapters.chained_log import ChainedLog, new_log_id
from dudzian_daemon.adapters.files import ensure_dir, require_regular_or_absent
from dudzian_daemon.adapters.git_facts import commit_of
from dudzian_daemon.adapters.journal import SessionJournal
from dudzian_daemon.adapters.journal_format import encode, genesis
from dudzian_daemon.adapters.journal_recovery import identity_of
from dudzian_daemon.adapters.keychain import SigningKey
from dudzian_daemon.adapters.log_lines import is_begun
from dudzian_daemon.adapters.log_segments import done_segments
from dudzian_daemon.adapters.segmented_log import SegmentedLog
from dudzian_daemon.app.preparation import Prepared, run_facts
from dudzian_daemon.app.recovery import Recovered
from dudzian_daemon.domain.errors import DudzianError
from dudzian_daemon.kernel.clock import Clock
from dudzian_daemon.sinks.ledger import LedgerFiles
from dudzian_daemon.trading.state import encode_state


def open_journal(prepared: Prepared, key: SigningKey, clock: Clock) -> SessionJournal:
    """A new session's journal, durable up to the sources of its plugins; its `run` entry becomes so with the first commit."""
    segment_lines = prepared.config.runtime.journal.segment_lines
    journal = SessionJournal.create(prepared.data_folder, prepared.artifact, key, clock=clock, segment_lines=segment_lines)
    try:
        store_sources(journal, prepared)
    except DudzianError:
        journal.discard()
        raise
    _append_run(journal, prepared, facts_of(prepared), clock)
    return journal


def resume_journal(prepared: Prepared, key: SigningKey, clock: Clock, recovered: Recovered) -> SessionJournal:
    """The journal of a session that goes on: what it was found like, this run, and after an accepted change the state it begins with."""
    segment_lines = prepared.config.runtime.journal.segment_lines
    journal = SessionJournal.resume(recovered.file, key, recovered.chain, clock=clock, segment_lines=segment_lines)
    store_sources(journal, prepared)
    if recovered.session.state != "stopped":
        journal.append_entry("recovered", recovered.facts, {"at": clock.wall_ns()})
    change = {"change": recovered.change} if recovered.change else {}
    _append_run(journal, prepared, facts_of(prepared) | change, clock)
    if change:
        journal.append_checkpoint(encode_state(recovered.driver.export()), "change")
    journal.commit_now()
    return journal


def store_sources(journal: SessionJournal, prepared: Prepared) -> None:
    """Keep every source of the run's plugins as an object, durably, before the line that names them."""
    for source in {each for plugin in prepared.plugins.values() for each in plugin.objects}:
        journal.put_object(source)


def facts_of(prepared: Prepared) -> dict[str, Any]:
    """Member `d` of this process's `run` entry."""
    return run_facts(prepared, platform.python_version(), f"{sys.platform}-{platform.machine()}")


def _append_run(journal: SessionJournal, prepared: Prepared, facts: dict[str, Any], clock: Clock) -> None:
    written = {"plan_sha256": prepared.plan_sha256, "commit": commit_of(Path(__file__).resolve().parents[2])}
    written = {name: text for name, text in written.items() if text}
    journal.append_entry("run", facts, {"at": clock.wall_ns(), "host": platform.node(), "pid": os.getpid(), **written})
    journal.identity = identity_of(encode(facts))


def open_decision_log(prepared: Prepared, key: SigningKey, clock: Clock) -> SegmentedLog:
    """The artifact's decision log, one chain over all sessions: resumed if it is there, else begun."""
    folder = prepared.data_folder / prepared.config.risk.decision_log.path
    ensure_dir(folder)
    path = folder / f"{prepared.artifact}.jsonl"
    require_regular_or_absent(path)
    most_lines = prepared.config.runtime.journal.segment_lines
    if path.exists() and not is_begun(path):
        return SegmentedLog(ChainedLog.resume(path, key, faults="decision_log"), most_lines=most_lines)
    path.unlink(missing_ok=True)
    if done := done_segments(path):  # a crash has put it aside and not begun the next one
        return SegmentedLog(ChainedLog.resume(done[-1], key, faults="decision_log"), most_lines=most_lines)
    log = ChainedLog.create(path, new_log_id(), key, faults="decision_log")
    log.append(encode(genesis(prepared.artifact, "dudzian", signed=True, projection=True)), encode({"at": clock.wall_ns()}))
    log.commit_now()
    return SegmentedLog(log, most_lines=most_lines)


def ledger_files(prepared: Prepared, key: SigningKey) -> LedgerFiles:
    """Where the ledger's daily files go: a folder for each artifact."""
    paper = prepared.config.paper(prepared.environment)
    return LedgerFiles(
        folder=prepared.data_folder / paper.ledger_directory / prepared.artifact,
        artifact=prepared.artifact,
        key=key,
        retention_days=paper.ledger_retention_days,
        fsync=paper.ledger_fsync,
    )
