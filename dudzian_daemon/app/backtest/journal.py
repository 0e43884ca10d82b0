"""The journal of a backtest: the session's own, signed and closed, below `backtest_<environment>`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from anyio.from_thread import BlockingPortal, start_blocking_portal

from dudzian_daemon.adapters.journal import SessionJournal
from dudzian_daemon.adapters.journal_format import encode
from dudzian_daemon.adapters.keychain import signing_key
from dudzian_daemon.app.backtest.result import JournalText
from dudzian_daemon.app.preparation import Prepared
from dudzian_daemon.app.run_logs import open_journal
from dudzian_daemon.domain.errors import StorageError
from dudzian_daemon.domain.market import Tick
from dudzian_daemon.domain.records import CycleRecord
from dudzian_daemon.kernel.clock import Clock

#: Lines that are synced together: nobody waits for a cycle of a backtest.
_LINES_TOGETHER: Final = 512


class JournalRecorder:
    """Writes every cycle into a session's signed journal; lines are synced many at a time, on another thread's loop."""

    def __init__(self, journal: SessionJournal, portal: BlockingPortal, clock: Clock) -> None:
        self._journal = journal
        self._portal = portal
        self._clock = clock
        self._before = clock.monotonic_ns()

    @property
    def text(self) -> JournalText:
        """Where it lies and what it says."""
        journal = self._journal
        return JournalText(log_id=journal.log_id, folder=str(journal.folder), content_chain=journal.content, cycles=journal.sequence)

    def store_rows(self, tick: Tick) -> None:
        """Keep the rows beside the journal."""
        for rows in tick.rows.values():
            self._journal.put_object(encode(rows))

    def append(self, record: CycleRecord) -> None:
        """Seal one cycle; now and then make all of them durable. Raises `StorageError`."""
        now = self._clock.monotonic_ns()
        self._journal.append(record, wall={"started_ns": self._clock.wall_ns(), "duration_ns": now - self._before})
        self._before = now
        if self._journal.segment_full:  # without a checkpoint: nobody resumes a backtest
            self._journal.begin_segment()
        if self._journal.pending >= _LINES_TOGETHER:
            self._portal.call(self._journal.commit)

    def close(self, kind: str, reason: str) -> None:
        """Write the last entry."""
        self._portal.call(self._journal.close, kind, {"reason": reason, "sequence": self._journal.sequence})


@contextmanager
def recording(prepared: Prepared, env: Mapping[str, str], clock: Clock) -> Iterator[JournalRecorder]:
    """A new session below the data folder, closed at the end of the block; interrupted, it says so in its last entry.

    Where the disk refuses it, nothing of it stays.
    """
    settings = prepared.config.risk.decision_log
    path = settings.signing_key_path
    key = signing_key(settings.signing_key_id, env=env, key_file=None if path is None else Path(path))
    if key.created:
        sys.stderr.write(f"dudzian: made the signing key {key.id!r} of the decision log: {key.source}\n")
    journal = open_journal(prepared, key, clock)
    try:
        with start_blocking_portal() as portal:
            recorder = JournalRecorder(journal, portal, clock)
            try:
                yield recorder
            except KeyboardInterrupt:
                recorder.close("stopped", "interrupted")
                raise
            recorder.close("closed", "end_of_data")
    except StorageError:
        journal.discard()  # nobody goes on with a part of a backtest
        raise
    finally:
        journal.abandon()
