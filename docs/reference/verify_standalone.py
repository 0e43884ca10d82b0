#!/usr/bin/env python3
"""Check a journal of dudzian with nothing but Python's standard library, written from docs/reference/journal.md alone.

    python3 verify_standalone.py LOG [LOG ...] [--key-file [ID=]KEY ...] [--expected-key-id ID] [--allow-unsigned] [--head FILE]

LOG is a session's folder, a log file (.gz too; its other segments are found beside it and in the archive), or a folder with logs
somewhere below it, of ledger files for example; KEY holds a key as hex or base64 text, one without an id is for the first id that is met;
FILE has signed heads (HMAC ones: for Ed25519 the standard library has nothing). It shares no code with dudzian. What it checks, in this
order, is the list "What a verifier checks" of that page.

Exit codes: 0 intact, 1 tampered or less than a head says, 2 unreadable or wrong usage, 3 key missing, 4 torn tail; of several logs the
worst one, in the order 1, 2, 3, 4.
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
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal
from itertools import islice, zip_longest
from pathlib import Path

INTACT, TAMPERED, UNREADABLE, KEY_MISSING, TORN_TAIL = range(5)
ZEROS = "0" * 64
LONGEST_LINE = 64 * 1024 * 1024
LOG_ID = re.compile(r"[0-9a-f]{32}")
HASH = re.compile(r"[0-9a-f]{64}")
SEGMENT = re.compile(r"\d{4}-\d{2}-\d{2}-(\d{6})\.jsonl(?:\.gz)?")
DONE = re.compile(r"(.+)-\d{4}-\d{2}-\d{2}-(\d{6})\.jsonl(?:\.gz)?")
ARCHIVE = Path("audit/decisions/decision_log")
WORST_FIRST = (TAMPERED, UNREADABLE, KEY_MISSING, TORN_TAIL, INTACT)
DAMAGED = (EOFError, gzip.BadGzipFile, zlib.error, OSError)
HEADS_FILE = "heads.log"
OBJECTS = "objects"
GONE = ".archived-"
HEAD = ["log", "line", "sequence", "hash", "content", "at"]
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


def members(value: object) -> list:
    """The values of an object, none of anything else."""
    return list(value.values()) if isinstance(value, dict) else []


def sha256(data: bytes) -> bytes:
    """The hash, 32 bytes."""
    return hashlib.sha256(data).digest()


# -- one log -----------------------------------------------------------------------------------------------------------


class Log:
    """Walks the lines of one log and remembers what the next one has to say."""

    def __init__(self, keys: Keys, expected_key_id: str | None, allow_unsigned: bool, log_id: str | None) -> None:
        self.keys, self.expected_key_id, self.allow_unsigned = keys, expected_key_id, allow_unsigned
        self.folder: Path | None = None
        self.log_id = log_id
        self.key: bytes | None = None
        self.key_ids: list[str] = []
        self.heads: list[dict] = []
        self.own_heads = b""
        self.claims: dict[str, int] = {}
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
        try:
            for line in lines_of(path):
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
        """1 to 10 of the list."""
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
            if isinstance(w, dict) and type(w.get("at")) is int:
                self.claims = {digest: at for digest, at in self.claims.items() if at >= w["at"]}
        elif d["kind"] == "key_change":
            self.change_key(d)
        elif not self.projection:
            self.check_entry(d, w)
        if seal["content"] != self.link.hex():
            raise tampered(f"content link {self.link.hex()}")
        self.prev, self.kind = sha256(line).hex(), d["kind"]
        self.claims.pop(self.prev, None)
        self.check_heads()

    def check_seal(self, line: bytes, seal: object) -> None:
        if not isinstance(seal, dict) or [name for name in seal if name != "mac"] != SEAL or list(seal)[6:] not in ([], ["mac"]):
            raise tampered("a seal with the members of the format")
        self.line += 1
        if self.line == 1:
            self.meet_first(seal)
        key_id = self.key_ids[-1] if self.key_ids else ""
        wanted = {"log": self.first["log"], "line": self.line, "prev": self.prev, "key": key_id, "alg": self.first["alg"]}
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
        if seal["alg"] != "none" and self.expected_key_id not in (None, seal["key"]) and self.keys.get(seal["key"]) is None:
            raise Stop(UNREADABLE, f"signed by key {seal['key']!r}, not by the expected one: not judged")
        self.first = seal
        self.heads = [seen for seen in self.heads if seen["head"]["log"] == seal["log"]]
        if seal["alg"] != "none":
            self.take_key(seal["key"])
        self.heads += own_heads(self.own_heads, seal["log"], self.keys)

    def take_key(self, key_id: str) -> None:
        """What follows is sealed by this key."""
        self.key = self.keys.get(key_id)
        if self.key is None:
            raise Stop(KEY_MISSING, f"signed by key {key_id!r}: give it by --key-file")
        self.key_ids.append(key_id)

    def change_key(self, d: dict) -> None:
        """The entry itself is still sealed by the old key."""
        key_id = d.get("key")
        if not self.key_ids or not isinstance(key_id, str) or not key_id or key_id in self.key_ids:
            raise tampered("a change to a key that the log has not had")
        self.take_key(key_id)

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
        elif d["kind"] == "run":
            plugins = [each if isinstance(each, dict) else {} for each in members(d.get("plugins"))]
            self.check_objects([name for each in plugins for name in (each.get("sha256"), *members(each.get("modules")))])

    def check_cycle(self, d: object) -> None:
        self.sequence += 1
        if not isinstance(d, dict) or type(d.get("sequence")) is not int or d["sequence"] != self.sequence:
            raise tampered(f"cycle {self.sequence}")
        changed = [d.get(name) for name in ("results", "fills", "positions", "risk", "cash")]
        self.books = sha256(self.books + spell(changed).encode())
        if d.get("books") != self.books.hex():
            raise tampered(f"books hash {self.books.hex()}")
        self.link = sha256(self.link + spell(d).encode())
        self.check_inputs(d.get("inputs"))

    def check_inputs(self, inputs: object) -> None:
        """Inputs that are too many for their line stand on the tape, under the digest that the line names; rows of warm-ups in objects."""
        if self.folder is None or not isinstance(inputs, list):
            return
        if inputs and isinstance(inputs[0], list) and inputs[0][:1] == ["frame"]:
            try:
                content = gzip.decompress((self.folder / "tape" / f"{inputs[0][2]}.gz").read_bytes())
            except (OSError, EOFError, zlib.error):
                raise tampered(f"frame {inputs[0][2]} on the tape") from None
            if sha256(content).hex() != inputs[0][2]:
                raise tampered(f"frame {inputs[0][2]} with the SHA-256 of its name")
            try:
                inputs = json.loads(content)
            except (ValueError, RecursionError):
                raise tampered("a frame of inputs") from None
        inputs = inputs if isinstance(inputs, list) else []
        self.check_objects([each[-1] for each in inputs if isinstance(each, list) and each[:1] == ["warm_up"]])

    def check_objects(self, digests: list) -> None:
        """10 of the list."""
        for name in map(str, digests):
            if self.folder is not None and not (HASH.fullmatch(name) and (self.folder / OBJECTS / name).is_file()):
                raise tampered(f"object {name}, which the line names")

    def check_checkpoint(self, d: dict) -> None:
        state = sha256(spell(d.get("state")).encode()).hex()
        wanted = {"sequence": self.sequence, "content": self.link.hex(), "books": self.books.hex(), "hash": state}
        for name, value in wanted.items():
            if d.get(name) != value:
                raise tampered(f"a checkpoint with {name} {value}")

    def check_heads(self) -> None:
        """What was seen of this line elsewhere."""
        in_force = self.key_ids[-2:] if self.kind == "key_change" else self.key_ids[-1:]
        for seen in [each for each in self.heads if each["head"]["line"] == self.line]:
            head = seen["head"]
            told = (head["hash"], head["content"], head["sequence"])
            if seen["key"] not in in_force or told != (self.prev, self.link.hex(), self.sequence):
                raise tampered(f"the line of which a head was seen, with hash {head['hash']}")
            self.heads.remove(seen)

    def end(self) -> None:
        """After the last line: it is the log that was meant, and all of it that was seen elsewhere."""
        if self.line == 0 and self.own_heads:
            raise tampered(f"lines, of which heads were written in {HEADS_FILE}")
        if self.line == 0:
            raise Stop(UNREADABLE, "expected a log, found no whole line")
        if self.key_ids and self.expected_key_id not in (None, *self.key_ids):
            raise Stop(UNREADABLE, f"signed by key {self.key_ids[-1]!r}, not by the expected one")
        if self.claims:
            raise tampered(f"a line with hash {next(iter(self.claims))}, after which another file was begun")
        if self.heads:
            raise tampered(f"line {self.heads[0]['head']['line']}, of which a head was seen")


class Keys:
    """Keys by id; one without an id is for the expected id, else for the first that is asked for."""

    def __init__(self, named: dict[str, bytes], plain: bytes | None, expected_key_id: str | None) -> None:
        self.named, self.plain, self.expected = dict(named), plain, expected_key_id

    def get(self, key_id: str) -> bytes | None:
        if key_id not in self.named and self.plain is not None and self.expected in (None, key_id):
            self.named[key_id], self.plain = self.plain, None
        return self.named.get(key_id)


# -- what lies around a log --------------------------------------------------------------------------------------------


def lines_of(path: Path) -> Iterator[bytes]:
    """Lines of a file, packed or not, with their newlines."""
    with path.open("rb") as plain:
        packed = plain.read(2) == b"\x1f\x8b"
    with gzip.open(path, "rb") if packed else path.open("rb") as file:
        while line := file.readline(LONGEST_LINE):
            yield line


def segments_of(folder: Path) -> list[Path]:
    """A session's files in order: numbered from 1 without a gap, and no file of lines beside them."""
    named = sorted((match[1], path) for path in folder.iterdir() if (match := SEGMENT.fullmatch(path.name)))
    plain = {path.name for _, path in named}
    files = [path for _, path in named if path.suffix != ".gz" or path.stem not in plain or not same(path, path.with_suffix(""))]
    for due, path in enumerate(files, start=1):
        match = SEGMENT.fullmatch(path.name)
        if match is None or int(match[1]) != due:
            raise tampered(f"segment {due}, found {path.name}")
    for path in sorted(folder.iterdir()):
        if path.is_file() and not SEGMENT.fullmatch(path.name) and not path.name.startswith(".") and begins_as_log(path):
            raise tampered(f"no lines of a log in {path.name}")
    return files


