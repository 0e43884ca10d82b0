"""What must hold between values that are each right by themselves; works on the plain tree, so that it runs beside other errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date
from decimal import Decimal, InvalidOperation
from ipaddress import ip_address, ip_network
from itertools import pairwise
from typing import Any, Final

from dudzian_daemon.config import lookup
from dudzian_daemon.config.provenance import Document, Path, Problem
from dudzian_daemon.config.references import BY_HAND, SCHEDULERS, listed
from dudzian_daemon.config.risk import MAINTENANCE_MARGIN, MAINTENANCE_MARGINS
from dudzian_daemon.domain.fees import margin_carries
from dudzian_daemon.domain.money import ONE

_SCHEDULERS: Final = tuple(SCHEDULERS.split("."))


def unique_names(document: Document) -> Iterator[Problem]:
    """Two environments must not share a name, an alias or the folder they write."""
    names = dict.fromkeys(document.section("environments"), "the name of an environment")
    artifacts: dict[str, str] = {}
    for key, entry in document.entries("environments"):
        for index, alias in enumerate(listed(entry.get("aliases"))):
            if alias in names:
                yield document.problem(("environments", key, "aliases", index), f"{alias!r} is already {names[alias]}")
            names.setdefault(alias, f"an alias of {key!r}")
        artifact = entry.get("artifact_name") or key
        if isinstance(artifact, str) and artifacts.setdefault(artifact, key) != key:
            path = ("environments", key, "artifact_name")
            yield document.problem(path, f"{artifact!r} is the artifact name of {artifacts[artifact]!r} too; they would share a journal")


def replay_windows(document: Document) -> Iterator[Problem]:
    """A window begins before it ends."""
    for key, entry in document.entries("environments"):
        windows = entry["replay"].get("windows") if isinstance(entry.get("replay"), dict) else None
        for index, window in enumerate(windows if isinstance(windows, list) else []):
            with suppress(ValueError, TypeError, AttributeError, KeyError):  # not a window: told elsewhere
                start, end = date.fromisoformat(window["start"]), date.fromisoformat(window["end"])
                if start >= end:
                    path = ("environments", key, "replay", "windows", index, "start")
                    yield document.problem(path, f"expected a day before the end {end}, found {start}")


def candle_sources(document: Document) -> Iterator[Problem]:
    """An environment that reads the cache says where it lies."""
    for key, entry in document.entries("environments"):
        if entry.get("candle_source", "cache") == "cache" and entry.get("data_cache_path") is None:
            yield document.problem(("environments", key, "data_cache_path"), "missing; candle_source cache needs it")


def permissions(document: Document) -> Iterator[Problem]:
    """No credential may withdraw, and what an environment asks of its credential can be had."""
    for key, entry in document.entries("environments"):
        path: Path = ("environments", key)
        required = listed(entry.get("required_permissions"))
        forbidden = listed(entry.get("forbidden_permissions", ["withdraw"]))
        for index, permission in enumerate(required):
            if permission in forbidden or permission == "withdraw":
                yield document.problem((*path, "required_permissions", index), f"{permission!r} is forbidden")
        yield from _credential(document, key, entry, required, forbidden)


def _credential(document: Document, key: str, entry: dict[str, Any], required: list[str], forbidden: list[str]) -> Iterator[Problem]:
    credential = document.section("credentials", key)
    if not credential:
        return
    for field, wanted in (("keychain_key", "keychain_key"), ("purpose", "credential_purpose"), ("venue", "exchange")):
        if isinstance(credential.get(field), str) and credential[field] != entry.get(wanted):
            message = f"expected {entry.get(wanted)!r} as {wanted} of environment {key!r}, found {credential[field]!r}"
            yield document.problem(("credentials", key, field), message)
    granted = listed(credential.get("permissions"))
    for index, permission in enumerate(granted):
        if permission in forbidden or permission == "withdraw":
            yield document.problem(("credentials", key, "permissions", index), f"{permission!r} is forbidden; make a key without it")
    missing = [permission for permission in required if permission not in granted]
    if missing:
        yield document.problem(("credentials", key, "permissions"), f"environment {key!r} needs {', '.join(missing)} too")


def addresses(document: Document) -> Iterator[Problem]:
    """Entries of an allow-list are addresses or networks."""
    for key, entry in document.entries("environments"):
        for index, text in enumerate(listed(entry.get("ip_allowlist"))):
            try:
                ip_network(text, strict=False)
            except ValueError:
                yield document.problem(("environments", key, "ip_allowlist", index), f"expected an IP address or network, found {text!r}")


def backtest_profiles(document: Document) -> Iterator[Problem]:
    """A profile without limits is for backtests: nothing that runs may name it."""
    profiles = {name for name, profile in document.entries("risk_profiles") if profile.get("backtest_only") is True}
    users: list[Path] = [("environments", key, "risk_profile") for key, _ in document.entries("environments")]
    for scheduler, _ in document.entries(*_SCHEDULERS):
        path = (*_SCHEDULERS, scheduler, "schedules")
        users += [(*path, name, "risk_profile") for name, _ in document.entries(*path)]
    for user in users:
        name = document.at(user)
        if isinstance(name, str) and name in profiles:
            yield document.problem(user, f"risk profile {name!r} is marked backtest_only")


def margins(document: Document) -> Iterator[Problem]:
    """Where shorts are allowed, one that opens at the highest leverage is not closed by the next price."""
    for key, entry in document.entries("environments"):
        common, own = document.section("paper_trading"), document.section("environments", key, "paper_trading")
        settings = {**common, **own}
        if settings.get("allow_short") is not True or entry.get("enabled", True) is not True:
            continue
        path = (*_SCHEDULERS, str(entry.get("scheduler")), "schedules")
        profiles = {str(schedule.get("risk_profile")) for _, schedule in document.entries(*path)}
        for name, profile in document.entries("risk_profiles"):
            if name not in profiles:
                continue
            with suppress(ValueError, TypeError, InvalidOperation):  # no number: told elsewhere
                told = profile.get("maintenance_margin_pct")
                maintenance = Decimal(told) if told is not None else MAINTENANCE_MARGINS.get(name, MAINTENANCE_MARGIN)
                for leverage, at in _leverages(settings, profile, key, name, own):
                    if not margin_carries(leverage, maintenance):
                        message = (
                            f"expected a leverage below {ONE / maintenance:.4g}: {name} closes shorts below {maintenance:f} of their value"
                        )
                        yield document.problem(at, f"{message}, found {leverage:f}, so one would be closed as soon as it opened")


def _leverages(
    settings: dict[str, Any], profile: dict[str, Any], environment: str, name: str, own: dict[str, Any]
) -> Iterator[tuple[Decimal, Path]]:
    account: Path = ("environments", environment, "paper_trading") if "default_leverage" in own else ("paper_trading",)
    yield Decimal(settings.get("default_leverage", 1)), (*account, "default_leverage")
    yield Decimal(profile.get("max_leverage", 0)), ("risk_profiles", name, "max_leverage")


def in_order(document: Document) -> Iterator[Problem]:
    """What holds from a day on is listed oldest first, no day twice."""
    lists: list[Path] = []
    for preset, entry in document.entries("execution_presets"):
        fees = entry.get("venue_fees")
        lists += [("execution_presets", preset, "venue_fees", venue) for venue in (fees if isinstance(fees, dict) else ())]
    for key in document.section("instruments"):
        venues = [name for name, _ in document.entries("instruments", key, "venues")]
        lists += [("instruments", key, "venues", venue, "funding", "rates") for venue in venues]
    for path in lists:
        periods = document.at(path)
        begins = [_begin(period) for period in (periods if isinstance(periods, list) else ())]
        for index, (before, now) in enumerate(pairwise(begins), start=1):
            if before and now and before >= now:
                yield document.problem((*path, index, "valid_from"), f"expected a time after {before}, found {now}; list the oldest first")


def _begin(period: object) -> str:
    """A text that sorts as the period's begin; empty for what is none: told elsewhere."""
    if not isinstance(period, dict) or "valid_from" not in period:
        return ""
    hour = period.get("hour", 0)
    return f"{period['valid_from']} {hour:02d}:00" if isinstance(hour, int) else ""


