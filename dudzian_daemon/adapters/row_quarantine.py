"""Keeps the rows of a venue that were refused, one JSON line each, so that somebody can look at what the venue sent."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import orjson

from dudzian_daemon.adapters.candle_rows import Judged
from dudzian_daemon.adapters.files import ensure_dir, os_errors
from dudzian_daemon.domain.market import Series
from dudzian_daemon.kernel.clock import Clock, iso_utc

#: A venue that sends nothing but nonsense must not fill the disk: above this only counters go on.
LARGEST_FILE: Final = 8 * 1024 * 1024


class RowQuarantine:
    """One file a venue below `folder`."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock

    def keep(self, series: Series, judged: Judged) -> None:
        """Append the refused rows. Blocks. Raises `StorageError`."""
        path = self._folder / f"{series.instrument.partition(':')[0]}.jsonl"
        at = iso_utc(self._clock.wall_ns())
        lines = [
            orjson.dumps(
                {"at": at, "instrument": series.instrument, "granularity": series.granularity, "fault": str(each.fault), "row": each.row}
            )
            for each in judged.refused
        ]
        with os_errors(path):
            ensure_dir(self._folder)
            if not path.exists() or path.stat().st_size < LARGEST_FILE:
                with path.open("ab") as file:
                    file.write(b"\n".join(lines) + b"\n")
