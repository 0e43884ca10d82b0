"""Keep the daemon running: hand it to the service manager of this machine (systemd, launchd or the Task Scheduler).

The manager starts it again after a crash and after a restart of the machine, but not after an exit code that a new start would not mend
(2, 3, 5; launchd cannot tell them apart). A stop by the manager keeps the book for the next start.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from dudzian_daemon.cli.output import emit_text, note
from dudzian_daemon.domain.errors import ConfigError

if TYPE_CHECKING:
    from dudzian_daemon.app.service_files import ServicePlan

EXAMPLES = """Examples:

  dudzian service install --dry-run                      what would be written and run

  dudzian service install --environment binance_paper

  dudzian service status

  dudzian service remove
"""

#: States of a systemd that can be talked to.
_REACHED: Final = frozenset({"initializing", "starting", "running", "degraded", "maintenance", "stopping"})

app = typer.Typer(no_args_is_help=True)

Environment = Annotated[str, typer.Option("--environment", "-e", help="Environment, by name or alias.")]
System = Annotated[bool, typer.Option("--system", help="Linux: a unit of the machine with a user of its own, not one of yours.")]
DataDir = Annotated[Path | None, typer.Option(help="Data folder of the service; default: the platform's.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the file and the commands; write and run nothing.")]
Platform = Annotated[
    Literal["linux", "darwin", "win32"] | None, typer.Option("--platform", help="With --dry-run: as on this platform; default: this one.")
]


@app.callback()
def group() -> None:
    """One service for each environment."""


@app.command("install")
def install(
    environment: Environment = "binance_paper",
    system: System = False,
    data_dir: DataDir = None,
    platform: Platform = None,
    dry_run: DryRun = False,
) -> None:
    """Write the file, enable and start the service. Exit 0 once it is started, 1 where the manager refuses, 2 where none answers."""
    from dudzian_daemon.adapters.files import ensure_dir, write_atomic

    plan = _plan(environment, system, data_dir, platform, dry_run)
    if dry_run:
        emit_text(f"# {plan.manager}: {plan.path}")
        emit_text(plan.content.decode("utf-16" if plan.content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8").rstrip())
        _show("run", plan.install)
    else:
        _require(plan)
        fresh = not plan.path.exists()
        ensure_dir(plan.path.parent)
        write_atomic(plan.path, plan.content, mode=0o644)
        if refusal := _refusal(plan.install):
            if fresh:
                plan.path.unlink()
            note(refusal)
            raise typer.Exit(1)
        emit_text(f"wrote         {plan.path}")
        emit_text(f"started       {environment} by {plan.manager}; look at it with: dudzian service status")
    for hint in plan.hints:
        emit_text(f"hint          {hint}")


@app.command("status")
def status(environment: Environment = "binance_paper", system: System = False, platform: Platform = None, dry_run: DryRun = False) -> None:
    """Show what the manager says. Exit 0 where it runs, 1 where it does not or is not installed, 2 where no manager answers."""
    plan = _plan(environment, system, None, platform, dry_run)
    if dry_run:
        _show("run", [plan.status])
        return
    _require(plan)
    if plan.reach and not plan.path.exists():  # the file of the Task Scheduler lies in a data folder, and which one is not known here
        note(f"{_not_installed(plan)}; do it with: dudzian service install -e {environment}{' --system' if system else ''}")
        raise typer.Exit(1)
    raise typer.Exit(min(1, subprocess.run(plan.status, check=False).returncode))


@app.command("remove")
def remove(
    environment: Environment = "binance_paper",
    system: System = False,
    data_dir: DataDir = None,
    platform: Platform = None,
    dry_run: DryRun = False,
) -> None:
    """Stop the service and take it away; the data folder stays. Exit 0 once it is gone, 2 where there was none."""
    plan = _plan(environment, system, data_dir, platform, dry_run)
    if dry_run:
        _show("run", plan.remove)
        emit_text(f"# remove: {plan.path}")
        _show("run", plan.after_remove)
        return
    if not plan.path.exists():
        raise ConfigError(_not_installed(plan))
    _require(plan)
    if refusal := _refusal(plan.remove):
        note(refusal)
        raise typer.Exit(1)
    plan.path.unlink()
    if refusal := _refusal(plan.after_remove):
        note(refusal)
    emit_text(f"removed       {plan.path}; the data folder stays")


def _plan(environment: str, system: bool, data_dir: Path | None, platform: str | None, dry_run: bool) -> ServicePlan:
    from dudzian_daemon.app.service_files import ServiceWishes, service_plan
    from dudzian_daemon.cli.operator import operator_name
    from dudzian_daemon.config.load import load

    if platform is not None and not dry_run:
        msg = "--platform: expected --dry-run beside it, found none: a service is only installed on its own platform"
        raise ConfigError(msg)
    name = load(env=os.environ).config.environment_id(environment)
    wishes = ServiceWishes(
        environment=name,
        program=_program(),
        home=Path.home(),
        data_dir=None if data_dir is None else data_dir.absolute(),
        system=system,
        user=operator_name(os.environ.get("USERNAME"), {}),
    )
    return service_plan(platform or sys.platform, wishes)


def _program() -> str:
    """The `dudzian` of the interpreter that runs this."""
    beside = Path(sys.executable).with_name("dudzian.exe" if sys.platform == "win32" else "dudzian")
    return str(beside) if beside.exists() else shutil.which("dudzian") or str(beside)


def _not_installed(plan: ServicePlan) -> str:
    return f"service: expected {plan.path}, found nothing there; it was not installed"


def _require(plan: ServicePlan) -> None:
    """Raises `ConfigError` where the manager is not on this machine, or does not answer."""
    from dudzian_daemon.app.service_files import NO_SESSION, NO_SYSTEMD

    program = plan.status[0]
    if shutil.which(program) is None:
        msg = f"service: expected {program} on this machine, found none; see what it would do: dudzian service install --dry-run"
        raise ConfigError(msg)
    if not plan.reach:
        return
    told = subprocess.run(plan.reach, capture_output=True, text=True, check=False)
    state = told.stdout.strip()
    if state not in _REACHED:
        expected, remedy = NO_SESSION if "--user" in plan.reach and state != "offline" else NO_SYSTEMD
        msg = f"service: expected {expected}, found none that answers ({state or _one_line(told.stderr)}): {remedy}"
        raise ConfigError(msg)


def _refusal(commands: Sequence[Sequence[str]]) -> str:
    """Run them in order up to the first that is refused; what it said, empty where none was."""
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return f"{' '.join(command)}: {_one_line(done.stderr or done.stdout) or f'exit code {done.returncode}'}"
    return ""


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _show(word: str, commands: Sequence[Sequence[str]]) -> None:
    for command in commands:
        emit_text(f"# {word}: {' '.join(command)}")
