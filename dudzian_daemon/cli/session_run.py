"""How a command runs a session: signals first, then everything heavy. Shared by `run` and its restricted forms, with their options."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn, TypedDict, Unpack

import typer

from dudzian_daemon.cli.output import emit_json, emit_text, lossy_stdout
from dudzian_daemon.domain.errors import ConfigError

if TYPE_CHECKING:
    from dudzian_daemon.app.preparation import RunOptions

Config = Annotated[Path | None, typer.Option(help="Main configuration file.", envvar="DUDZIAN_CONFIG")]
DataDir = Annotated[Path | None, typer.Option(help="Data folder: everything the daemon writes is below it.", envvar="DUDZIAN_DATA_DIR")]
Speed = Annotated[str | None, typer.Option(help="Market seconds per second of a replay: max, real or a number.")]
MetricsPort = Annotated[
    int | None, typer.Option(min=0, max=65_535, help="Port of /metrics, /livez, /readyz on 127.0.0.1; 0: any free one.")
]
Live = Annotated[bool, typer.Option("--live", help="Take the market from the venues as it happens, not from stored candles.")]
BaseUrl = Annotated[
    str | None, typer.Option(help="Another address for the venues' REST data: loopback or a venue's own host; implies --live.")
]
WsUrl = Annotated[str | None, typer.Option(help="The same for pushed data.")]
PollSeconds = Annotated[
    float | None, typer.Option(min=1, max=3600, help="How often live prices are asked for; default: quote_seconds of the environment.")
]
NoUi = Annotated[bool, typer.Option("--no-ui", help="No view: log lines on stderr instead.")]
PluginsDir = Annotated[
    Path | None, typer.Option(help="Folder of your own plugins, searched beside the bundled one.", envvar="DUDZIAN_PLUGINS_DIR")
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Close the session that would go on, and begin a new one.")]
AcceptChange = Annotated[bool, typer.Option("--accept-change", help="Let the session go on under a changed configuration or other code.")]
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
    poll_seconds: float | None


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

    from dudzian_daemon.app.process import daemon

    raise typer.Exit(daemon.run(options(said), os.environ, lossy_stdout(), signals))


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
