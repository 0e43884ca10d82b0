"""How a command runs a session: signals first, then everything heavy. Shared by `run` and its restricted forms."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypedDict, Unpack

import typer

from dudzian_daemon.cli.output import emit_json, emit_text, lossy_stdout
from dudzian_daemon.domain.errors import ConfigError

if TYPE_CHECKING:
    from dudzian_daemon.app.one_schedule import OneSchedule
    from dudzian_daemon.app.preparation import RunOptions

AsJson = Annotated[bool, typer.Option("--json", help="With --dry-run: the answer as JSON.")]


class Said(TypedDict, total=False):
    """What the command line said: the fields of `app.preparation.RunOptions`."""

    config: Path | None
    environment: str | None
    data_dir: Path | None
    speed: str | None
    metrics_port: int | None
    show_view: bool
    plugins_dir: Path | None
    modules: tuple[str, ...]
    scheduler: str | None
    run_once: bool
    fresh: bool
    accept_change: bool
    live: bool
    base_url: str | None
    ws_url: str | None
    one_schedule: OneSchedule | None
    settings: dict[str, Any]
    adapters: tuple[str, ...]
    plan_sha256: str


def run_session(*, as_json: bool, **said: Unpack[Said]) -> NoReturn:
    """Run the daemon and end with its exit code. Raises `ConfigError` for `--json`, which only a dry run answers in."""
    if as_json:
        msg = "--json: expected --dry-run beside it, found a real run, which has no one answer; ask it with: dudzian status --json"
        raise ConfigError(msg)
    from dudzian_daemon.app.process.signals import StopSignals
    from dudzian_daemon.kernel.faults import fault_point

    signals = StopSignals()
    signals.install()  # to the end of the process: a Ctrl-C after the last line is no traceback either
    fault_point("run.import")

    gc.disable()  # what a start loads stays: the search for rings in it is 3 % of a start. The daemon begins it once all is loaded
    try:
        from dudzian_daemon.app.process import daemon

        code = daemon.run(options(said), os.environ, lossy_stdout(), signals)
    finally:
        gc.enable()
    raise typer.Exit(code)


def show_plan(*, as_json: bool, **said: Unpack[Said]) -> None:
    """Say what would run, and write nothing."""
    from dudzian_daemon.app.plan import plan, plan_lines

    answer = plan(options(said), os.environ)
    if as_json:
        emit_json(answer)
    else:
        emit_text("\n".join(plan_lines(answer)))


def options(said: Said) -> RunOptions:
    """What was said as the options of a run."""
    from dudzian_daemon.app.preparation import RunOptions

    return RunOptions(**said)
