"""ZIP files that depend on nothing but what is in them: fixed times, fixed order, fixed permissions, so equal content is equal bytes."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from dudzian_daemon.adapters.files import ensure_dir, write_atomic

#: The first moment a ZIP can name.
_TIME: Final = (1980, 1, 1, 0, 0, 0)
_MODE: Final = 0o100640


def zipped(files: Mapping[str, bytes]) -> bytes:
    """The archive of these files, in the order of their names."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in sorted(files.items()):
            entry = zipfile.ZipInfo(name, _TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # else Windows would write its own
            entry.external_attr = _MODE << 16
            archive.writestr(entry, data, compresslevel=9)
    return buffer.getvalue()


def write_zip(path: Path, files: Mapping[str, bytes]) -> None:
    """Write the archive, atomically; its folder is made. Raises what the disk refuses."""
    ensure_dir(path.parent)
    write_atomic(path, zipped(files))
