"""A session that goes on under another configuration or other code: what differs, who has to agree, and what of its state carries over.

Books, orders, counters, trips and latches survive; new limits bind from the first tick. A strategy whose code or parameters are
others begins anew and says nothing before it has seen its warm-up.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import msgspec

from dudzian_daemon.adapters.journal_recovery import Facts
from dudzian_daemon.domain.errors import ConfigError
from dudzian_daemon.domain.money import exact_money
from dudzian_daemon.trading.driver import Driver
from dudzian_daemon.trading.spec import SessionSpec
from dudzian_daemon.trading.state_change import adapted, homeless
from dudzian_daemon.trading.step import Core

#: Differences that a message names; the rest is counted.
_NAMED: Final = 8
_LONGEST: Final = 60


def difference(before: bytes, now: bytes) -> dict[str, Any]:
    """What two `run` entries say otherwise: by key of the configuration, by plugin, and of the package; each as [before, now]."""
    old, new = (msgspec.json.decode(each, type=Facts) for each in (before, now))
    found: dict[str, Any] = {
        "config": _changed(msgspec.json.decode(old.config), msgspec.json.decode(new.config)),
        "plugins": _changed_sources(old, new),
    }
    if old.package != new.package:
        found["package"] = [_package(old), _package(new)]
    return {name: each for name, each in found.items() if each}


def refused(change: Mapping[str, Any], log_id: str) -> ConfigError:
    """What the operator is told who has not accepted the change."""
    lines = told(change)
    more = f"; and {len(lines) - _NAMED} more" if len(lines) > _NAMED else ""
    return ConfigError(
        f"session {log_id} ran under another configuration or code ({'; '.join(lines[:_NAMED])}{more}); "
        "go on with what is new by --accept-change, or beforehand by: dudzian accept-change; or begin a new session with --fresh"
    )


def told(change: Mapping[str, Any]) -> list[str]:
    """The difference for people, a line for each key, plugin and the package."""
    lines = [f"{name}: {_text(pair[0])} -> {_text(pair[1])}" for name, pair in change.get("config", {}).items()]
    lines += [f"plugin of {name}: {_text(pair[0])} -> {_text(pair[1])}" for name, pair in change.get("plugins", {}).items()]
    if "package" in change:
        lines.append(f"package: {change['package'][0]} -> {change['package'][1]}")
    return lines


def changed_strategies(change: Mapping[str, Any]) -> set[str]:
    """Strategies whose plugin or parameters are others."""
    keys = (name.split(".") for name in change.get("config", {}))
    return {*change.get("plugins", {}), *(key[1] for key in keys if key[0] == "strategies" and len(key) > 1)}


def carried(driver: Driver, spec: SessionSpec, anew: Collection[str]) -> Driver:
    """A driver of the new spec that goes on where this one is; strategies in `anew` forget what they know.

    Raises `ConfigError` for positions or orders that would have no home.
    """
    state = driver.export()
    lost = homeless(state, spec)
    if lost:
        msg = f"expected the new configuration to keep what is held or ordered, but it has no place for {', '.join(lost)}; close that first"
        raise ConfigError(msg)
    with exact_money():
        fresh = Driver(Core(spec))
        adapted(fresh, state, anew)
    return fresh


def _changed_sources(old: Facts, new: Facts) -> dict[str, list[Any]]:
    """By strategy the sources that differ, its own by digest alone, those it imports with their file; None where it is not run."""
    found: dict[str, list[Any]] = {}
    for name in sorted({*old.plugins, *new.plugins}):
        before, now = (_digests(facts.plugins.get(name, {})) for facts in (old, new))
        files = [file for file in sorted({*before, *now}) if before.get(file) != now.get(file)]
        if files:
            found[name] = [_sources(side, files) if side else None for side in (before, now)]
    return found


def _digests(plugin: Mapping[str, Any]) -> dict[str, str]:
    return {"": plugin.get("sha256", ""), **plugin.get("modules", {})} if plugin else {}


def _sources(digests: Mapping[str, str], files: Sequence[str]) -> str:
    return ", ".join(f"{file} {digests[file][:12] if file in digests else 'nothing'}".lstrip() for file in files)


def _package(facts: Facts) -> str:
    return f"{facts.package.get('version', '?')} {facts.package.get('sha256', '')[:12]}"


def _changed(before: Any, now: Any, path: str = "") -> dict[str, list[Any]]:
    """The leaves that differ, by their path."""
    if isinstance(before, dict) and isinstance(now, dict):
        found: dict[str, list[Any]] = {}
        for name in sorted({*before, *now}):
            found |= _changed(before.get(name), now.get(name), f"{path}.{name}" if path else name)
        return found
    return {} if before == now else {path: [before, now]}


def _text(value: object) -> str:
    text = "nothing" if value is None else f"{value}"
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."
