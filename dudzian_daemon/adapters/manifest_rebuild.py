"""A manifest made anew from the month files, when the old one is damaged and there is no copy.

A file counts only if encoding its candles again gives the very same bytes, which covers what page checksums do not: the footer.
All others are moved away. Who gave the candles is not in the files; it is the caller's to say.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from dudzian_daemon.adapters.candle_files import (
    NO_COLUMNS,
    MonthKey,
    by_month,
    candles_between,
    content_of,
    decoded,
    encoded,
    joined,
    path_of,
)
from dudzian_daemon.adapters.damaged_files import keys_on_disk, move_away
from dudzian_daemon.adapters.manifest import FILE_NAME, SEEDED, MonthFile, load_manifest, writing
from dudzian_daemon.domain.errors import ConfigError, IntegrityError, Permanent
from dudzian_daemon.domain.market import GRANULARITIES, Series


class Rebuilt(msgspec.Struct, frozen=True):
    """How many month files are in the new manifest, and what was moved away: the old manifest and files that prove nothing."""

    files: int
    moved: tuple[Path, ...]


def rebuild_manifest(root: Path, *, source: str) -> Rebuilt | None:
    """Make the manifest anew; None if the present one is intact. Raises `ConfigError` where made-up candles may be among the files."""
    try:
        load_manifest(root)
    except IntegrityError:
        pass
    else:
        return None
    path = root / FILE_NAME
    if SEEDED.encode() in path.read_bytes():
        msg = f"the damaged manifest {path} speaks of made-up candles: delete the folder and run `dudzian seed-paper-cache` again"
        raise ConfigError(msg)
    moved = move_away(root, path)
    found: list[MonthFile] = []
    for key in _keys(root):
        file = _proved(root, key, source)
        if file is None:
            moved += move_away(root, path_of(root, key))
        else:
            found.append(file)
    with writing(root) as writer:
        writer.commit(found)
    return Rebuilt(len(found), tuple(moved))


def _keys(root: Path) -> list[MonthKey]:
    folders = [folder for folder in sorted(root.glob("[!_]*/*/*")) if folder.is_dir() and folder.name in GRANULARITIES]
    series = [Series(f"{folder.parts[-3]}:{folder.parts[-2].replace('_', '/')}", folder.name) for folder in folders]
    return [key for each in series for key in keys_on_disk(root, each)]


def _proved(root: Path, key: MonthKey, source: str) -> MonthFile | None:
    """The row of a file that is what we would write for its candles, None for any other."""
    series, year, month = key
    data = content_of(path_of(root, key)) or b""
    try:
        candles = candles_between(series, decoded(data), 0, 2**63 - 1)
        months = by_month(series, candles)
    except (IntegrityError, Permanent):
        return None
    bars = months.get(key, {})
    if list(months) != [key] or encoded(joined(NO_COLUMNS, bars)) != data:
        return None
    return MonthFile(
        instrument=series.instrument,
        granularity=series.granularity,
        year=year,
        month=month,
        rows=len(bars),
        first_ms=min(bars),
        last_ms=max(bars),
        bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        source=source,
    )
