"""Everything that can be known before a run leaves a trace: configuration, plugins, session spec, data folder. Reads, writes nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from hashlib import sha256
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any, Final

import msgspec

import dudzian_daemon
from dudzian_daemon.adapters import data_folder
from dudzian_daemon.app import metrics_tls, one_schedule
from dudzian_daemon.app.one_schedule import OneSchedule
from dudzian_daemon.app.plugins.adapters import adapters_of
from dudzian_daemon.app.plugins.channel_entries import ChannelEntry, channel_entries
from dudzian_daemon.app.plugins.controller_modules import controllers_of
from dudzian_daemon.app.plugins.loader import PluginSource
from dudzian_daemon.app.plugins.places import plugin_folders
from dudzian_daemon.app.plugins.strategy_entries import made, required, startable_spec
from dudzian_daemon.app.recorded_run import LIVE
from dudzian_daemon.app.session_spec import strategies_of
from dudzian_daemon.config.canonical import canonical
from dudzian_daemon.config.environment import Environment
from dudzian_daemon.config.load import LoadedConfig, load
from dudzian_daemon.config.overlay import Flag
from dudzian_daemon.config.schema import CoreConfig
from dudzian_daemon.domain.errors import ConfigError
from dudzian_daemon.kernel.clock import SystemClock
from dudzian_daemon.trading.spec import SessionSpec

_NAME: Final = re.compile(r"^Name: *(\S+)", re.MULTILINE)
_VERSION: Final = re.compile(r"^Version: *(\S+)", re.MULTILINE)


class RunOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line said; None where it said nothing. `modules` supply controllers, the first one first.

    `live` takes the market from the venues, at other addresses where `base_url` and `ws_url` say so, which ask for it too.

    `scheduler` replaces the environment's; `run_once` ends the run when each schedule has run. `fresh` closes the session that
    would go on and begins a new one; `accept_change` lets it go on under another configuration or other code. `one_schedule`
    restricts the run to one of the scheduler's schedules; `settings` are further values of the configuration by dotted path.
    `adapters` are VENUE=SPEC, each another exchange plugin for a venue of a run on live data.
    `plan_sha256` is the digest of the runtime plan that was written before the run, for its record.
    """

    config: Path | None = None
    environment: str | None = None
    data_dir: Path | None = None
    speed: str | None = None
    metrics_port: int | None = None
    show_view: bool = True
    plugins_dir: Path | None = None
    modules: tuple[str, ...] = ()
    scheduler: str | None = None
    run_once: bool = False
    fresh: bool = False
    accept_change: bool = False
    live: bool = False
    base_url: str | None = None
    ws_url: str | None = None
    one_schedule: OneSchedule | None = None
    settings: dict[str, Any] = {}
    adapters: tuple[str, ...] = ()
    plan_sha256: str = ""


class Prepared(msgspec.Struct, frozen=True):
    """A run that could start: `speed` is market seconds per second, None for as fast as possible."""

    loaded: LoadedConfig
    environment: str
    data_folder: Path
    plugins: Mapping[str, PluginSource]
    spec: SessionSpec
    speed: float | None
    channels: Mapping[str, ChannelEntry] = {}
    folders: tuple[Path, ...] = ()
    adapters: Mapping[str, PluginSource] = {}
    plan_sha256: str = ""

    @property
    def live(self) -> bool:
        """Whether the market comes from the venues as it happens, and not from stored candles."""
        return not self.chosen.offline_mode

    @property
    def config(self) -> CoreConfig:
        """The configuration."""
        return self.loaded.config

    @property
    def chosen(self) -> Environment:
        """The environment of the run."""
        return self.config.environment(self.environment)

    @property
    def artifact(self) -> str:
        """Stem of the files the run writes."""
        return self.config.artifact_name(self.environment)


def prepare(options: RunOptions, env: Mapping[str, str]) -> Prepared:
    """Resolve names and load plugins. Raises `ConfigError` (with every entry of `strategies` that is wrong) or `PluginError`."""
    return prepared_of(loaded_for(options, env), options, env)


def prepared_of(loaded: LoadedConfig, options: RunOptions, env: Mapping[str, str]) -> Prepared:
    """The same from a configuration that `loaded_for` gave."""
    config = loaded.config
    environment = config.environment_id(options.environment)
    chosen = config.environments[environment]
    if not chosen.enabled:
        msg = f"environment {environment!r} is disabled in {loaded.path} ({chosen.description}); set `enabled: true` there to run it"
        raise ConfigError(msg)
    if not chosen.offline_mode:
        require_live(config, environment, options)
    metrics_tls.looked_over(loaded, SystemClock().wall_ns())
    folders = plugin_folders(options.plugins_dir, env)
    names = strategies_of(config, environment)
    supplied = controllers_of(options.modules, names)
    found = made(loaded, names, folders, supplied)
    required(found)
    spec = startable_spec(config, environment, found)
    return Prepared(
        loaded=loaded,
        environment=environment,
        data_folder=data_folder.resolve(options.data_dir, env),
        plugins=found.sources,
        spec=spec,
        speed=parse_speed(options.speed if options.speed is not None else str(chosen.replay.speed)),
        channels=channel_entries(loaded, chosen.alert_channels, folders),
        folders=tuple(folders),
        adapters=_adapters(options.adapters, config, environment, spec, folders),
        plan_sha256=options.plan_sha256,
    )


