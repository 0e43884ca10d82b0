"""Which logs lie at a path, how their bytes are read, and whether they are of a log at all. Whether they are right is not asked."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from dudzian_daemon.adapters.files import os_errors
from dudzian_daemon.adapters.journal_format import GONE, HEADS_FILE, LOG_ID, OBJECTS_FOLDER, SEGMENT, segments, split
from dudzian_daemon.adapters.log_lines import DAMAGED, open_log, raw_lines
from dudzian_daemon.adapters.log_segments import ARCHIVE, archived_places, beginning, done_segments, number_of, whole_log, written_file
from dudzian_daemon.domain.errors import ConfigError

#: What every line of a log begins with, and its seal.
_LINE_HEAD: Final = b'{"d":'
_SEAL_HEAD: Final = b',"s":{"log":"'
_LINES_LOOKED_AT: Final = 1_000
_BLOCK: Final = 64 * 1024
_TRIES: Final = 5


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """The log `by`, begun at wall time `at` (ns), says that another one has a line with this hash."""

    by: str
    at: int
    line_hash: str


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """The file of a projection that is written, as it was found: which file it is, and its number as a segment (0: it says none)."""

    path: Path
    inode: int
    number: int

    def now(self, path: Path) -> Path:
        """Where a file that was found as `path` lies now: a daemon may have put it aside, `dudzian retention` moved it."""
        if path == self.path and _inode(path) != self.inode:
            return next((each for each in done_segments(path) if number_of(each) == self.number), path)
        if path.exists():
            return path
        return next((each for each in archived_places(path) if each.is_file()), path)


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A log to judge: its name for people, its files in order (or one stream), the log id and objects its folder claims.

    `folder` is that of a session, whose files should be all there; `claims` are what others of its folder say of it, `own_heads` the
    bytes of the heads beside it, read before its files were looked for. `written` is the file among those of a projection that a
    daemon may put aside before it is opened, with the number it had as a segment.
    """

    label: str
    files: tuple[Path, ...] = ()
    stream: BinaryIO | None = None
    log_id: str | None = None
    objects: Path | None = None
    folder: Path | None = None
    claims: tuple[Claim, ...] = ()
    own_heads: bytes = b""
    written: Written | None = None

    def open(self) -> Iterator[tuple[str, BinaryIO]]:
        """Each part with its name; one must be read before the next is taken."""
        if self.stream is not None:
            yield self.label, self.stream
        for path in self.files:
            with open_log(path if self.written is None else self.written.now(path)) as stream:
                yield str(path), stream

    def misplaced(self) -> tuple[Path, str, str] | None:
        """The first file that is not where it belongs in a session's folder, with what was expected and found; None if there is none."""
        if self.folder is None:
            return self._misnumbered()
        for due, path in enumerate(self.files, start=1):
            if (number := _number(path)) != due:
                return path, f"segment {due}", f"segment {number}"
        for path in sorted(self.folder.iterdir()):
            if path.is_file() and not SEGMENT.fullmatch(path.name) and not path.name.startswith(".") and _begins_as_log(path):
                return path, "lines of a log in segments only (YYYY-MM-DD-NNNNNN.jsonl)", "a file of lines under another name"
        return None

    def _misnumbered(self) -> tuple[Path, str, str] | None:
        """The first segment of a projection that is not the one due; a file that says no number is judged by its lines alone."""
        if self.written is None:
            return None
        for due, path in enumerate(self.files, start=1):
            number = self.written.number if path == self.written.path else number_of(path)
            if number not in (0, due):
                return path, f"segment {due} of its log, here or in {ARCHIVE}", f"segment {number}"
        return None


def find_logs(path: Path) -> list[Source]:
    """The logs at a path: a file, a session's folder, or any folder with logs somewhere below it."""
    with os_errors(path):
        if not path.is_dir():
            if LOG_ID.fullmatch(path.absolute().parent.name) and SEGMENT.fullmatch(path.name):
                return [Source(label=str(path), files=(path,), log_id=path.absolute().parent.name)]
            return [_projection(path)]
        if LOG_ID.fullmatch(path.absolute().name) or segments(path):
            return [_session(path)]
        below = sorted(entry for entry in path.rglob("*") if not any(map(_no_log, entry.relative_to(path).parts)))
        folders = [entry for entry in below if LOG_ID.fullmatch(entry.name) and entry.is_dir()]
        files = [entry for entry in below if entry.name.endswith((".jsonl", ".jsonl.gz")) and entry.parent not in folders]
        return [_session(folder) for folder in folders] + _projections(files)


def _no_log(folder: str) -> bool:
    """Whether a folder of this name holds no logs: what lines name, or what is left of a session that was archived."""
    return folder == OBJECTS_FOLDER or folder.startswith(GONE)


def holds_log(lines: Iterator[bytes]) -> bool:
    """Whether one of the first lines is, or has been, a line of a log; no more of them is taken than needed."""
    return any(map(_of_the_format, islice(lines, _LINES_LOOKED_AT)))


