"""The alert channels of a configuration against the plugins they name: everything that is wrong, each with file, line and key."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import msgspec

from dudzian_daemon.app.plugins.loader import PluginSource, load_plugin
from dudzian_daemon.app.plugins.strategy_entries import parameter_faults
from dudzian_daemon.config.alerts import AlertChannel
from dudzian_daemon.config.check import ConfigErrors
from dudzian_daemon.config.load import LoadedConfig
from dudzian_daemon.config.provenance import Problem
from dudzian_daemon.config.schema import CoreConfig
from dudzian_daemon.domain.errors import PluginError


class ChannelEntry(msgspec.Struct, frozen=True):
    """A channel that could be opened: its plugin, the plugin's decoded `Params`, and what the configuration says of it."""

    name: str
    source: PluginSource
    params: Any
    settings: AlertChannel


def channel_entries(loaded: LoadedConfig, names: Collection[str], folders: Sequence[Path]) -> dict[str, ChannelEntry]:
    """The channels of these names (`plugin:name`), those that are not enabled left out. Raises `ConfigErrors` with every problem."""
    found: dict[str, ChannelEntry] = {}
    problems: list[Problem] = []
    for name in dict.fromkeys(names):
        plugin, _, own = name.partition(":")
        settings = loaded.config.alerts.channels[plugin][own]
        if not settings.enabled:
            continue
        place = ("alerts", "channels", plugin, own)
        try:
            source = load_plugin("alerts", plugin, folders)
        except PluginError as error:
            problems.append(loaded.document.problem(place, str(error), at_key=True))
            continue
        faults = list(parameter_faults(source.plugin.Params, settings.parameters))
        problems += [loaded.document.problem((*place, "parameters", *key), text) for key, text in faults]
        if not faults:
            try:
                found[name] = ChannelEntry(name, source, msgspec.convert(settings.parameters, source.plugin.Params), settings)
            except (msgspec.ValidationError, ValueError) as error:  # what must hold between several parameters
                problems.append(loaded.document.problem((*place, "parameters"), str(error)))
    if problems:
        raise ConfigErrors(tuple(problems))
    return found


def all_channels(config: CoreConfig) -> list[str]:
    """The names of all channels of the configuration."""
    return [f"{plugin}:{name}" for plugin, names in config.alerts.channels.items() for name in names]
