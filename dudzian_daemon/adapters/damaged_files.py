"""Damaged files of a candle store: found on disk, moved out of the way, never deleted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from dudzian_daemon.adapters.candle_files import MonthKey, folder_of
from dudzian_daemon.adapters.files import ensure_dir, os_errors, sha256_file, sync_folder
from dudzian_daemon.domain.market import Series

#: Where damaged files go, below the store.
FOLDER: Final = "_quarantine"
_MONTH: Final = re.compile(r"year=(\d{4})/month=(\d{2})/data\.parquet")


def keys_on_disk(root: Path, series: Series) -> Iterator[MonthKey]:
    """The months of a series for which there is a file, known to the manifest or not."""
    folder = folder_of(root, series)
    for path in sorted(folder.glob("year=*/month=*/data.parquet")):
        if match := _MONTH.fullmatch(path.relative_to(folder).as_posix()):
            yield series, int(match[1]), int(match[2])


def move_away(root: Path, path: Path) -> list[Path]:
    """Move a file of the store to its quarantine under the same relative name and a part of its digest; its new place."""
    if not path.is_file():
        return []
    place = path.relative_to(root)
    target = root / FOLDER / place.with_name(f"{place.stem}.{sha256_file(path)[:12]}{place.suffix}")
    ensure_dir(target.parent)
    with os_errors(path):
        path.replace(target)
        sync_folder(target.parent)
        sync_folder(path.parent)
    return [target]


def quarantined(root: Path) -> list[Path]:
    """All files in the quarantine."""
    return sorted(path for path in (root / FOLDER).rglob("*") if path.is_file())
