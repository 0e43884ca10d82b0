"""The files with which a service manager keeps the daemon running, filled in for this machine, and the commands that use them.

One place for each platform: systemd (of the user, or of the system), launchd, the Task Scheduler. Nothing is written or run here.
"""

from __future__ import annotations

import os
from pathlib import Path, PurePath
from typing import Final, Literal
from xml.sax.saxutils import escape

import msgspec

from dudzian_daemon.config.places import bundled
from dudzian_daemon.domain.errors import ConfigError

Platform = Literal["linux", "darwin", "win32"]
#: The program in the units as they ship.
_SHIPPED: Final = "/opt/dudzian/bin/dudzian"
_SYSTEM_UNITS: Final = Path("/etc/systemd/system")

#: What is expected of systemd, and what to do where it does not answer.
NO_SESSION: Final = (
    "systemd of your own session",
    "log in as this user (su and sudo give no session), or have it started without one: loginctl enable-linger; or as root: --system",
)
NO_SYSTEMD: Final = (
    "systemd as the init of this machine",
    "run `dudzian run` under the manager that is there, or in a container as its command",
)


class ServicePlan(msgspec.Struct, frozen=True, kw_only=True):
    """Where the file goes, what stands in it, and what is run after it is there, to look at it, and to remove it.

    `reach` asks a manager for its state, where there may be none that answers.
    """

    manager: str
    path: Path
    content: bytes
    install: tuple[tuple[str, ...], ...]
    status: tuple[str, ...]
    remove: tuple[tuple[str, ...], ...]
    after_remove: tuple[tuple[str, ...], ...] = ()
    reach: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()


class ServiceWishes(msgspec.Struct, frozen=True, kw_only=True):
    """For which environment, which program, whose data; `system` is a unit of the machine instead of the user's own."""

    environment: str
    program: str
    home: Path
    data_dir: Path | None = None
    system: bool = False
    user: str = ""


def service_plan(platform: str, wishes: ServiceWishes) -> ServicePlan:
    """The plan for a platform. Raises `ConfigError` for one that has none of these managers."""
    if platform.startswith("linux"):
        return _systemd(wishes)
    if platform == "darwin":
        return _launchd(wishes)
    if platform == "win32":
        return _task(wishes)
    msg = f"service: expected Linux, macOS or Windows, found {platform}; run it under a manager of your own, exit codes: 2 3 5 are lasting"
    raise ConfigError(msg)


def _systemd(wishes: ServiceWishes) -> ServicePlan:
    scope = () if wishes.system else ("--user",)
    source = bundled("systemd") / ("dudzian@.service" if wishes.system else "user/dudzian@.service")
    text = source.read_text(encoding="utf-8").replace(_SHIPPED, _systemd_word(wishes.program))
    if wishes.data_dir is not None:
        if wishes.system:
            msg = "service: expected no --data-dir with --system: a system unit keeps its data in /var/lib/dudzian/ENVIRONMENT"
            raise ConfigError(msg)
        text = text.replace("%h/.local/share/dudzian/%i", _systemd_word(str(wishes.data_dir)))
    folder = _SYSTEM_UNITS if wishes.system else wishes.home / ".config" / "systemd" / "user"
    unit = f"dudzian@{wishes.environment}.service"
    hints = (
        ("encrypt the signing key first: systemd-creds encrypt --name=signing-key KEYFILE /etc/credstore.encrypted/signing-key",)
        if wishes.system
        else ("to keep it running when you log out: loginctl enable-linger",)
    )
    return ServicePlan(
        manager="systemd" if wishes.system else "systemd --user",
        path=folder / "dudzian@.service",
        content=text.encode(),
        install=(("systemctl", *scope, "daemon-reload"), ("systemctl", *scope, "enable", "--now", unit)),
        status=("systemctl", *scope, "--no-pager", "status", unit),
        remove=(("systemctl", *scope, "disable", "--now", unit),),
        after_remove=(("systemctl", *scope, "daemon-reload"),),
        reach=("systemctl", *scope, "is-system-running"),
        hints=hints,
    )


def _launchd(wishes: ServiceWishes) -> ServicePlan:
    label = f"org.dudzian.{wishes.environment}"
    data = wishes.data_dir or wishes.home / "Library" / "Application Support" / "dudzian" / wishes.environment
    path = wishes.home / "Library" / "LaunchAgents" / f"{label}.plist"
    domain = f"gui/{os.getuid() if hasattr(os, 'getuid') else 0}"
    return ServicePlan(
        manager="launchd",
        path=path,
        content=_filled(bundled("launchd") / "org.dudzian.plist", wishes, data).encode(),
        install=(("launchctl", "bootstrap", domain, str(path)),),
        status=("launchctl", "print", f"{domain}/{label}"),
        remove=(("launchctl", "bootout", f"{domain}/{label}"),),
        hints=(f"what it writes before its own log is open: {data}/logs/launchd.log",),
    )


def _task(wishes: ServiceWishes) -> ServicePlan:
    data = wishes.data_dir or wishes.home / "AppData" / "Local" / "dudzian" / wishes.environment
    name = f"\\Dudzian\\{wishes.environment}"
    path = data / "dudzian_task.xml"
    return ServicePlan(
        manager="Task Scheduler",
        path=path,
        content=_filled(bundled("windows_service") / "dudzian_task.xml", wishes, data).encode("utf-16"),
        install=(("schtasks", "/Create", "/TN", name, "/XML", str(path), "/F"), ("schtasks", "/Run", "/TN", name)),
        status=("schtasks", "/Query", "/TN", name, "/V", "/FO", "LIST"),
        remove=(
            (wishes.program, "stop", "--keep-positions", "--data-dir", str(data)),
            ("schtasks", "/Delete", "/TN", name, "/F"),
        ),
        hints=("as a service that needs no login: windows_service/dudzian_service.py, with pywin32",),
    )


def _filled(source: Path, wishes: ServiceWishes, data: PurePath) -> str:
    text = source.read_text(encoding="utf-8")
    words = {"@ENVIRONMENT@": wishes.environment, "@PROGRAM@": wishes.program, "@DATA@": str(data), "@USER@": wishes.user}
    for word, value in words.items():
        text = text.replace(word, escape(value))
    return text


def _systemd_word(text: str) -> str:
    """One word of a command line of systemd: its own marks are doubled, spaces are quoted."""
    doubled = text.replace("%", "%%").replace("$", "$$")
    return f'"{doubled}"' if " " in doubled else doubled
