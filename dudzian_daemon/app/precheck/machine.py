"""What the machine must offer: space, a clock that can be right, folders that can be written and files that others cannot."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psutil

from dudzian_daemon.app.daily_report.package import REPORTS
from dudzian_daemon.app.precheck.findings import Finding, ok
from dudzian_daemon.config.runtime import ResourceLimits
from dudzian_daemon.domain.market import DAY_NS
from dudzian_daemon.domain.resources import UNITS

_MB: Final = 1_000_000
#: No clock can be right that shows a day before this version was made: 2026-01-01.
_MADE_NS: Final = 20_454 * DAY_NS
_PRIVATE_FOLDERS: Final = ("security",)


def free_space(data_folder: Path) -> tuple[int, Path]:
    """MB that are free for the daily reports and for the rest of the data folder, and where: of two disks the fuller one."""
    folders = {_existing(data_folder / REPORTS), _existing(data_folder)}
    return min((psutil.disk_usage(str(folder)).free // _MB, folder) for folder in sorted(folders, reverse=True))


def disk(data_folder: Path, min_free_mb: int) -> Finding:
    """The free space that `reporting.min_free_mb` wants before a session, where reports and journal are, or will be."""
    free_mb, folder = free_space(data_folder)
    if free_mb < min_free_mb:
        return Finding(
            check="disk",
            status="error",
            code="disk_low",
            message=f"expected {min_free_mb:,} MB free at {folder} (reporting.min_free_mb), found {free_mb:,}",
            remedy="free some space, choose another --data-dir, or say less in reporting.min_free_mb",
        )
    return ok("disk", f"at least {min_free_mb:,} MB are free for daily reports and journal")


def clock(now_ns: int, newest_end_ns: int | None) -> Finding:
    """The wall clock is not before this version was made, nor before the end of the newest candle."""
    if now_ns < max(_MADE_NS, newest_end_ns or 0):
        return Finding(
            check="clock",
            status="error",
            code="clock_behind",
            message="the clock of this machine shows a time before the newest stored candle or before this version was made",
            remedy="switch time synchronisation on: timedatectl set-ntp true",
        )
    return ok("clock", "the clock is later than the newest candle")


def folder(data_folder: Path) -> Finding:
    """The data folder can be written, or made."""
    if os.access(_existing(data_folder), os.W_OK | os.X_OK):
        return ok("data_folder", "the data folder can be written")
    return Finding(
        check="data_folder",
        status="error",
        code="data_folder_not_writable",
        message=f"expected to be able to write {data_folder}, found no permission",
        remedy="check its owner, or choose another --data-dir",
    )


def permissions(config_files: tuple[Path, ...], data_folder: Path, key_file: Path | None) -> Finding:
    """Nobody else can change the configuration or the rotation register, or read the signing key."""
    loose = [path for path in (*config_files, *_private(data_folder)) if _mode(path) & 0o022]
    if key_file is not None and _mode(key_file) & 0o077:
        loose.append(key_file)
    if not loose:
        return ok("permissions", "configuration, register and key file belong to their owner")
    return Finding(
        check="permissions",
        status="warning",
        code="permissions_loose",
        message=f"other users may change or read {', '.join(str(path) for path in loose)}",
        remedy=f"chmod go-rwx {loose[0]}" if loose[-1] == key_file else f"chmod go-w {' '.join(str(path) for path in loose)}",
    )


def resources(limits: ResourceLimits) -> Finding:
    """The budgets of `runtime.resource_limits`, which this machine has to give."""
    whole = {"cpu_percent": 100.0 * (psutil.cpu_count() or 1), "memory_mb": psutil.virtual_memory().total / _MB}
    beyond = [f"{name} {getattr(limits, name):,.10g} of {has:,.0f}" for name, has in whole.items() if getattr(limits, name) > has]
    if beyond:
        return Finding(
            check="resource_limits",
            status="warning",
            code="resource_limits_beyond_machine",
            message=f"expected budgets in runtime.resource_limits that this machine has, found {', '.join(beyond)}",
            remedy="say less there, so that an alert comes before the machine is full, or use a larger machine",
        )
    budgets = [f"{name} {getattr(limits, name):,.10g} {unit}" for name, unit in UNITS.items() if hasattr(limits, name)]
    return ok("resource_limits", f"{', '.join(budgets)}; a warning from {limits.headroom_warning_threshold:.0%} of each")


def python() -> Finding:
    """The interpreter, for people."""
    return ok("python", f"Python {sys.version_info[0]}.{sys.version_info[1]}.{sys.version_info[2]} on {sys.platform}")


def _private(data_folder: Path) -> Iterator[Path]:
    for name in _PRIVATE_FOLDERS:
        yield from sorted((data_folder / name).glob("*.json"))


def _existing(path: Path) -> Path:
    """The path, or the nearest folder above that is there."""
    return next(each for each in (path, *path.parents) if each.exists())


def _mode(path: Path) -> int:
    """Rights of the file, 0 where there is none and on Windows, whose rules are others."""
    return stat.S_IMODE(path.stat().st_mode) if sys.platform != "win32" and path.exists() else 0