def _of_the_format(line: bytes) -> bool:
    if line.startswith(_LINE_HEAD) or _SEAL_HEAD in line:
        return True
    try:
        split(line)
    except ValueError:
        return False
    return True


def _session(folder: Path) -> Source:
    name = folder.absolute().name
    objects = folder / OBJECTS_FOLDER
    own_heads = _own_heads(folder)
    return Source(
        label=str(folder),
        files=tuple(_without_copies(segments(folder))),
        log_id=name if LOG_ID.fullmatch(name) else None,
        objects=objects if objects.is_dir() else None,
        folder=folder,
        own_heads=own_heads,
    )


def heads_files(folder: Path) -> list[Path]:
    """The heads beside a session's log: as they are written, and packed, as earlier versions archived them."""
    return [path for path in (folder / f"{HEADS_FILE}.gz", folder / HEADS_FILE) if path.is_file()]


def _own_heads(folder: Path) -> bytes:
    """Heads of all the files, each once; of a damaged file its bytes, which are found to be no heads where they are judged."""
    texts: dict[bytes, None] = {}
    for path in heads_files(folder):
        with os_errors(path):
            text = path.read_bytes()
        with suppress(*DAMAGED):
            text = gzip.decompress(text) if path.suffix == ".gz" else text
        texts[text] = None
    return b"".join(texts)


def _without_copies(files: list[Path]) -> list[Path]:
    """A packed segment and the same one unpacked, what a crash of packing or archiving leaves, is read once; any other double stays."""
    plain = {path.name: path for path in files if path.suffix != ".gz"}
    return [path for path in files if path.suffix != ".gz" or path.stem not in plain or not _same(path, plain[path.stem])]


def _same(packed: Path, plain: Path) -> bool:
    try:
        with open_log(packed) as one, open_log(plain) as other:
            while (block := one.read(_BLOCK)) == other.read(_BLOCK):
                if not block:
                    return True
    except (*DAMAGED, ConfigError, OSError):
        return False
    return False


def _projection(path: Path, claims: tuple[Claim, ...] = ()) -> Source:
    """A log outside of the journal, of a file or of segments, all of which are looked for."""
    held, files = _found(path, written_file(path))
    for _ in range(_TRIES):
        if _inode(held.path) == held.inode:  # else it was put aside meanwhile
            break
        held, files = _found(path, held.path)
    return Source(label=str(path if len(files) == 1 else files[-1]), files=files, claims=claims, written=held)


def _found(path: Path, written: Path) -> tuple[Written, tuple[Path, ...]]:
    inode, begun = _inode(written), beginning(written)
    held = Written(path=written, inode=inode, number=0 if begun is None else begun.number)
    return held, tuple(_without_copies(whole_log(path)))


def _inode(path: Path) -> int:
    return path.stat().st_ino if path.is_file() else 0


def _number(path: Path) -> int:
    match = SEGMENT.fullmatch(path.name)
    return int(match[1]) if match else 0


def _begins_as_log(path: Path) -> bool:
    try:
        with open_log(path) as stream:
            return stream.read(len(_LINE_HEAD)) == _LINE_HEAD
    except (*DAMAGED, ConfigError, OSError):
        return False


class _Follows(msgspec.Struct):
    kind: str = ""
    file: str = ""
    line_hash: str = ""


class _Born(msgspec.Struct):
    at: int = 0


def _projections(files: list[Path]) -> list[Source]:
    """Logs of a file each, or of segments, with what those that go on after another one say of it."""
    claims: dict[Path, list[Claim]] = {}
    for file in files:
        named, claim = _claim(file)
        claims.setdefault(_plain(file.with_name(named)), []).extend([claim] if claim else [])
    found: list[Source] = []
    told: set[Path] = set()
    for file in sorted(files, key=lambda each: (number_of(each) > 0, each)):  # what is written first: it knows of all its segments
        if file.absolute() not in told:
            found.append(_projection(file, tuple(claims.get(_plain(file), ()))))
            told.update(each.absolute() for each in found[-1].files)
    return sorted(found, key=lambda source: source.label)


def _plain(path: Path) -> Path:
    """A file's name before it was packed: those that go on after it name it so."""
    return path.with_suffix("") if path.suffix == ".gz" else path


def _claim(path: Path) -> tuple[str, Claim | None]:
    """Name of the file that this one says it follows, and what it says of it; its own seals are judged elsewhere."""
    try:
        with open_log(path) as stream:
            first, second = (split(line) for line in islice(raw_lines(stream), 2))
            born, follows = msgspec.json.decode(first.w, type=_Born), msgspec.json.decode(second.d, type=_Follows)
    except (*DAMAGED, ValueError, RecursionError, ConfigError, OSError):
        return path.name, None
    if follows.kind != "follows" or "/" in follows.file or "\\" in follows.file or follows.file in ("", ".", ".."):
        return path.name, None
    # one that claims to follow a later file stands under the wrong name: what it says is asked of itself
    return min(follows.file, _plain(path).name), Claim(by=path.name, at=born.at, line_hash=follows.line_hash)
