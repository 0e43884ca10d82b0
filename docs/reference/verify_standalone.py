#!/usr/bin/env python3
"""Check a journal of dudzian with nothing but Python's standard library, written from docs/reference/journal.md alone.

    python3 verify_standalone.py LOG [LOG ...] [--key-file KEY] [--expected-key-id ID] [--allow-unsigned]

LOG is a session's folder or a log file (.gz too); KEY holds the key as hex or base64 text. It shares no code with dudzian. What it
checks, in this order, is the list "What a verifier checks" of that page.

Exit codes: 0 intact, 1 tampered, 2 unreadable or wrong usage, 3 key missing, 4 torn tail; of several logs the worst one, in the
order 1, 2, 3, 4.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import hashlib
import hmac
import json
import re
import sys
import zlib
from decimal import Decimal
from itertools import islice
from pathlib import Path

INTACT, TAMPERED, UNREADABLE, KEY_MISSING, TORN_TAIL = range(5)
ZEROS = "0" * 64
LONGEST_LINE = 64 * 1024 * 1024
LOG_ID = re.compile(r"[0-9a-f]{32}")
SEGMENT = re.compile(r"\d{4}-\d{2}-\d{2}-(\d{6})\.jsonl(?:\.gz)?")
SEAL = ["log", "line", "prev", "content", "key", "alg"]


class Stop(Exception):
    """The walk ends here: verdict and why."""

    def __init__(self, verdict: int, why: str) -> None:
        super().__init__(why)
        self.verdict = verdict


def tampered(expected: str) -> Stop:
    """The verdict on a log that lacks what was expected."""
    return Stop(TAMPERED, f"expected {expected}")


# -- one spelling ------------------------------------------------------------------------------------------------------


def no_name_twice(pairs: list) -> dict:
    """An object whose members have different names."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member twice")
    return members


def no_such_number(text: str) -> float:
    """JSON has no NaN and no infinity."""
    raise ValueError(f"{text} is no number")


read = json.JSONDecoder(object_pairs_hook=no_name_twice, parse_constant=no_such_number).decode