def beginning(path: Path) -> tuple[str, int]:
    """Log id of a projection's file, and the number of the segment that it says it is."""
    try:
        lines = [json.loads(line) for line in islice(lines_of(path), 2)]
        opening = lines[-1 if lines[0]["d"]["kind"] == "key_change" else 0]["d"]
        return lines[0]["s"]["log"], opening["number"] if opening["kind"] == "segment" else 1
    except (*DAMAGED, ValueError, LookupError, TypeError, RecursionError):
        return "", 0  # what is wrong with it is found where it is judged


def number_of(path: Path) -> int:
    """The number in the name of a segment that is done, else what the file says."""
    match = DONE.fullmatch(path.name)
    return int(match[2]) if match else beginning(path)[1]


def done_segments(path: Path) -> list[Path]:
    """Segments of a projection beside the file that is written."""
    return [each for each in path.parent.glob("*") if (match := DONE.fullmatch(each.name)) and match[1] == path.stem]


def files_of(path: Path) -> list[Path]:
    """The files of the projection that the one at `path` belongs to, archived ones too: numbered from 1 without a gap."""
    path = path.absolute()
    match = DONE.fullmatch(path.name)
    written = path.with_name(f"{match[1]}.jsonl") if match else path
    here = done_segments(written) + [written] * written.is_file()
    log_id = next(filter(None, (beginning(each)[0] for each in [path, *reversed(here)])), "")
    archive = next((each / ARCHIVE for each in path.parents if (each / ARCHIVE).is_dir()), path.parent)
    archived = [each for each in done_segments(archive / written.name) if beginning(each)[0] == log_id]
    files = archived if path in archived else list({*archived, *here} or {path})
    plain = {each.name: each for each in files if each.suffix != ".gz"}
    files = [each for each in files if each.suffix != ".gz" or each.stem not in plain or not same(each, plain[each.stem])]
    files.sort(key=lambda each: (each == written, number_of(each), each.name))
    for due, each in enumerate(files, start=1):
        if number_of(each) not in (0, due):
            raise tampered(f"segment {due}, found {each.name}")
    return files


