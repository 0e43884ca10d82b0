"""Run one strategy's schedule: the same daemon as `dudzian run`, restricted to the daily trend of binance_paper unless told otherwise.

What it would be can be printed or kept before it begins (--print-runtime-plan, --runtime-plan-jsonl); with --paper-smoke it plays a
window of stored candles once and leaves a report. Nothing here opens a connection in a dry run, a print or a smoke run.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from dudzian_daemon.cli.option_groups import Options
from dudzian_daemon.cli.output import emit_json, note
from dudzian_daemon.cli.secret_place import SecretPlace
from dudzian_daemon.cli.session_options import ControllerModules, session_command
from dudzian_daemon.cli.session_run import AsJson, Said, options, run_session, show_plan
from dudzian_daemon.cli.smoke_wishes import SmokeWishes
from dudzian_daemon.domain.errors import ConfigError, LiveBlocked

if TYPE_CHECKING:
    from dudzian_daemon.app.daily_trend.modules import Modules
    from dudzian_daemon.app.daily_trend.runtime_plan import RuntimePlan
    from dudzian_daemon.app.one_schedule import OneSchedule

EXAMPLES = """Examples:

  dudzian run-daily-trend --dry-run                                       build it, start nothing

  dudzian run-daily-trend --poll-seconds 300                              run it

  dudzian run-daily-trend --date-window 2024-01-01:2024-02-15 --run-once  a few stored weeks, one decision

  dudzian run-daily-trend --paper-smoke --archive-smoke --date-window 2024-01-01:2024-02-15 --run-once

  dudzian run-daily-trend --print-runtime-plan                            all that decides what it would be

  dudzian run-daily-trend --runtime-plan-jsonl audit/plan.jsonl --fail-on-security-warnings
