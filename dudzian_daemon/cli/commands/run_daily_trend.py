"""Run one strategy's schedule: the same daemon as `dudzian run`, restricted to the daily trend of binance_paper unless told otherwise.

What it would be can be printed or kept before it begins (--print-runtime-plan, --runtime-plan-jsonl); with --paper-smoke it plays a
window of stored candles once and leaves a report. Nothing here opens a connection in a dry run, a print or a smoke run.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from dudzian_daemon.cli.output import emit_json, note
from dudzian_daemon.cli.session_options import session_command
from dudzian_daemon.cli.session_run import AsJson, Said, options, run_session, show_plan
from dudzian_daemon.domain.errors import ConfigError, LiveBlocked

if TYPE_CHECKING:
    from dudzian_daemon.app.daily_trend.modules import Modules
    from dudzian_daemon.app.daily_trend.runtime_plan import RuntimePlan

EXAMPLES = """Examples:

  dudzian run-daily-trend --dry-run                                       build it, start nothing

  dudzian run-daily-trend --poll-seconds 300                              run it

  dudzian run-daily-trend --date-window 2024-01-01:2024-02-15 --run-once  a few stored weeks, one decision

  dudzian run-daily-trend --paper-smoke --archive-smoke --date-window 2024-01-01:2024-02-15 --run-once

  dudzian run-daily-trend --print-runtime-plan                            all that decides what it would be

  dudzian run-daily-trend --runtime-plan-jsonl audit/plan.jsonl --fail-on-security-warnings
