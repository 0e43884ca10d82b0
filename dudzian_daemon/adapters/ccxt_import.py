"""Imports the one venue of ccxt that is wanted: the package's own `__init__` imports all hundred of them, 50 MB and half a second of work.

Instead of `ccxt`, `ccxt.async_support` and `ccxt.pro` there are packages that load a name when it is asked for. They hold for the whole
process; the version of ccxt is pinned, and the tests of the clients run through here.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType
from typing import Any, Final

from dudzian_daemon.domain.errors import ConfigError

ROOT: Final = "ccxt"
_PACKAGES: Final = (ROOT, f"{ROOT}.async_support", f"{ROOT}.pro")
_ERRORS: Final = f"{ROOT}.base.errors"
_BASE: Final = f"{ROOT}.base.exchange"


class _Package(ModuleType):
    """A package whose members are classes of the same name in modules of their own, as ccxt's `__init__` files make them."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if self.__name__ == ROOT:
            for place in (_ERRORS, _BASE):
                found = getattr(importlib.import_module(place), name, None)
                if found is not None:
                    return found
        try:
            importlib.import_module(f"{self.__name__}.{name}")
        except ModuleNotFoundError as error:
            raise AttributeError(name) from error
        return self.__dict__[name]

    def __setattr__(self, name: str, value: object) -> None:
        """The import of a venue's module puts its class here; other modules are themselves."""
        super().__setattr__(name, getattr(value, name, value) if isinstance(value, ModuleType) else value)


def ccxt_errors() -> ModuleType:
    """The module of ccxt's exceptions."""
    _prepare()
    return importlib.import_module(_ERRORS)


def ccxt_class(venue: str, *, streams: bool) -> type[Any]:
    """The venue's class for asyncio, with websockets if `streams`. Blocks. Raises `ConfigError` where ccxt has no such venue."""
    _prepare()
    package = sys.modules[_PACKAGES[2 if streams else 1]]
    try:
        found: type[Any] = getattr(package, venue)
    except AttributeError:
        msg = f"expected a venue that ccxt has, found {venue!r}"
        raise ConfigError(msg) from None
    return found


def _prepare() -> None:
    """Put the packages in place; if somebody has imported ccxt as a whole, that is used."""
    if ROOT in sys.modules:
        for name in _PACKAGES:
            importlib.import_module(name)
        return
    found = importlib.util.find_spec(ROOT)
    if found is None or not found.submodule_search_locations:
        msg = "expected the package ccxt, which is installed with the daemon, found none: install the daemon again"
        raise ConfigError(msg)
    folder = found.submodule_search_locations[0]
    for name in _PACKAGES:
        package = _Package(name)
        package.__path__ = [folder + name.removeprefix(ROOT).replace(".", "/")]
        sys.modules[name] = package
        parent, _, last = name.rpartition(".")
        if parent:
            vars(sys.modules[parent])[last] = package
