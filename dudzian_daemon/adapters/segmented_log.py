"""A projection that goes on in a new segment from time to time; how segments are named and found is in `log_segments`."""

from __future__ import annotations

from dudzian_daemon.adapters.chained_log import ChainedLog
from dudzian_daemon.adapters.journal_format import encode
from dudzian_daemon.adapters.log_segments import SEGMENT_ENTRY, beginning, done_name, number_of, written_file
from dudzian_daemon.domain.market import DAY_NS


class SegmentedLog:
    """Knows which segment of `log` is written, and when it is time for the next: as in the journal, after a day (UTC) or so many lines."""

    def __init__(self, log: ChainedLog, *, most_lines: int) -> None:
        begun = beginning(log.path)
        self.log = log
        self.written = written_file(log.path)
        self._most_lines = most_lines
        self._number = number_of(log.path) or (1 if begun is None else begun.number)
        self._begun_at = 0 if begun is None else begun.at
        self._lines_before = 0 if begun is None else begun.line - 1
        #: A crash has put the last file aside and not begun the next one.
        self._put_aside = log.path != self.written

    def go_on(self, now_ns: int) -> None:
        """Before lines are appended: where it is time, they belong into a new segment, which begins with an entry of its own."""
        full = self.log.line - self._lines_before >= self._most_lines
        if not (self._put_aside or full or now_ns // DAY_NS != self._begun_at // DAY_NS):
            return
        self.log.begin_file(self.written, put_aside=done_name(self.written, self._number, self._begun_at or now_ns))
        self._number += 1
        self._begun_at, self._lines_before, self._put_aside = now_ns, self.log.line, False
        self.log.append(encode({"kind": SEGMENT_ENTRY, "number": self._number}), encode({"at": now_ns}))
