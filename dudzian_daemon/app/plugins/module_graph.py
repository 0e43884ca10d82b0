"""The modules a plugin is made of: its own file and what it imports from beside it, run from the very bytes that go on record.

A module of the graph is found beside the plugin (`import helpers`, `from .helpers import mean`) if nothing else is importable by its
name; in a package, that package's own modules belong to it. They carry names of their own, so two plugins never share one, and what
was not imported while the plugin was loaded cannot be imported later.
"""

from __future__ import annotations

import builtins
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.machinery import SourceFileLoader
from importlib.util import find_spec, spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn, Protocol, TextIO

import msgspec

from dudzian_daemon.app.plugins.places import Place, refuse_open_doors
from dudzian_daemon.domain.errors import PluginError

_PACKAGE_FILE = "__init__.py"


class Member(msgspec.Struct, frozen=True):
    """A source of the graph: where its bytes were read, and the bytes."""

    path: Path
    source: bytes


class Members(Protocol):
    """Where sources come from; files are named from the folder above all of them, as `helpers.py` or `pkg/__init__.py`."""

    @property
    def main(self) -> str:
        """The plugin's own file."""

    def find(self, file: str) -> Member | None:
        """The source of that name. Raises `PluginError` when it must not be run."""

    def has_folder(self, folder: str) -> bool:
        """Whether there are sources below it."""

    def owns(self, top: str) -> bool:
        """Whether an absolute import of this first name means one of them."""


class FolderMembers:
    """What lies beside a plugin now."""

    def __init__(self, place: Place) -> None:
        self._place = place
        parts = len(place.module.split(".")) - 1 if place.module else 0
        self._root = place.path.parents[parts + (bool(place.module) and place.path.name == _PACKAGE_FILE)]
        self.main = place.path.relative_to(self._root).as_posix()
        self._own_package = "/" in self.main or self._root in _of_packages()

    def find(self, file: str) -> Member | None:
        """The source of that name. Raises `PluginError` when anybody could have written it."""
        path = self._root / file
        if not path.is_file():
            return None
        refuse_open_doors(msgspec.structs.replace(self._place, guarded=(path.parent, path)))
        return Member(path, path.read_bytes())

    def has_folder(self, folder: str) -> bool:
        """Whether it is a folder."""
        return (self._root / folder).is_dir()

    def owns(self, top: str) -> bool:
        """In a package its own name; beside a plugin what is not importable otherwise, but never the plugin itself."""
        if top == self.main.partition("/")[0].removesuffix(".py"):
            return "/" in self.main
        package, file = self._root / top, self._root / f"{top}.py"
        if self._own_package or not (package.is_dir() or file.is_file()):
            return False
        try:
            spec = find_spec(top)
        except ValueError:  # of a module without a spec, such as `__main__`
            return False
        if spec is None:
            return True
        found = {spec.origin, *(spec.submodule_search_locations or ())}
        return not found.isdisjoint({str(file), str(package), str(package / _PACKAGE_FILE)})


class RecordedMembers:
    """What was recorded of a run, and nothing else."""

    def __init__(self, main: str, members: Mapping[str, Member]) -> None:
        self.main = main
        self._members = members

    def find(self, file: str) -> Member | None:
        """The source of that name."""
        return self._members.get(file)

    def has_folder(self, folder: str) -> bool:
        """Whether there are sources below it."""
        return any(file.startswith(f"{folder}/") for file in self._members)

    def owns(self, top: str) -> bool:
        """Whether a source of that first name was recorded."""
        return top + ".py" in self._members or self.has_folder(top)


