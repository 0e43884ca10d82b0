"""Loads `plugins/<kind>/<name>.py` under one runtime name wherever it lies, and decodes its parameters.

Only plugins that were asked for by name are imported, so a file nobody asked for cannot run. This is a fault
boundary, not a security boundary: a plugin runs in this process with its rights.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from hashlib import sha256
from importlib.machinery import SourceFileLoader
from importlib.util import spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import msgspec

from dudzian_daemon.app.plugins.places import Place, is_name, name_problem, namesake_problem, places, places_of, refuse_open_doors
from dudzian_daemon.app.plugins.shape import shape_problems
from dudzian_daemon.config.lookup import suggestion
from dudzian_daemon.domain.errors import PluginError
from dudzian_daemon.domain.ports import SeriesNeed, Strategy
from dudzian_daemon.trading.spec import Schedule


class PluginSource(msgspec.Struct, frozen=True):
    """A loaded plugin: its class, and the file it came from with its bytes, which go on record."""

    kind: str
    name: str
    plugin: Any
    path: Path
    source: bytes

    @property
    def digest(self) -> str:
        """SHA-256 of the source."""
        return sha256(self.source).hexdigest()


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


def load_place(place: Place) -> PluginSource:
    """The plugin in this file, checked for the shape of its kind. Raises `PluginError` in one line."""
    module, source = run_place(place)
    if not hasattr(module, "PLUGIN"):
        raise unusable(place, "expected `PLUGIN = <its class>` at the end, found no PLUGIN")
    for problem in shape_problems(place.kind, module.PLUGIN):
        raise unusable(place, problem)
    return PluginSource(place.kind, place.name, module.PLUGIN, place.path, source)


def make_strategy(source: PluginSource, parameters: Mapping[str, Any]) -> Strategy:
    """The strategy with its parameters decoded. Raises `PluginError` naming the parameter that is wrong."""
    try:
        params = msgspec.convert(dict(parameters), source.plugin.Params)
        strategy: Strategy = source.plugin(params)
    except (msgspec.ValidationError, ValueError) as error:  # said by the plugin to the operator
        raise _said(source, str(error)) from None
    except Exception as error:  # noqa: BLE001 - fence "plugin call": a plugin may raise anything while it is made
        raise _said(source, f"{type(error).__name__}: {error}") from None
    return strategy


def require_startable(source: PluginSource, strategy: Strategy, schedule: Schedule) -> None:
    """Raise `PluginError` if the strategy cannot say what it needs for a unit of the schedule, or has no state to begin with."""
    try:
        needs: object = strategy.series(schedule.instruments[: strategy.legs], schedule.granularity)
        state: object = strategy.new_state()
    except ValueError as error:
        raise _said(source, f"schedule {schedule.name!r}: {error}") from None
    except Exception as error:  # noqa: BLE001 - fence "plugin call": a plugin may raise anything when it is asked
        raise _said(source, f"schedule {schedule.name!r}: {type(error).__name__}: {error}") from None
    if not isinstance(needs, tuple) or not needs or not all(isinstance(need, SeriesNeed) for need in needs):
        raise _said(source, f"series: expected a tuple of SeriesNeed, found {needs!r:.60}")
    if not isinstance(state, msgspec.Struct):
        raise _said(source, f"new_state: expected a msgspec.Struct, found {state!r:.60}")


def run_place(place: Place) -> tuple[ModuleType, bytes]:
    """Run the file as the module `dudzian_plugins.<kind>.<name>`; the module and the bytes that ran. Raises `PluginError` in one line."""
    refuse_open_doors(place)
    try:
        source = place.path.read_bytes()
    except OSError as error:
        raise _refused(place, str(error.strerror)) from None
    module = ModuleType(_runtime_name(place))
    loader = _Recorded(module.__name__, place.path, source)
    module.__file__, module.__loader__, module.__spec__ = str(place.path), loader, spec_from_loader(module.__name__, loader)
    sys.modules[module.__name__] = module
    try:
        loader.exec_module(module)
    except SyntaxError as error:
        del sys.modules[module.__name__]
        msg = f"plugin {place.kind}/{place.name}: {error.filename or place.path}:{error.lineno or 1}: {error.msg}"
        raise PluginError(msg) from None
    except (Exception, SystemExit) as error:  # noqa: BLE001 - fence "plugin call": a plugin may raise anything while it is imported
        raise unusable(place, f"{type(error).__name__}: {error}") from None
    return module, source


def unusable(place: Place, text: str) -> PluginError:
    """Forget the module that was run; the error in one line."""
    del sys.modules[_runtime_name(place)]
    return _refused(place, text)


def _runtime_name(place: Place) -> str:
    return f"dudzian_plugins.{place.kind}.{place.name}"


def _refused(place: Place, text: str) -> PluginError:
    return PluginError(f"plugin {place.kind}/{place.name}: {place.path}: {' '.join(text.split())}")


def _said(source: PluginSource, text: str) -> PluginError:
    return PluginError(f"plugin {source.kind}/{source.name}: {' '.join(text.split())}")


class _Recorded(SourceFileLoader):
    """Runs the very bytes that go on record, not byte code that lies beside the file and may be of another version of it."""

    def __init__(self, runtime_name: str, path: Path, source: bytes) -> None:
        super().__init__(runtime_name, str(path))
        self._source = source

    def get_data(self, _path: object) -> bytes:
        return self._source

    def path_stats(self, path: object) -> NoReturn:
        msg = f"no byte code for {path}"
        raise OSError(msg)
