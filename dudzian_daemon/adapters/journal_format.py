"""The bytes of a sealed log: one line, its seal, where logs lie. No I/O; the description for strangers is docs/reference/journal.md.

Journal and signed projections share this format. What a cycle means is not known here.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import msgspec

from dudzian_daemon.adapters.keychain import SigningKey
from dudzian_daemon.trading.content import ORIGIN

FORMAT: Final = 1
ALGORITHM: Final = "HMAC-SHA256"
UNSIGNED: Final = "none"
#: Entry, sealed by the old key, after which a log is sealed by the key that it names.
KEY_CHANGE: Final = "key_change"
#: Most quiet cycles that may share one line.
QUIET_GROUP: Final = 64
#: Sealed lines at which a writer should commit, so that one sync serves a bounded group.
COMMIT_GROUP: Final = 64
#: A longer line is not ours; readers stop there instead of filling the memory.
MAX_LINE_BYTES: Final = 64 * 1024 * 1024

JOURNAL_FOLDER: Final = Path("data") / "journal"
OBJECTS_FOLDER: Final = "objects"
#: Lines after which a session goes on in a new segment.
SEGMENT_LINES: Final = 50_000

LOG_ID: Final = re.compile(r"[0-9a-f]{32}")
#: Signed heads in a session's folder; no name of a segment.
HEADS_FILE: Final = "heads.log"
#: How the name of a session's folder begins while it is removed, since its proven copy stands in the archive: it is no log any more.
GONE: Final = ".archived-"
SEGMENT: Final = re.compile(r"\d{4}-\d{2}-\d{2}-(\d{6})\.jsonl(?:\.gz)?")

_HASH_BLOCK: Final = 64

encode: Final = msgspec.json.Encoder().encode
decode: Final = msgspec.json.Decoder().decode


class Seal(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Member `s`: the line's place in its log and the proof of it. `mac` is missing in an unsigned log only."""

    log: str
    line: int
    prev: str
    content: str
    key: str
    alg: str
    mac: str = ""


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line taken apart, with the bytes of `d` and `w` as they were."""

    d: msgspec.Raw
    w: msgspec.Raw
    s: Seal


_decode_line: Final = msgspec.json.Decoder(Line).decode


class Hmac:
    """HMAC-SHA256 (RFC 2104) of many messages under one key: both padded keys are hashed once, and a message costs two copies.

    Half the time of a copied `hmac.HMAC`, which is what a line costs most; a property test holds the two equal. `inner` and `outer` are
    to be copied, never updated.
    """

    __slots__ = ("inner", "outer")

    def __init__(self, key: bytes) -> None:
        padded = (key if len(key) <= _HASH_BLOCK else sha256(key).digest()).ljust(_HASH_BLOCK, b"\0")
        self.inner = sha256(bytes(byte ^ 0x36 for byte in padded))
        self.outer = sha256(bytes(byte ^ 0x5C for byte in padded))

    def hexdigest(self, message: bytes) -> str:
        """The MAC as 64 hex digits."""
        inner, outer = self.inner.copy(), self.outer.copy()
        inner.update(message)
        outer.update(inner.digest())
        return outer.hexdigest()


class LineSealer:
    """Makes the lines of one log in order: chain, seal, MAC. Without a key the whole log is unsigned.

    `line` and `previous` resume a log after that line, whose raw hash is `previous`.
    """

    __slots__ = ("_head", "_mac", "_signature", "key_id", "line", "log_id", "previous")

    def __init__(self, log_id: str, key: SigningKey | None, *, line: int = 0, previous: str = ORIGIN) -> None:
        self.log_id = log_id
        self.line = line
        self.previous = previous
        self._head = f',"s":{{"log":"{log_id}","line":'
        self.hand_over(key)

    def hand_over(self, key: SigningKey | None) -> None:
        """The lines that follow are sealed by another key: those behind an entry `key_change`."""
        self.key_id = key.id if key else ""
        self._mac = Hmac(key.secret) if key else None
        self._signature = f'","key":{encode(self.key_id).decode()},"alg":"{ALGORITHM if key else UNSIGNED}"'

    @property
    def signed(self) -> bool:
        """False when the log is declared unsigned."""
        return self._mac is not None

    def seal(self, d: bytes, w: bytes, content: str = ORIGIN) -> bytes:
        """The next line, newline included. `d` and `w` are canonical JSON, `content` the content link after this line."""
        self.line += 1
        seal = f'{self._head}{self.line},"prev":"{self.previous}","content":"{content}{self._signature}'
        line = b"".join((b'{"d":', d, b',"w":', w, seal.encode()))
        line += b"}}" if self._mac is None else f',"mac":"{self._mac.hexdigest(line)}"}}}}'.encode()
        self.previous = sha256(line).hexdigest()
        return line + b"\n"


def line_hash(line: bytes) -> str:
    """Raw hash of a line given without its newline, as 64 hex digits."""
    return sha256(line).hexdigest()


def split(line: bytes) -> Line:
    """Take a line apart; raises `ValueError` when it does not have the three members of the format."""
    try:
        return _decode_line(line)
    except RecursionError:
        msg = "JSON nested too deeply"
        raise ValueError(msg) from None


def genesis(artifact: str, created_by: str, *, signed: bool, projection: bool = False) -> dict[str, Any]:
    """Member `d` of a log's first line."""
    entry = {"kind": "genesis", "format": FORMAT, "artifact": artifact, "created_by": created_by, "signed": signed}
    return {**entry, "projection": True} if projection else entry


def key_change(key_id: str) -> dict[str, Any]:
    """Member `d` of the entry after which the key `key_id` seals."""
    return {"kind": KEY_CHANGE, "key": key_id}


def journal_folder(root: Path, artifact: str) -> Path:
    """Where the sessions of an artifact lie below the data folder `root`."""
    return root / JOURNAL_FOLDER / artifact


def segments(folder: Path) -> list[Path]:
    """Segment files of a session folder in the order of their numbers; one that is there plain and packed counts as the plain one."""
    found = {path.name: (match[1], path) for path in folder.iterdir() if (match := SEGMENT.fullmatch(path.name))}
    packed_too = {f"{name}.gz" for name in found}
    return [path for _, path in sorted(each for name, each in found.items() if name not in packed_too)]


def segment_name(number: int, wall_ns: int) -> str:
    """Name of a session's segment, from 1, that is begun at this wall time."""
    day = datetime.fromtimestamp(wall_ns // 1_000_000_000, UTC).date()
    return f"{day.isoformat()}-{number:06d}.jsonl"