def same(packed: Path, plain: Path) -> bool:
    """Whether one holds what the other does, as after a packing that was cut short."""
    try:
        return all(one == other for one, other in zip_longest(lines_of(packed), lines_of(plain)))
    except DAMAGED:
        return False


def begins_as_log(path: Path) -> bool:
    """Whether its first line looks like one of a log."""
    try:
        return next(lines_of(path), b"").startswith(b'{"d":')
    except DAMAGED:
        return False


def unpacked(path: Path) -> Path:
    """A file's name before it was packed: those that go on after it name it so."""
    return path.with_suffix("") if path.suffix == ".gz" else path


def claims_of(files: list[Path]) -> dict[Path, dict[str, int]]:
    """Ledger files say in line 2 after which line of which other file they were begun, and in line 1 when; by the name before packing."""
    claims: dict[Path, dict[str, int]] = {unpacked(file): {} for file in files}
    for file in files:
        try:
            first, second = (json.loads(line) for line in islice(lines_of(file), 2))
            before = file.with_name(min(second["d"]["file"], unpacked(file).name))  # who follows a later file stands under a wrong name
            if second["d"]["kind"] == "follows" and before in claims:
                claims[before][second["d"]["line_hash"]] = first["w"]["at"]
        except (*DAMAGED, ValueError, LookupError, TypeError, RecursionError):
            continue  # whatever is wrong with it is found where it is judged
    return claims


