"""Where plugins lie: the bundled folder, the user's own folder, entry points of installed packages. It imports no plugin."""

from __future__ import annotations

import keyword
import re
import stat
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import msgspec

from dudzian_daemon.config.places import bundled
from dudzian_daemon.domain.errors import ConfigError, PluginError

#: Folders below a plugin folder, and entry point groups behind `dudzian.`.
KINDS: Final = ("strategies", "alerts", "exchanges")
VARIABLE: Final = "DUDZIAN_PLUGINS_DIR"
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")


class Place(msgspec.Struct, frozen=True):
    """A file that may hold a plugin; `guarded` are the folders whose writers could replace it.

    `module` is the name it is importable by, empty for a file of a plugin folder.
    """

    kind: str
    name: str
    path: Path
    origin: str
    guarded: tuple[Path, ...]
    module: str = ""


def user_folder(plugins_dir: Path | None, env: Mapping[str, str]) -> Path:
    """The user's own folder, there or not: `--plugins-dir`, `DUDZIAN_PLUGINS_DIR`, else `plugins` in the configuration folder."""
    named = plugins_dir or (Path(env[VARIABLE]) if env.get(VARIABLE) else None)
    if named is not None:
        return named.absolute()
    from platformdirs import user_config_path  # only now, as in config.places

    return user_config_path("dudzian", appauthor=False) / "plugins"


def plugin_folders(plugins_dir: Path | None, env: Mapping[str, str]) -> list[Path]:
    """The bundled folder, then the user's own if there is one. Raises `ConfigError` if one was named that is no folder."""
    own = user_folder(plugins_dir, env)
    if not own.is_dir():
        if plugins_dir is not None or env.get(VARIABLE):
            named = "--plugins-dir" if plugins_dir is not None else VARIABLE
            msg = f"{named}: expected a folder with {', '.join(KINDS)} in it, found none at {own}; make one with: dudzian plugins new"
            raise ConfigError(msg)
        return [bundled("plugins")]
    shipped = bundled("plugins")
    return [shipped] if own.samefile(shipped) else [shipped, own]


def places(kind: str, folders: Sequence[Path]) -> Iterator[Place]:
    """Everything that could be a plugin of `kind`, by folder and name, then entry points. Raises `PluginError` for a broken entry point."""
    for folder in folders:
        for path in sorted((folder / kind).glob("[!_.]*.py")):
            yield in_folder(kind, folder, path)
    for entry in sorted(_entries(tuple(sys.path))[kind], key=lambda entry: entry.name):
        yield of_entry(kind, entry)


def places_of(kind: str, name: str, folders: Sequence[Path]) -> list[Place]:
    """Where the plugin `name` is; more than one place is too many."""
    files = [(folder, folder / kind / f"{name}.py") for folder in folders]
    found = [in_folder(kind, folder, path) for folder, path in files if path.is_file()]
    return found + [of_entry(kind, entry) for entry in _entries(tuple(sys.path))[kind] if entry.name == name]


@lru_cache(maxsize=8)
def _entries(_search_path: tuple[str, ...]) -> Mapping[str, tuple[EntryPoint, ...]]:
    """By kind. Reading the facts of every installed package takes a hundredth of a second: once for a search path."""
    found = entry_points()
    return {kind: tuple(found.select(group=f"dudzian.{kind}")) for kind in KINDS}


def in_folder(kind: str, folder: Path, path: Path) -> Place:
    """The file of a plugin folder."""
    origin = "bundled" if folder == bundled("plugins") else "user"
    return Place(kind, path.stem, path, origin, (folder, path.parent, path))


def of_entry(kind: str, entry: EntryPoint) -> Place:
    """The module an entry point names. Importing its package may run the package's `__init__`. Raises `PluginError`."""
    package = entry.dist.name if entry.dist is not None else entry.module
    where = f"plugin {kind}/{entry.name}: entry point {entry.value!r} of package {package}"
    if entry.attr or entry.module.rpartition(".")[2] != entry.name:
        msg = f"{where}: expected a module called {entry.name} and nothing behind it"
        raise PluginError(msg)
    path = module_file(entry.module, where)
    return Place(kind, entry.name, path, f"package {package}", (path.parent, path), entry.module)


def module_file(module: str, where: str) -> Path:
    """The source of an importable module, found but not run. Raises `PluginError` that begins with `where`."""
    try:
        spec = find_spec(module)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - fence "plugin call": the package around the module runs, and may raise anything
        msg = f"{where}: {type(error).__name__}: {' '.join(str(error).split())}"
        raise PluginError(msg) from None
    if spec is None or not spec.origin or not spec.origin.endswith(".py"):
        msg = f"{where}: there is no Python file of that name to import"
        raise PluginError(msg)
    return Path(spec.origin)


def is_name(text: str) -> bool:
    """Whether it can be the name of a plugin: lower_snake_case, and no word of Python."""
    return _NAME.fullmatch(text) is not None and not keyword.iskeyword(text)


def name_problem(name: str) -> str:
    """What is wrong with the name of a plugin, with a better one if there is one; empty if nothing is."""
    if is_name(name):
        return ""
    better = re.sub(r"[^a-z0-9]+", "_", name.removesuffix(".py").lower()).strip("_")
    remedy = f"; rename the file to {better}.py" if is_name(better) else ""
    return f"expected a name in lower_snake_case (small letters, digits and _, a letter first), found {name!r}{remedy}"


def namesake_problem(found: Sequence[Place]) -> str:
    """What to do about several plugins of one name: the bundled one cannot be renamed, so it is another that must be."""
    all_of_them = " and ".join(f"{place.path} ({place.origin})" for place in found)
    ours = [place for place in found if place.origin != "bundled"]
    remedy = f"rename {ours[0].path}" if len(found) == len(ours) + 1 and len(ours) == 1 else "rename all but one"
    return f"there are {len(found)} of this name: {all_of_them}; {remedy}, and `plugin:` in the configuration where it is meant"


def refuse_open_doors(place: Place) -> None:
    """Raise `PluginError` with the remedy when anybody on this machine could change what would run."""
    for path in place.guarded:
        if sys.platform != "win32" and path.stat().st_mode & stat.S_IWOTH:
            msg = f"plugin {place.kind}/{place.name}: {path} may be written by anybody; run: chmod o-w {path}"
            raise PluginError(msg)
