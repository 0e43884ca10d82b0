"""The runtime plan of `run-daily-trend`: all that decides what the run would be, with the source of every value, before it begins.

It reads files and asks git; it opens no connection, writes nothing, and never holds a secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from dudzian_daemon.adapters import data_folder
from dudzian_daemon.adapters.file_facts import FileFacts, file_facts
from dudzian_daemon.adapters.git_facts import GitFacts, git_facts
from dudzian_daemon.app.daily_trend.metrics_details import UI_ALERTS, MetricsServiceDetails, metrics_details
from dudzian_daemon.app.daily_trend.modules import NOT_RUN, Asked, Modules, Override
from dudzian_daemon.app.plan import Plan, plan_of
from dudzian_daemon.app.preparation import Prepared, RunOptions, loaded_for, prepared_of
from dudzian_daemon.config.load import LoadedConfig
from dudzian_daemon.config.places import find_config
from dudzian_daemon.config.provenance import key_text, leaves
from dudzian_daemon.config.risk import RiskProfile
from dudzian_daemon.config.runtime import Scheduler
from dudzian_daemon.domain.errors import DudzianError
from dudzian_daemon.domain.market import Series
from dudzian_daemon.kernel.clock import iso_utc
from dudzian_daemon.sinks.telemetry.runs import telemetry_path

SCHEMA: Final = "dudzian.runtime_plan/1"


class Value(msgspec.Struct, frozen=True):
    """A value of the configuration, and where it came from."""

    value: Any
    source: str


class RuntimePlan(msgspec.Struct, frozen=True, kw_only=True):
    """Schema `dudzian.runtime_plan/1`, described in docs/reference/runtime-plan.md. `error` says what keeps the run from starting."""

    schema: str = SCHEMA
    created_at: str
    command: str = "run-daily-trend"
    status: str
    error: str = ""
    cli: dict[str, Any]
    environment_overrides: tuple[Override, ...]
    modules: Modules
    git: GitFacts
    paper_precheck: dict[str, Any]
    config_file: FileFacts | None = None
    config_files: tuple[FileFacts, ...] = ()
    environment_details: dict[str, Any] | None = None
    strategy_details: dict[str, Any] | None = None
    controller_details: dict[str, Any] | None = None
    pipeline_details: dict[str, Any] | None = None
    risk_profile: dict[str, Any] | None = None
    metrics_service_details: MetricsServiceDetails | None = None
    run: Plan | None = None
    values: dict[str, Value] = {}
    files: tuple[FileFacts, ...] = ()
    security_warnings: tuple[str, ...] = ()


def runtime_plan(options: RunOptions, asked: Asked, env: Mapping[str, str], now_ns: int) -> RuntimePlan:
    """Everything that can be found out. What keeps the run from starting is told in it, and never raised."""
    error, loaded, prepared, run = "", None, None, None
    try:
        loaded = loaded_for(options, env)
        prepared = prepared_of(loaded, options, env)
        run = plan_of(prepared, env)
    except DudzianError as fault:
        error = str(fault)
    root = data_folder.resolve(options.data_dir, env)
    files = [] if loaded is None else _config_files(loaded)
    outputs = _outputs(loaded, prepared, asked, root)
    warnings = tuple(text for facts in (*files, *outputs) for text in facts.security_warnings)
    return RuntimePlan(
        created_at=iso_utc(now_ns),
        status="failed" if error else "ready",
        error=error,
        cli=asked.flags,
        environment_overrides=asked.overrides,
        modules=asked.modules,
        git=git_facts(Path(__file__).resolve().parents[3]),
        paper_precheck=asked.precheck or dict(NOT_RUN),
        config_file=files[0] if files else _unread(options, env),
        config_files=tuple(files),
        run=run,
        values={} if loaded is None else _values(loaded),
        files=tuple(outputs),
        security_warnings=warnings,
        **({} if loaded is None else _details(loaded, prepared, options, root, now_ns)),
    )


def encoded(answer: RuntimePlan) -> bytes:
    """The plan as one line of JSON, without its newline."""
    return msgspec.json.encode(answer)


def _unread(options: RunOptions, env: Mapping[str, str]) -> FileFacts | None:
    try:
        return file_facts("configuration", find_config(options.config, env), "config")
    except DudzianError:
        return None


def _config_files(loaded: LoadedConfig) -> list[FileFacts]:
    return [file_facts("configuration", Path(file.path), "config") for file in loaded.files]


def _outputs(loaded: LoadedConfig | None, prepared: Prepared | None, asked: Asked, root: Path) -> list[FileFacts]:
    """The files the run appends to or reads a key from."""
    found = [
        file_facts("telemetry", telemetry_path(root), "log"),
        file_facts("ui_alerts", root / UI_ALERTS, "log"),
    ]
    if asked.plan_path is not None:
        found.append(file_facts("runtime_plan", asked.plan_path, "log", needs_parent=True))
    if loaded is not None and loaded.config.risk.decision_log.signing_key_path is not None:
        found.append(file_facts("signing_key", Path(loaded.config.risk.decision_log.signing_key_path), "secret", needs_parent=True))
    tls = None if loaded is None else loaded.config.runtime.metrics_service.tls
    if tls is not None:
        found.append(file_facts("tls_cert", Path(tls.certificate), "config", needs_parent=True))
        found.append(file_facts("tls_key", Path(tls.key), "secret", needs_parent=True))
        if tls.client_ca is not None:
            found.append(file_facts("tls_client_ca", Path(tls.client_ca), "config", needs_parent=True))
    if prepared is not None:
        found.append(file_facts("runtime_log", root / "logs" / "runtime" / f"{prepared.artifact}.log", "log"))
        found.append(file_facts("decision_log", root / prepared.config.risk.decision_log.path / f"{prepared.artifact}.jsonl", "log"))
    return found


def _values(loaded: LoadedConfig) -> dict[str, Value]:
    sources = loaded.sources
    return {key_text(path): Value(value, sources[key_text(path)].text) for path, value in leaves(loaded.config)}


def _details(loaded: LoadedConfig, prepared: Prepared | None, options: RunOptions, root: Path, now_ns: int) -> dict[str, Any]:
    config = loaded.config
    environment = config.environment_id(options.environment)
    chosen = config.environment(environment)
    scheduler = config.scheduler(chosen.scheduler)
    (name,) = scheduler.schedules
    schedule = scheduler.schedules[name]
    journal = chosen.decision_journal
    return {
        "environment_details": {
            "name": environment,
            "artifact_name": config.artifact_name(environment),
            "exchange": chosen.exchange,
            "adapter": "stored candles" if chosen.offline_mode else "live data",
            "adapter_factories": _adapters(prepared, options),
            "adapter_settings": chosen.adapter_settings,
            "risk_profile": chosen.risk_profile,
            "scheduler": chosen.scheduler,
            "data_cache_path": None if chosen.data_cache_path is None else str(root / chosen.data_cache_path),
            "telemetry": {"enabled": True, "path": str(telemetry_path(root))},
            "alert_channels": chosen.alert_channels,
            "ip_allowlist_count": len(chosen.ip_allowlist),
            "decision_journal_enabled": True,
            "decision_journal_path": str(root / journal.path / config.artifact_name(environment)),
        },
        "strategy_details": _strategy(loaded, prepared, name),
        "controller_details": {
            "name": chosen.default_controller,
            "source": loaded.sources[f"environments.{environment}.default_controller"].text,
            "schedule": name,
            "interval": schedule.interval,
            "interval_ms": Series("", schedule.interval).step_ns // 1_000_000,
            "tick_seconds": config.controller(chosen.default_controller or "").tick_seconds,
            "symbols": config.bucket(schedule.instrument_bucket).symbols,
            "execution": {"service": "PaperTradingExecutionService", "preset": config.paper(environment).preset},
        },
        "pipeline_details": {"class": "Core", "module": "dudzian_daemon.trading.step", "built": prepared is not None},
        "risk_profile": profile_facts(schedule.risk_profile, config.profile(schedule.risk_profile))
        | {"source": _source(loaded, chosen.scheduler, name)},
        "metrics_service_details": metrics_details(loaded, scheduler, root, now_ns),
    }


def _adapters(prepared: Prepared | None, options: RunOptions) -> list[dict[str, Any]]:
    """Exchange plugins that stand in for a venue's own: what was said, and what was loaded for it."""
    loaded = {} if prepared is None else prepared.adapters
    found = []
    for said in options.adapters:
        venue, _, spec = said.partition("=")
        facts: dict[str, Any] = {"venue": venue, "spec": spec, "class": None, "module": None, "sha256": None}
        if venue in loaded:
            source = loaded[venue]
            facts |= {"class": source.plugin.__name__, "module": str(source.path), "sha256": source.digest}
        found.append(facts)
    return found


