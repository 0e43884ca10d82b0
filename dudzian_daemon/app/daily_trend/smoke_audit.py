"""What is written down of a smoke run: the row for people, the record for programs, and the normalised summary for pipelines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from dudzian_daemon.adapters.audit_log import add_entry
from dudzian_daemon.adapters.files import ensure_dir, write_atomic
from dudzian_daemon.app.daily_trend.smoke import SmokeReport
from dudzian_daemon.kernel.clock import iso_utc


class Publication(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the publication of the report's files. None is built in: without one, a required publication has failed."""

    status: Literal["skipped"] = "skipped"
    required: bool
    exit_code: int
    reason: str


class Entered(msgspec.Struct, frozen=True, kw_only=True):
    """Where the run stands in the audit log; empty where that file was switched off."""

    markdown_id: str = ""
    markdown_path: str = ""
    record_id: str = ""
    json_path: str = ""
    record: Mapping[str, Any] = {}


class NormalisedSummary(msgspec.Struct, frozen=True, kw_only=True):
    """Schema `dudzian.paper_smoke_summary/1`: what `--paper-smoke-summary-json` writes and `render-paper-smoke-summary` reads."""

    schema: str = "dudzian.paper_smoke_summary/1"
    environment: str
    timestamp: str
    operator: str
    severity: str
    status: str
    window: dict[str, str]
    report: dict[str, str]
    storage: dict[str, Any]
    precheck: dict[str, Any]
    json_log: dict[str, Any]
    archive: dict[str, Any]
    publish: dict[str, Any]
    orders: int
    warnings: list[str]
    alerts: list[dict[str, str]] = []


def enter(report: SmokeReport, operator: str, now_ns: int, *, markdown: Path | None, json_lines: Path | None, severity: str) -> Entered:
    """Add the row and the record; a path of None leaves that one out."""
    summary, now = report.summary, iso_utc(now_ns)[:19] + "Z"
    window = f"{summary.window['start']} to {summary.window['end']}"
    notes, alerts = "; ".join(summary.warnings), str(summary.alert_snapshot["status"])
    row = (now, operator, summary.environment, window, str(report.summary_path), report.summary_sha256, alerts, notes)
    record = {
        "record_id": f"J-{now.replace('-', '').replace(':', '')}-{report.summary_sha256[:8]}",
        "markdown_entry_id": "",
        "timestamp": now,
        "operator": operator,
        "environment": summary.environment,
        "window_start": summary.window["start"],
        "window_end": summary.window["end"],
        "summary_path": str(report.summary_path),
        "summary_sha256": report.summary_sha256,
        "severity": severity,
        "precheck_metadata": {key: value for key, value in summary.data_checks["paper_precheck"].items() if key != "payload"},
        "precheck_payload": summary.data_checks["paper_precheck"].get("payload"),
        "notes": notes,
    }

    def of_row(entry: str) -> dict[str, Any]:
        return record | {"markdown_entry_id": entry}

    entry = add_entry(markdown, json_lines, "smoke", row, of_row)
    path = "" if markdown is None else str(markdown)
    if json_lines is None:
        return Entered(markdown_id=entry, markdown_path=path)
    return Entered(
        markdown_id=entry, markdown_path=path, record_id=str(record["record_id"]), json_path=str(json_lines), record=of_row(entry)
    )


def normalised(
    report: SmokeReport, entered: Entered, publication: Publication, alerts: Sequence[Any], *, operator: str, now_ns: int, severity: str
) -> NormalisedSummary:
    """All that a pipeline needs to judge the run; `alerts` is what became of each on its channels."""
    summary = report.summary
    failed = publication.required and publication.exit_code != 0
    return NormalisedSummary(
        environment=summary.environment,
        timestamp=iso_utc(now_ns)[:19] + "Z",
        operator=operator,
        severity=severity,
        status="error" if failed else "ok",
        window=summary.window,
        report={
            "directory": str(report.folder),
            "summary_path": str(report.summary_path),
            "summary_sha256": report.summary_sha256,
        },
        storage=msgspec.to_builtins(summary.storage),
        precheck=summary.data_checks["paper_precheck"],
        json_log={"path": entered.json_path, "record_id": entered.record_id, "record": entered.record, "sync": {"status": "skipped"}},
        archive={
            "path": None if report.archive is None else str(report.archive),
            "sha256": report.archive_sha256,
            "upload": {"status": "skipped"},
        },
        publish=msgspec.to_builtins(publication),
        orders=len(summary.orders),
        alerts=msgspec.to_builtins(alerts),
        warnings=summary.warnings,
    )


def write_normalised(path: Path, answer: NormalisedSummary) -> None:
    """Write it, atomically; its folder is made."""
    ensure_dir(path.absolute().parent)
    write_atomic(path.absolute(), msgspec.json.format(msgspec.json.encode(answer), indent=2) + b"\n")


def markdown_text(answer: NormalisedSummary, title: str) -> str:
    """The summary for the page of a pipeline's step."""
    rows = {
        "Status": answer.status,
        "Severity": answer.severity,
        "Environment": answer.environment,
        "Window": f"{answer.window['start']} to {answer.window['end']}",
        "Operator": answer.operator,
        "Time": answer.timestamp,
        "Orders": str(answer.orders),
        "Precheck": str(answer.precheck.get("status")),
        "Storage": f"{answer.storage['status']}, {answer.storage['free_mb']:,.0f} MB free",
        "Report": f"`{answer.report['directory']}`",
        "SHA-256 of summary.json": f"`{answer.report['summary_sha256']}`",
        "Audit record": answer.json_log["record_id"] or "none",
        "Archive": f"`{answer.archive['path']}`" if answer.archive["path"] else "none",
        "Publication": f"{answer.publish['status']} ({answer.publish['reason']})",
    }
    lines = [f"# {title}", "", "| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())]
    if answer.warnings:
        lines += ["", "## Warnings", "", *(f"- {text}" for text in answer.warnings)]
    return "\n".join(lines) + "\n"
