"""The parameters of a sweep: `--param` texts become axes, axes become combinations that the plugin itself takes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from hashlib import sha256
from itertools import product
from typing import Any, Final

import msgspec

from dudzian_daemon.app.plugins.loader import PluginSource, make_strategy
from dudzian_daemon.app.plugins.strategy_entries import parameter_faults
from dudzian_daemon.domain.errors import ConfigError, PluginError

#: More values of one parameter are taken for a slip of the step.
MOST_VALUES: Final = 100_000
_WORDS: Final[Mapping[str, object]] = {"true": True, "false": False, "null": None}

Combination = dict[str, Any]


class Axis(msgspec.Struct, frozen=True):
    """A parameter and the values it is tried with, in the order of the command line."""

    name: str
    values: tuple[Any, ...]


class Candidates(msgspec.Struct, frozen=True):
    """The combinations that the plugin takes, and how many it refuses for what must hold between them, with the first reason."""

    taken: tuple[Combination, ...]
    refused: int
    reason: str


def axes_of(texts: Sequence[str], source: PluginSource) -> tuple[Axis, ...]:
    """One axis per `NAME=VALUES`; VALUES is `first:last:step` (both included) or `one,two,three`. Raises `ConfigError`."""
    axes = [_axis(text) for text in texts]
    if not axes:
        msg = "--param: expected at least one, such as --param lookback=48:192:24, found none"
        raise ConfigError(msg)
    names = [axis.name for axis in axes]
    for name in names:
        if names.count(name) > 1:
            msg = f"--param {name}: expected each parameter once, found it {names.count(name)} times"
            raise ConfigError(msg)
    for axis in axes:
        for value in axis.values:
            for key, text in parameter_faults(source.plugin.Params, {axis.name: value}):
                if key:  # what else is required may be in the configuration
                    msg = f"--param {axis.name}: {text}"
                    raise ConfigError(msg)
    return tuple(axes)


def size(axes: Sequence[Axis]) -> int:
    """How many combinations there are."""
    return math.prod(len(axis.values) for axis in axes)


def combinations(axes: Sequence[Axis]) -> Iterator[Combination]:
    """Every combination, the last axis first."""
    names = [axis.name for axis in axes]
    return (dict(zip(names, values, strict=True)) for values in product(*(axis.values for axis in axes)))


def candidates(axes: Sequence[Axis], source: PluginSource, configured: Mapping[str, Any]) -> Candidates:
    """All combinations over the `configured` parameters, asked of the plugin. Raises `ConfigError` if it takes none."""
    taken, reason, refused = [], "", 0
    for each in combinations(axes):
        problem = problem_of(each, source, configured)
        if problem is None:
            taken.append(each)
        else:
            refused, reason = refused + 1, reason or problem
    if not taken:
        msg = f"--param: expected a combination that the plugin takes, found {refused} and none of them; the first: {reason}"
        raise ConfigError(msg)
    return Candidates(tuple(taken), refused, reason)


def problem_of(combination: Combination, source: PluginSource, configured: Mapping[str, Any]) -> str | None:
    """What the plugin has against the combination, None if it takes it."""
    try:
        make_strategy(source, {**configured, **combination})
    except PluginError as error:
        return str(error)
    return None


def digest_of(parameters: Mapping[str, Any]) -> str:
    """Names parameters: 16 hexadecimal digits of the SHA-256 of their sorted JSON."""
    return sha256(text_of(parameters).encode()).hexdigest()[:16]


def text_of(parameters: Mapping[str, Any]) -> str:
    """Parameters as JSON, sorted by name."""
    return msgspec.json.encode(dict(sorted(parameters.items()))).decode()


def _axis(text: str) -> Axis:
    name, equals, values = (part.strip() for part in text.partition("="))
    if not (name and equals and values):
        msg = f"--param: expected NAME=first:last:step or NAME=one,two,three, found {text!r}"
        raise ConfigError(msg)
    found = _stepped(name, values) if ":" in values else tuple(_value(name, each) for each in values.split(","))
    unique = tuple(dict.fromkeys(found))
    if len(unique) < len(found):
        msg = f"--param {name}: expected each value once, found {values!r}"
        raise ConfigError(msg)
    return Axis(name, unique)


def _stepped(name: str, text: str) -> tuple[Any, ...]:
    """Counted exactly, so that 0.1:0.3:0.1 has three values."""
    expected = f"--param {name}: expected first:last:step with first <= last and a step above 0"
    try:
        first, last, step = map(Decimal, text.split(":"))
        if not (first.is_finite() and last.is_finite() and step.is_finite() and step > 0 and first <= last):
            raise ValueError
    except (InvalidOperation, ValueError):
        msg = f"{expected}, found {text!r}"
        raise ConfigError(msg) from None
    count = int((last - first) / step) + 1
    if count > MOST_VALUES:
        msg = f"{expected} and at most {MOST_VALUES} values, found {text!r}, which has {count}"
        raise ConfigError(msg)
    values = (first + number * step for number in range(count))
    return tuple(int(value) if value == value.to_integral_value() else float(value) for value in values)


def _value(name: str, text: str) -> Any:
    text = text.strip()
    if not text:
        msg = f"--param {name}: expected a value between the commas, found none"
        raise ConfigError(msg)
    if text in _WORDS:
        return _WORDS[text]
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        return number if math.isfinite(number) else text
    return text
