"""One archive with all that proves a session: journal, objects, configuration, hashes, report, and how to verify it offline.

The key is not in it. The bytes of an open session are those up to the last whole line at the moment of packing.
"""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, Final, cast

import msgspec

import dudzian_daemon
from dudzian_daemon.adapters.files import PRIVATE_FILE, os_errors, require_regular_or_absent
from dudzian_daemon.adapters.head_file import FILE_NAME
from dudzian_daemon.adapters.heads import encode_head, read_heads
from dudzian_daemon.adapters.journal_format import JOURNAL_FOLDER, KEY_CHANGE, OBJECTS_FOLDER
from dudzian_daemon.adapters.journal_reader import entry_of
from dudzian_daemon.adapters.key_change import new_key_of
from dudzian_daemon.adapters.log_report import Integrity, LogReport
from dudzian_daemon.adapters.tape import TAPE_FOLDER
from dudzian_daemon.adapters.verify import Terms, verify_log
from dudzian_daemon.app.recorded_run import PluginFacts, run_entry
from dudzian_daemon.app.reexecution.recorded_log import RecordedLog
from dudzian_daemon.app.reexecution.session_summary import SessionSummary, summarise, summary_lines
from dudzian_daemon.domain.errors import ConfigError, IntegrityError

_BLOCK: Final = 64 * 1024
_README: Final = """# Evidence of session {log_id}

| file | holds |
|---|---|
| `data/journal/` | the signed journal with its heads, and what its lines name: warm-up rows, plugin sources, frames of inputs |
| `config-N.json` | the trading configuration of run N, as the journal has it |
| `report.json`, `report.txt` | what the session did, told from its records |
| `seals.json` | what the verifier said where this was packed |
| `manifest.json` | size and SHA-256 of every file, the log's last line, the packages and plugins that ran |

The key is not here: ask for it on another road (key id {key_id}). With dudzian {version} installed, in this folder:

    dudzian verify-decision-log data/journal --hmac-key-file KEY
    dudzian replay . --verify --hmac-key-file KEY

The first proves that the journal is what was written. The second executes it again and compares every decision; it needs the package
whose hash `manifest.json` names, and **it runs the plugin sources of this archive with your rights**: only after the first one said
`intact`, and with a key that you trust.
"""


class PackedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of the archive by its path below the archive's folder."""

    path: str
    bytes: int
    sha256: str


class PackedRun(msgspec.Struct, frozen=True, kw_only=True):
    """What a run of the session ran on."""

    line: int
    environment: str
    package: dict[str, str]
    plugins: dict[str, PluginFacts]
    dependencies: dict[str, str]
    interpreter: str
    platform: str
    config: str


class EvidenceManifest(msgspec.Struct, kw_only=True):
    """Schema `dudzian.evidence/1`: `lines`, `last_hash` and `content_chain` are those of the log's last line."""

    schema: str = "dudzian.evidence/1"
    packed_by: str
    log_id: str
    artifact: str
    key_id: str
    seals: Integrity
    lines: int
    last_hash: str
    content_chain: str
    runs: list[PackedRun]
    files: list[PackedFile] = []


class _Genesis(msgspec.Struct):
    artifact: str


def pack(log: RecordedLog, terms: Terms, target: Path) -> EvidenceManifest:
    """Write the archive (tar, gzip, mode 0600) in one step. Raises `IntegrityError`, writing nothing, when the seals do not hold."""
    require_regular_or_absent(target)
    lengths = {path: _whole_lines(path) for path in log.source.files if path.suffix != ".gz"}
    seals = verify_log(log.source, terms)
    if seals.integrity not in (Integrity.INTACT, Integrity.KEY_MISSING):
        found = f"{seals.finding.file} line {seals.finding.line}: {seals.finding.expected}" if seals.finding else seals.reason
        msg = f"expected a journal that is intact, found one that is {seals.integrity} ({found}); nothing was packed"
        raise IntegrityError(msg)
    if seals.lacking is not None:
        lacking = f"{seals.lacking.place}: expected {seals.lacking.expected}, found {seals.lacking.found}"
        msg = f"expected a journal that is complete, found one that lacks what a head says ({lacking}); nothing was packed"
        raise IntegrityError(msg)
    last = log.source.files[-1]
    summary = summarise(log, _last_line(last, lengths[last]) if last in lengths else None)
    manifest, texts = _described(log, seals, summary)
    root = f"evidence-{summary.log_id}"
    with _archive(target) as tar:
        for name, text in texts.items():
            manifest.files.append(_add(tar, root, name, io.BytesIO(text), len(text)))
        heads = _heads(log, summary.lines)
        if heads:
            name = (JOURNAL_FOLDER / manifest.artifact / summary.log_id / FILE_NAME).as_posix()
            manifest.files.append(_add(tar, root, name, io.BytesIO(heads), len(heads)))
        for name, path in _session_files(log, manifest.artifact, summary.log_id):
            with os_errors(path):
                file, size = path.open("rb"), lengths.get(path, path.stat().st_size)
            with file:
                manifest.files.append(_add(tar, root, name, file, size))
        document = _json(manifest)
        _add(tar, root, "manifest.json", io.BytesIO(document), len(document))
    return manifest


