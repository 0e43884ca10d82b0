"""Everything that can be known before a run leaves a trace: configuration, plugins, session spec, data folder. Reads, writes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from hashlib import sha256
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import msgspec

import dudzian_daemon
from dudzian_daemon.adapters import data_folder
from dudzian_daemon.app.plugins import PluginSource, load_plugin, make_strategy
from dudzian_daemon.app.session_spec import session_spec, strategies_of
from dudzian_daemon.config.canonical import canonical
from dudzian_daemon.config.load import LoadedConfig, load
from dudzian_daemon.config.places import bundled
from dudzian_daemon.config.schema import CoreConfig, Environment
from dudzian_daemon.domain.errors import ConfigError
from dudzian_daemon.trading.spec import SessionSpec


class RunOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line said; None where it said nothing."""

    config: Path | None = None
    environment: str | None = None
    data_dir: Path | None = None
    speed: str | None = None
    metrics_port: int | None = None
    show_view: bool = True


class Prepared(msgspec.Struct, frozen=True):
    """A run that could start: `speed` is market seconds per second, None for as fast as possible."""

    loaded: LoadedConfig
    environment: str
    data_folder: Path
    plugins: Mapping[str, PluginSource]
    spec: SessionSpec
    speed: float | None

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
    """Resolve names and load plugins. Raises `ConfigError` or `PluginError`."""
    flags = {} if options.metrics_port is None else {"runtime.metrics_http.port": options.metrics_port}
    loaded = load(options.config, env=env, cli=flags)
    config = loaded.config
    environment = config.environment_id(options.environment)
    chosen = config.environments[environment]
    if not chosen.enabled:
        msg = f"environment {environment!r} is disabled in {loaded.path} ({chosen.description}); set `enabled: true` there to run it"
        raise ConfigError(msg)
    folders = [bundled("plugins")]
    plugins = {name: load_plugin("strategies", config.strategy(name).plugin, folders) for name in strategies_of(config, environment)}
    strategies = {name: make_strategy(source, config.strategy(name).parameters) for name, source in plugins.items()}
    return Prepared(
        loaded=loaded,
        environment=environment,
        data_folder=data_folder.resolve(options.data_dir, env),
        plugins=plugins,
        spec=session_spec(config, environment, strategies),
        speed=parse_speed(options.speed if options.speed is not None else str(chosen.replay.speed)),
    )


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
        "opening_source": prepared.spec.opening_source,
        "config": msgspec.Raw(canonical(prepared.config, prepared.environment)),
        "package": {"version": dudzian_daemon.__version__, "sha256": package_digest()},
        "plugins": {name: {"plugin": source.name, "sha256": source.digest} for name, source in sorted(prepared.plugins.items())},
        "dependencies": dict(sorted((dist.name, dist.version) for dist in distributions() if dist.name)),
        "interpreter": interpreter,
        "platform": platform,
    }


def package_digest() -> str:
    """SHA-256 over the sources of the installed package, path by path."""
    root = Path(dudzian_daemon.__file__).parent
    digest = sha256()
    for path in sorted(root.rglob("*.py")):
        if "_bundled" not in path.parts:
            digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
