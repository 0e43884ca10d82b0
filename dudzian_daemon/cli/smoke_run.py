"""`run-daily-trend --paper-smoke`: precheck, run, report, audit log, in this order, and the exit code of what was found."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dudzian_daemon.cli.exit_codes import ExitCode
from dudzian_daemon.cli.main import command_names
from dudzian_daemon.cli.operator import operator_name
from dudzian_daemon.cli.output import emit_json, emit_text, note
from dudzian_daemon.cli.own_commands import run_own
from dudzian_daemon.cli.session_run import Said, options
from dudzian_daemon.cli.smoke_wishes import SmokeWishes

if TYPE_CHECKING:
    from dudzian_daemon.app.daily_trend.smoke import SmokeReport
    from dudzian_daemon.app.daily_trend.smoke_audit import Entered, NormalisedSummary, Publication
    from dudzian_daemon.app.send_alert import Sent

_PRECHECK: Final = "paper-precheck"
#: Who acts where nobody is named: the environment of a pipeline.
_CI: Final = "CI Agent"
_VARIABLE: Final = "PAPER_SMOKE_OPERATOR"


def run_smoke(said: Said, wishes: SmokeWishes, *, as_json: bool) -> int:
    """Make the run; returns the exit code. Raises `DudzianError` before anything is written."""
    import anyio

    from dudzian_daemon.adapters.audit_log import JSON_LINES, MARKDOWN
    from dudzian_daemon.app.daily_trend.smoke import smoke, storage_of
    from dudzian_daemon.app.daily_trend.smoke_alerts import channel_states, tell
    from dudzian_daemon.app.daily_trend.smoke_audit import enter, normalised
    from dudzian_daemon.app.preparation import prepare
    from dudzian_daemon.kernel.clock import SystemClock

    prepared, clock = prepare(options(said), os.environ), SystemClock()
    now = clock.wall_ns()
    precheck = _precheck(said, wishes, sorted({schedule.granularity for schedule in prepared.spec.schedules}))
    base = (wishes.smoke_output or Path(tempfile.gettempdir())).absolute()
    ask = partial(anyio.run, channel_states, prepared, clock, os.environ)
    report = smoke(prepared, base, storage_of(base, wishes.smoke_min_free_mb), precheck, ask, now, archive=wishes.archive_smoke)
    publication = _publication(wishes)
    severity = "error" if publication.required and publication.exit_code else "warning" if report.summary.warnings else "info"
    operator = (
        wishes.paper_smoke_operator or os.environ.get(_VARIABLE) or (_CI if os.environ.get("CI") else operator_name(None, os.environ))
    )
    markdown = _path(wishes.paper_smoke_audit_log, prepared.data_folder / MARKDOWN)
    json_lines = _path(wishes.paper_smoke_json_log, prepared.data_folder / JSON_LINES)
    entered = enter(report, operator, now, markdown=markdown, json_lines=json_lines, severity=severity)
    for warning in report.summary.warnings:
        note(f"warning: {warning}")
    sent = anyio.run(tell, prepared, report, entered, publication, (operator, severity), clock, os.environ)
    answer = normalised(report, entered, publication, sent, operator=operator, now_ns=now, severity=severity)
    _tell(report, entered, sent, answer, wishes, as_json=as_json)
    if publication.required and publication.exit_code:
        note(f"publication of the smoke run: {publication.reason}")
        return ExitCode.PUBLICATION_FAILED
    return ExitCode.LOW_SPACE if report.summary.storage.status == "low" and wishes.smoke_fail_on_low_space else 0


def _tell(
    report: SmokeReport, entered: Entered, sent: Sequence[Sent], answer: NormalisedSummary, wishes: SmokeWishes, *, as_json: bool
) -> None:
    """Write the summary where it is wanted, and say where everything lies and what became of the alerts."""
    from dudzian_daemon.app.daily_trend.smoke_audit import write_normalised

    if wishes.paper_smoke_summary_json is not None:
        write_normalised(wishes.paper_smoke_summary_json, answer)
    for each in sent:
        if each.status != "OK":
            note(f"alert {each.code}: {each.channel}: {each.status}, {each.response}")
    if as_json:
        emit_json(answer)
        return
    emit_text((report.folder / "summary.txt").read_text(encoding="utf-8").rstrip())
    emit_text(f"report            {report.folder}")
    if report.archive is not None:
        emit_text(f"archive           {report.archive}\n                  SHA-256 {report.archive_sha256}")
    if entered.markdown_id:
        emit_text(f"audit row         {entered.markdown_id} in {entered.markdown_path}")
    if entered.record_id:
        emit_text(f"audit record      {entered.record_id} in {entered.json_path}")
    for each in sent:
        emit_text(f"alert             {each.code} to {each.channel}: {each.status}")


def _precheck(said: Said, wishes: SmokeWishes, granularities: list[str]) -> dict[str, Any]:
    """The precheck of the candles that the run takes, as of the last day of the window. Raises `SmokeRefused` where it says no."""
    from dudzian_daemon.app.daily_trend.smoke import SmokeRefused

    if wishes.skip_paper_precheck:
        return {"status": "skipped", "reason": "cli_flag", "skip_reason": "cli_flag"}
    if _PRECHECK not in command_names():
        return {"status": "skipped", "reason": "no_such_command", "skip_reason": "no_such_command"}
    chosen = said.get("one_schedule")
    window = None if chosen is None else chosen.window
    places = {"--config": said["config"], "--data-dir": said["data_dir"], "--audit-dir": wishes.paper_precheck_audit_dir}
    given = [part for name, value in places.items() if value is not None for part in (name, value)]
    as_of = [] if window is None else ["--as-of", window.end.isoformat()]
    given += [part for granularity in granularities for part in ("--interval", granularity)]
    done = run_own([_PRECHECK, "--environment", said["environment"], "--json", *as_of, *given])
    found = done.answer
    status = str(found.get("status", "error"))
    told = {"status": status, "exit_code": done.code, "report": found.get("report"), "payload": found or None}
    if status == "error" or (status == "warning" and wishes.paper_precheck_fail_on_warnings):
        problems = "; ".join(str(each.get("message")) for each in found.get("checks", ()) if each.get("status") not in ("ok", "skipped"))
        msg = f"paper precheck: {status}: {problems or done.first_line}; look at: dudzian paper-precheck -e {said['environment']}"
        raise SmokeRefused(msg)
    return told


def _publication(wishes: SmokeWishes) -> Publication:
    from dudzian_daemon.app.daily_trend.smoke_audit import Publication

    if not (wishes.paper_smoke_auto_publish or wishes.paper_smoke_auto_publish_required):
        return Publication(required=False, exit_code=0, reason="not asked for")
    code = ExitCode.PUBLICATION_FAILED if wishes.paper_smoke_auto_publish_required else 0
    return Publication(required=wishes.paper_smoke_auto_publish_required, exit_code=code, reason="no place to publish to is configured")


def _path(given: str | None, default: Path) -> Path | None:
    return default if given is None else Path(given).absolute() if given else None
