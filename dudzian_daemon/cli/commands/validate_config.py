"""Check the configuration and report every problem at once, each with file, line and column.

Told are unknown and duplicate keys, wrong values, names that do not exist, secrets, and parameters that a strategy or alert plugin
(bundled or your own) does not take. Read are core.yaml, with instruments.yaml, alerts.yaml and credentials/ beside it, and the
plugins; nothing is started or written. Exit 0 if valid, else 2.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from dudzian_daemon.cli.output import emit_json, emit_text
from dudzian_daemon.domain.errors import ConfigError

if TYPE_CHECKING:
    from dudzian_daemon.config.load import LoadedConfig
    from dudzian_daemon.config.provenance import Problem

EXAMPLES = """Examples:

  dudzian validate-config --config config/core.yaml --json

  DUDZIAN__RUNTIME__METRICS_SERVICE__PORT=9200 dudzian validate-config --show-origin

  dudzian validate-config --schema > core.schema.json
"""


def command(
    config: Annotated[
        Path | None,
        typer.Option("--config", help="core.yaml; default: $DUDZIAN_CONFIG, ./config/core.yaml, the user's, the bundled one."),
    ] = None,
    environment: Annotated[
        str | None, typer.Option("--environment", "-e", help="Report this one only (name or alias), e.g. binance_paper.")
    ] = None,
    plugins_dir: Annotated[
        Path | None, typer.Option(help="Folder of your own plugins, searched beside the bundled one.", envvar="DUDZIAN_PLUGINS_DIR")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document: valid, errors, warnings, files, environments.")] = False,
    show_origin: Annotated[bool, typer.Option("--show-origin", help="Every value with where it was set: default, file, env.")] = False,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of core.yaml, for an editor, and check nothing.")] = False,
) -> None:
    """Load, report, exit 0 or 2."""
    if schema:
        from dudzian_daemon.config.json_schema import editor_schema

        emit_json(editor_schema())
        return
    from dudzian_daemon.app import metrics_tls
    from dudzian_daemon.app.plugins.channel_entries import all_channels, channel_entries
    from dudzian_daemon.app.plugins.places import plugin_folders
    from dudzian_daemon.app.plugins.strategy_entries import looked_over
    from dudzian_daemon.config.check import ConfigErrors
    from dudzian_daemon.config.load import load
    from dudzian_daemon.kernel.clock import SystemClock

    folders = plugin_folders(plugins_dir, os.environ)
    try:
        loaded = load(config, env=os.environ)
        wanted = [loaded.config.environment_id(environment)] if environment else list(loaded.config.environments)
        unused = looked_over(loaded, folders)
        channel_entries(loaded, all_channels(loaded.config), folders)
        unused += metrics_tls.looked_over(loaded, SystemClock().wall_ns())
    except ConfigErrors as error:
        _report_invalid(error.problems, json)
    except ConfigError as error:
        from dudzian_daemon.config.provenance import Problem

        _report_invalid((Problem("--environment" if environment else "", 0, 0, "", str(error)),), json)
    else:
        checked = msgspec.structs.replace(loaded, warnings=(*loaded.warnings, *unused))
        _report_valid(checked, wanted, json=json, show_origin=show_origin)


def _report_invalid(problems: tuple[Problem, ...], json: bool) -> None:
    if json:
        emit_json({"valid": False, "errors": problems, "warnings": [], "files": [], "environments": []})
    else:
        for problem in problems:
            emit_text(problem.text)
        emit_text(f"invalid: {_count(len(problems), 'problem')}")
    raise typer.Exit(ConfigError.exit_code)


def _report_valid(loaded: LoadedConfig, wanted: list[str], *, json: bool, show_origin: bool) -> None:
    if json:
        document: dict[str, Any] = {"valid": True, "errors": [], "warnings": loaded.warnings, "files": loaded.files}
        document["environments"] = [_environment(loaded, name) for name in wanted]
        if show_origin:
            document["values"] = _origins(loaded, wanted)
        emit_json(document)
        return
    if show_origin:
        for entry in _origins(loaded, wanted):
            emit_text(f"{entry['key']} = {entry['value']}  ({entry['origin']})")
        return
    emit_text(f"valid: {', '.join(file.path for file in loaded.files)}")
    for name in wanted:
        emit_text(_line(_environment(loaded, name)))
    for warning in loaded.warnings:
        emit_text(f"warning: {warning.text}")


def _environment(loaded: LoadedConfig, name: str) -> dict[str, Any]:
    chosen = loaded.config.environments[name]
    return {
        "name": name,
        "default": name == loaded.config.environment_id(),
        "enabled": chosen.enabled,
        "aliases": chosen.aliases,
        "mode": chosen.mode,
        "exchange": chosen.exchange,
        "risk_profile": chosen.risk_profile,
        "default_strategy": chosen.default_strategy,
        "default_controller": chosen.default_controller,
        "scheduler": chosen.scheduler,
    }


def _line(environment: dict[str, Any]) -> str:
    marks = [word for word, is_set in (("default", environment["default"]), ("disabled", not environment["enabled"])) if is_set]
    names = [environment["name"], *environment["aliases"]]
    facts = " ".join(f"{key}={environment[key]}" for key in ("mode", "exchange", "risk_profile", "scheduler"))
    label = ", ".join(names) + (f" ({', '.join(marks)})" if marks else "")
    return f"environment {label}: {facts}"


def _origins(loaded: LoadedConfig, wanted: list[str]) -> list[dict[str, str]]:
    """All values but those of environments that were not asked for; the written form of a path beside the resolved one."""
    from dudzian_daemon.config.provenance import key_text, leaves

    entries = []
    for path, value in leaves(loaded.config):
        if path[0] == "environments" and path[1] not in wanted:
            continue
        source = loaded.document.source(path)
        written = f", written {source.written}" if source.written else ""
        entries.append({"key": key_text(path), "value": _shown(value), "origin": f"{source.text}{written}"})
    return entries


def _shown(value: Any) -> str:
    """A value as YAML writes it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, (dict, tuple)):
        return "{}" if isinstance(value, dict) else "[]"
    return str(value)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