def spell(value: object) -> str:
    """The canonical text of a JSON value: no spaces, members as they came, shortest doubles."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{spell(name)}:{spell(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(spell, value)) + "]"
    if isinstance(value, float):
        return spell_double(value)
    return json.dumps(value, ensure_ascii=False)


def spell_double(value: float) -> str:
    """Positional from 0.00001 up to below 1e16, else with an exponent without `+` and leading zeros."""
    digits, _, exponent = repr(value).partition("e")
    if not exponent:
        return digits
    if 1e-5 <= abs(value) < 1e16:
        return f"{Decimal(repr(value)):f}"
    return f"{digits}e{int(exponent)}"


def sha256(data: bytes) -> bytes:
    """The hash, 32 bytes."""
    return hashlib.sha256(data).digest()


# -- one log -----------------------------------------------------------------------------------------------------------


class Log:
    """Walks the lines of one log and remembers what the next one has to say."""

    def __init__(
        self, key: bytes | None, expected_key_id: str | None, allow_unsigned: bool, log_id: str | None, tape: Path | None = None
    ) -> None:
        self.tape = tape
        self.key, self.expected_key_id, self.allow_unsigned = key, expected_key_id, allow_unsigned
        self.log_id = log_id
        self.line = self.sequence = self.torn = 0
        self.prev = ZEROS
        self.link = self.books = bytes(32)
        self.kind = ""
        self.first: dict = {}
        self.projection = False

    def walk(self, path: Path) -> None:
        """All lines of one file."""
        if self.torn:
            raise tampered("a torn line in the last file only")
        with path.open("rb") as plain:
            packed = plain.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rb") if packed else path.open("rb") as file:
            try:
                while line := file.readline(LONGEST_LINE):
                    if not line.endswith(b"\n"):
                        self.end_torn(line)
                        return
                    self.take(line[:-1])
            except (EOFError, gzip.BadGzipFile, zlib.error):
                raise tampered("gzip that unpacks") from None

    def end_torn(self, rest: bytes) -> None:
        if len(rest) >= LONGEST_LINE or self.kind == "closed":
            raise tampered("no more bytes after the last whole line")
        self.torn = len(rest)

    def take(self, line: bytes) -> None:
        """1 to 8 of the list."""
        try:
            members = read(line.decode("utf-8"))
            if not isinstance(members, dict) or list(members) != ["d", "w", "s"] or spell(members).encode("utf-8") != line:
                raise ValueError("spelled otherwise")
        except (ValueError, RecursionError):
            raise tampered("d, w, s in the canonical form") from None
        d, w, seal = members["d"], members["w"], members["s"]
        self.check_seal(line, seal)
        self.check_place(d)
        if self.line == 1:
            self.check_genesis(d)
        elif not self.projection:
            self.check_entry(d, w)
        if seal["content"] != self.link.hex():
            raise tampered(f"content link {self.link.hex()}")
        self.prev, self.kind = sha256(line).hex(), d["kind"]

    def check_seal(self, line: bytes, seal: object) -> None:
        if not isinstance(seal, dict) or [name for name in seal if name != "mac"] != SEAL or list(seal)[6:] not in ([], ["mac"]):
            raise tampered("a seal with the members of the format")
        self.line += 1
        if self.line == 1:
            self.meet_first(seal)
        wanted = {"log": self.first["log"], "line": self.line, "prev": self.prev, "key": self.first["key"], "alg": self.first["alg"]}
        for name, value in wanted.items():
            if seal[name] != value or isinstance(seal[name], bool):
                raise tampered(f"{name} {value}")
        if seal["alg"] == "none":
            if "mac" in seal:
                raise tampered("no MAC in an unsigned log")
            return
        begin = line.rfind(b',"mac":"')
        mac = hmac.new(self.key or b"", line[:begin], hashlib.sha256).hexdigest()
        if line[begin:] != f',"mac":"{mac}"}}}}'.encode():
            raise tampered("a line whose bytes fit its MAC")

    def meet_first(self, seal: dict) -> None:
        """What line 1 says of the whole log."""
        if not isinstance(seal["log"], str) or not LOG_ID.fullmatch(seal["log"]) or self.log_id not in (None, seal["log"]):
            raise tampered(f"log id {self.log_id or 'of 32 hex digits'}")
        if seal["alg"] not in ("HMAC-SHA256", "none") or (seal["alg"] == "none" and not self.allow_unsigned):
            raise tampered("a signed log")
        if seal["alg"] == "none" and seal["key"] != "":
            raise tampered("no key id in an unsigned log")
        if seal["alg"] != "none" and self.expected_key_id not in (None, seal["key"]):
            raise Stop(UNREADABLE, f"signed by key {seal['key']!r}, not by the expected one: not judged")
        if seal["alg"] != "none" and self.key is None:
            raise Stop(KEY_MISSING, f"signed by key {seal['key']!r}: give it by --key-file")
        self.first = seal

    def check_place(self, d: object) -> None:
        kind = d.get("kind") if isinstance(d, dict) else None
        if not isinstance(kind, str) or (kind == "genesis") != (self.line == 1) or self.kind == "closed":
            raise tampered("a genesis first, only there, and nothing after `closed`")

    def check_genesis(self, d: dict) -> None:
        if d.get("format") != 1 or isinstance(d.get("format"), bool):
            raise Stop(UNREADABLE, "expected log format 1")
        if d.get("signed") is not (self.first["alg"] != "none"):
            raise tampered("a genesis that says whether the log is signed")
        self.projection = d.get("projection") is True

    def check_entry(self, d: dict, w: object) -> None:
        if d["kind"] == "cycle":
            self.check_cycle(d)
        elif d["kind"] == "quiet":
            cycles = d.get("cycles")
            if not isinstance(cycles, list) or not 2 <= len(cycles) <= 64 or not isinstance(w, list) or len(w) != len(cycles):
                raise tampered("2 to 64 cycles with as many wall members")
            for cycle in cycles:
                self.check_cycle(cycle)
        elif d["kind"] == "checkpoint":
            self.check_checkpoint(d)
        elif d["kind"] == "state" and d.get("sequence") != self.sequence:
            raise tampered(f"the state after cycle {self.sequence}")

    def check_cycle(self, d: object) -> None:
        self.sequence += 1
        if not isinstance(d, dict) or type(d.get("sequence")) is not int or d["sequence"] != self.sequence:
            raise tampered(f"cycle {self.sequence}")
        changed = [d.get(name) for name in ("results", "fills", "positions", "risk", "cash")]
        self.books = sha256(self.books + spell(changed).encode())
        if d.get("books") != self.books.hex():
            raise tampered(f"books hash {self.books.hex()}")
        self.link = sha256(self.link + spell(d).encode())
        self.check_frame(d.get("inputs"))

    def check_frame(self, inputs: object) -> None:
        """Inputs that are too many for their line stand on the tape, under the digest that the line names."""
        if self.tape is None or not (isinstance(inputs, list) and inputs and isinstance(inputs[0], list) and inputs[0][:1] == ["frame"]):
            return
        try:
            content = gzip.decompress((self.tape / f"{inputs[0][2]}.gz").read_bytes())
        except (OSError, EOFError, zlib.error):
            raise tampered(f"frame {inputs[0][2]} on the tape") from None
        if sha256(content).hex() != inputs[0][2]:
            raise tampered(f"frame {inputs[0][2]} with the SHA-256 of its name")

    def check_checkpoint(self, d: dict) -> None:
        state = sha256(spell(d.get("state")).encode()).hex()
        wanted = {"sequence": self.sequence, "content": self.link.hex(), "books": self.books.hex(), "hash": state}
        for name, value in wanted.items():
            if d.get(name) != value:
                raise tampered(f"a checkpoint with {name} {value}")


def holds_log(path: Path) -> bool:
    """Whether one of a file's first 1,000 lines is of the format, or what is left of one."""
    with path.open("rb") as plain:
        packed = plain.read(2) == b"\x1f\x8b"
    with gzip.open(path, "rb") if packed else path.open("rb") as file:
        try:
            return any(line.startswith(b'{"d":') or b',"s":{"log":"' in line for line in islice(file, 1000))
        except (EOFError, gzip.BadGzipFile, zlib.error):
            return True  # which is judged where it is read


