"""What can be said of lines of a log without its key: whether each is the one that its neighbours name. Only `verify` proves more."""

from __future__ import annotations

from hashlib import sha256

from dudzian_daemon.adapters.journal_reader import Entry


class ChainCheck:
    """Is told of entries one after the other, in either direction, and keeps the first that does not fit (`broken`).

    A change of a line shows in the hash that the next line names; one of its cycles, also in its own content link.
    """

    def __init__(self) -> None:
        self.broken = ""
        self._last: Entry | None = None

    def take(self, entry: Entry) -> None:
        """Compare the entry with the one that was told before."""
        last, self._last = self._last, entry
        if last is not None and not self.broken:
            before, after = sorted((last, entry), key=lambda each: each.seal.line)
            self.broken = _break(before, after)


def _break(before: Entry, after: Entry) -> str:
    """What is wrong with two entries that should be neighbours, empty if nothing is."""
    if after.seal.line != before.seal.line + 1:
        return f"line {before.seal.line + 1} of {after.path} is missing"
    if after.seal.content != _link(before.seal.content, after):
        return f"line {after.seal.line} of {after.path} is not what was written: its cycles do not give its content link"
    if after.seal.prev != before.line_hash:
        return f"line {before.seal.line} of {before.path} is not what was written: the next line names another hash"
    return ""


def _link(content: str, entry: Entry) -> str:
    try:
        link = bytes.fromhex(content)
        for part in entry.parts():
            link = sha256(link + part).digest()
    except (ValueError, RecursionError):
        return ""
    return link.hex()