def _described(log: RecordedLog, seals: LogReport, summary: SessionSummary) -> tuple[EvidenceManifest, dict[str, bytes]]:
    """The manifest without its files, and the small files by name."""
    runs, texts, artifact, key_id = list[PackedRun](), dict[str, bytes](), "unknown", ""
    key_ids: list[str] = []
    for entry in log.entries(summary.lines):
        if entry.kind == "genesis":
            artifact, key_id = msgspec.json.decode(entry.d, type=_Genesis).artifact, entry.seal.key
            key_ids = [key_id]
        elif entry.kind == KEY_CHANGE:
            key_id = new_key_of(entry.d)
            key_ids.append(key_id)
        elif entry.kind == "run":
            ran = run_entry(entry.seal.log, entry.d)
            name = f"config-{len(runs) + 1}.json"
            texts[name] = msgspec.json.format(bytes(ran.config), indent=2) + b"\n"
            facts = {
                field: value for field, value in msgspec.structs.asdict(ran).items() if field not in ("config", "opening_source", "feed")
            }
            runs.append(PackedRun(line=entry.seal.line, config=name, **facts))
    manifest = EvidenceManifest(
        packed_by=dudzian_daemon.__version__,
        log_id=summary.log_id,
        artifact=artifact,
        key_id=key_id,
        seals=seals.integrity,
        lines=summary.lines,
        last_hash=summary.last_hash,
        content_chain=summary.report.content_chain,
        runs=runs,
    )
    summary.log = seals.log = (JOURNAL_FOLDER / artifact / summary.log_id).as_posix()  # no path of this machine goes along
    readme = _README.format(
        log_id=summary.log_id,
        key_id=", then ".join(f"`{each}`" for each in key_ids),
        version=", ".join(sorted({run.package["version"] for run in runs})),
    )
    told = "".join(f"{line}\n" for line in summary_lines(summary))
    return manifest, {
        "README.md": readme.encode(),
        **texts,
        "report.json": _json(summary),
        "report.txt": told.encode(),
        "seals.json": _json(seals),
    }


def _heads(log: RecordedLog, lines: int) -> bytes:
    """The session's heads up to the last line that is packed: later ones, of a daemon that writes on, would seem to miss the rest."""
    path = log.folder / FILE_NAME
    found = read_heads(path) if log.source.log_id is not None and path.is_file() and path.stat().st_size else []
    return b"".join(encode_head(signed) for signed in found if signed.head.line <= lines)


def _session_files(log: RecordedLog, artifact: str, log_id: str) -> Iterator[tuple[str, Path]]:
    """Name in the archive and place of the journal's files, of its objects, and of whatever else was written beside them for readers."""
    folder = (JOURNAL_FOLDER / artifact / log_id).as_posix()
    named = {path: f"{folder}/{path.name}" for path in log.source.files}
    if log.source.log_id is not None:
        beside = (path for path in log.folder.iterdir() if path.is_file() and not path.name.startswith(".") and path.name != FILE_NAME)
        named |= {path: f"{folder}/{path.name}" for path in beside}
    if log.source.objects is not None:
        kept = (path for path in log.source.objects.iterdir() if not path.name.startswith("."))
        named |= {path: f"{folder}/{OBJECTS_FOLDER}/{path.name}" for path in kept}
    if log.source.log_id is not None and (tape := log.folder / TAPE_FOLDER).is_dir():
        named |= {path: f"{folder}/{TAPE_FOLDER}/{path.name}" for path in tape.iterdir() if not path.name.startswith(".")}
    for path, name in sorted(named.items()):
        if path.is_symlink() or not path.is_file():
            msg = f"expected a regular file at {path}, found something else; nothing was packed"
            raise ConfigError(msg)
        yield name, path


@contextmanager
def _archive(target: Path) -> Iterator[tarfile.TarFile]:
    """A new archive that takes the target's place when the block has ended well."""
    with os_errors(target):
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.absolute().parent)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                with gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0) as packed, tarfile.open(fileobj=packed, mode="w") as tar:
                    yield tar
                file.flush()
                os.fsync(file.fileno())
            temporary.chmod(PRIVATE_FILE)
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


class _Digesting(io.RawIOBase):
    """Reads at most `size` bytes of a file and keeps their digest."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._left = size
        self.digest = sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(data)
        self.digest.update(data)
        return data


def _add(tar: tarfile.TarFile, root: str, name: str, file: BinaryIO, size: int) -> PackedFile:
    """Equal contents give equal archives: no time, no owner."""
    info = tarfile.TarInfo(f"{root}/{name}")
    info.size, info.mode = size, PRIVATE_FILE
    reader = _Digesting(file, size)
    tar.addfile(info, cast("BinaryIO", reader))
    return PackedFile(path=name, bytes=size, sha256=reader.digest.hexdigest())


def _json(document: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def _whole_lines(path: Path) -> int:
    """Length of a plain file up to the end of its last whole line at this moment."""
    with os_errors(path), path.open("rb") as file:
        return _newline_before(file, file.seek(0, io.SEEK_END))


def _last_line(path: Path, length: int) -> int:
    """Number of the line that ends at `length`."""
    with os_errors(path), path.open("rb") as file:
        begin = _newline_before(file, length - 1)
        file.seek(begin)
        return entry_of(path, "at its end", file.read(length - 1 - begin)).seal.line


def _newline_before(file: BinaryIO, end: int) -> int:
    """Where the line begins that is not whole before `end`: just after the last newline, 0 if there is none."""
    while end > 0:
        begin = max(0, end - _BLOCK)
        file.seek(begin)
        at = file.read(end - begin).rfind(b"\n")
        if at >= 0:
            return begin + at + 1
        end = begin
    return 0
