"""Files that only their owner may read."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from dudzian_daemon.adapters.files import PRIVATE_FILE, os_errors
from dudzian_daemon.domain.errors import ConfigError


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
    with os_errors(path), os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)


def readable_by_others(status: os.stat_result) -> bool:
    """True if group or others have any right on the file; on Windows the profile folder's own rules protect it."""
    return sys.platform != "win32" and bool(status.st_mode & 0o077)
