"""Go through the checklist after a session: stopped, reported, archived, verified, within its limits.

Each line has result, evidence and remedy; what only a person knows is a question, answered with --answer.
"""

from __future__ import annotations

import os
import shlex

import typer

from dudzian_daemon.cli.checklist import ChecklistOptions, Finding, Item, Places, by_command, nothing_due, run_checklist
from dudzian_daemon.cli.option_groups import grouped
from dudzian_daemon.cli.own_commands import Done

EXAMPLES = """Examples:

  dudzian session-check

  dudzian session-check --operator jan --answer next_session="yes, no change of configuration"
"""

_MOST_LATENCY_MS = 250.0


@grouped
def command(asked: ChecklistOptions) -> None:
    """Exit 0 where the session is put away, 1 where something failed or a question is open, 2 for a wrong name or answer."""
    raise typer.Exit(run_checklist("session-check", _items, asked))


def _items(places: Places) -> list[Item]:
    folder = ["--data-dir", str(places.data_folder)]
    return [
        Item("stopped", "the daemon has ended in order, and no process of it is left", lambda: _stopped(places)),
        Item(
            "alerts",
            "critical alerts are closed",
            lambda: by_command(["alerts", "list", "--json", *folder], "dudzian alerts close", _alerts),
        ),
        Item("report", "the daily report is made and in the audit log", lambda: _report(places)),
        Item("retention", "journals and logs past their time are in the archive", lambda: nothing_due(places, "failed")),
        Item("telemetry", "telemetry has runs of the scheduler, each quicker than 250 ms", lambda: _telemetry(places)),
        Item("signatures", "every signature of journals and archive is complete", lambda: _signatures(places)),
        Item(
            "allocations",
            "strategies kept to the share of equity their risk profile allows",
            lambda: by_command(["telemetry-risk-profiles", *folder], "dudzian telemetry-risk-profiles names the strategy"),
        ),
        Item(
            "key_rotation",
            "the register of key rotations is up to date",
            lambda: by_command(["check-key-rotation", "--dry-run", *places.flags()], "dudzian check-key-rotation --update"),
        ),
        Item("next_session", "the plan of the next session, with changes of configuration, is agreed in the team"),
    ]


def _stopped(places: Places) -> Finding:
    from dudzian_daemon.adapters.platform import running_pid
    from dudzian_daemon.sinks.status import read_status

    pid = running_pid(places.data_folder)
    if pid is not None:
        return Finding(
            status="failed",
            evidence=f"a daemon runs (pid {pid})",
            remedy=shlex.join(("dudzian", "stop", "--data-dir", str(places.data_folder))),
        )
    status = read_status(places.data_folder)
    if status is None:
        return Finding(status="warning", evidence=f"no daemon has run on {places.data_folder} yet")
    orderly = status.state == "stopped"
    evidence = f"session {status.log_id[:12]} is {status.state} {status.detail}".rstrip()
    return Finding(
        status="ok" if orderly else "failed", evidence=evidence, remedy="" if orderly else "it was killed: start it and stop it in order"
    )


def _alerts(done: Done) -> Finding | None:
    alerts = done.answer.get("alerts", [])
    critical = [alert for alert in alerts if alert.get("severity") == "critical" and alert.get("state") != "closed"]
    if critical:
        return Finding(status="failed", evidence=f"{len(critical)} critical alert(s) are open", remedy="dudzian alerts close ID")
    return None


def _report(places: Places) -> Finding:
    from dudzian_daemon.adapters.audit_log import MARKDOWN
    from dudzian_daemon.app.daily_report.package import REPORTS
    from dudzian_daemon.config.load import load

    artifact = load(places.config, env=os.environ).config.artifact_name(places.environment)
    found = sorted((places.data_folder / REPORTS).glob(f"*/{artifact}.zip*"))
    if not found:
        return Finding(status="failed", evidence="there is none", remedy=f"dudzian daily-report {artifact}")
    log = places.data_folder / MARKDOWN
    day = found[-1].parent.name
    if not log.exists() or f"| {day} |" not in log.read_text(encoding="utf-8"):
        return Finding(status="failed", evidence=f"{found[-1]} is not in the audit log", remedy=f"dudzian archive-report {artifact}")
    return Finding(status="ok", evidence=f"{found[-1]}, in {log.name}")


def _telemetry(places: Places) -> Finding:
    import json

    from dudzian_daemon.adapters.line_file import LineFile
    from dudzian_daemon.sinks.telemetry.runs import telemetry_path

    path = telemetry_path(places.data_folder)
    runs = [run for run in map(json.loads, LineFile(path).backwards()) if not run.get("dry_run")]
    session = runs[0]["session"] if runs else ""
    latest = [run for run in runs if run["session"] == session]
    if not latest:
        return Finding(status="failed", evidence=f"{path} has no run", remedy="a session writes it; look at dudzian status")
    slowest = max(latest, key=lambda run: run["latency_ms"])
    evidence = f"{len(latest)} runs of session {session[:12]}, the slowest {slowest['latency_ms']:.1f} ms ({slowest['schedule']})"
    quick = slowest["latency_ms"] < _MOST_LATENCY_MS
    return Finding(
        status="ok" if quick else "failed", evidence=evidence, remedy="" if quick else "look at the strategy and at the machine's load"
    )


def _signatures(places: Places) -> Finding:
    from dudzian_daemon.adapters.journal_format import JOURNAL_FOLDER
    from dudzian_daemon.app.retention import SEALED

    config = [] if places.config is None else ["--config", str(places.config)]
    folders = [places.data_folder / part for part in (JOURNAL_FOLDER, SEALED)]
    there = [folder for folder in folders if folder.is_dir()]
    if not there:
        return Finding(status="warning", evidence="no session has run yet")
    for folder in there:
        found = by_command(["verify-decision-log", str(folder), *config], f"dudzian verify-decision-log {folder}")
        if found.status != "ok":
            return found
    return Finding(status="ok", evidence=f"verify-decision-log: intact: {', '.join(str(folder) for folder in there)}")
