"""Loads `plugins/<kind>/<name>.py` under one runtime name wherever it lies, and decodes its parameters.

Only plugins that were asked for by name are imported, so a file nobody asked for cannot run. This is a fault
boundary, not a security boundary: a plugin runs in this process with its rights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from dudzian_daemon.app.plugins.module_graph import Member, Members, ModuleGraph, forget, members_of
from dudzian_daemon.app.plugins.places import Place, is_name, name_problem, namesake_problem, places, places_of
from dudzian_daemon.app.plugins.shape import shape_problems
from dudzian_daemon.app.recorded_run import PluginFacts
from dudzian_daemon.config.lookup import suggestion
from dudzian_daemon.domain.errors import PluginError
from dudzian_daemon.domain.ports import SeriesNeed, Strategy
from dudzian_daemon.trading.spec import Schedule
from dudzian_daemon.trading.strategy_declarations import declared_problem, decoded_params


class Ran(msgspec.Struct, frozen=True):
    """A plugin's file that was run: its module, its bytes, its name among `modules`, the sources that it imports from beside it."""

    module: ModuleType
    source: bytes
    file: str
    modules: Mapping[str, bytes]


class PluginSource(msgspec.Struct, frozen=True):
    """A loaded plugin: its class, and the file it came from with its bytes, which go on record.

    `modules` are the sources it imports from beside it, by file; `file` is its own name among them.
    """

    kind: str
    name: str
    plugin: Any
    path: Path
    source: bytes
    file: str = ""
    modules: Mapping[str, bytes] = {}

    @property
    def digest(self) -> str:
        """SHA-256 of the source."""
        return sha256(self.source).hexdigest()

    @property
    def facts(self) -> PluginFacts:
        """What the journal says of it."""
        modules = {file: sha256(source).hexdigest() for file, source in sorted(self.modules.items())}
        return PluginFacts(self.kind, self.name, self.digest, self.file if modules else "", modules)

    @property
    def objects(self) -> tuple[bytes, ...]:
        """Every source that goes on record."""
        return (self.source, *self.modules.values())


def load_plugin(kind: str, name: str, folders: Sequence[Path]) -> PluginSource:
    """The one plugin `name` of `kind` in the folders and entry points. Raises `PluginError` in one line."""
    if not is_name(name):
        msg = f"plugin {kind}/{name}: {name_problem(name)}"
        raise PluginError(msg)
    found = places_of(kind, name, folders)
    if len(found) > 1:
        msg = f"plugin {kind}/{name}: {namesake_problem(found)}"
        raise PluginError(msg)
    if not found:
        known = sorted({place.name for place in places(kind, folders) if is_name(place.name)})
        msg = f"plugin {kind}/{name}: no such file in {', '.join(str(folder) for folder in folders)}{suggestion(name, known)}"
        raise PluginError(msg)
    return load_place(found[0])


def load_place(place: Place, recorded: tuple[Members, Member] | None = None) -> PluginSource:
    """The plugin in this file, checked for the shape of its kind. Raises `PluginError` in one line."""
    ran = run_place(place, recorded)
    if not hasattr(ran.module, "PLUGIN"):
        raise unusable(place, "expected `PLUGIN = <its class>` at the end, found no PLUGIN")
    for problem in shape_problems(place.kind, ran.module.PLUGIN):
        raise unusable(place, problem)
    return PluginSource(place.kind, place.name, ran.module.PLUGIN, place.path, ran.source, ran.file, ran.modules)


def make_strategy(source: PluginSource, parameters: Mapping[str, Any]) -> Strategy:
    """The strategy with its parameters decoded. Raises `PluginError` naming the parameter that is wrong."""
    try:
        params = decoded_params(source.plugin.Params, parameters)
        strategy: Strategy = source.plugin(params)
    except (msgspec.ValidationError, ValueError) as error:  # said by the plugin to the operator
        raise _said(source, str(error)) from None
    except (Exception, SystemExit) as error:  # noqa: BLE001 - fence "plugin call": a plugin may raise anything while it is made
        raise _said(source, f"{type(error).__name__}: {error}") from None
    return strategy


def require_startable(source: PluginSource, strategy: Strategy, schedule: Schedule) -> tuple[SeriesNeed, ...]:
    """What the strategy needs for a unit of the schedule. Raises `PluginError` if it cannot say, or has no state to begin with."""
    try:
        needs = strategy.series(schedule.instruments[: strategy.legs], schedule.granularity)
        state = strategy.new_state()
    except ValueError as error:
        raise _said(source, f"schedule {schedule.name!r}: {error}") from None
    except (Exception, SystemExit) as error:  # noqa: BLE001 - fence "plugin call": a plugin may raise anything when it is asked
        raise _said(source, f"schedule {schedule.name!r}: {type(error).__name__}: {error}") from None
    if problem := declared_problem(needs, state):
        raise _said(source, problem)
    return needs


def run_place(place: Place, recorded: tuple[Members, Member] | None = None) -> Ran:
    """Run the file as the module `dudzian_plugins.<kind>.<name>`, with what lies beside it or what was `recorded`.

    Raises `PluginError` in one line.
    """
    members, main = recorded or members_of(place)
    graph = ModuleGraph(_runtime_name(place), members)
    try:
        module = graph.run(main)
    except PluginError:
        forget(graph.name)
        raise
    except SyntaxError as error:
        forget(graph.name)
        msg = f"plugin {place.kind}/{place.name}: {error.filename or place.path}:{error.lineno or 1}: {error.msg}"
        raise PluginError(msg) from None
    except (Exception, SystemExit) as error:  # noqa: BLE001 - fence "plugin call": a plugin may raise anything while it is imported
        raise unusable(place, f"{type(error).__name__}: {error}") from None
    return Ran(module, main.source, members.main, graph.sources)


def unusable(place: Place, text: str) -> PluginError:
    """Forget the modules that were run; the error in one line."""
    forget(_runtime_name(place))
    return _refused(place, text)


def _runtime_name(place: Place) -> str:
    return f"dudzian_plugins.{place.kind}.{place.name}"


def _refused(place: Place, text: str) -> PluginError:
    return PluginError(f"plugin {place.kind}/{place.name}: {place.path}: {' '.join(text.split())}")


def _said(source: PluginSource, text: str) -> PluginError:
    return PluginError(f"plugin {source.kind}/{source.name}: {' '.join(text.split())}")