def _adapters(
    said: Sequence[str], config: CoreConfig, environment: str, spec: SessionSpec, folders: Sequence[Path]
) -> dict[str, PluginSource]:
    """Raises `ConfigError` where nobody would ask them, since stored candles come from no venue, and what makes one unusable."""
    chosen = config.environment(environment)
    if said and chosen.offline_mode:
        msg = f"--adapter-factory: expected live market data (--live), found stored candles, which come from no venue: {said[0]!r}"
        raise ConfigError(msg)
    found = adapters_of(said, {chosen.exchange, *(key.partition(":")[0] for key in spec.instruments)}, folders)
    if found:
        from dudzian_daemon.app.venues import adapter_settings, choose_venue  # only where one is wanted: 10 MB of clients

        for venue in found:
            choose_venue(venue, folders, adapter_settings(config, environment), found)
    return found


def loaded_for(options: RunOptions, env: Mapping[str, str]) -> LoadedConfig:
    """The configuration with what the command line changes of it. Raises `ConfigError`."""
    flags: dict[str, Any] = dict(options.settings)
    if options.metrics_port is not None:
        flags["runtime.metrics_service.port"] = Flag("--metrics-port", options.metrics_port)
    loaded = load(options.config, env=env, cli=flags)
    environment = loaded.config.environment_id(options.environment)
    if options.scheduler is not None:
        loaded.config.scheduler(options.scheduler)
    if chosen_flags := _chosen_flags(options, environment):
        flags |= chosen_flags
        loaded = load(options.config, env=env, cli=flags)  # reading it is a third of a start: once where that does
    if options.one_schedule is None:
        return loaded
    selected = one_schedule.select(loaded.config, environment, options.one_schedule)
    if more := one_schedule.flags(loaded.config, environment, options.one_schedule, selected):
        loaded = load(options.config, env=env, cli=flags | more)
    return one_schedule.restricted(loaded, environment, selected.schedule)


def _chosen_flags(options: RunOptions, environment: str) -> dict[str, Any]:
    """What the command line changes of the environment, by dotted key."""
    flags: dict[str, Any] = {"scheduler": options.scheduler} if options.scheduler is not None else {}
    if options.live or options.base_url is not None or options.ws_url is not None:
        flags["offline_mode"] = False
    for name in ("base_url", "ws_url"):
        if (url := getattr(options, name)) is not None:
            flags[f"adapter_settings.{name}"] = url
    return {f"environments.{environment}.{name}": value for name, value in flags.items()}


def require_live(config: CoreConfig, environment: str, options: RunOptions) -> None:
    """Raise `ConfigError` for an environment that cannot have live data, or a speed beside it."""
    chosen = config.environment(environment)
    if chosen.mode != "paper":
        msg = f"environment {environment!r} is {chosen.mode}, which has no live market data: expected an environment of mode paper"
        raise ConfigError(msg)
    if options.speed is not None:
        msg = f"--speed: expected none beside live market data, which comes at its own time, found {options.speed!r}"
        raise ConfigError(msg)


def parse_speed(text: str) -> float | None:
    """`max` is None, `real` is 1, a number > 0 itself. Raises `ConfigError`."""
    if text == "max":
        return None
    try:
        speed = Decimal(1) if text == "real" else Decimal(text)
    except InvalidOperation:
        speed = Decimal(0)
    if not speed.is_finite() or speed <= 0:
        msg = f"--speed: expected max, real or a number above 0 (market seconds per second), found {text!r}"
        raise ConfigError(msg)
    return float(speed)


def run_facts(prepared: Prepared, interpreter: str, platform: str) -> dict[str, Any]:
    """Member `d` of the journal's `run` entry: what a re-execution needs to be the same, by hash."""
    return {
        "environment": prepared.environment,
        **({"feed": LIVE} if prepared.live else {}),
        "opening_source": prepared.spec.opening_source,
        "config": msgspec.Raw(canonical(prepared.config, prepared.environment)),
        "package": {"version": dudzian_daemon.__version__, "sha256": package_digest()},
        "plugins": {name: source.facts for name, source in sorted(prepared.plugins.items())},
        "dependencies": installed(),
        "interpreter": interpreter,
        "platform": platform,
    }


def installed() -> dict[str, str]:
    """Version by name of every distribution of this interpreter."""
    return dict(sorted(filter(None, map(_name_and_version, distributions()))))


def _name_and_version(distribution: Distribution) -> tuple[str, str] | None:
    """As its metadata spell them, None where they do not. Two lines of it: parsed as the mail it looks like it was a seventh of a start."""
    headers = (distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or "").partition("\n\n")[0]
    name, version = _NAME.search(headers), _VERSION.search(headers)
    return None if name is None or version is None else (name[1], version[1])


def package_digest() -> str:
    """SHA-256 over the sources of the installed package, path by path."""
    root = Path(dudzian_daemon.__file__).parent
    digest = sha256()
    for path in sorted(root.rglob("*.py")):
        if "_bundled" not in path.parts:
            digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