class ModuleGraph:
    """Runs a plugin and what it imports of its own; `sources` is what ran beside the plugin's file, by name of the file."""

    def __init__(self, name: str, members: Members) -> None:
        self.name = name
        self.sources: dict[str, bytes] = {}
        self._members = members
        self._main = members.main.removesuffix(f"/{_PACKAGE_FILE}").removesuffix(".py").replace("/", ".")
        self._modules: dict[str, ModuleType] = {"": _package(f"{name}:")}
        self._loaded = False

    def run(self, main: Member) -> ModuleType:
        """Run the plugin's file; what it raises is the caller's."""
        forget(self.name)
        module = self._execute(self._main, self._members.main, main)
        self._loaded = True
        return module

    def import_from(self, package: str, name: str, fromlist: Sequence[str], level: int) -> ModuleType | None:
        """What an import statement of a module in `package` means, None if nothing of the graph. Raises `ImportError`."""
        top = name.partition(".")[0]
        if level == 0 and (
            top in sys.stdlib_module_names or not self._members.owns(top)
        ):  # no disk for the library: a call may be on the loop
            return None
        module = self._load(_resolved(package, name, level))
        if not fromlist:
            return self._modules[name.partition(".")[0]]
        for item in fromlist:
            dotted = f"{self._dotted(module)}.{item}".lstrip(".")
            if not hasattr(module, item) and hasattr(module, "__path__") and self._found(dotted) is not None:
                self._load(dotted)
        return module

    def _load(self, dotted: str) -> ModuleType:
        module, at = self._modules[""], ""
        for name in dotted.split(".") if dotted else ():
            at = f"{at}.{name}".lstrip(".")
            child = self._modules.get(at) or self._begin(at)
            setattr(module, name, child)
            module = child
        return module

    def _begin(self, dotted: str) -> ModuleType:
        if self._loaded:
            msg = f"{dotted} lies beside the plugin and was not imported when that was loaded: import it at the top of the file"
            raise ImportError(msg, name=dotted)
        found = self._found(dotted)
        if found is None:
            msg = f"No module named {dotted!r} beside the plugin"
            raise ModuleNotFoundError(msg, name=dotted)
        file, member = found
        if member is None:  # a folder without a file of its own
            return self._modules.setdefault(dotted, _package(f"{self.name}:{dotted}"))
        self.sources[file] = member.source
        return self._execute(dotted, file, member)

    def _found(self, dotted: str) -> tuple[str, Member | None] | None:
        """File and source of a module; no source for a folder that has none."""
        stem = dotted.replace(".", "/")
        for file in (f"{stem}/{_PACKAGE_FILE}", f"{stem}.py"):
            if (member := self._members.find(file)) is not None:
                return file, member
        return (stem, None) if self._members.has_folder(stem) else None

    def _execute(self, dotted: str, file: str, member: Member) -> ModuleType:
        main, is_package = dotted == self._main, file.endswith(f"/{_PACKAGE_FILE}")
        name = self.name if main else f"{self.name}:{dotted}"
        module = _package(name) if is_package else ModuleType(name)
        loader = _Recorded(module.__name__, member)
        module.__file__, module.__loader__, module.__spec__ = str(member.path), loader, spec_from_loader(module.__name__, loader)
        package = dotted if is_package else dotted.rpartition(".")[0]
        vars(module)["__builtins__"] = {**vars(builtins), "__import__": _Import(self, package), "print": _print}
        self._modules[dotted] = sys.modules[module.__name__] = module
        try:
            loader.exec_module(module)
        except BaseException:
            self._modules.pop(dotted)
            sys.modules.pop(module.__name__, None)
            raise
        return module

    def _dotted(self, module: ModuleType) -> str:
        return self._main if module.__name__ == self.name else module.__name__.partition(":")[2]


class _Import:
    """`__import__` of one module of the graph."""

    def __init__(self, graph: ModuleGraph, package: str) -> None:
        self._graph = graph
        self._package = package

    def __call__(
        self,
        name: str,
        namespace: Mapping[str, object] | None = None,
        local: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> Any:
        module = self._graph.import_from(self._package, name, fromlist or (), level)
        return module if module is not None else builtins.__import__(name, namespace, local, fromlist or (), level)


class _Recorded(SourceFileLoader):
    """Runs the very bytes that go on record, not byte code that lies beside the file and may be of another version of it."""

    def __init__(self, runtime_name: str, member: Member) -> None:
        super().__init__(runtime_name, str(member.path))
        self._source = member.source

    def get_data(self, _path: object) -> bytes:
        return self._source

    def path_stats(self, path: object) -> NoReturn:
        msg = f"no byte code for {path}"
        raise OSError(msg)


def _print(*values: object, file: TextIO | None = None, **said: Any) -> None:
    """`print` of a plugin: to stderr, for stdout is the answer of the command that runs it."""
    print(*values, file=file or sys.stderr, **said)


def _package(name: str) -> ModuleType:
    """A module that may have modules in it."""
    module = ModuleType(name)
    module.__path__ = []
    return module


def forget(name: str) -> None:
    """Take the modules of the graph of this name out of the interpreter's."""
    for each in [key for key in sys.modules if key == name or key.startswith(f"{name}:")]:
        del sys.modules[each]


def members_of(place: Place) -> tuple[Members, Member]:
    """What lies beside the plugin, and its own file. Raises `PluginError` when anybody could have written it, or it cannot be read."""
    refuse_open_doors(place)
    try:
        return FolderMembers(place), Member(place.path, place.path.read_bytes())
    except OSError as error:
        msg = f"plugin {place.kind}/{place.name}: {place.path}: {error.strerror}"
        raise PluginError(msg) from None


def _resolved(package: str, name: str, level: int) -> str:
    """The dotted name from the folder above all, of an import in `package`."""
    if level == 0:
        return name
    above = package.split(".") if package else []
    if level - 1 > len(above):
        msg = "attempted relative import beyond the folder of the plugin"
        raise ImportError(msg)
    return ".".join([*above[: len(above) - (level - 1)], *([name] if name else [])])


@cache
def _of_packages() -> set[Path]:
    """Where packages are installed: what lies there side by side does not belong together."""
    return {Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