def profile_facts(name: str, profile: RiskProfile) -> dict[str, Any]:
    """A profile with its limits as the gate enforces them."""
    limits = {
        key: value
        for key, value in msgspec.structs.asdict(profile).items()
        if key.startswith("max_") or key.endswith("_pct") or key in ("target_volatility", "stop_loss_atr_multiple")
    }
    return {"name": name, "limits": limits, "data_quality": profile.data_quality, "strategy_allocations": profile.strategy_allocations}


def _source(loaded: LoadedConfig, scheduler: str, schedule: str) -> str:
    return loaded.sources[f"runtime.multi_strategy_schedulers.{scheduler}.schedules.{schedule}.risk_profile"].text


def _strategy(loaded: LoadedConfig, prepared: Prepared | None, schedule: str) -> dict[str, Any]:
    chosen = next(entry for each in loaded.config.runtime.multi_strategy_schedulers.values() for entry in _named(each, schedule))
    entry = loaded.config.strategy(chosen.strategy)
    found: dict[str, Any] = {
        "name": chosen.strategy,
        "plugin": entry.plugin,
        "parameters": entry.parameters,
        "required_intervals": [chosen.interval],
        "max_history_bars": chosen.warmup_bars,
        "class": None,
        "module": None,
        "sha256": None,
    }
    if prepared is not None:
        source = prepared.plugins[chosen.strategy]
        needs = [
            need
            for part in prepared.spec.schedules
            for instrument in part.instruments
            for need in prepared.spec.strategies[chosen.strategy].series([instrument], part.granularity)
        ]
        found |= {
            "class": source.plugin.__name__,
            "module": str(source.path),
            "sha256": source.digest,
            "required_intervals": sorted({need.series.granularity for need in needs}),
            "max_history_bars": max([chosen.warmup_bars, *(need.warm_up for need in needs)]),
        }
    return found


def _named(scheduler: Scheduler, schedule: str) -> list[Any]:
    return [entry for name, entry in scheduler.schedules.items() if name == schedule]