def heads_in(text: bytes, keys: Keys, own: bool = False) -> list[dict]:
    """Heads, each proven by the key that it names; the signature covers what stands before `,"sig":"`. Of a log's `own` some may be by
    keys that are not at hand, and there is nothing around them."""
    *whole, rest = text.split(b"\n")
    found = []
    for number, line in enumerate([*whole, rest], start=1):
        if not line.strip() and not (own and number <= len(whole)):
            continue
        try:
            line = line if own else line.strip()  # they have come by mail
            seen = read(line.decode())
            covered, key = line[: line.rindex(b',"sig":"')], keys.get(seen["key"])
            if list(seen) != ["head", "key", "alg", "sig"] or list(seen["head"]) != HEAD or spell(seen).encode() != line:
                raise ValueError("other members")
        except (ValueError, LookupError, TypeError):
            if number > len(whole) and found:
                continue  # a crash cut it off
            raise Stop(UNREADABLE, f"heads: expected one in line {number}") from None
        if seen["alg"] != "HMAC-SHA256" or key is None:
            if own:
                found.append(seen)
                continue
            raise Stop(KEY_MISSING, f"head of line {number} is signed by {seen['key']!r}")
        if hmac.new(key, covered, hashlib.sha256).hexdigest() != seen["sig"]:
            raise tampered(f"a head whose bytes fit its signature in line {number}")
        found.append(seen)
    return found


def heads_beside(folder: Path) -> bytes:
    """What the head files of a session hold, packed or plain, each once; a damaged one is judged as it is."""
    texts = {}
    for path in (folder / f"{HEADS_FILE}.gz", folder / HEADS_FILE):
        if path.is_file():
            text = path.read_bytes()
            with suppress(*DAMAGED):
                text = gzip.decompress(text) if path.suffix == ".gz" else text
            texts[text] = None
    return b"".join(texts)


def own_heads(text: bytes, log_id: str, keys: Keys) -> list[dict]:
    """14 of the list: the heads beside a log, those by keys that are at hand; nothing else may stand there."""
    try:
        found = heads_in(text, keys, own=True) if text else []
    except Stop as stop:
        raise tampered(f"signed heads in {HEADS_FILE}: {stop}") from None
    for seen in found:
        if seen["head"]["log"] != log_id:
            raise tampered(f"heads of {log_id} in {HEADS_FILE}")
    lines = [seen["head"]["line"] for seen in found]
    if lines != sorted(lines):
        raise tampered(f"heads in the order of their lines in {HEADS_FILE}")
    return [seen for seen in found if seen["alg"] == "HMAC-SHA256" and keys.get(seen["key"]) is not None]


def holds_log(path: Path) -> bool:
    """Whether one of a file's first 1,000 lines is of the format, or what is left of one."""
    try:
        return any(line.startswith(b'{"d":') or b',"s":{"log":"' in line for line in islice(lines_of(path), 1000))
    except DAMAGED:
        return True  # which is judged where it is read


def check_objects(folder: Path) -> None:
    """12 of the list."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if not path.name.startswith(".") and sha256(path.read_bytes()).hex() != path.name:
            raise tampered(f"an object with SHA-256 {path.name}")


def is_session(path: Path) -> bool:
    """Whether it is the folder of one session."""
    return path.is_dir() and (LOG_ID.fullmatch(path.absolute().name) or any(SEGMENT.fullmatch(file.name) for file in path.iterdir()))


def no_log(name: str) -> bool:
    """Whether a folder of this name holds no logs: what lines name, or what is left of a session that was archived."""
    return name == OBJECTS or name.startswith(GONE)


def logs_below(folder: Path) -> tuple[list[Path], list[Path]]:
    """The sessions' folders below a folder, and a file of each other log."""
    below = sorted(each for each in folder.rglob("*") if not any(map(no_log, each.relative_to(folder).parts)))
    sessions = [each for each in below if each.is_dir() and LOG_ID.fullmatch(each.name)]
    files = [each for each in below if each.name.endswith((".jsonl", ".jsonl.gz")) and each.parent not in sessions]
    firsts: list[Path] = []
    told: set[Path] = set()
    for file in sorted(files, key=lambda each: (DONE.fullmatch(each.name) is not None, each)):  # what is written knows all its segments
        if file.absolute() not in told:
            firsts.append(file)
            told.update(part.absolute() for part in parts_of(file))
    return sessions, firsts


