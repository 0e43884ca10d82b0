"""`dudzian service` and the files it fills in: proven by systemd where there is one, by a table of fields for what cannot run here."""

from __future__ import annotations

import os
import plistlib
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from dudzian_daemon.app.service_files import ServiceWishes, service_plan
from dudzian_daemon.cli.main import main
from dudzian_daemon.config.places import bundled
from dudzian_daemon.domain.errors import ConfigError

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="a script of the shell")
needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze (Debian: systemd)")


def wishes(tmp_path: Path, *, system: bool = False, data_dir: Path | None = None) -> ServiceWishes:
    return ServiceWishes(environment="demo", program=sys.executable, home=tmp_path, data_dir=data_dir, system=system, user="jan & co")


def ask(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["service", *map(str, arguments)])
    return int(ended.value.code or 0)


def unit(tmp_path: Path, *, system: bool) -> Path:
    path = tmp_path / "dudzian@.service"
    path.write_bytes(service_plan("linux", wishes(tmp_path, system=system)).content)
    return path


@needs_systemd
@pytest.mark.parametrize("system", [True, False], ids=["system", "user"])
def test_systemd_has_nothing_to_say_of_the_units(system: bool, tmp_path: Path) -> None:
    arguments = [] if system else ["--user"]
    done = subprocess.run(
        ["systemd-analyze", *arguments, "verify", unit(tmp_path, system=system)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")


@needs_systemd
def test_the_system_unit_is_exposed_to_little(tmp_path: Path) -> None:
    command = ["systemd-analyze", "security", "--offline=true", str(unit(tmp_path, system=True))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = re.search(r"Overall exposure level for .*: ([0-9.]+)", done.stdout)
    assert found is not None and float(found[1]) <= 1.5


@pytest.mark.parametrize("name", ["dudzian@.service", "user/dudzian@.service"])
def test_both_units_say_how_it_is_kept_running(name: str) -> None:
    lines = set((bundled("systemd") / name).read_text().splitlines())
    assert {
        "Type=notify",
        "NotifyAccess=main",
        "Restart=on-failure",
        "RestartPreventExitStatus=2 3 5",
        "WatchdogSec=90",
        "KillSignal=SIGTERM",
        "UMask=0077",
    } <= lines


def test_a_unit_with_names_that_systemd_would_read_otherwise(tmp_path: Path) -> None:
    told = service_plan("linux", wishes(tmp_path, data_dir=Path("/srv/my data/100%")))
    assert b'--data-dir "/srv/my data/100%%"\n' in told.content
    assert told.path == tmp_path / ".config" / "systemd" / "user" / "dudzian@.service"
    with pytest.raises(ConfigError, match="no --data-dir with --system"):
        service_plan("linux", wishes(tmp_path, system=True, data_dir=tmp_path))


def test_the_agent_of_launchd_field_by_field(tmp_path: Path) -> None:
    told = service_plan("darwin", wishes(tmp_path, data_dir=Path("/srv/a & b")))
    assert told.path == tmp_path / "Library" / "LaunchAgents" / "org.dudzian.demo.plist"
    assert plistlib.loads(told.content) == {
        "Label": "org.dudzian.demo",
        "ProgramArguments": [sys.executable, "run", "--environment", "demo", "--no-ui", "--data-dir", "/srv/a & b"],
        "EnvironmentVariables": {"PYTHONUNBUFFERED": "1"},
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": 60,
        "ExitTimeOut": 60,
        "ProcessType": "Standard",
        "Umask": 0o077,
        "StandardOutPath": "/dev/null",
        "StandardErrorPath": "/srv/a & b/logs/launchd.log",
    }
    assert [command[:2] for command in (*told.install, told.status, *told.remove)] == [
        ("launchctl", "bootstrap"),
        ("launchctl", "print"),
        ("launchctl", "bootout"),
    ]


#: What the Task Scheduler has to be told, by the path of the element.
TASK = {
    "RegistrationInfo/URI": r"\Dudzian\demo",
    "Triggers/LogonTrigger/Enabled": "true",
    "Triggers/LogonTrigger/UserId": "jan & co",
    "Principals/Principal/LogonType": "InteractiveToken",
    "Principals/Principal/RunLevel": "LeastPrivilege",
    "Settings/MultipleInstancesPolicy": "IgnoreNew",
    "Settings/DisallowStartIfOnBatteries": "false",
    "Settings/StopIfGoingOnBatteries": "false",
    "Settings/ExecutionTimeLimit": "PT0S",
    "Settings/RestartOnFailure/Interval": "PT1M",
    "Settings/RestartOnFailure/Count": "999",
    "Actions/Exec/Command": sys.executable,
    "Actions/Exec/Arguments": 'run --environment demo --no-ui --data-dir "/srv/a & b"',
}


def test_the_task_of_windows_field_by_field(tmp_path: Path) -> None:
    told = service_plan("win32", wishes(tmp_path, data_dir=Path("/srv/a & b")))
    root = ElementTree.fromstring(told.content)
    place = "{http://schemas.microsoft.com/windows/2004/02/mit/task}"
    found = {path: root.findtext("/".join(f"{place}{part}" for part in path.split("/"))) for path in TASK}
    assert found == TASK
    assert told.install[0] == ("schtasks", "/Create", "/TN", r"\Dudzian\demo", "/XML", str(told.path), "/F")
    assert told.remove[0][1] == "stop"  # through the inbox: ending the task would kill it


def test_the_service_of_windows_stops_through_the_inbox_and_knows_the_lasting_codes() -> None:
    text = (bundled("windows_service") / "dudzian_service.py").read_text()
    compile(text, "dudzian_service.py", "exec")
    assert "frozenset({2, 3, 5})" in text
    assert '"stop", "--keep-positions"' in text


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_a_dry_run_prints_file_and_commands_and_writes_nothing(
    platform: str, isolated_environment: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(isolated_environment.rglob("*"))
    for action in ("install", "status", "remove"):
        assert ask(action, "--dry-run", "--platform", platform, "-e", "demo") == 0
        assert "# run: " in capsys.readouterr().out
    assert sorted(isolated_environment.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("install", "-e", "nowhere"), "unknown environment 'nowhere'"),
        (("install", "--platform", "win32"), "--platform: expected --dry-run beside it"),
        (("remove", "-e", "demo"), "it was not installed"),
    ],
)
def test_what_is_wrong_is_one_line(arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(*arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_other_platforms_are_told_what_to_mind(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected Linux, macOS or Windows, found freebsd14"):
        service_plan("freebsd14", wishes(tmp_path))


def answering(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> Path:
    """A `systemctl` that answers so goes before that of the machine; the file in which it keeps what it was asked for."""
    program, asked = folder / "bin" / "systemctl", folder / "asked"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$*" >> {asked}\n{script}\n')
    program.chmod(0o700)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    return asked


NO_BUS = 'echo "Failed to connect to bus: No medium found" >&2; exit 1'
NOT_BOOTED = 'echo "System has not been booted with systemd" >&2; echo "Can not operate." >&2; echo offline; exit 1'
#: A manager that is there, and takes or refuses what else it is asked.
RUNNING = 'for word; do case "$word" in is-system-running) echo degraded; exit 1;; daemon-reload) {reload};; status) {status};; esac; done'
USER = "loginctl enable-linger"
MACHINE = "run `dudzian run` under the manager that is there"


@posix_only
@pytest.mark.parametrize("action", ["install", "status", "remove"])
@pytest.mark.parametrize(
    ("script", "scope", "found", "remedy"),
    [
        (NO_BUS, (), "Failed to connect to bus: No medium found", USER),
        (NOT_BOOTED, (), "offline", MACHINE),
        (NO_BUS, ("--system",), "Failed to connect to bus: No medium found", MACHINE),
        (NOT_BOOTED, ("--system",), "offline", MACHINE),
    ],
)
def test_a_manager_that_cannot_be_reached_is_one_line_with_a_remedy(
    action: str,
    script: str,
    scope: tuple[str, ...],
    found: str,
    remedy: str,
    isolated_environment: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    asked = answering(tmp_path, monkeypatch, script)
    if action == "remove" and not scope:
        installed(isolated_environment)
    before = sorted(isolated_environment.rglob("*"))
    assert ask(action, "-e", "demo", *scope) == 2
    out, err = capfd.readouterr()
    (line,) = err.splitlines()
    if action == "remove" and scope:
        assert "it was not installed" in line
    else:
        assert line.startswith("dudzian: service: expected systemd")
        assert (f"found none that answers ({found}" in line, remedy in line, out) == (True, True, "")
        assert asked.read_text().splitlines() == [" ".join((*(() if scope else ("--user",)), "is-system-running"))]
    assert sorted(isolated_environment.rglob("*")) == before


@posix_only
def test_what_the_manager_refuses_is_one_line_and_leaves_nothing(
    isolated_environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    refusing = RUNNING.format(reload='printf "Access denied\\nAsk your administrator\\n" >&2; exit 1', status="exit 3")
    answering(tmp_path, monkeypatch, refusing)
    assert ask("install", "-e", "demo") == 1
    assert capfd.readouterr().err == "dudzian: systemctl --user daemon-reload: Access denied Ask your administrator\n"
    assert not list(isolated_environment.rglob("*.service"))


@posix_only
def test_the_status_of_the_manager_is_shown_and_one_that_is_not_installed_said(
    isolated_environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    answering(tmp_path, monkeypatch, RUNNING.format(reload="exit 0", status="echo active; exit 0"))
    assert ask("status", "-e", "demo") == 1
    out, err = capfd.readouterr()
    assert (out, "it was not installed; do it with: dudzian service install -e demo" in err, err.count("\n")) == ("", True, 1)
    installed(isolated_environment)
    assert ask("status", "-e", "demo") == 0
    assert capfd.readouterr() == ("active\n", "")


def installed(home: Path) -> None:
    path = home / ".config" / "systemd" / "user" / "dudzian@.service"
    path.parent.mkdir(parents=True)
    path.touch()
