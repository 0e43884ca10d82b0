"""Go through the checklist before a session, in its order: each line with result, evidence and remedy.

What is looked at is looked at by the commands you would type; what only a person knows is a question, answered with --answer.
"""

from __future__ import annotations

import os
from pathlib import Path

import typer

from dudzian_daemon.cli.checklist import ChecklistOptions, Finding, Item, Places, by_command, nothing_due, run_checklist
from dudzian_daemon.cli.option_groups import grouped
from dudzian_daemon.cli.own_commands import Done

EXAMPLES = """Examples:

  dudzian preflight

  dudzian preflight --operator jan --answer vpn="yes, 203.0.113.7" --answer alert_seen=yes
"""

_CANDLES = "dudzian seed-paper-cache or dudzian backfill, then again"
_GIGABYTE_MB = 1_000


@grouped
def command(asked: ChecklistOptions) -> None:
    """Exit 0 where a session may begin, 1 where something failed or a question is open, 2 for a wrong name or answer."""
    raise typer.Exit(run_checklist("preflight", _items, asked))


def _items(places: Places) -> list[Item]:
    of_environment = places.flags()
    config = [] if places.config is None else ["--config", str(places.config)]
    return [
        Item("code", "the code is a clean checkout or an installed release", _code),
        Item(
            "config",
            "the configuration is valid",
            lambda: by_command(["validate-config", *config], "mend what dudzian validate-config names"),
        ),
        Item(
            "scheduler",
            "the schedules of all strategies play on stored candles, and their telemetry is written",
            lambda: by_command(
                ["run-multi-strategy-scheduler", "--dry-run", "--emit-telemetry", "--run-once", "--json", *of_environment],
                _CANDLES,
                _rehearsed,
            ),
        ),
        Item(
            "daily_trend",
            "the daily trend can be built",
            lambda: by_command(["run-daily-trend", "--dry-run", *of_environment], "see above"),
        ),
        Item(
            "key_rotation",
            "no key is due for rotation",
            lambda: by_command(["check-key-rotation", "--dry-run", *of_environment], "rotate it, then dudzian check-key-rotation --update"),
        ),
        Item("decision_log", "the decision log verifies with the key there is", lambda: _decision_log(places, config)),
        Item(
            "coverage",
            "the candle store has what is needed",
            lambda: by_command(["check-data-coverage", *of_environment], "dudzian backfill, or seed-paper-cache where there is no network"),
        ),
        Item(
            "precheck",
            "the precheck of configuration, candles, gate and machine says go",
            lambda: by_command(["paper-precheck", *of_environment], "mend what dudzian paper-precheck names"),
        ),
        Item("environment", "the environment is enabled and has defaults", lambda: _environment(places)),
        Item("token", "the scheduler's token is there", lambda: _token(places)),
        Item("alert_seen", "a test alert was sent (dudzian send-alert) and seen on its channel"),
        Item("vpn", "the address of the VPN is the one on the allow-list, in the exchange's panel"),
        Item("space", "there is room for the daily reports, as reporting.min_free_mb wants", lambda: _space(places)),
        Item("retention", "no log is older than its time", lambda: nothing_due(places, "warning")),
    ]


def _rehearsed(done: Done) -> Finding | None:
    """A schedule whose candles are not stored has played nothing, which fails no rehearsal, and shows nothing either."""
    runs = done.answer.get("runs", {})
    idle = [name for name, count in runs.items() if not count]
    if done.code or not idle:
        return None
    played = ", ".join(f"{name} {count}" for name, count in runs.items() if count)
    evidence = f"no stored candles for {', '.join(idle)}; runs of the others: {played}"
    return Finding(status="warning", evidence=evidence, remedy=_CANDLES)


def _code() -> Finding:
    from dudzian_daemon.adapters.git_facts import git_facts

    found = git_facts(Path(__file__).resolve().parents[3])
    if not found.available:
        return Finding(status="ok", evidence=found.reason)
    if found.is_dirty:
        evidence = f"commit {found.commit[:12]}, {found.dirty_count} file(s) changed or added"
        return Finding(status="warning", evidence=evidence, remedy="git status; commit or undo what is not meant")
    return Finding(status="ok", evidence=f"commit {found.commit[:12]}, clean")


def _decision_log(places: Places, config: list[str]) -> Finding:
    from dudzian_daemon.config.load import load

    known = load(places.config, env=os.environ).config
    path = places.data_folder / known.risk.decision_log.path / f"{known.artifact_name(places.environment)}.jsonl"
    if not path.exists():
        return Finding(status="warning", evidence=f"{path} is not there yet", remedy="dudzian init, or the first session, begins it")
    return by_command(
        ["verify-decision-log", str(path), "--allow-unsigned", *config],
        "dudzian verify-decision-log; do not trade on a log that is not intact",
    )


def _environment(places: Places) -> Finding:
    from dudzian_daemon.config.load import load

    known = load(places.config, env=os.environ).config
    chosen = known.environment(places.environment)
    if not chosen.enabled:
        return Finding(status="failed", evidence="it is disabled", remedy="enabled: true in the configuration")
    names = known.scheduler(chosen.scheduler).schedules
    evidence = f"profile {chosen.risk_profile}, strategy {chosen.default_strategy}, scheduler {chosen.scheduler} with {', '.join(names)}"
    whole = chosen.default_strategy is not None and chosen.default_controller is not None
    return Finding(
        status="ok" if whole else "warning", evidence=evidence, remedy="" if whole else "set default_strategy and default_controller"
    )


def _token(places: Places) -> Finding:
    from dudzian_daemon.app.process.tokens import outlook
    from dudzian_daemon.config.load import load

    known = load(places.config, env=os.environ).config
    tokens = known.scheduler(known.environment(places.environment).scheduler).rbac_tokens
    if not tokens:
        return Finding(status="ok", evidence="none is configured: the owner of the data folder controls the scheduler")
    told = outlook(tokens, os.environ)
    if "refused" in told:
        return Finding(status="warning", evidence=told, remedy="set the variable, or store the token in the keychain")
    return Finding(status="ok", evidence=told or "there")


def _space(places: Places) -> Finding:
    from dudzian_daemon.app.precheck.machine import disk, free_space
    from dudzian_daemon.config.load import load

    found = disk(places.data_folder, load(places.config, env=os.environ).config.reporting.min_free_mb)
    if found.status == "error":
        return Finding(status="failed", evidence=found.message, remedy=found.remedy)
    free_mb, folder = free_space(places.data_folder)
    return Finding(status="ok", evidence=f"{free_mb / _GIGABYTE_MB:.1f} GB are free at {folder}")