def parts_of(path: Path) -> list[Path]:
    """The files that are judged with this one; what is wrong with their numbers is found where they are judged."""
    try:
        return [path, *files_of(path)]
    except Stop:
        return [path]


def verify(
    path: Path,
    key: bytes | dict[str, bytes] | None,
    expected_key_id: str | None = None,
    allow_unsigned: bool = False,
    heads: Path | None = None,
) -> tuple[int, str]:
    """Verdict on the log at a path, or the worst one of a folder of logs, and a line for people."""
    named, plain = (key, None) if isinstance(key, dict) else ({}, key)
    sessions, others = logs_below(path) if path.is_dir() and not is_session(path) else ([path], [])
    files, claims = sessions + others, claims_of(others)
    told, met = [], set()
    try:
        seen = [] if heads is None else heads_in(heads.read_bytes(), Keys(named, plain, expected_key_id))
        for file in files:
            log = Log(Keys(named, plain, expected_key_id), expected_key_id, allow_unsigned, None)
            log.heads, log.claims = list(seen), claims.get(unpacked(file), {})
            told.append(judge(log, file))
            met.add(log.first.get("log"))
        unmet = {each["head"]["log"] for each in seen} - met
        if unmet and not (len(files) == 1 and len(unmet) < len({each["head"]["log"] for each in seen})):
            raise tampered(f"the log {min(unmet)}, of which a head was seen")
    except (Stop, OSError) as error:
        told.append((error.verdict if isinstance(error, Stop) else UNREADABLE, str(error)))
    code, text = min(told, key=lambda each: WORST_FIRST.index(each[0]), default=(UNREADABLE, "expected a log, found none"))
    return code, text if len(told) < 2 else f"{text}; {len(told)} logs were judged"


def judge(log: Log, path: Path) -> tuple[int, str]:
    """Verdict on one log."""
    folder = path.absolute() if path.is_dir() else path.absolute().parent
    if LOG_ID.fullmatch(folder.name) and (path.is_dir() or SEGMENT.fullmatch(path.name)):
        log.log_id, log.folder = folder.name, folder
    try:
        if log.log_id is None and path.is_file() and not holds_log(path):
            raise Stop(UNREADABLE, "expected a log, found no line of one")
        if path.is_dir():
            log.own_heads = heads_beside(folder)  # before the segments: a daemon writes a head after its lines
        for file in segments_of(folder) if path.is_dir() else [path] if log.log_id else files_of(path):
            log.walk(file)
        if path.is_dir():
            check_objects(folder / OBJECTS)
        log.end()
    except Stop as stop:
        return stop.verdict, f"line {log.line} of the log: {stop}"
    except OSError as error:
        return UNREADABLE, str(error)
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
    parser.add_argument("--key-file", action="append", default=[], metavar="[ID=]KEY")
    parser.add_argument("--head", type=Path)
    parser.add_argument("--expected-key-id")
    parser.add_argument("--allow-unsigned", action="store_true")
    given = parser.parse_args()
    keys: dict[str, bytes] = {}
    for text in given.key_file:
        name, _, file = text.rpartition("=")
        try:
            keys[name] = key_of(Path(file))
        except (OSError, ValueError) as error:
            sys.stderr.write(f"key file {file}: {error}\n")
            return KEY_MISSING if isinstance(error, FileNotFoundError) else UNREADABLE
    plain = keys.pop("", None)
    if plain is not None and keys:
        sys.stderr.write("of several keys each needs its id: --key-file ID=KEY\n")
        return UNREADABLE
    verdicts = set()
    for path in given.log:
        verdict, told = verify(path, plain or keys or None, given.expected_key_id, given.allow_unsigned, given.head)
        sys.stdout.write(f"{('intact', 'TAMPERED', 'unreadable', 'key missing', 'torn tail')[verdict]}: {path}: {told}\n")
        verdicts.add(verdict)
    return next(verdict for verdict in WORST_FIRST if verdict in verdicts)


if __name__ == "__main__":
    raise SystemExit(main())