"""


class Mode(Options, frozen=True):
    """What is done at all."""

    mode: Annotated[
        Literal["run", "run-once", "dry-run", "paper-smoke"] | None,
        typer.Option("--mode", help="The same as the flag of that name; run: none."),
    ] = None
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Build everything, say what would run, start nothing.")] = False
    run_once: Annotated[bool, typer.Option("--run-once", help="End after the first decision.")] = False
    paper_smoke: Annotated[bool, typer.Option("--paper-smoke", help="Play the window once on stored candles and leave a report.")] = False

    @property
    def wanted(self) -> frozenset[str]:
        """The modes that are on. A smoke run plays its window once, so `--run-once` beside it says nothing more."""
        flags = {"dry-run": self.dry_run, "run-once": self.run_once, "paper-smoke": self.paper_smoke}
        named = [name for name, on in flags.items() if on]
        if self.mode is not None and named and self.mode not in named:
            msg = f"--mode: expected the same as --{named[0]}, found {self.mode}; give one of them"
            raise ConfigError(msg)
        return frozenset(named if self.mode is None else [*named, self.mode])


class Chosen(Options, frozen=True):
    """The schedule that runs, and how."""

    panel = "The schedule"

    strategy: Annotated[str | None, typer.Option(help="Which of `strategies`; default: the environment's default_strategy.")] = None
    controller: Annotated[str | None, typer.Option(help="Which of `controllers`; default: the environment's default_controller.")] = None
    risk_profile: Annotated[str | None, typer.Option(help="Another of `risk_profiles` for this run.")] = None
    date_window: Annotated[str | None, typer.Option(metavar="FIRST:LAST", help="Days of stored candles to play, both included, UTC.")] = (
        None
    )
    history_bars: Annotated[int | None, typer.Option(min=0, max=1_000_000, help="Candles before the first decision.")] = None
    health_interval: Annotated[int | None, typer.Option(min=1, max=2_678_400, help="Seconds between two health reports.")] = None
    poll_seconds: Annotated[
        int | None, typer.Option("--poll-seconds", min=1, max=86_400, help="Seconds between two questions to a live venue.")
    ] = None
    adapter_factory: Annotated[
        list[str] | None,
        typer.Option(
            "--adapter-factory", metavar="VENUE=SPEC", help="Another exchange plugin for a live venue, by name or as a module; repeat."
        ),
    ] = None
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] | None, typer.Option(help="Least severity of the runtime log.")
    ] = None

    def schedule(self) -> OneSchedule:
        """As the preparation of a run takes it. Raises `ConfigError` for a window that is none."""
        from dudzian_daemon.app.one_schedule import OneSchedule, parse_window

        return OneSchedule(
            strategy=self.strategy,
            controller=self.controller,
            risk_profile=self.risk_profile,
            window=None if self.date_window is None else parse_window(self.date_window),
            history_bars=self.history_bars,
            health_interval=self.health_interval,
        )

    def settings(self, environment: str, said: Said) -> dict[str, Any]:
        """Values of the configuration that the command line sets, by dotted path."""
        from dudzian_daemon.config.load import load
        from dudzian_daemon.config.overlay import Flag

        settings: dict[str, Any] = {} if self.log_level is None else {"logging.level": Flag("--log-level", self.log_level)}
        if self.poll_seconds is not None:
            name = load(said["config"], env=os.environ).config.environment_id(environment)
            settings[f"environments.{name}.adapter_settings.poll_seconds"] = Flag("--poll-seconds", self.poll_seconds)
        return settings


class Shown(Options, frozen=True):
    """What is printed or kept of a run before it begins."""

    panel = "What it would be"

    print_runtime_modules: Annotated[bool, typer.Option("--print-runtime-modules", help="Which modules, in order, as JSON.")] = False
    print_risk_profiles: Annotated[bool, typer.Option("--print-risk-profiles", help="The risk profiles, as JSON.")] = False
    print_runtime_plan: Annotated[bool, typer.Option("--print-runtime-plan", help="All that decides what the run would be, as JSON.")] = (
        False
    )
    runtime_plan_jsonl: Annotated[
        Path | None, typer.Option("--runtime-plan-jsonl", help="Append that plan to this file before the run begins.")
    ] = None
    fail_on_security_warnings: Annotated[bool, typer.Option("--fail-on-security-warnings", help="Exit 3 where the plan has one.")] = False


@session_command
def command(
    said: Said,
    mode: Mode,
    chosen: Chosen,
    shown: Shown,
    modules: ControllerModules,
    smoke: SmokeWishes,
    secrets: SecretPlace,
    environment: Annotated[str, typer.Option("--environment", "-e", help="Environment, by name or alias.")] = "binance_paper",
    allow_live: Annotated[bool, typer.Option("--allow-live", help="Live trading: not built; exit 7.")] = False,
    as_json: AsJson = False,
) -> None:
    """Exit 0 after an orderly end, 2 for a name or value that is wrong, 3 for security warnings, 7 for --allow-live."""
    if allow_live:
        msg = "--allow-live: live trading is not built; no order leaves this machine"
        raise LiveBlocked(msg)
    wanted = mode.wanted
    secrets.choose(os.environ)
    from dudzian_daemon.app.daily_trend.modules import runtime_modules

    supplied = runtime_modules(modules.pipeline_module or (), modules.realtime_module or (), os.environ)
    if shown.print_runtime_modules:
        emit_json(supplied)
        return
    said |= {"environment": environment, "run_once": "run-once" in wanted, "modules": supplied.supplied}
    said["adapters"] = tuple(chosen.adapter_factory or ())
    said["settings"] = chosen.settings(environment, said)
    if shown.print_risk_profiles:
        _print_risk_profiles(said)
        return
    said["one_schedule"] = chosen.schedule()
    given = {"environment": environment}
    for group in (mode, chosen, modules, shown, smoke):
        given |= group.given()
    answer = _planned(said, given | ({"as_json": True} if as_json else {}), supplied)
    if shown.print_runtime_plan and answer is not None:
        emit_json(answer)
        if answer.error:
            raise ConfigError(answer.error)
        return
    if "dry-run" in wanted:
        show_plan(as_json=as_json, **said)
        return
    if "paper-smoke" in wanted:
        from dudzian_daemon.cli.smoke_run import run_smoke

        raise typer.Exit(run_smoke(said, smoke, as_json=as_json))
    run_session(as_json=as_json, **said)


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
