"""`--adapter-factory VENUE=SPEC`: another exchange plugin for a venue's market data, by its name or as an importable module.

It goes through the loader and its checks as every plugin does, describes the venue under the venue's own name, and is asked for public
data alone: what offers a way to an order is refused.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

from dudzian_daemon.app.plugins.loader import PluginSource, load_place, load_plugin
from dudzian_daemon.app.plugins.places import Place, is_name, module_file, places_of
from dudzian_daemon.config.lookup import suggestion
from dudzian_daemon.domain.errors import ConfigError, PluginError

KIND: Final = "exchanges"


def adapters_of(said: Sequence[str], venues: Collection[str], folders: Sequence[Path]) -> dict[str, PluginSource]:
    """The plugin for each venue that was given one. Raises `ConfigError` for a venue the run does not ask, `PluginError` for a plugin."""
    found: dict[str, PluginSource] = {}
    for text in said:
        venue, _, spec = text.partition("=")
        if not venue or not spec:
            msg = f"--adapter-factory: expected VENUE=PLUGIN or VENUE=importable.module, found {text!r}"
            raise ConfigError(msg)
        if venue not in venues:
            msg = f"--adapter-factory: this run asks no venue {venue!r}{suggestion(venue, sorted(venues))}"
            raise ConfigError(msg)
        if venue in found:
            msg = f"--adapter-factory: expected one adapter of {venue}, found two; give it once"
            raise ConfigError(msg)
        found[venue] = _loaded(spec, folders)
    return found


def _loaded(spec: str, folders: Sequence[Path]) -> PluginSource:
    if is_name(spec) and places_of(KIND, spec, folders):
        return load_plugin(KIND, spec, folders)
    where = f"--adapter-factory: {spec!r} is no exchange plugin, and as a module"
    if not all(part.isidentifier() for part in spec.split(".")):
        msg = f"{where}: expected the name of an importable one such as my_venues.binance, with nothing behind it"
        raise PluginError(msg)
    path = module_file(spec, where)
    return load_place(Place(KIND, spec, path, "module", (path.parent, path), spec))
