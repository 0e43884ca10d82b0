"""Names in the configuration that must exist elsewhere in it; works on the plain tree, so that it runs beside other errors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dudzian_daemon.config import lookup
from dudzian_daemon.config.paper import shipped_presets
from dudzian_daemon.config.provenance import Document, Path, Problem
from dudzian_daemon.domain.errors import ConfigError

SCHEDULERS: Final = "runtime.multi_strategy_schedulers"
#: Allocation that belongs to no strategy: positions opened by hand.
MANUAL: Final = "manual_override"
#: Risk profile, and strategy, of orders by hand.
BY_HAND: Final = "manual"

#: Where a name stands (`*` is every entry, a final `@` the keys), what it names, and the section that knows it.
_NAMES: Final = (
    ("environments.*.risk_profile", "risk profile", "risk_profiles"),
    ("environments.*.default_strategy", "strategy", "strategies"),
    ("environments.*.default_controller", "controller", "controllers"),
    ("environments.*.scheduler", "scheduler", SCHEDULERS),
    ("risk_profiles.*.strategy_allocations.@", "strategy", "strategies"),
    (f"{SCHEDULERS}.*.schedules.*.strategy", "strategy", "strategies"),
    (f"{SCHEDULERS}.*.schedules.*.risk_profile", "risk profile", "risk_profiles"),
    (f"{SCHEDULERS}.*.schedules.*.instrument_bucket", "instrument bucket", "risk.instrument_buckets"),
    ("credentials.@", "environment", "environments"),
    ("paper_trading.preset", "execution preset", "execution_presets"),
    ("environments.*.paper_trading.preset", "execution preset", "execution_presets"),
)
#: Where pairs stand, in any spelling.
_PAIRS: Final = (
    "environments.*.instrument_universe.*",
    "environments.*.replay.windows.*.instruments.*",
    "risk.instrument_buckets.*.symbols.*",
    "paper_trading.conversions.*",
    "environments.*.paper_trading.conversions.*",
)


def dangling_names(document: Document) -> Iterator[Problem]:
    """A problem for every name that its section does not know."""
    for pattern, kind, section in _NAMES:
        known = [*document.section(*section.split(".")), *([MANUAL] if pattern.endswith("allocations.@") else [])]
        if section == "execution_presets" and not known:
            known = [*shipped_presets()]
        for path in expand(document, pattern):
            name = path[-1] if pattern.endswith("@") else document.at(path)
            if isinstance(name, str) and name not in known:
                yield document.problem(path, f"unknown {kind} {name!r}{lookup.suggestion(name, known)}", at_key=pattern.endswith("@"))


def settle_pairs(document: Document) -> Iterator[Problem]:
    """Replace every pair in the tree by its key in `instruments`; a problem for each that is unknown."""
    keys = {lookup.plain(key): key for key in document.section("instruments")}
    for pattern in _PAIRS:
        for path in expand(document, pattern):
            symbol, parent = document.at(path), document.at(path[:-1])
            if not isinstance(symbol, str):
                continue
            key = keys.get(lookup.plain(symbol))
            if key is None:
                yield document.problem(path, f"unknown instrument {symbol!r}{lookup.suggestion(symbol, keys.values())}")
            else:
                parent[path[-1]] = key


def resolve_environment(document: Document, name: str) -> str:
    """The environment's own name for a name or alias. Raises `ConfigError` for an unknown one."""
    aliases = {alias: key for key, entry in document.entries("environments") for alias in listed(entry.get("aliases"))}
    return aliases.get(name) or lookup.known("environment", name, document.section("environments"), also=aliases)


def default_environment(document: Document) -> Iterator[Problem]:
    """A problem if the default environment does not exist or is switched off."""
    name = document.at(("default_environment",))
    if not isinstance(name, str):
        return
    try:
        key = resolve_environment(document, name)
    except ConfigError as error:
        yield document.problem(("default_environment",), str(error))
        return
    if document.at(("environments", key, "enabled")) is False:
        yield document.problem(("default_environment",), f"environment {key!r} is not enabled")


def listed(value: object) -> list[str]:
    """The words of a list of words; empty for anything else."""
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def expand(document: Document, pattern: str) -> Iterator[Path]:
    """All places in the tree that fit the dotted `pattern`."""
    paths: list[Path] = [()]
    for part in pattern.split("."):
        paths = [(*path, step) for path in paths for step in _steps(document.at(path), part)]
    return iter(paths)


def _steps(node: object, part: str) -> list[str | int]:
    if isinstance(node, dict):
        return list(node) if part in ("*", "@") else [part] if part in node else []
    return list(range(len(node))) if isinstance(node, list) and part == "*" else []
