"""The options that every command has that runs a session: declared once, here, and laid beside a command's own."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated, Any

import typer

from dudzian_daemon.cli.option_groups import Command, Options, described, grouped, parameters
from dudzian_daemon.cli.session_run import Said

Config = Annotated[Path | None, typer.Option(help="Main configuration file.", envvar="DUDZIAN_CONFIG")]
DataDir = Annotated[Path | None, typer.Option(help="Data folder: everything the daemon writes is below it.", envvar="DUDZIAN_DATA_DIR")]
PluginsDir = Annotated[
    Path | None, typer.Option(help="Folder of your own plugins, searched beside the bundled one.", envvar="DUDZIAN_PLUGINS_DIR")
]
BaseUrl = Annotated[
    str | None, typer.Option(help="Another address for the venues' REST data: loopback or a venue's own host; implies --live.")
]
WsUrl = Annotated[str | None, typer.Option(help="The same for pushed data.")]


class ControllerModules(Options, frozen=True):
    """Modules that supply controllers."""

    pipeline_module: Annotated[
        list[str] | None, typer.Option("--pipeline-module", help="Importable module that supplies CONTROLLERS (signals only); repeat.")
    ] = None
    realtime_module: Annotated[
        list[str] | None, typer.Option("--realtime-module", help="The same, asked after the pipeline modules; repeat.")
    ] = None


def shared(
    config: Config = None,
    data_dir: DataDir = None,
    speed: Annotated[str | None, typer.Option(help="Market seconds per second of a replay: max, real or a number.")] = None,
    metrics_port: Annotated[
        int | None, typer.Option(min=0, max=65_535, help="Port of /metrics, /livez, /readyz on 127.0.0.1; 0: any free one.")
    ] = None,
    no_ui: Annotated[bool, typer.Option("--no-ui", help="No view: log lines on stderr instead.")] = False,
    plugins_dir: PluginsDir = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Close the session that would go on, and begin a new one.")] = False,
    accept_change: Annotated[
        bool, typer.Option("--accept-change", help="Let the session go on under a changed configuration or other code.")
    ] = False,
) -> Said:
    """What the shared options said, as the fields of a run's options."""
    return {
        "config": config,
        "data_dir": data_dir,
        "speed": speed,
        "metrics_port": metrics_port,
        "show_view": not no_ui,
        "plugins_dir": plugins_dir,
        "fresh": fresh,
        "accept_change": accept_change,
    }


def market(
    live: Annotated[bool, typer.Option("--live", help="Take the market from the venues as it happens, not from stored candles.")] = False,
    base_url: BaseUrl = None,
    ws_url: WsUrl = None,
) -> Said:
    """What the options about the market's source said, likewise."""
    return {"live": live, "base_url": base_url, "ws_url": ws_url}


def session_command(command: Command) -> Command:
    """A command whose first argument `said` comes from the shared options; its others are its own options, or groups of them."""
    common, source = parameters(shared), parameters(market)
    inner = grouped(command)
    own = parameters(inner)[1:]

    def run(**given: Any) -> None:
        said = shared(**_named(common, given)) | market(**_named(source, given))
        inner(said, **_named(own, given))

    return described(run, command, [*own, *common, *source])


def _named(wanted: list[inspect.Parameter], given: dict[str, Any]) -> dict[str, Any]:
    return {parameter.name: given[parameter.name] for parameter in wanted}
