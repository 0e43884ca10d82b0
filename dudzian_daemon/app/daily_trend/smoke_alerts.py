"""What the alert channels say before a smoke run, and what they are told after it: that it has ended, and that the audit log has it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import anyio
import msgspec

from dudzian_daemon.app.daily_trend.smoke import SmokeReport
from dudzian_daemon.app.daily_trend.smoke_audit import Entered, Publication
from dudzian_daemon.app.preparation import Prepared
from dudzian_daemon.app.send_alert import Sent, opened, send_routed
from dudzian_daemon.domain.alerts import Alert, AlertCode, Severity, alert
from dudzian_daemon.kernel.clock import Clock
from dudzian_daemon.sinks.alerts.channel import OpenChannel

#: What an outcome of a check is called in the summary.
_HEALTH: Final = {"ok": "ok", "later": "error", "never": "error", "offline": "offline"}


async def channel_states(prepared: Prepared, clock: Clock, env: Mapping[str, str]) -> dict[str, Any]:
    """How the environment's channels are, each asked within its deadline; offline, no other host than this machine is asked."""
    found: dict[str, dict[str, str]] = {}

    async def check(channel: OpenChannel) -> None:
        attempt = await channel.check(clock)
        found[channel.name] = {"status": _HEALTH[attempt.outcome], "detail": attempt.detail}

    entries, offline = prepared.channels.values(), prepared.chosen.offline_mode
    async with opened(entries, env, prepared.data_folder, offline=offline) as channels, anyio.create_task_group() as tasks:
        for channel in channels:
            tasks.start_soon(check, channel)
    ordered = {name: found[name] for name in prepared.channels}
    told = ", ".join(f"{name} {each['status']}" for name, each in ordered.items())
    return {"channels": ordered, "status": told or "no channel is active"}


async def tell(
    prepared: Prepared,
    report: SmokeReport,
    entered: Entered,
    publication: Publication,
    said: tuple[str, str],
    clock: Clock,
    env: Mapping[str, str],
) -> list[Sent]:
    """Send both alerts; `said` is the operator and the run's severity. The second is only sent where row or record were written.

    Raises what the disk says when the alerts' audit file cannot be written.
    """
    operator, severity = said
    alerts = [_ended(report, publication, Severity(severity))]
    if entered.markdown_id or entered.record_id:
        alerts.append(_entered(report, entered, operator))
    runbook, footer = prepared.config.alerts.runbook, f"smoke run, environment {prepared.environment}"
    alerts = [msgspec.structs.replace(each, at=clock.wall_ns(), runbook=f"{runbook}#{each.code.lower()}", footer=footer) for each in alerts]
    return await send_routed(prepared, alerts, clock, env)


def _ended(report: SmokeReport, publication: Publication, severity: Severity) -> Alert:
    summary = report.summary
    window = f"{summary.window['start']} to {summary.window['end']}"
    storage, precheck = msgspec.to_builtins(summary.storage), summary.data_checks["paper_precheck"]
    context = {
        "environment": summary.environment,
        "report_dir": str(report.folder),
        "orders": str(len(summary.orders)),
        "summary_sha256": report.summary_sha256,
        "summary_text_path": str(report.folder / "summary.txt"),
        "readme_path": str(report.folder / "README.txt"),
        **({} if report.archive is None else {"archive_path": str(report.archive), "archive_sha256": report.archive_sha256}),
        **{f"storage_{name}": str(value) for name, value in storage.items() if value is not None},
        **dict(_precheck(precheck)),
        "publish_status": publication.status,
        "publish_required": str(publication.required).lower(),
        "publish_reason": publication.reason,
    }
    body = "\n".join([f"{len(summary.orders)} orders, report {report.folder}", *(f"warning: {text}" for text in summary.warnings)])
    title = f"smoke run of {summary.environment}, {window}"
    return alert(AlertCode.PAPER_SMOKE, title, body, subject=summary.environment, context=context, severity=severity)


def _entered(report: SmokeReport, entered: Entered, operator: str) -> Alert:
    summary = report.summary
    places = {"markdown_log_path": entered.markdown_path, "markdown_entry_id": entered.markdown_id}
    places |= {"json_log_path": entered.json_path, "json_record_id": entered.record_id, "json_log_copy": "none is configured"}
    context = {
        "environment": summary.environment,
        **{name: text for name, text in places.items() if text},
        "summary_sha256": report.summary_sha256,
        "operator": operator,
        **dict(_precheck(summary.data_checks["paper_precheck"])),
    }
    names = " and ".join(text for text in (entered.markdown_id, entered.record_id) if text)
    title = f"smoke run of {summary.environment} entered into the audit log as {names}"
    body = f"SHA-256 of summary.json: {report.summary_sha256}"
    return alert(AlertCode.PAPER_SMOKE_COMPLIANCE, title, body, subject=names, context=context)


def _precheck(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    payload = found.get("payload") or {}
    yield "paper_precheck_status", str(found.get("status"))
    for name in ("coverage_status", "risk_status"):
        if name in payload:
            yield f"paper_precheck_{name}", str(payload[name])
    kept = found.get("report")
    if isinstance(kept, dict):
        yield from ((f"paper_precheck_report_{name}", str(value)) for name, value in kept.items())
