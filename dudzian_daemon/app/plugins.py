"""Finds `plugins/<kind>/<name>.py`, loads it under one runtime name wherever it lies, and decodes its parameters.

Only plugins that the configuration names are imported, so a file nobody asked for cannot run. This is a fault
boundary, not a security boundary: a plugin runs in this process with its rights.
"""

from __future__ import annotations

import stat
import sys
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from hashlib import sha256
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import msgspec

from dudzian_daemon.domain.errors import PluginError
from dudzian_daemon.domain.ports import Strategy


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
    """The plugin `name` of `kind` from the first folder that has it. Raises `PluginError` in one line."""
    for folder in folders:
        path = folder / kind / f"{name}.py"
        if path.is_file():
            return _load(kind, name, path)
    known = sorted({path.stem for folder in folders for path in (folder / kind).glob("[!_]*.py")})
    close = get_close_matches(name, known, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(known)}"
    msg = f"plugin {kind}/{name}: no such file in {', '.join(str(folder) for folder in folders)}{hint}"
    raise PluginError(msg)


def make_strategy(source: PluginSource, parameters: Mapping[str, Any]) -> Strategy:
    """The strategy with its parameters decoded. Raises `PluginError` naming the parameter that is wrong."""
    try:
        params = msgspec.convert(dict(parameters), source.plugin.Params)
        strategy: Strategy = source.plugin(params)
    except (msgspec.ValidationError, AttributeError, TypeError, ValueError) as error:
        msg = f"plugin {source.kind}/{source.name}: {error}"
        raise PluginError(msg) from None
    return strategy


def _load(kind: str, name: str, path: Path) -> PluginSource:
    for guarded in (path, path.parent):
        if sys.platform != "win32" and guarded.stat().st_mode & stat.S_IWOTH:
            msg = f"plugin {kind}/{name}: {guarded} may be written by anybody; run: chmod o-w {guarded}"
            raise PluginError(msg)
    runtime_name = f"dudzian_plugins.{kind}.{name}"
    source = path.read_bytes()
    spec = spec_from_file_location(runtime_name, path)
    if spec is None or spec.loader is None:
        msg = f"plugin {kind}/{name}: {path} is no Python module"
        raise PluginError(msg)
    module = module_from_spec(spec)
    sys.modules[runtime_name] = module
    try:
        spec.loader.exec_module(module)
        plugin = module.PLUGIN
    except SyntaxError as error:
        msg = f"plugin {kind}/{name}: {path}:{error.lineno}: {error.msg}"
        raise PluginError(msg) from None
    except Exception as error:  # noqa: BLE001 - fence "plugin call": a plugin may raise anything while it is imported
        msg = f"plugin {kind}/{name}: {path}: {type(error).__name__}: {error}"
        raise PluginError(msg) from None
    return PluginSource(kind, name, plugin, path, source)
