"""What a plugin's class must have before it is used at all; whether it keeps its contract is for `dudzian plugins check`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

#: The methods of each kind with the arguments they are called with.
METHODS: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "strategies": {
        "series": ("instruments", "granularity"),
        "new_state": (),
        "on_candle": ("state", "candle"),
        "on_gap": ("state", "series", "start", "end"),
        "decide": ("state", "view"),
    },
    "alerts": {"send": ("alert",), "check": ()},
    "exchanges": {"source": ("access",)},
}

#: What a client of an exchange calls the sending of an order, and other ways to move what an account holds.
_TRADES: Final = re.compile(
    r"(create|edit|cancel|replace|submit|place|send)_?\w*orders?(_?\w+)?|(withdraw|transfer)(_?\w+)?", re.IGNORECASE
)


def trading_methods(thing: object) -> list[str]:
    """Public methods of a class or object by which an account could be traded on."""
    return [name for name in dir(thing) if _TRADES.fullmatch(name) and callable(getattr(thing, name, None))]


def shape_problems(kind: str, plugin: object) -> Iterator[str]:
    """Every way in which `plugin` is no class of its kind, one line each."""
    if not isinstance(plugin, type):
        yield f"PLUGIN: expected a class, found {plugin!r:.60}"
        return
    if kind in ("strategies", "alerts"):
        yield from _params_problems(getattr(plugin, "Params", None))
    if kind == "strategies":
        yield from _attribute_problems(plugin)
    if kind == "exchanges":
        yield from (f"{name}: expected market data only, found a way to an order" for name in trading_methods(plugin))
    for name, arguments in METHODS[kind].items():
        yield from _method_problems(plugin, name, arguments)


def _params_problems(params: object) -> Iterator[str]:
    wanted = "expected a msgspec.Struct with frozen=True and forbid_unknown_fields=True"
    if not (isinstance(params, type) and issubclass(params, msgspec.Struct)):
        yield f"Params: {wanted}, found {'nothing' if params is None else repr(params)[:60]}"
        return
    settings = params.__struct_config__
    missing = [name for name in ("frozen", "forbid_unknown_fields") if not getattr(settings, name)]
    if missing:
        yield f"Params: {wanted}, found no {' and no '.join(missing)}"


def _attribute_problems(plugin: type) -> Iterator[str]:
    legs, takes_quotes = getattr(plugin, "legs", None), getattr(plugin, "takes_quotes", None)
    if type(legs) is not int or legs < 1:
        yield f"legs: expected how many instruments a unit trades, 1 or more, found {legs!r}"
    if type(takes_quotes) is not bool:
        yield f"takes_quotes: expected True or False, found {takes_quotes!r}"


def _method_problems(plugin: type, name: str, arguments: tuple[str, ...]) -> Iterator[str]:
    method: Any = getattr(plugin, name, None)
    expected = f"expected a method ({', '.join(('self', *arguments))})"
    if not callable(method):
        yield f"{name}: {expected}, found {'none' if method is None else repr(method)[:60]}"
        return
    try:
        inspect.signature(method).bind(plugin, *arguments)
    except TypeError as error:
        yield f"{name}: {expected}, found another: {error}"
