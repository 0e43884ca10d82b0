"""Every class of tampering with a journal, a decision log and a ledger: one list for the daily tests, the long suite and the comparison.

A class takes evidence as it was written and changes what lies on the disk; `finds` says how it must be judged with the last head at hand,
and without. Attackers have no key, but where a class says so.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple

import anyio

from dudzian_daemon.adapters.chained_log import ChainedLog, new_log_id
from dudzian_daemon.adapters.heads import Head, encode_head, sign_head
from dudzian_daemon.adapters.journal import SessionJournal
from dudzian_daemon.adapters.journal_format import LineSealer, decode, encode, genesis, segments
from dudzian_daemon.adapters.keychain import SigningKey
from dudzian_daemon.domain.records import CycleRecord
from dudzian_daemon.testing.clock import ManualClock
from dudzian_daemon.trading.content import ContentChain
from tests.unit.adapters.journal_samples import fill_cycle, quiet_cycle

Lines = list[bytes]
Change = Callable[[Random, Lines, Lines], Lines]

OLD: Final = SigningKey(id="risk-ci", secret=bytes(range(32)), source="test")
NEW: Final = SigningKey(id="risk-2026", secret=bytes(range(100, 132)), source="test", other={OLD.id: OLD}.get)
KEYS: Final = {OLD.id: OLD.secret, NEW.id: NEW.secret}
#: Of somebody who has neither.
THIEF: Final = SigningKey(id=OLD.id, secret=b"t" * 32, source="test")
TAMPERED, INTACT, TORN = 1, 0, 4


class Evidence(NamedTuple):
    """A log on the disk, or several that follow one another: what is judged, its files, the last heads that were seen.

    Of each log of `logs`: its files, its bytes at an earlier time, and the bytes of another one like it.
    """

    kind: str
    path: Path
    heads: Path
    logs: list[tuple[list[Path], bytes, bytes]]

    def kept(self) -> dict[Path, bytes]:
        """What `restore` puts back."""
        return {path: path.read_bytes() for path in (*(path for files, _, _ in self.logs for path in files), self.heads)}

    def restore(self, kept: dict[Path, bytes]) -> None:
        """Everything as it was written."""
        for folder in {path.parent for path in kept}:
            shutil.rmtree(folder / "objects", ignore_errors=True)  # none was written
            for path in folder.iterdir():
                if path.is_file() and path not in kept:
                    path.unlink()
        for path, content in kept.items():
            path.write_bytes(content)


def lines_of(files: list[Path]) -> Lines:
    """The lines of a log's files, with their newlines."""
    return b"".join(map(Path.read_bytes, files)).splitlines(keepends=True)


def write(files: list[Path], lines: Lines) -> None:
    """Put lines where a log was, as many in each file as there were."""
    sizes = [path.read_bytes().count(b"\n") for path in files]
    at = 0
    for number, (path, size) in enumerate(zip(files, sizes, strict=True), start=1):
        end = len(lines) if number == len(files) else at + size
        path.write_bytes(b"".join(lines[at:end]))
        at = end


# -- evidence ----------------------------------------------------------------------------------------------------------


def journal(root: Path, cycles: int = 24, per_segment: int = 12) -> Evidence:
    """A session in three segments and more, with a checkpoint, and a change of key in its second run."""
    folders = [_session(root / name, cycles) for name in ("log", "other")]
    earlier = b"".join(map(Path.read_bytes, segments(folders[0])))
    _second_run(folders[0], cycles)
    (whole,) = segments(folders[0])
    lines = whole.read_bytes().splitlines(keepends=True)
    whole.unlink()
    for number, at in enumerate(range(0, len(lines), per_segment), start=1):
        (folders[0] / f"2024-01-0{number}-{number:06}.jsonl").write_bytes(b"".join(lines[at : at + per_segment]))
    files = segments(folders[0])
    heads = _heads(root / "heads" / "seen.jsonl", [(lines, cycles * 2)])
    (other,) = segments(folders[1])
    return Evidence("journal", folders[0], heads, [(files, earlier, other.read_bytes())])


