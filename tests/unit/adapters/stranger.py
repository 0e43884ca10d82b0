"""A second verifier, written from docs/reference/journal.md with the standard library alone; it shares no code with ours."""

from __future__ import annotations

import hashlib
import hmac
import json
import re

ZERO = "0" * 64
TAIL = re.compile(rb',"mac":"[0-9a-f]{64}"}}$')
SEAL = re.compile(
    r'"s":\{"log":"(?P<log>[0-9a-f]{32})","line":(?P<line>[1-9][0-9]*),"prev":"(?P<prev>[0-9a-f]{64})",'
    r'"content":"(?P<content>[0-9a-f]{64})","key":"(?P<key>[^"]*)","alg":"(?P<alg>[^"]*)"(,"mac":"(?P<mac>[0-9a-f]{64})")?\}\}'
)
_json = json.JSONDecoder()


def members(text: str, start: int) -> tuple[dict[str, str], int]:
    """Text of each member of the object that begins at `start`, and where it ends."""
    found: dict[str, str] = {}
    at = start + 1
    while text[at] != "}":
        name, end = _json.raw_decode(text, at)
        _, after = _json.raw_decode(text, end + 1)
        found[name] = text[end + 1 : after]
        at = after + (text[after] == ",")
    return found, at + 1


def elements(text: str) -> list[str]:
    """Text of each element of an array."""
    found, at = [], 1
    while text[at] != "]":
        _, end = _json.raw_decode(text, at)
        found.append(text[at:end])
        at = end + (text[end] == ",")
    return found


class Stranger:
    """Walks a log; `accepts` is False at the first thing that the format does not allow."""

    def __init__(self, key: bytes, log_id: str) -> None:
        self.key, self.log_id = key, log_id
        self.prev = ZERO
        self.link = self.books = bytes(32)
        self.line = self.sequence = 0
        self.kind = ""

    def accepts(self, log: bytes) -> bool:
        """True if all lines are intact and the last one is whole."""
        if not log.endswith(b"\n"):
            return False
        try:
            return all(self._line(line) for line in log[:-1].split(b"\n"))
        except (ValueError, IndexError, KeyError):
            return False

    def _line(self, line: bytes) -> bool:
        self.line += 1
        text = line.decode()
        body = TAIL.sub(b"", line)
        mac = hmac.new(self.key, body, hashlib.sha256).hexdigest()
        if not text.startswith('{"d":{'):
            return False
        d, end = members(text, 5)
        seal = SEAL.fullmatch(text, text.rindex('"s":{"log":'))
        if seal is None or self.kind == "closed":
            return False
        expected = {"log": self.log_id, "line": str(self.line), "prev": self.prev, "alg": "HMAC-SHA256", "mac": mac}
        if any(seal[name] != value for name, value in expected.items()):
            return False
        self.kind = json.loads(d["kind"])
        if self.kind == "cycle" and not self._cycle(text[5:end], d):
            return False
        if self.kind == "quiet" and not all(self._cycle(part, members(part, 0)[0]) for part in elements(d["cycles"])):
            return False
        self.prev = hashlib.sha256(line).hexdigest()
        return seal["content"] == self.link.hex() and (self.kind == "genesis") == (self.line == 1)

    def _cycle(self, text: str, d: dict[str, str]) -> bool:
        self.sequence += 1
        changed = "[" + ",".join(d[name] for name in ("results", "fills", "positions", "risk", "cash")) + "]"
        self.books = hashlib.sha256(self.books + changed.encode()).digest()
        self.link = hashlib.sha256(self.link + text.encode()).digest()
        return d["sequence"] == str(self.sequence) and d["books"] == f'"{self.books.hex()}"'
