"""The `strategies` of a configuration against the plugins they name: everything that is wrong, each with file, line and key."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from dudzian_daemon.app.plugins.loader import PluginSource, load_plugin, make_strategy, require_startable
from dudzian_daemon.app.session_spec import session_spec, strategies_of
from dudzian_daemon.config.check import ConfigErrors
from dudzian_daemon.config.load import LoadedConfig
from dudzian_daemon.config.lookup import suggestion
from dudzian_daemon.config.provenance import Problem
from dudzian_daemon.config.schema import CoreConfig
from dudzian_daemon.domain.errors import ConfigError, PluginError
from dudzian_daemon.domain.ports import Strategy
from dudzian_daemon.trading.spec import SessionSpec

_SAID: Final = re.compile(r"Expected `(?P<wanted>[^`]+)`(?P<limit>[^,]*?)(?:, got `[^`]+`)?(?: - at `.*`)?", re.DOTALL)
_WORDS: Final = {"int": "a whole number", "float": "a number", "str": "text", "bool": "true or false"}

#: The key of a parameter as a path, empty for all of them; and what is wrong.
_Fault = tuple[tuple[str, ...], str]


class Entries(msgspec.Struct, frozen=True):
    """What came of the entries. `unloaded` are problems with plugins that could not be had, `wrong` those with parameters."""

    strategies: Mapping[str, Strategy]
    sources: Mapping[str, PluginSource]
    unloaded: Mapping[str, Problem]
    wrong: tuple[Problem, ...]


def made(
    loaded: LoadedConfig, names: Collection[str], folders: Sequence[Path], supplied: Mapping[str, PluginSource] | None = None
) -> Entries:
    """Load the plugins of these entries and make their strategies; `supplied` go before the plugin that an entry names."""
    strategies: dict[str, Strategy] = {}
    sources = dict(supplied or {})
    unloaded: dict[str, Problem] = {}
    wrong: list[Problem] = []
    for name in names:
        entry = loaded.config.strategies[name]
        try:
            if name not in sources:
                sources[name] = load_plugin("strategies", entry.plugin, folders)
        except PluginError as error:
            unloaded[name] = loaded.document.problem(("strategies", name, "plugin"), str(error))
            continue
        problems = list(parameter_faults(sources[name].plugin.Params, entry.parameters))
        strategy, more = _strategy(sources[name], entry.parameters, problems)
        wrong += [loaded.document.problem(("strategies", name, "parameters", *key), text) for key, text in problems + more]
        if strategy is not None:
            strategies[name] = strategy
    return Entries(strategies, sources, unloaded, tuple(wrong))


def required(found: Entries) -> None:
    """Raise `ConfigErrors` with every problem, if there is one."""
    problems = (*found.unloaded.values(), *found.wrong)
    if problems:
        raise ConfigErrors(tuple(sorted(problems, key=lambda problem: (problem.file, problem.line, problem.column))))


def startable_spec(config: CoreConfig, environment: str, found: Entries) -> SessionSpec:
    """What the environment's session is made of. Raises `ConfigError` or `PluginError` for what keeps it or a strategy from starting."""
    spec = session_spec(config, environment, found.strategies)
    for schedule in spec.schedules:
        for need in require_startable(found.sources[schedule.strategy], found.strategies[schedule.strategy], schedule):
            if not _is_known(config, environment, need.series.instrument):
                msg = (
                    f"schedule {schedule.name!r}: strategy {schedule.strategy!r} needs candles of {need.series.instrument!r}; "
                    "expected venue:BASE/QUOTE of an instrument of the configuration"
                )
                raise ConfigError(msg)
    return spec


def _is_known(config: CoreConfig, environment: str, instrument: str) -> bool:
    """Whether candles of that key can come at all; of an unknown one a strategy would wait for ever."""
    venue, _, symbol = instrument.partition(":")
    derived = config.environment(environment).derived_venues.get(venue)
    source = venue if derived is None else derived.source
    try:
        return config.instrument(symbol, source).key == f"{source}:{symbol}"
    except ConfigError:
        return False


def looked_over(loaded: LoadedConfig, folders: Sequence[Path]) -> tuple[Problem, ...]:
    """All entries, whoever uses them, and what an enabled environment makes of them; returns warnings for plugins that none of these runs.

    Raises `ConfigErrors` with everything else.
    """
    found = made(loaded, list(loaded.config.strategies), folders)
    run = _run(loaded.config)
    required(msgspec.structs.replace(found, unloaded={name: problem for name, problem in found.unloaded.items() if name in run}))
    if problems := tuple(_sessions(loaded, found)):
        raise ConfigErrors(problems)
    return tuple(problem for name, problem in found.unloaded.items() if name not in run)


def _sessions(loaded: LoadedConfig, found: Entries) -> Iterator[Problem]:
    """What keeps the session of an enabled environment from being put together: schedules that do not fit one another or a strategy."""
    for key, environment in loaded.config.environments.items():
        if not environment.enabled:
            continue
        try:
            startable_spec(loaded.config, key, found)
        except (ConfigError, PluginError) as error:
            yield loaded.document.problem(("environments", key, "scheduler"), str(error))


def _run(config: CoreConfig) -> set[str]:
    return {name for key, environment in config.environments.items() if environment.enabled for name in strategies_of(config, key)}


def _strategy(source: PluginSource, parameters: Mapping[str, Any], problems: Sequence[_Fault]) -> tuple[Strategy | None, list[_Fault]]:
    """The strategy, or what the plugin has against its parameters. Beside `problems` with some it is asked about the others alone."""
    if any(not path for path, _text in problems):
        return None, []
    refused = {key for path, _text in problems for key in path}
    sound = {key: value for key, value in parameters.items() if key not in refused}
    try:
        return make_strategy(source, sound), []
    except PluginError as error:
        said = str(error).removeprefix(f"plugin {source.kind}/{source.name}: ")
    named = [field.encode_name for field in msgspec.structs.fields(source.plugin.Params) if re.search(rf"\b{field.encode_name}\b", said)]
    if refused and not (named and set(named) <= set(sound)):
        return None, []  # it speaks of what was refused, or of a default in its place
    given = [name for name in re.findall(r"\w+", said) if name in sound]
    return None, [(tuple(given[:1]), said)]


def parameter_faults(params: Any, parameters: Mapping[str, Any]) -> Iterator[_Fault]:
    """Every parameter that cannot be decoded for itself, by its key; what must hold between several is the plugin's to say."""
    fields = {field.encode_name: field for field in msgspec.structs.fields(params)}
    for key, value in parameters.items():
        if key not in fields:
            yield (key,), f"unknown parameter{suggestion(key, fields)}"
            continue
        try:
            msgspec.convert(value, fields[key].type)
        except msgspec.ValidationError as error:
            yield (key,), _in_words(str(error), value)
    missing = [key for key, field in fields.items() if field.required and key not in parameters]
    if missing:
        yield (), f"expected {', '.join(missing)} too, found no such parameter"


def _in_words(error: str, value: object) -> str:
    """What msgspec says of a value, in the words of the other problems of a configuration."""
    match = _SAID.fullmatch(error)
    if match is None:
        return f"{error}, found {value!r:.60}"
    wanted = " or ".join(_WORDS.get(name.strip(), name.strip()) for name in match["wanted"].split("|"))
    return f"expected {wanted}{match['limit']}, found {value!r:.60}"
