"""What can be said of a file for an audit: digest, size, time, owner, permissions, and what is unsafe about them. Follows no content.

Permissions are those of POSIX; Windows keeps its own lists, so there only what is missing is told.
"""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from typing import Final, Literal

import msgspec

from dudzian_daemon.adapters.files import sha256_file

#: `secret`: nobody but the owner reads it; `log`: nobody outside owner and group; `config`: nobody outside them writes it.
Kind = Literal["secret", "log", "config"]

_MOST_HASHED_BYTES: Final = 64 * 1024 * 1024
_READABLE: Final = {"secret": stat.S_IRGRP | stat.S_IROTH, "log": stat.S_IROTH, "config": 0}
_WRITABLE: Final = {"secret": stat.S_IWGRP | stat.S_IWOTH, "log": stat.S_IWOTH, "config": stat.S_IWGRP | stat.S_IWOTH}


class FileFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a plan. `security_flags` are words, `security_warnings` sentences with the remedy; times are UTC nanoseconds."""

    role: str
    path: str
    absolute_path: str
    kind: Kind
    exists: bool
    parent: str
    parent_exists: bool
    sha256: str = ""
    size: int = 0
    mtime_ns: int = 0
    permissions: str = ""
    parent_permissions: str = ""
    owner: int | None = None
    security_flags: tuple[str, ...] = ()
    security_warnings: tuple[str, ...] = ()


def file_facts(role: str, path: Path, kind: Kind, *, needs_parent: bool = False) -> FileFacts:
    """Look at `path`, which need not be there; with `needs_parent` a folder that is missing is a warning."""
    absolute = path.absolute()
    found, parent = _status(absolute), _status(absolute.parent)
    flags: list[tuple[str, str]] = []
    if found is not None:
        flags += _flags(absolute, found, kind)
    if parent is None and needs_parent:
        flags.append(("parent_missing", f"{role}: the folder {absolute.parent} is missing; make it: mkdir -p {absolute.parent}"))
    elif parent is not None and _open_to_all(parent):
        flags.append(("parent_world_writable", f"{role}: anybody may replace files in {absolute.parent}; run: chmod o-w {absolute.parent}"))
    regular = found is not None and stat.S_ISREG(found.st_mode)
    return FileFacts(
        role=role,
        path=str(path),
        absolute_path=str(absolute),
        kind=kind,
        exists=found is not None,
        parent=str(absolute.parent),
        parent_exists=parent is not None,
        sha256=sha256_file(absolute) if regular and kind != "secret" and found is not None and found.st_size <= _MOST_HASHED_BYTES else "",
        size=0 if found is None else found.st_size,
        mtime_ns=0 if found is None else found.st_mtime_ns,
        permissions=_octal(found),
        parent_permissions=_octal(parent),
        owner=None if found is None else found.st_uid,
        security_flags=tuple(word for word, _ in flags),
        security_warnings=tuple(text for _, text in flags),
    )


def _flags(path: Path, found: os.stat_result, kind: Kind) -> list[tuple[str, str]]:
    flags = []
    if stat.S_ISLNK(found.st_mode):
        flags.append(("symlink", f"{path} is a symlink, which could lead anywhere; put the file itself there"))
    elif sys.platform != "win32":
        if found.st_mode & _READABLE[kind]:
            flags.append(("readable_by_others", f"{path} can be read by others; run: chmod {'go' if kind == 'secret' else 'o'}-r {path}"))
        if found.st_mode & _WRITABLE[kind]:
            flags.append(("writable_by_others", f"{path} can be written by others; run: chmod {'o' if kind == 'log' else 'go'}-w {path}"))
    return flags


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except OSError:
        return None


def _open_to_all(folder: os.stat_result) -> bool:
    """A folder anybody may write into, where also other people's files may be replaced (no sticky bit)."""
    return sys.platform != "win32" and bool(folder.st_mode & stat.S_IWOTH) and not folder.st_mode & stat.S_ISVTX


def _octal(found: os.stat_result | None) -> str:
    return "" if found is None else f"{stat.S_IMODE(found.st_mode):04o}"