def decision_log(root: Path, entries: int = 30) -> Evidence:
    """A projection with a change of key."""
    path, other = root / "log" / "demo.jsonl", root / "other" / "demo.jsonl"
    path.parent.mkdir(parents=True)
    other.parent.mkdir(parents=True)
    earlier = _projection(path, entries)
    _projection(other, entries)
    log = ChainedLog.resume(path, NEW, sync=False)
    _decisions(log, entries, 2 * entries)
    lines = path.read_bytes().splitlines(keepends=True)
    return Evidence("decision log", path, _heads(root / "heads" / "seen.jsonl", [(lines, 0)]), [([path], earlier, other.read_bytes())])


def ledger(root: Path, entries: int = 10) -> Evidence:
    """Three files of days that follow one another."""
    days = [_day(root / "ledger" / f"ledger-2024010{day}.jsonl", entries, day) for day in (1, 2, 3)]
    heads = _heads(root / "heads" / "seen.jsonl", [(path.read_bytes().splitlines(keepends=True), 0) for path in days])
    logs = []
    for day, path in enumerate(days, start=1):
        other = _day(root / "other" / path.name, entries, day).read_bytes()
        logs.append(([path], b"".join(path.read_bytes().splitlines(keepends=True)[: entries // 2]), other))
    return Evidence("ledger", days[0].parent, heads, logs)


KINDS: Final[dict[str, Callable[[Path], Evidence]]] = {"journal": journal, "decision log": decision_log, "ledger": ledger}


def _cycle(number: int) -> CycleRecord:
    return fill_cycle(number) if number % 5 == 4 else quiet_cycle(number)


def _session(root: Path, cycles: int) -> Path:
    made = SessionJournal.create(root, "demo", OLD, clock=ManualClock(), wall={"host": "test"})
    made.append_entry("run", {"config": {"version": 1}}, {"pid": 1})
    _append(made, 1, cycles)
    made.append_checkpoint(b'{"cash":"9987.5","day":1}', "due")
    anyio.run(made.commit)
    made.abandon()
    return made.folder


def _second_run(folder: Path, cycles: int) -> None:
    (path,) = segments(folder)
    made = SessionJournal.resume(path, NEW, _chain_after(cycles), clock=ManualClock())
    made.append_entry("run", {"config": {"version": 1}}, {"pid": 2})
    _append(made, cycles + 1, 2 * cycles)
    anyio.run(made.commit)
    made.abandon()


def _append(made: SessionJournal, first: int, last: int) -> None:
    for number in range(first, last + 1):
        made.append(_cycle(number), wall={"started_at": 0.5})
        if number % 2 == 0:
            made.flush_quiet()
    made.flush_quiet()


def _chain_after(cycles: int) -> ContentChain:
    chain = ContentChain()
    for number in range(1, cycles + 1):
        chain.seal(_cycle(number))
    return chain


def _projection(path: Path, entries: int) -> bytes:
    log = ChainedLog.create(path, new_log_id(), OLD, sync=False)
    log.append(encode(genesis("demo", "0", signed=True, projection=True)), b"{}")
    _decisions(log, 0, entries)
    return path.read_bytes()


def _decisions(log: ChainedLog, first: int, last: int) -> None:
    for number in range(first, last):
        amount = f"{number}.125"
        entry = {
            "kind": "order_executed",
            "session": "a" * 32,
            "sequence": number,
            "line_hash": f"{number:064x}",
            "price": amount,
            "x": 0.5,
        }
        log.append(encode(entry), b"{}")
    log.commit_now()
    log.release()


def _day(path: Path, entries: int, day: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    before = path.with_name(f"ledger-2024010{day - 1}.jsonl")
    log = ChainedLog.create(path, new_log_id(), OLD, sync=False)
    log.append(encode(genesis("demo", "0", signed=True, projection=True)), encode({"at": day}))
    if before.exists():
        last = sha256(before.read_bytes().splitlines()[-1]).hexdigest()
        log.append(encode({"kind": "follows", "file": before.name, "line_hash": last}), b"{}")
    _decisions(log, 0, entries)
    return path


def _heads(path: Path, logs: list[tuple[Lines, int]]) -> Path:
    """The last head of each log, as it was seen elsewhere."""
    signed = []
    for lines, sequence in logs:
        seal, key = json.loads(lines[-1])["s"], NEW if json.loads(lines[-1])["s"]["key"] == NEW.id else OLD
        last = sha256(lines[-1][:-1]).hexdigest()
        head = Head(log=seal["log"], line=seal["line"], sequence=sequence, hash=last, content=seal["content"], at=1_700_000_000_000_000_000)
        signed.append(encode_head(sign_head(head, key)))
    path.parent.mkdir(parents=True)
    path.write_bytes(b"".join(signed))
    return path


# -- tools of an attacker ----------------------------------------------------------------------------------------------


def _at(random: Random, lines: Lines, first: int = 0) -> int:
    return random.randrange(first, len(lines))


def _one(change: Callable[[Random, bytes], bytes], first: int = 0) -> Change:
    """A class that changes one line; tries others where it has nothing to change."""

    def changed(random: Random, lines: Lines, _other: Lines) -> Lines:
        for at in random.sample(range(first, len(lines)), len(lines) - first):
            spoiled = change(random, lines[at])
            if spoiled != lines[at]:
                return [*lines[:at], spoiled, *lines[at + 1 :]]
        raise AssertionError("nothing to change")

    return changed


def _substituted(pattern: bytes, new: Callable[[re.Match[bytes]], bytes] | bytes) -> Change:
    def change(random: Random, line: bytes) -> bytes:
        found = list(re.finditer(pattern, line))
        if not found:
            return line
        match = random.choice(found)
        return line[: match.start()] + (new if isinstance(new, bytes) else new(match)) + line[match.end() :]

    return _one(change)


def _byte(random: Random, line: bytes) -> bytes:
    at = random.randrange(len(line) - 1)
    return line[:at] + bytes([line[at] ^ random.randrange(1, 256)]) + line[at + 1 :]


def _digit(random: Random, line: bytes) -> bytes:
    at = random.choice([match.start() for match in re.finditer(rb"[0-9]", line)])
    return line[:at] + b"%d" % ((int(line[at : at + 1]) + random.randrange(1, 10)) % 10) + line[at + 1 :]


def _mended(lines: Lines) -> Lines:
    """Numbers and previous hashes as they must be; the MACs are those that were there."""
    previous, mended = "0" * 64, []
    for number, line in enumerate(lines, start=1):
        line = re.sub(rb'"line":\d+,"prev":"\w+"', b'"line":%d,"prev":"%b"' % (number, previous.encode()), line)
        previous = sha256(line[:-1]).hexdigest()
        mended.append(line)
    return mended


def _sealed_anew(lines: Lines, key: Callable[[dict[str, Any]], SigningKey | None]) -> Lines:
    """All lines with seals that fit: `key` says by which key, seeing the members of a line."""
    first = decode(lines[0])
    sealer = LineSealer(first["s"]["log"], key(first))
    made = []
    for line in lines:
        members = decode(line)
        sealer.hand_over(key(members))
        made.append(sealer.seal(encode(members["d"]), encode(members["w"]), members["s"]["content"]))
    return made


def _own_key(members: dict[str, Any]) -> SigningKey:
    return NEW if members["s"]["key"] == NEW.id else OLD


def _thief_with_id(key_id: str) -> SigningKey:
    return SigningKey(id=key_id, secret=THIEF.secret, source="test")


def _insert_by_thief(random: Random, lines: Lines, _other: Lines) -> Lines:
    at = _at(random, lines, 1)
    seal = decode(lines[at])["s"]
    sealer = LineSealer(seal["log"], _thief_with_id(seal["key"]), line=at, previous=seal["prev"])
    return [*lines[:at], sealer.seal(b'{"kind":"note"}', b"{}", decode(lines[at - 1])["s"]["content"]), *lines[at:]]


def _by_other_known_key(random: Random, lines: Lines, _other: Lines) -> Lines:
    """From some line on the other key of the ring seals, without an entry that says so."""
    at = random.randrange(1, len(lines))
    wrong = {OLD.id: NEW, NEW.id: OLD}
    return _sealed_anew(lines, lambda each: wrong[each["s"]["key"]] if each["s"]["line"] > at else _own_key(each))


def _by_the_key_that_was_left(_random: Random, evidence: Evidence) -> None:
    """By somebody who has the old key alone: it goes on sealing behind the entry that hands over to the new one."""
    for files, _, _ in evidence.logs:
        write(files, _sealed_anew(lines_of(files), lambda _each: OLD))


def _with_the_stolen_key(random: Random, lines: Lines, _other: Lines) -> Lines:
    """A wall field more, and all seals from there on as they would have been."""
    at = random.choice([at for at, line in enumerate(lines) if b',"w":{' in line])
    members = decode(lines[at])
    return _sealed_anew([*lines[:at], encode({**members, "w": {"note": 1}}) + b"\n", *lines[at + 1 :]], _own_key)


def _forged_change(random: Random, lines: Lines, _other: Lines) -> Lines:
    at = _at(random, lines, 1)
    seal = decode(lines[at - 1])["s"]
    before = sha256(lines[at - 1][:-1]).hexdigest()
    sealer = LineSealer(seal["log"], _thief_with_id(seal["key"]), line=at, previous=before)
    return [*lines[:at], sealer.seal(b'{"kind":"key_change","key":"thief"}', b"{}", seal["content"]), *lines[at:]]


def _back_to_the_old_key(_random: Random, lines: Lines, _other: Lines) -> Lines:
    """By the holder of the key: a log never has a key again that it had before."""
    seal = decode(lines[-1])["s"]
    key = _own_key(decode(lines[-1]))
    sealer = LineSealer(seal["log"], key, line=len(lines), previous=sha256(lines[-1][:-1]).hexdigest())
    added = [sealer.seal(encode({"kind": "key_change", "key": OLD.id}), b"{}", seal["content"])]
    sealer.hand_over(OLD)
    return [*lines, *added, sealer.seal(b'{"kind":"note"}', b"{}", seal["content"])]


def _moved(random: Random, lines: Lines, _other: Lines) -> Lines:
    taken = _at(random, lines)
    rest = lines[:taken] + lines[taken + 1 :]
    to = random.choice([at for at in range(len(lines)) if at != taken])
    return [*rest[:to], lines[taken], *rest[to:]]


def _swapped(random: Random, lines: Lines, _other: Lines) -> Lines:
    one, other = random.sample(range(len(lines)), 2)
    lines[one], lines[other] = lines[other], lines[one]
    return lines


def _deleted(random: Random, lines: Lines, _other: Lines) -> Lines:
    begin = random.randrange(len(lines) - 1)
    end = random.randrange(begin + 1, len(lines))
    return lines[:begin] + lines[end:]


def _spliced(random: Random, lines: Lines, other: Lines) -> Lines:
    at = random.randrange(min(len(lines), len(other)))
    return [*lines[:at], other[at], *lines[at + 1 :]]


def _tail_of_another(random: Random, lines: Lines, other: Lines) -> Lines:
    at = random.randrange(1, min(len(lines), len(other)))
    return lines[:at] + other[at:]


def _unsigned(line: bytes) -> bytes:
    return re.sub(rb',"mac":"\w+"', b"", line).replace(b'"alg":"HMAC-SHA256"', b'"alg":"none"')


def _declared_unsigned(_random: Random, lines: Lines, _other: Lines) -> Lines:
    first = lines[0].replace(b'"signed":true', b'"signed":false')
    return _sealed_anew([first, *[line for line in lines[1:] if b'"key_change"' not in line]], lambda _each: None)


def _inserted(text: bytes) -> Change:
    def change(random: Random, lines: Lines, _other: Lines) -> Lines:
        at = random.randrange(len(lines) + 1)
        return [*lines[:at], text, *lines[at:]]

    return change


def _mac_of_another(random: Random, lines: Lines, _other: Lines) -> Lines:
    one, other = random.sample(range(len(lines)), 2)
    return [*lines[:one], lines[one][:-68] + lines[other][-68:], *lines[one + 1 :]]


#: Of the lines of a log; the last argument are those of another log like it.
LINES: Final[dict[str, Change]] = {
    "edit of a byte": _one(_byte),
    "edit of a digit": _one(_digit),
    "edit of a number": _substituted(rb"\d\.\d+", b"7.25"),
    "edit, chain mended": lambda random, lines, other: _mended(_substituted(rb'"kind":"', b'"kind":"x')(random, lines, other)),
    "edit of the last line": lambda random, lines, _other: [*lines[:-1], _digit(random, lines[-1])],
    "edit of the first line": lambda random, lines, _other: [_byte(random, lines[0]), *lines[1:]],
    "insert of a line": lambda random, lines, _other: [
        *lines[: (at := _at(random, lines))],
        random.choice(lines[:at] or lines[-1:]),
        *lines[at:],
    ],
    "insert by another key": _insert_by_thief,
    "insert of an empty line": _inserted(b"\n"),
    "insert of text": _inserted(b"hello\n"),
    "insert of zeros": _inserted(b"\0" * 64 + b"\n"),
    "delete of a line": lambda random, lines, _other: [*lines[: (at := random.randrange(len(lines) - 1))], *lines[at + 1 :]],
    "delete of the first line": lambda _random, lines, _other: lines[1:],
    "delete of several lines": _deleted,
    "delete, chain mended": lambda random, lines, other: _mended(_deleted(random, lines, other)),
    "swap": _swapped,
    "swap, chain mended": lambda random, lines, other: _mended(_swapped(random, lines, other)),
    "duplicate": lambda random, lines, _other: [*lines[: (at := _at(random, lines)) + 1], lines[at], *lines[at + 1 :]],
    "duplicate of the log": lambda _random, lines, _other: lines * 2,
    "move": _moved,
    "splice of a line": _spliced,
    "splice of a tail": _tail_of_another,
    "splice of a head": lambda random, lines, other: _tail_of_another(random, other[: len(lines)], lines),
    "continued by another log": lambda _random, lines, other: lines + other,
    "sealed anew by another key": lambda _random, lines, _other: _sealed_anew(lines, lambda each: _thief_with_id(each["s"]["key"])),
    "other key of the ring, no entry": _by_other_known_key,
    "change of key, forged": _forged_change,
    "change of key back": _back_to_the_old_key,
    "key id edited": _substituted(rb'"key":"risk-[\w]+"', lambda match: match[0][:-2] + b'x"'),
    "member twice": _substituted(rb'"w":', b'"w":{},"w":'),
    "member twice, first one counts": _substituted(rb'"kind":"', b'"kind":"x","kind":"'),
    "member more": _substituted(rb'"s":\{', b'"x":1,"s":{'),
    "space": _substituted(rb'[:,](?=["{\[])', lambda match: match[0] + b" "),
    "space at the end": _substituted(rb"\n", b" \n"),
    "carriage return": _substituted(rb"\n", b"\r\n"),
    "byte order mark": lambda _random, lines, _other: [b"\xef\xbb\xbf" + lines[0], *lines[1:]],
    "number with a zero more": _substituted(rb":\d+\.\d+(?=[,}\]])", lambda match: match[0] + b"0"),
    "integer as a fraction": _substituted(rb'"line":\d+', lambda match: match[0] + b".0"),
    "number with an exponent": _substituted(rb'"line":\d+', lambda match: match[0] + b"e0"),
    "upper-case hash": _substituted(rb'"(?:prev|content|mac)":"(?=\w*[a-f])\w{64}"', lambda match: match[0][:-65] + match[0][-65:].upper()),
    "escaped letter": _substituted(rb"k(?=ind)", b"\\u006b"),
    "not UTF-8": _substituted(rb'"kind":"', b'"kind":"\xff'),
    "nested deeply": _substituted(rb'"w":', b'"w":' + b"[" * 5_000 + b"]" * 5_000 + b',"x":'),
    "huge number": _substituted(rb'"line":', b'"line":' + b"1" * 5_000),
    "seal stripped": _substituted(rb',"s":.*\}', b"}"),
    "MAC stripped": _substituted(rb',"mac":"\w+"', b""),
    "MAC emptied": _substituted(rb'(?<="mac":")\w+', b""),
    "MAC null": _substituted(rb'(?<="mac":)"\w+"', b"null"),
    "MAC of another line": _mac_of_another,
    "all MACs stripped": lambda _random, lines, _other: [re.sub(rb',"mac":"\w+"', b"", line) for line in lines],
    "a line declared unsigned": lambda random, lines, other: _one(lambda _random, line: _unsigned(line))(random, lines, other),
    "all lines declared unsigned": lambda _random, lines, _other: [_unsigned(line) for line in lines],
    "all lines declared unsigned, chain mended": _declared_unsigned,
    "torn in the middle": lambda random, lines, _other: [
        *lines[: (at := random.randrange(len(lines) - 1))],
        lines[at][:40],
        *lines[at + 1 :],
    ],
    # what needs a head
    "cut of whole lines": lambda random, lines, _other: lines[: random.randrange(1, len(lines))],
    "cut in a line": lambda random, lines, _other: [
        *lines[: (at := _at(random, lines, 1))],
        lines[at][: random.randrange(1, len(lines[at]))],
    ],
    "emptied": lambda _random, _lines, _other: [],
    "replaced by another log": lambda _random, _lines, other: other,
    "sealed anew with the stolen key": _with_the_stolen_key,
}
#: Classes of `LINES` that whoever sees the log alone may take for intact, torn or empty.
NEED_A_HEAD: Final = frozenset(
    {"cut of whole lines", "cut in a line", "emptied", "replaced by another log", "sealed anew with the stolen key"}
    | {
        "put back to an earlier time",
        "first file removed",
        "last file removed",
        "file of another log",
        "all lines declared unsigned, chain mended",
    }
)


# -- of files ----------------------------------------------------------------------------------------------------------


def _earlier(random: Random, evidence: Evidence) -> None:
    files, earlier, _ = random.choice(evidence.logs)
    write(files, earlier.splitlines(keepends=True))


def _first_removed(_random: Random, evidence: Evidence) -> None:
    evidence.logs[0][0][0].unlink()


def _last_removed(_random: Random, evidence: Evidence) -> None:
    evidence.logs[-1][0][-1].unlink()


def _removed_inside(random: Random, evidence: Evidence) -> None:
    random.choice(evidence.logs[0][0][1:-1]).unlink()


def _renumbered(random: Random, evidence: Evidence) -> None:
    path = random.choice(evidence.logs[0][0])
    path.rename(path.with_name(path.name.replace("-0000", "-0009")))


def _names_swapped(random: Random, evidence: Evidence) -> None:
    one, other = random.sample([path for files, _, _ in evidence.logs for path in files], 2)
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)


def _hidden(random: Random, evidence: Evidence) -> None:
    path = random.choice(evidence.logs[0][0])
    path.rename(path.with_name("kept.txt"))


def _copied(random: Random, evidence: Evidence) -> None:
    files = evidence.logs[0][0]
    (files[-1].with_name(f"2024-01-31-{len(files) + 1:06}.jsonl")).write_bytes(random.choice(files).read_bytes())


def _of_another(random: Random, evidence: Evidence) -> None:
    files, _, other = random.choice(evidence.logs)
    random.choice(files).write_bytes(other)


def _checkpoint(change: Callable[[dict[str, Any]], None]) -> Callable[[Random, Evidence], None]:
    """A forged state under its old MAC."""

    def forged(_random: Random, evidence: Evidence) -> None:
        for path in evidence.logs[0][0]:
            lines = path.read_bytes().splitlines(keepends=True)
            for at, line in enumerate(lines):
                if line.startswith(b'{"d":{"kind":"checkpoint"'):
                    members = decode(line)
                    change(members["d"])
                    lines[at] = encode(members) + b"\n"
                    path.write_bytes(b"".join(lines))

    return forged


def _forged_state(d: dict[str, Any]) -> None:
    d["state"]["cash"] = "99999.5"
    d["hash"] = sha256(encode(d["state"])).hexdigest()


def _later_place(d: dict[str, Any]) -> None:
    d["sequence"] += 1


def _object(_random: Random, evidence: Evidence) -> None:
    folder = evidence.path / "objects"
    folder.mkdir(exist_ok=True)
    (folder / ("0" * 64)).write_bytes(b"rows")


def _head_edited(random: Random, evidence: Evidence) -> None:
    evidence.heads.write_bytes(re.sub(rb'"line":\d+', b'"line":%d' % random.randrange(1, 20), evidence.heads.read_bytes()))


def _head_by_thief(_random: Random, evidence: Evidence) -> None:
    signed = [decode(line) for line in evidence.heads.read_bytes().splitlines()]
    made = [encode_head(sign_head(Head(**each["head"]), _thief_with_id(each["key"]))) for each in signed]
    evidence.heads.write_bytes(b"".join(made))


def _fork(_random: Random, evidence: Evidence) -> None:
    """Two heads of one line, both by the key."""
    signed = decode(evidence.heads.read_bytes().splitlines()[0])
    head = Head(**{**signed["head"], "hash": "f" * 64})
    with evidence.heads.open("ab") as file:
        file.write(encode_head(sign_head(head, NEW if signed["key"] == NEW.id else OLD)))


_ALL: Final = ("journal", "decision log", "ledger")
#: Of files and heads, with the kinds of evidence that have them.
FILES: Final[dict[str, tuple[tuple[str, ...], Callable[[Random, Evidence], None]]]] = {
    "old key behind a change of key": (("journal", "decision log"), _by_the_key_that_was_left),
    "put back to an earlier time": (_ALL, _earlier),
    "first file removed": (("journal", "ledger"), _first_removed),
    "last file removed": (("journal", "ledger"), _last_removed),
    "file inside removed": (("journal",), _removed_inside),
    "file renumbered": (("journal",), _renumbered),
    "names of files swapped": (("journal", "ledger"), _names_swapped),
    "file under a name that is not read": (("journal",), _hidden),
    "file copied under another number": (("journal",), _copied),
    "file of another log": (_ALL, _of_another),
    "checkpoint forged": (("journal",), _checkpoint(_forged_state)),
    "checkpoint at another place": (("journal",), _checkpoint(_later_place)),
    "object that is not what its name says": (("journal",), _object),
    "head edited": (_ALL, _head_edited),
    "head by another key": (_ALL, _head_by_thief),
    "two heads of one line": (_ALL, _fork),
}


def cases(kind: str) -> list[str]:
    """Names of the classes for a kind of evidence."""
    return [*LINES, *(name for name, (kinds, _) in FILES.items() if kind in kinds)]


def tamper(name: str, random: Random, evidence: Evidence) -> None:
    """Do it, to what lies on the disk."""
    if name in FILES:
        FILES[name][1](random, evidence)
        return
    files, _, other = random.choice(evidence.logs)
    lines = lines_of(files)
    changed = LINES[name](random, list(lines), other.splitlines(keepends=True))
    assert changed != lines, name
    write(files, changed)
