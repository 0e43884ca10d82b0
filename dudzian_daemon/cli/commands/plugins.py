"""Your own strategies: list what there is, write a new one, check that it keeps the contract."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dudzian_daemon.cli.output import emit_json, emit_text
from dudzian_daemon.domain.errors import ConfigError

if TYPE_CHECKING:
    from dudzian_daemon.app.plugins.check import Report

EXAMPLES = """Examples:

  dudzian plugins list

  dudzian plugins new strategy above_mean

  dudzian plugins check above_mean
"""

app = typer.Typer(context_settings={"help_option_names": ["-h", "--help"]})

PluginsDir = Annotated[
    Path | None,
    typer.Option(help="Your own plugins; default: `plugins` beside your configuration.", envvar="DUDZIAN_PLUGINS_DIR"),
]


@app.command("list")
def list_plugins(
    plugins_dir: PluginsDir = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document (schema dudzian.plugins/1).")] = False,
) -> None:
    """Every plugin that is found, where it lies, and what would keep it from loading. Nothing of them is run."""
    from dudzian_daemon.app.plugins.check import listing
    from dudzian_daemon.app.plugins.places import plugin_folders

    found = listing(plugin_folders(plugins_dir, os.environ))
    if as_json:
        emit_json({"schema": "dudzian.plugins/1", "plugins": found})
        return
    for each in found:
        emit_text(f"{each.kind:<11} {each.name:<26} {each.origin:<9} {each.path}" + (f"\n  {each.problem}" if each.problem else ""))


@app.command("new")
def new(
    kind: Annotated[str, typer.Argument(help="What to write: strategy.")],
    name: Annotated[str, typer.Argument(help="Its name: of the file, of the plugin, in the configuration.")],
    plugins_dir: PluginsDir = None,
) -> None:
    """Write a strategy that works into your own folder, and say what comes next. Never writes over a file."""
    from dudzian_daemon.app.plugins.places import user_folder
    from dudzian_daemon.app.plugins.template import CONFIGURATION, write_strategy
    from dudzian_daemon.config.places import bundled, find_config

    if kind != "strategy":
        msg = f"expected what to write to be strategy, found {kind!r}"
        raise ConfigError(msg)
    own = user_folder(plugins_dir, os.environ)
    path = write_strategy(name, own, [bundled("plugins")])
    option = "" if plugins_dir is None else f" --plugins-dir {own}"
    emit_text(f"wrote {path}\n\n1. check that it keeps the contract:\n\n   dudzian plugins check {name}{option}\n")
    emit_text(f"2. tell the configuration ({find_config(None, os.environ)}), each line in the section that is there:\n")
    emit_text(CONFIGURATION.substitute(name=name))
    emit_text(f"3. play stored candles through it:\n\n   dudzian backtest --strategies {name}{option}")


@app.command("check")
def check(
    names: Annotated[list[str] | None, typer.Argument(help="Plugins to check; none: every one there is.")] = None,
    plugins_dir: PluginsDir = None,
    config: Annotated[Path | None, typer.Option(help="Main configuration file, for parameters.", envvar="DUDZIAN_CONFIG")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document (schema dudzian.plugins_check/1).")] = False,
) -> None:
    """Run the contract suite on plugin files over the shipped candles: exit 0 if everything holds, 1 if not.

    A strategy is made with the parameters of every entry of the configuration that uses it, else with its defaults.
    """
    from dudzian_daemon.app.plugins.check import checked
    from dudzian_daemon.app.plugins.places import KINDS, name_problem, places, plugin_folders
    from dudzian_daemon.config.load import load

    if problem := next(filter(None, map(name_problem, names or ())), ""):
        msg = f"plugins check: {problem}"
        raise ConfigError(msg)
    folders = plugin_folders(plugins_dir, os.environ)
    strategies = load(config, env=os.environ).config.strategies.values()
    every = [(kind, place.name) for kind in KINDS for place in places(kind, folders)]
    wanted = dict.fromkeys(every)
    if names:
        wanted = dict.fromkeys(each for name in names for each in [one for one in every if one[1] == name] or [("strategies", name)])
    failed = False
    reports: list[Report] = []
    for kind, name in wanted:
        parameters: list[dict[str, Any]] = [dict(entry.parameters) for entry in strategies if entry.plugin == name]
        for report in checked(kind, name, folders, parameters or [{}]):
            failed |= not report.ok
            reports.append(report)
            if not as_json:
                emit_text("\n".join(_lines(report)))
    if as_json:
        emit_json({"schema": "dudzian.plugins_check/1", "ok": not failed, "plugins": reports})
    raise typer.Exit(int(failed))


def _lines(report: Report) -> Iterator[str]:
    from dudzian_daemon.kernel.clock import iso_utc

    parameters = ", ".join(f"{name} {value}" for name, value in report.parameters.items())
    yield f"{report.kind}/{report.name}  {report.path}" + (f"  ({parameters})" if parameters else "")
    for finding in report.findings:
        at = "" if finding.ok or finding.at is None else f" [candle that ends {iso_utc(finding.at)[:19].replace('T', ' ')} UTC]"
        yield f"  {'ok' if finding.ok else 'FAILED':<7}{finding.check}: {finding.detail}{at}"
