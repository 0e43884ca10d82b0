"""What signed heads say of one log: that it had come so far. Whether it is all there is a verdict of its own, beside integrity."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from dudzian_daemon.adapters.heads import ED25519, Head, HeadVerifier, SignedHead, parse_heads, verify_head
from dudzian_daemon.adapters.journal_format import encode
from dudzian_daemon.adapters.keychain import SigningKey
from dudzian_daemon.adapters.log_report import NO_HEAD, Finding, Integrity, LogReport, SeenHead
from dudzian_daemon.domain.errors import ConfigError
from dudzian_daemon.kernel.clock import iso_utc

REFUTED: Final = "refuted by a head"


class HeadChecks:
    """Compares the lines of one log with the heads that were seen of it, in the order of their lines.

    `next_line` is the line of the next head, 0 if there is none; `public_line` that of the last one that is proven without a secret.
    """

    def __init__(self, report: LogReport) -> None:
        self._report = report
        self._due: list[tuple[SignedHead, bool]] = []
        self._met: Head | None = None
        self._own: Head | None = None
        self.next_line = self.public_line = 0

    def expect(self, heads: Sequence[SignedHead], *, own: bool = False) -> None:
        """Heads of this log, in any order; its `own` lie beside it, where who can change it can change them."""
        self._due = sorted([*self._due, *((signed, own) for signed in heads)], key=lambda due: due[0].head.line, reverse=True)
        self.next_line = self._due[-1][0].head.line if self._due else 0
        self.public_line = max((signed.head.line for signed, _ in self._due if signed.alg == ED25519), default=0)

    def meet(self, file: str, number: int, *, key_changed: bool) -> None:
        """The log has come to `next_line`, which is line `number` of a file: compare it with all heads of that line."""
        report = self._report
        found = (report.last_hash, report.content, report.last_sequence or 0)
        in_force = report.key_ids[-2:] if key_changed else report.key_ids[-1:]
        while self._due and self._due[-1][0].head.line == self.next_line:
            signed, own = self._due.pop()
            head = signed.head
            if signed.alg != ED25519 and signed.key not in in_force:
                self._lack(file, number, f"a head by the key of its line, {in_force[-1] if in_force else 'none'}", f"one by {signed.key}")
            elif (head.hash, head.content, head.sequence) != found:
                self._lack(file, number, f"the line of which a head was seen at {iso_utc(head.at)}, hash {head.hash}", f"hash {found[0]}")
            elif own:
                self._own = head
            else:
                self._met = head
        self.next_line = self._due[-1][0].head.line if self._due else 0

    def end(self, file: str) -> None:
        """After the log's last line: what the heads prove, into the report."""
        report = self._report
        if self._due:
            head = self._due[0][0].head
            self._lack(file, 0, f"line {head.line}, of which a head was seen at {iso_utc(head.at)}", f"a log of {report.entries} lines")
        if report.lacking is not None:
            report.proof = REFUTED
        elif self._met is not None:
            met, after = self._met, report.entries - self._met.line
            report.head = SeenHead(line=met.line, sequence=met.sequence, at=met.at, lines_after=after)
            rest = "no line after it" if not after else f"{after} line{'s' if after > 1 else ''} after it rest on this machine"
            report.proof = f"complete up to head {met.sequence} (line {met.line}), seen at {iso_utc(met.at)}, {rest}"

        elif self._own is not None:
            report.proof = f"{NO_HEAD} but its own, up to line {self._own.line}"

    def _lack(self, file: str, number: int, expected: str, found: str) -> None:
        report = self._report
        if report.lacking is None:
            sequence = None if report.projection else report.last_sequence
            report.lacking = Finding(file=file, line=number, sequence=sequence, expected=expected, found=found)


class HeadFault(Exception):
    """A line of the heads beside a log that is not what it should be."""

    def __init__(self, line: int, expected: str, found: str) -> None:
        super().__init__(f"line {line}: expected {expected}, found {found}")
        self.line = line
        self.expected = expected
        self.found = found


def own_heads(
    path: Path,
    text: bytes,
    log_id: str,
    algorithm: str,
    key: Callable[[str], SigningKey | None],
    public_key: HeadVerifier | None,
) -> list[SignedHead]:
    """The heads beside log `log_id` that are signed by this algorithm, as far as there are keys to prove them. Raises `HeadFault`."""
    try:
        heads = parse_heads(path, text)
    except ConfigError as error:
        raise HeadFault(0, "signed heads in their canonical form", str(error)) from None
    proven = []
    for number, (signed, line) in enumerate(zip(heads, text.split(b"\n"), strict=False), start=1):
        if encode(signed) != line:
            raise HeadFault(number, "a signed head and nothing around it", "a line with more in it, or without any")
        if signed.head.line < heads[max(number - 2, 0)].head.line:
            raise HeadFault(number, "heads in the order of their lines", f"one of line {signed.head.line} behind a later one")
    for number, signed in enumerate(heads, start=1):
        if signed.head.log != log_id:
            raise HeadFault(number, f"heads of log {log_id}", f"one of {signed.head.log}")
        by = public_key if signed.alg == ED25519 else key(signed.key)
        if signed.alg != algorithm or by is None or (signed.alg == ED25519 and by.id != signed.key):
            continue
        if not verify_head(signed, by):
            raise HeadFault(number, f"a head whose bytes fit its signature by key {by.id}", f"one of key {signed.key} that does not")
        proven.append(signed)
    return proven


def proven_heads(
    path: Path, heads: Sequence[SignedHead], key: Callable[[str], SigningKey | None], public_key: HeadVerifier | None
) -> tuple[tuple[SignedHead, ...], list[LogReport]]:
    """Those of a file's heads whose signatures fit, and a report for each of the others.

    Raises `ConfigError` for an Ed25519 head whose public key was not given.
    """
    proven: list[SignedHead] = []
    reports = []
    for number, signed in enumerate(heads, start=1):
        by = public_key if signed.alg == ED25519 else key(signed.key)
        if by is None and signed.alg == ED25519:
            msg = f"head file {path} line {number}: signed by {signed.key}; give its public key by --public-key"
            raise ConfigError(msg)
        if by is None:
            reports.append(LogReport(log=f"{path} line {number}", integrity=Integrity.KEY_MISSING, reason=signed.key))
        elif verify_head(signed, by):
            proven.append(signed)
        else:
            expected, found = f"a head whose bytes fit its signature by key {by.id}", f"one of key {signed.key} that does not"
            finding = Finding(file=str(path), line=number, sequence=None, expected=expected, found=found)
            reports.append(LogReport(log=str(path), integrity=Integrity.TAMPERED, finding=finding))
    return tuple(proven), reports


def missing_logs(path: Path, heads: Sequence[SignedHead], reports: Sequence[LogReport]) -> list[LogReport]:
    """A report for each log of which a head was seen and that is not among those judged.

    Where one log alone was judged, heads of others beside its own say nothing of it.
    """
    judged = {report.log_id for report in reports}
    last = {signed.head.log: signed.head for signed in sorted(heads, key=lambda signed: signed.head.line)}
    if len(reports) == 1 and judged & last.keys():
        return []
    missing = []
    for head in (head for log_id, head in last.items() if log_id not in judged):
        expected = f"the log {head.log}, of which a head of line {head.line} was seen at {iso_utc(head.at)}"
        finding = Finding(file=str(path), line=0, sequence=None, expected=expected, found="no log of that id among those that were checked")
        missing.append(LogReport(log=head.log, log_id=head.log, proof=REFUTED, lacking=finding))
    return missing
