"""What signed heads say of one log: that it had come so far. Whether it is all there is a verdict of its own, beside integrity."""

from __future__ import annotations

from collections.abc import Sequence

from dudzian_daemon.adapters.heads import ED25519, Head, SignedHead
from dudzian_daemon.adapters.log_report import Finding, LogReport, SeenHead
from dudzian_daemon.kernel.clock import iso_utc


class HeadChecks:
    """Compares the lines of one log with the heads that were seen of it, in the order of their lines.

    `next_line` is the line of the next head, 0 if there is none; `last_line` that of the last one.
    """

    def __init__(self, report: LogReport) -> None:
        self._report = report
        self._due: list[SignedHead] = []
        self._met: Head | None = None
        self.next_line = self.last_line = 0

    def expect(self, heads: Sequence[SignedHead]) -> None:
        """The heads of this log, in any order."""
        self._due = sorted(heads, key=lambda signed: signed.head.line, reverse=True)
        self.next_line = self._due[-1].head.line if self._due else 0
        self.last_line = self._due[0].head.line if self._due else 0

    def meet(self, file: str, number: int, *, key_changed: bool) -> None:
        """The log has come to `next_line`, which is line `number` of a file: compare it with all heads of that line."""
        report = self._report
        found = (report.last_hash, report.content, report.last_sequence or 0)
        in_force = report.key_ids[-2:] if key_changed else report.key_ids[-1:]
        while self._due and self._due[-1].head.line == self.next_line:
            signed = self._due.pop()
            head = signed.head
            if signed.alg != ED25519 and signed.key not in in_force:
                self._lack(file, number, f"a head by the key of its line, {in_force[-1] if in_force else 'none'}", f"one by {signed.key}")
            elif (head.hash, head.content, head.sequence) != found:
                self._lack(file, number, f"the line of which a head was seen at {iso_utc(head.at)}, hash {head.hash}", f"hash {found[0]}")
            elif report.lacking is None:
                self._met = head
        self.next_line = self._due[-1].head.line if self._due else 0

    def end(self, file: str) -> None:
        """After the log's last line: what the heads prove, into the report."""
        report = self._report
        if self._due:
            head = self._due[0].head
            self._lack(file, 0, f"line {head.line}, of which a head was seen at {iso_utc(head.at)}", f"a log of {report.entries} lines")
        if report.lacking is not None:
            report.proof = "refuted by a head"
        elif self._met is not None:
            met, after = self._met, report.entries - self._met.line
            report.head = SeenHead(line=met.line, sequence=met.sequence, at=met.at, lines_after=after)
            rest = "no line after it" if not after else f"{after} line{'s' if after > 1 else ''} after it rest on this machine"
            report.proof = f"complete up to head {met.sequence} (line {met.line}), seen at {iso_utc(met.at)}, {rest}"

    def _lack(self, file: str, number: int, expected: str, found: str) -> None:
        report = self._report
        if report.lacking is None:
            sequence = None if report.projection else report.last_sequence
            report.lacking = Finding(file=file, line=number, sequence=sequence, expected=expected, found=found)
