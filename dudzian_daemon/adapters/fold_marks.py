"""What a fold over a session's cycles has come to, kept between runs, so that a start need not read the whole session again.

A mark is signed with the journal's key and names the journal line it stands after. One that is missing, damaged, of another session
or of a line that the journal does not have is worth nothing: then the fold begins with the first cycle, as it would without it.
"""

from __future__ import annotations

import hmac
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from dudzian_daemon.adapters.files import PRIVATE_FILE, ensure_dir, os_errors, require_regular_or_absent, write_atomic
from dudzian_daemon.adapters.journal_format import encode
from dudzian_daemon.adapters.journal_reader import cycles_between
from dudzian_daemon.adapters.keychain import SigningKey
from dudzian_daemon.domain.errors import DudzianError
from dudzian_daemon.kernel import logs

SCHEMA: Final = "dudzian.fold_mark/1"
#: Cycles after which a fold is kept again: what a start reads after a crash at most, beside what nobody has kept.
CYCLES: Final = 5_000
T = TypeVar("T")


class _Mark(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    schema: str = SCHEMA
    name: str
    log_id: str
    sequence: int
    line_hash: str
    fold: msgspec.Raw
    mac: str = ""


class FoldFile:
    """The mark of one fold (`<folder>/<name>.json`) over the session whose journal lies in `journal`. Every method blocks."""

    def __init__(self, folder: Path, name: str, journal: Path, key: SigningKey) -> None:
        self._path = folder / f"{name}.json"
        self._name = name
        self._journal = journal
        self._key = key

    def read(self, kind: type[T]) -> tuple[int, T] | None:
        """The sequence it stands after, and the fold as a `kind`; None where it begins anew."""
        try:
            mark = self._read()
            return None if mark is None else (mark.sequence, msgspec.json.decode(mark.fold, type=kind))
        except (msgspec.DecodeError, DudzianError) as error:
            logs.logger(self._name).warning("fold_mark_unusable", action="read_the_session_again", reason=str(error))
            return None

    def write(self, sequence: int, line_hash: str, fold: Any) -> None:
        """Keep the fold after cycle `sequence`, whose line has this raw hash. Raises `StorageError` or `ConfigError`."""
        mark = _Mark(name=self._name, log_id=self._journal.name, sequence=sequence, line_hash=line_hash, fold=msgspec.Raw(encode(fold)))
        ensure_dir(self._path.parent)
        write_atomic(self._path, encode(msgspec.structs.replace(mark, mac=self._mac(mark))), mode=PRIVATE_FILE)

    def _read(self) -> _Mark | None:
        require_regular_or_absent(self._path)
        with os_errors(self._path):
            if not self._path.exists():
                return None
            data = self._path.read_bytes()
        mark = msgspec.json.decode(data, type=_Mark)
        if (mark.schema, mark.name, mark.log_id) != (SCHEMA, self._name, self._journal.name):
            return None
        if not hmac.compare_digest(mark.mac, self._mac(mark)):
            msg = f"expected a mark signed by key {self._key.id} in {self._path}, found another"
            raise msgspec.DecodeError(msg)
        lines = [cycle.line_hash for cycle in cycles_between(self._journal, mark.sequence, mark.sequence)]
        return mark if lines == [mark.line_hash] else None

    def _mac(self, mark: _Mark) -> str:
        return hmac.new(self._key.secret, encode(msgspec.structs.replace(mark, mac="")), "sha256").hexdigest()
