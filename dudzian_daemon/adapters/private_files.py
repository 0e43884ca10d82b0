"""Files and folders that only their owner may read."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from typing import Final

from dudzian_daemon.adapters.files import PRIVATE_FILE, ensure_dir, os_errors, sync_folder, whole_or_gone
from dudzian_daemon.domain.errors import ConfigError

PRIVATE_FOLDER: Final = 0o700


def create_private(path: Path, data: bytes) -> None:
    """Make a file of mode 0600 with these bytes. Raises `ConfigError` if something is there already or the folder is not."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), PRIVATE_FILE)
    except FileExistsError:
        msg = f"{path} is there already; choose another name or remove it"
        raise ConfigError(msg) from None
    except OSError as error:
        msg = f"{path} cannot be made: {error.strerror}"
        raise ConfigError(msg) from None
    with os_errors(path), whole_or_gone(path), os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)


def private_folder(root: Path, below: Path) -> Path:
    """The folder `below` the existing folder `root`, made with mode 0700 where it is missing.

    Raises `ConfigError` on a symlink on the way: what is written must not end up elsewhere.
    """
    folder = root
    ensure_dir(root)
    for part in below.parts:
        folder /= part
        with os_errors(folder):
            if folder.is_symlink() or (folder.exists() and not stat.S_ISDIR(folder.lstat().st_mode)):
                msg = f"expected a folder at {folder}, found a symlink or a file; move it away"
                raise ConfigError(msg)
            if not folder.exists():
                folder.mkdir(mode=PRIVATE_FOLDER)
                folder.chmod(PRIVATE_FOLDER)
                sync_folder(folder.parent)
    return folder


def readable_by_others(status: os.stat_result) -> bool:
    """True if group or others have any right on the file; on Windows the profile folder's own rules protect it."""
    return sys.platform != "win32" and bool(status.st_mode & 0o077)
