"""Which modules may supply the signals of `run-daily-trend`: the command line before the environment, then our own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

PREFIX: Final = "RUN_DAILY_TREND_"
FAIL_ON_WARNINGS: Final = f"{PREFIX}FAIL_ON_SECURITY_WARNINGS"
PIPELINE: Final = f"{PREFIX}PIPELINE_MODULES"
REALTIME: Final = f"{PREFIX}REALTIME_MODULES"
#: A colon separates nothing: `module:attribute` is one word, and is refused as no module.
_SEPARATORS: Final = re.compile(r"[\s,;]+")
_YES: Final = frozenset({"1", "true", "yes", "on"})
_NO: Final = frozenset({"0", "false", "no", "off"})

#: What makes the signals where no module of a user does, and what stands behind that.
DEFAULTS: Final = {"pipeline": "dudzian_daemon.app.bootstrap", "realtime": "dudzian_daemon.app.realtime"}
FALLBACK: Final = "dudzian_daemon.api"

Origin = Literal["cli", "env", "default", "fallback"]


class Override(msgspec.Struct, frozen=True, kw_only=True):
    """One `RUN_DAILY_TREND_*` variable: what it said, whether it counts, and if not why."""

    variable: str
    raw_value: str
    applied: bool
    verdict: Literal["applied", "cli_override", "ignored"]
    reason: str = ""
    parsed_value: tuple[str, ...] | bool | None = None


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A module in the order it is asked: `resolved_from` is its file, empty without one; `fallback_used` for the last resort."""

    module: str
    origin: Origin
    resolved_from: str
    fallback_used: bool


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """The candidates of one kind. `selected` is the first that is there."""

    candidates: tuple[Candidate, ...]
    selected: str
    origin: Origin
    resolved_from: str
    fallback_used: bool


class Modules(msgspec.Struct, frozen=True, kw_only=True):
    """Schema `dudzian.runtime_modules/1`. `pipeline_modules` and `realtime_modules` are the users' own, the ones that supply signals."""

    schema: str = "dudzian.runtime_modules/1"
    pipeline_modules: tuple[str, ...]
    realtime_modules: tuple[str, ...]
    pipeline: Section
    realtime: Section
    environment_overrides: tuple[Override, ...]

    @property
    def supplied(self) -> tuple[str, ...]:
        """The modules to be asked for CONTROLLERS, pipeline before realtime."""
        return (*self.pipeline_modules, *self.realtime_modules)


#: What a plan says of a precheck that nobody made.
NOT_RUN: Final = {"status": "not_run", "reason": "a precheck is made by --paper-smoke and by dudzian paper-precheck"}


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line and the environment said beside the options of a run, for the plan: flags as they were given."""

    flags: dict[str, Any]
    modules: Modules
    overrides: tuple[Override, ...]
    precheck: dict[str, Any] | None = None
    plan_path: Path | None = None


def runtime_modules(pipeline: Sequence[str], realtime: Sequence[str], env: Mapping[str, str]) -> Modules:
    """Settle the modules; what is wrong in a variable is told in `environment_overrides` and ignored."""
    overrides = []
    chosen: dict[str, tuple[tuple[str, ...], Origin]] = {}
    for kind, said, variable in (("pipeline", pipeline, PIPELINE), ("realtime", realtime, REALTIME)):
        chosen[kind] = (tuple(said), "cli")
        if variable in env:
            override = _of_variable(variable, env[variable], bool(said))
            overrides.append(override)
            if override.applied and isinstance(override.parsed_value, tuple):
                chosen[kind] = (override.parsed_value, "env")
    return Modules(
        pipeline_modules=chosen["pipeline"][0],
        realtime_modules=chosen["realtime"][0],
        pipeline=_section("pipeline", *chosen["pipeline"]),
        realtime=_section("realtime", *chosen["realtime"]),
        environment_overrides=tuple(overrides),
    )


def fail_on_warnings(said: bool, env: Mapping[str, str]) -> tuple[bool, Override | None]:
    """`--fail-on-security-warnings` or its variable; a value that is neither yes nor no is ignored, and told."""
    raw = env.get(FAIL_ON_WARNINGS)
    if raw is None:
        return said, None
    word = raw.strip().lower()
    if word not in _YES | _NO:
        reason = "invalid_value" if word else "empty_value"
        return said, _ignored(FAIL_ON_WARNINGS, raw, reason)
    value = word in _YES
    if said:
        return True, Override(
            variable=FAIL_ON_WARNINGS, raw_value=raw, applied=False, verdict="cli_override", reason="cli_override", parsed_value=value
        )
    return value, Override(variable=FAIL_ON_WARNINGS, raw_value=raw, applied=True, verdict="applied", parsed_value=value)


def unknown_variables(env: Mapping[str, str]) -> tuple[Override, ...]:
    """Variables that begin as ours do and that nothing reads: a spelling mistake should not pass in silence."""
    known = {PIPELINE, REALTIME, FAIL_ON_WARNINGS}
    names = sorted(name for name in env if name.startswith(PREFIX) and name not in known)
    return tuple(_ignored(name, env[name], "unknown_variable") for name in names)


def ignored(overrides: Iterable[Override]) -> Iterator[tuple[str, str]]:
    """Variables that say something which does not count, with the reason; a flag that goes before one is no mistake."""
    return ((each.variable, each.reason) for each in overrides if each.verdict == "ignored")


def _ignored(variable: str, raw: str, reason: str) -> Override:
    return Override(variable=variable, raw_value=raw, applied=False, verdict="ignored", reason=reason)


def _of_variable(variable: str, raw: str, by_flag: bool) -> Override:
    words = tuple(word for word in _SEPARATORS.split(raw) if word)
    if by_flag:
        return Override(variable=variable, raw_value=raw, applied=False, verdict="cli_override", reason="cli_override", parsed_value=words)
    if not words:
        return _ignored(variable, raw, "empty_value")
    if not all(_is_module_name(word) for word in words):
        return Override(variable=variable, raw_value=raw, applied=False, verdict="ignored", reason="invalid_value", parsed_value=words)
    return Override(variable=variable, raw_value=raw, applied=True, verdict="applied", parsed_value=words)


def _section(kind: str, own: tuple[str, ...], origin: Origin) -> Section:
    found = [_candidate(name, origin) for name in own]
    found += [_candidate(DEFAULTS[kind], "default"), _candidate(FALLBACK, "fallback")]
    chosen = next(candidate for candidate in found if candidate.resolved_from)
    return Section(
        candidates=tuple(found),
        selected=chosen.module,
        origin=chosen.origin,
        resolved_from=chosen.resolved_from,
        fallback_used=chosen.fallback_used,
    )


def _candidate(name: str, origin: Origin) -> Candidate:
    return Candidate(module=name, origin=origin, resolved_from=_file_of(name), fallback_used=origin == "fallback")


def _file_of(name: str) -> str:
    """Where a module would come from. Asking for `a.b` imports `a`, so a package that raises is simply not there."""
    if not _is_module_name(name):
        return ""
    try:
        spec = find_spec(name)
    except (ImportError, AttributeError, ValueError):
        return ""
    return "" if spec is None or spec.origin is None else spec.origin


def _is_module_name(word: str) -> bool:
    return all(part.isidentifier() for part in word.split("."))