"""


@session_command
def command(
    said: Said,
    environment: Annotated[str, typer.Option("--environment", "-e", help="Environment, by name or alias.")] = "binance_paper",
    mode: Annotated[
        Literal["run", "run-once", "dry-run", "paper-smoke"] | None,
        typer.Option("--mode", help="The same as the flag of that name; run: none."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Build everything, say what would run, start nothing.")] = False,
    run_once: Annotated[bool, typer.Option("--run-once", help="End after the first decision.")] = False,
    poll_seconds: Annotated[
        int | None, typer.Option("--poll-seconds", min=1, max=86_400, help="Seconds between two questions to a live venue.")
    ] = None,
    strategy: Annotated[str | None, typer.Option(help="Which of `strategies`; default: the environment's default_strategy.")] = None,
    controller: Annotated[str | None, typer.Option(help="Which of `controllers`; default: the environment's default_controller.")] = None,
    risk_profile: Annotated[str | None, typer.Option(help="Another of `risk_profiles` for this run.")] = None,
    date_window: Annotated[
        str | None, typer.Option(metavar="FIRST:LAST", help="Days of stored candles to play, both included, UTC.")
    ] = None,
    history_bars: Annotated[int | None, typer.Option(min=0, max=1_000_000, help="Candles before the first decision.")] = None,
    health_interval: Annotated[int | None, typer.Option(min=1, max=2_678_400, help="Seconds between two health reports.")] = None,
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] | None, typer.Option(help="Least severity of the runtime log.")
    ] = None,
    pipeline_module: Annotated[
        list[str] | None, typer.Option("--pipeline-module", help="Importable module that supplies CONTROLLERS (signals only); repeat.")
    ] = None,
    realtime_module: Annotated[
        list[str] | None, typer.Option("--realtime-module", help="The same, asked after the pipeline modules; repeat.")
    ] = None,
    print_runtime_modules: Annotated[bool, typer.Option("--print-runtime-modules", help="Which modules, in order, as JSON.")] = False,
    print_risk_profiles: Annotated[bool, typer.Option("--print-risk-profiles", help="The risk profiles, as JSON.")] = False,
    print_runtime_plan: Annotated[
        bool, typer.Option("--print-runtime-plan", help="All that decides what the run would be, as JSON.")
    ] = False,
    runtime_plan_jsonl: Annotated[
        Path | None, typer.Option("--runtime-plan-jsonl", help="Append that plan to this file before the run begins.")
    ] = None,
    fail_on_security_warnings: Annotated[bool, typer.Option("--fail-on-security-warnings", help="Exit 3 where the plan has one.")] = False,
    paper_smoke: Annotated[bool, typer.Option("--paper-smoke", help="Play the window once on stored candles and leave a report.")] = False,
    archive_smoke: Annotated[bool, typer.Option("--archive-smoke", help="Also pack the report of the smoke run into a ZIP.")] = False,
    smoke_output: Annotated[Path | None, typer.Option(help="Folder for the report's own folder; default: the system's for such.")] = None,
    smoke_min_free_mb: Annotated[float | None, typer.Option(min=0, help="Megabytes that should be free there.")] = None,
    smoke_fail_on_low_space: Annotated[
        bool, typer.Option("--smoke-fail-on-low-space", help="Exit 4, after the report, where fewer are.")
    ] = False,
    skip_paper_precheck: Annotated[
        bool, typer.Option("--skip-paper-precheck", help="No precheck before the smoke run; for debugging, and noted.")
    ] = False,
    paper_precheck_fail_on_warnings: Annotated[
        bool, typer.Option("--paper-precheck-fail-on-warnings", help="A warning of the precheck ends it too.")
    ] = False,
    paper_precheck_audit_dir: Annotated[str | None, typer.Option(help="Folder of kept precheck reports; empty: keep none.")] = None,
    paper_smoke_audit_log: Annotated[str | None, typer.Option(help="Another audit log in Markdown; empty: none.")] = None,
    paper_smoke_json_log: Annotated[str | None, typer.Option(help="Another audit log in JSON lines; empty: none.")] = None,
    paper_smoke_operator: Annotated[str | None, typer.Option(help="Name for the audit log; default: $PAPER_SMOKE_OPERATOR.")] = None,
    paper_smoke_summary_json: Annotated[Path | None, typer.Option(help="Write the normalised summary to this file.")] = None,
    paper_smoke_auto_publish: Annotated[
        bool, typer.Option("--paper-smoke-auto-publish", help="Publish the report where a place for it is configured.")
    ] = False,
    paper_smoke_auto_publish_required: Annotated[
        bool, typer.Option("--paper-smoke-auto-publish-required", help="Exit 6 where that does not happen.")
    ] = False,
    allow_live: Annotated[bool, typer.Option("--allow-live", help="Live trading: not built; exit 7.")] = False,
    as_json: AsJson = False,
) -> None:
    """Exit 0 after an orderly end, 2 for a name or value that is wrong, 3 for security warnings, 7 for --allow-live."""
    if allow_live:
        msg = "--allow-live: live trading is not built; no order leaves this machine"
        raise LiveBlocked(msg)
    given = {name: value for name, value in locals().items() if name != "said" and value not in (None, False)}
    wanted = _mode(mode, {"dry-run": dry_run, "run-once": run_once, "paper-smoke": paper_smoke})
    from dudzian_daemon.app.daily_trend.modules import runtime_modules
    from dudzian_daemon.app.one_schedule import OneSchedule, parse_window

    modules = runtime_modules(pipeline_module or (), realtime_module or (), os.environ)
    if print_runtime_modules:
        emit_json(modules)
        return
    said["environment"] = environment
    said["run_once"] = "run-once" in wanted
    said["modules"] = modules.supplied
    said["settings"] = _settings(environment, said, log_level, poll_seconds)
    if print_risk_profiles:
        _print_risk_profiles(said)
        return
    said["one_schedule"] = OneSchedule(
        strategy=strategy,
        controller=controller,
        risk_profile=risk_profile,
        window=None if date_window is None else parse_window(date_window),
        history_bars=history_bars,
        health_interval=health_interval,
    )
    answer = _planned(said, given, modules)
    if print_runtime_plan and answer is not None:
        emit_json(answer)
        if answer.error:
            raise ConfigError(answer.error)
        return
    if "dry-run" in wanted:
        show_plan(as_json=as_json, **said)
        return
    if "paper-smoke" in wanted:
        from dudzian_daemon.cli.smoke_run import SmokeWishes, run_smoke

        wishes = SmokeWishes(
            archive=archive_smoke,
            output=smoke_output,
            min_free_mb=smoke_min_free_mb,
            fail_on_low_space=smoke_fail_on_low_space,
            skip_precheck=skip_paper_precheck,
            fail_on_precheck_warnings=paper_precheck_fail_on_warnings,
            precheck_audit_dir=paper_precheck_audit_dir,
            audit_log=paper_smoke_audit_log,
            json_log=paper_smoke_json_log,
            operator=paper_smoke_operator,
            summary_json=paper_smoke_summary_json,
            publish=paper_smoke_auto_publish,
            publish_required=paper_smoke_auto_publish_required,
        )
        raise typer.Exit(run_smoke(said, wishes, as_json=as_json))
    run_session(as_json=as_json, **said)


def _mode(mode: str | None, flags: dict[str, bool]) -> frozenset[str]:
    """The modes that are on. A smoke run plays its window once, so `--run-once` beside it says nothing more."""
    named = [name for name, on in flags.items() if on]
    if mode is not None and named and mode not in named:
        msg = f"--mode: expected the same as --{named[0]}, found {mode}; give one of them"
        raise ConfigError(msg)
    return frozenset(named if mode is None else [*named, mode])


def _settings(environment: str, said: Said, log_level: str | None, poll_seconds: int | None) -> dict[str, Any]:
    from dudzian_daemon.config.load import load
    from dudzian_daemon.config.overlay import Flag

    settings: dict[str, Any] = {} if log_level is None else {"logging.level": Flag("--log-level", log_level)}
    if poll_seconds is not None:
        name = load(said["config"], env=os.environ).config.environment_id(environment)
        settings[f"environments.{name}.adapter_settings.poll_seconds"] = Flag("--poll-seconds", poll_seconds)
    return settings


def _print_risk_profiles(said: Said) -> None:
    from dudzian_daemon.app.daily_trend.risk_profiles import risk_profiles
    from dudzian_daemon.config.load import load

    emit_json(risk_profiles(load(said["config"], env=os.environ).config, said["environment"]))


def _planned(said: Said, given: dict[str, Any], modules: Modules) -> RuntimePlan | None:
    """Make the plan where it is asked for, keep it and judge it; its digest goes on with the run. What is ignored is always told."""
    from dudzian_daemon.app.daily_trend.modules import Asked, fail_on_warnings, ignored, unknown_variables

    path: Path | None = given.get("runtime_plan_jsonl")
    strict, override = fail_on_warnings("fail_on_security_warnings" in given, os.environ)
    overrides = (*modules.environment_overrides, *(() if override is None else (override,)), *unknown_variables(os.environ))
    for variable, reason in ignored(overrides):
        note(f"{variable} is ignored: {reason}")
    if path is None and not strict and "print_runtime_plan" not in given:
        return None
    from dudzian_daemon.app.daily_trend.gate import record, require_safe
    from dudzian_daemon.app.daily_trend.runtime_plan import runtime_plan
    from dudzian_daemon.kernel.clock import SystemClock

    flags = {name: str(value) if isinstance(value, Path) else value for name, value in given.items()}
    asked = Asked(flags=flags, modules=modules, overrides=overrides, plan_path=path)
    answer = runtime_plan(options(said), asked, os.environ, SystemClock().wall_ns())
    if path is not None:
        said["plan_sha256"] = record(answer, path)
    if strict:
        require_safe(answer)
    return answer