def check_objects(folder: Path) -> None:
    """9 of the list."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if not path.name.startswith(".") and sha256(path.read_bytes()).hex() != path.name:
            raise tampered(f"an object with SHA-256 {path.name}")


def verify(path: Path, key: bytes | None, expected_key_id: str | None = None, allow_unsigned: bool = False) -> tuple[int, str]:
    """Verdict on the log at a path, and a line for people."""
    folder = path.absolute() if path.is_dir() else path.absolute().parent
    inside = LOG_ID.fullmatch(folder.name) and (path.is_dir() or SEGMENT.fullmatch(path.name))
    log = Log(key, expected_key_id, allow_unsigned, folder.name if inside else None, folder / "tape" if inside else None)
    try:
        named = sorted((match[1], file) for file in folder.iterdir() if (match := SEGMENT.fullmatch(file.name)))
        if not inside and path.is_file() and not holds_log(path):
            raise Stop(UNREADABLE, "expected a log, found no line of one")
        for file in [file for _, file in named] if path.is_dir() else [path]:
            log.walk(file)
        if path.is_dir():
            check_objects(folder / "objects")
    except Stop as stop:
        return stop.verdict, f"line {log.line} of the log: {stop}"
    except OSError as error:
        return UNREADABLE, str(error)
    if log.line == 0:
        return UNREADABLE, "expected a log, found no whole line"
    told = f"{log.line} lines, {log.sequence} cycles, content link {log.link.hex()}"
    return (TORN_TAIL, f"{told}, then {log.torn} bytes of a torn line") if log.torn else (INTACT, told)


def key_of(path: Path) -> bytes:
    """The key in a file."""
    text = path.read_text(encoding="ascii").strip()
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = base64.b64decode(text, validate=True)
    if len(key) < 16:
        raise ValueError("expected at least 16 bytes")
    return key


def main() -> int:
    """Judge each log that was named."""
    parser = argparse.ArgumentParser(
        description="Check journals of dudzian; exit codes: 0 intact, 1 tampered, 2 unreadable, 3 key missing, 4 torn."
    )
    parser.add_argument("log", nargs="+", type=Path)
    parser.add_argument("--key-file", type=Path)
    parser.add_argument("--expected-key-id")
    parser.add_argument("--allow-unsigned", action="store_true")
    given = parser.parse_args()
    try:
        key = None if given.key_file is None else key_of(given.key_file)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"key file {given.key_file}: {error}\n")
        return KEY_MISSING if isinstance(error, FileNotFoundError) else UNREADABLE
    verdicts = set()
    for path in given.log:
        verdict, told = verify(path, key, given.expected_key_id, given.allow_unsigned)
        sys.stdout.write(f"{('intact', 'TAMPERED', 'unreadable', 'key missing', 'torn tail')[verdict]}: {path}: {told}\n")
        verdicts.add(verdict)
    return next((verdict for verdict in (TAMPERED, UNREADABLE, KEY_MISSING, TORN_TAIL) if verdict in verdicts), INTACT)


if __name__ == "__main__":
    raise SystemExit(main())