def strategy_names(document: Document) -> Iterator[Problem]:
    """The operator's own orders are kept under a name that no strategy may have."""
    if BY_HAND in document.section("strategies"):
        yield document.problem(("strategies", BY_HAND), f"{BY_HAND!r} is the strategy of orders by hand; choose another name", at_key=True)


def instrument_keys(document: Document) -> Iterator[Problem]:
    """A pair is called BASE_QUOTE, and no two are the same word without separators."""
    seen: dict[str, str] = {}
    for key, entry in document.entries("instruments"):
        base, quote = entry.get("base"), entry.get("quote")
        if isinstance(base, str) and isinstance(quote, str) and key != f"{base}_{quote}":
            yield document.problem(("instruments", key), f"expected {base}_{quote} as the key of {base}/{quote}", at_key=True)
        elif seen.setdefault(lookup.plain(key), key) != key:
            yield document.problem(("instruments", key), f"reads the same as {seen[lookup.plain(key)]!r}", at_key=True)


def venues(document: Document) -> Iterator[Problem]:
    """What an enabled environment trades or replays is traded at its venue; a disabled one needs a venue that exists."""
    traded = {key: [name for name, _ in document.entries("instruments", key, "venues")] for key in document.section("instruments")}
    known = sorted({venue for names in traded.values() for venue in names})
    for key, entry in document.entries("environments"):
        venue = entry.get("exchange")
        if not isinstance(venue, str):
            continue
        if venue not in known:
            yield document.problem(("environments", key, "exchange"), f"unknown venue {venue!r}{lookup.suggestion(venue, known)}")
        elif entry.get("enabled", True) is True:
            for path, symbol in _pairs_of(document, key, entry):
                if symbol in traded and venue not in traded[symbol]:
                    yield document.problem(path, f"environment {key!r} uses {symbol}, which has no venue {venue!r} in instruments.yaml")


def _pairs_of(document: Document, key: str, entry: dict[str, Any]) -> Iterator[tuple[Path, str]]:
    """The pairs an environment names itself, and those of the buckets of its schedules (placed at the schedule)."""
    path: Path = ("environments", key, "instrument_universe")
    yield from (((*path, index), symbol) for index, symbol in enumerate(listed(entry.get("instrument_universe"))))
    windows = document.at(("environments", key, "replay", "windows"))
    for index, window in enumerate(windows if isinstance(windows, list) else []):
        path = ("environments", key, "replay", "windows", index, "instruments")
        yield from (((*path, at), symbol) for at, symbol in enumerate(listed(document.at(path))) if isinstance(window, dict))
    path = (*_SCHEDULERS, str(entry.get("scheduler")), "schedules")
    for name, schedule in document.entries(*path):
        symbols = document.at(("risk", "instrument_buckets", str(schedule.get("instrument_bucket")), "symbols"))
        yield from (((*path, name, "instrument_bucket"), symbol) for symbol in listed(symbols))


def watchdog_limits(document: Document) -> Iterator[Problem]:
    """A call is named before the process ends for it."""
    path = ("runtime", "watchdog")
    limits = document.section(*path)
    warn, limit = limits.get("warn_seconds", 0.5), limits.get("limit_seconds", 30.0)
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (warn, limit))
    if numbers and warn >= limit:
        key = "limit_seconds" if "limit_seconds" in limits else "warn_seconds"
        yield document.problem((*path, key), f"expected warn_seconds < limit_seconds, found {warn} and {limit}")


def scheduler_tokens(document: Document) -> Iterator[Problem]:
    """No two tokens of a scheduler share their name."""
    for name, scheduler in document.entries(*_SCHEDULERS):
        tokens = scheduler.get("rbac_tokens")
        ids = [
            token.get("token_id", "scheduler-local") for token in (tokens if isinstance(tokens, list) else ()) if isinstance(token, dict)
        ]
        for index, token_id in enumerate(ids):
            if token_id in ids[:index]:
                yield document.problem((*_SCHEDULERS, name, "rbac_tokens", index), f"token {token_id!r} is there already")


def alert_channels(document: Document) -> Iterator[Problem]:
    """A channel that is named exists, and a channel's pauses do not shrink."""
    plugins = document.entries("alerts", "channels")
    known = [f"{plugin}:{name}" for plugin, names in plugins for name in names]
    for path, channel in _channels(document):
        if channel not in known:
            yield document.problem(path, f"unknown alert channel {channel!r}{lookup.suggestion(channel, known)}")
    section = document.section("alerts")
    first, cap = section.get("retry_seconds", 5), section.get("retry_cap_seconds", 300)
    if isinstance(first, int) and isinstance(cap, int) and first > cap:
        key = "retry_cap_seconds" if "retry_cap_seconds" in section else "retry_seconds"
        yield document.problem(("alerts", key), f"expected retry_seconds <= retry_cap_seconds, found {first} and {cap}")


def _channels(document: Document) -> Iterator[tuple[Path, str]]:
    """Every place that names a channel."""
    for key, entry in document.entries("environments"):
        for index, channel in enumerate(listed(entry.get("alert_channels"))):
            yield ("environments", key, "alert_channels", index), channel
    for index, channel in enumerate(listed(document.at(("alerts", "fallback")))):
        yield ("alerts", "fallback", index), channel
    if isinstance(channel := document.at(("alerts", "head_channel")), str):
        yield ("alerts", "head_channel"), channel
    for severity in document.section("alerts", "routes"):
        for index, channel in enumerate(listed(document.at(("alerts", "routes", severity)))):
            yield ("alerts", "routes", severity, index), channel


RULES: Final[tuple[Callable[[Document], Iterator[Problem]], ...]] = (
    unique_names,
    replay_windows,
    candle_sources,
    permissions,
    addresses,
    backtest_profiles,
    margins,
    in_order,
    strategy_names,
    instrument_keys,
    venues,
    watchdog_limits,
    scheduler_tokens,
    alert_channels,
)


def warnings(document: Document) -> Iterator[Problem]:
    """What is allowed but should be looked at."""
    for path, channel in _channels(document):
        plugin, _, name = channel.partition(":")
        if path[0] == "environments" and document.at(("alerts", "channels", plugin, name, "enabled")) is False:
            yield document.problem(path, f"{channel!r} is not enabled: it is not used")
    host = document.at(("runtime", "metrics_service", "host"))
    if isinstance(host, str) and not _is_loopback(host):
        yield document.problem(("runtime", "metrics_service", "host"), f"{host!r} is reachable from other machines")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return False
