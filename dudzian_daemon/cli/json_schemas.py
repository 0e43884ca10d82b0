"""What `--json` prints, by command, and its JSON Schema; `python -m dudzian_daemon.cli.json_schemas FOLDER` writes one file each.

Documents that are no struct of their own are in `json_documents`. Where a command has several answers, its schema is any of them.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from dudzian_daemon.adapters.heads import SignedHead
from dudzian_daemon.app.allocations import Allocations
from dudzian_daemon.app.backtest.result import BacktestResult
from dudzian_daemon.app.coverage.report import CoverageReport
from dudzian_daemon.app.daily_report.making import MadeReport
from dudzian_daemon.app.daily_trend.modules import Modules
from dudzian_daemon.app.daily_trend.risk_profiles import RiskProfiles
from dudzian_daemon.app.daily_trend.runtime_plan import RuntimePlan
from dudzian_daemon.app.daily_trend.smoke_audit import NormalisedSummary
from dudzian_daemon.app.first_start import Begun
from dudzian_daemon.app.load_test.plan import PlannedLoad
from dudzian_daemon.app.load_test.report import LoadTest
from dudzian_daemon.app.parity.compare import ParityReport
from dudzian_daemon.app.plan import Plan
from dudzian_daemon.app.process.rehearsal import Rehearsed
from dudzian_daemon.app.reexecution.evidence_pack import EvidenceManifest
from dudzian_daemon.app.reexecution.report import ReplayReport
from dudzian_daemon.app.reexecution.session_summary import SessionSummary
from dudzian_daemon.app.risk_sanity import RiskSanity
from dudzian_daemon.app.sweep.result import Planned as SweepPlan
from dudzian_daemon.app.sweep.result import SweepResult
from dudzian_daemon.cli import json_documents as documents
from dudzian_daemon.config.json_schema import DIALECT
from dudzian_daemon.domain.orders import Verdict
from dudzian_daemon.sinks.status import Status
from dudzian_daemon.trading.risk_view import AccountView

#: What each command prints with `--json`.
DOCUMENTS: Final[Mapping[str, tuple[Any, ...]]] = {
    "accept-change": (documents.Consent,),
    "alerts list": (documents.Alerts,),
    "alerts ack": (documents.AlertChange,),
    "alerts close": (documents.AlertChange,),
    "alerts test": (documents.Delivery,),
    "archive-report": (documents.Archived,),
    "audit-log add": (documents.AuditRow,),
    "backfill": (documents.Backfill,),
    "backtest": (BacktestResult,),
    "check-data-coverage": (CoverageReport,),
    "check-key-rotation": (documents.KeyRotation,),
    "cycles": (list[documents.ListedCycle], documents.CyclesSummary),
    "daily-report": (MadeReport,),
    "doctor": (documents.Doctor,),
    "evidence pack": (EvidenceManifest,),
    "heads keygen": (documents.HeadKey,),
    "init": (Begun,),
    "inspect-manifest": (documents.Manifest,),
    "journal archive": (documents.JournalArchive,),
    "load-test-scheduler": (LoadTest, PlannedLoad),
    "order place": (documents.Ordered,),
    "order cancel": (documents.Ordered,),
    "order close": (documents.Ordered,),
    "orders": (documents.Orders,),
    "paper-precheck": (documents.Precheck,),
    "parity": (ParityReport,),
    "plugins check": (documents.PluginsCheck,),
    "plugins list": (documents.Plugins,),
    "positions": (documents.Positions,),
    "preflight": (documents.Checklist,),
    "replay": (SessionSummary, ReplayReport),
    "retention run": (documents.Retention,),
    "risk explain": (documents.Explained,),
    "risk sanity": (RiskSanity,),
    "risk what-if": (Verdict,),
    "run": (Plan,),
    "run-daily-trend": (Plan, NormalisedSummary, Modules, RiskProfiles, RuntimePlan),
    "run-multi-strategy-scheduler": (Plan, Rehearsed),
    "secrets check": (documents.Secrets,),
    "seed-paper-cache": (documents.Seeded,),
    "send-alert": (documents.Delivery,),
    "session close": (documents.SessionClosed,),
    "session head": (SignedHead,),
    "session list": (documents.Sessions,),
    "session-check": (documents.Checklist,),
    "show-risk-state": (AccountView,),
    "status": (Status,),
    "stop": (documents.Stopped,),
    "strategy list": (documents.Strategies,),
    "strategy resume": (documents.StrategyOrder,),
    "strategy suspend": (documents.StrategyOrder,),
    "sweep": (SweepResult, SweepPlan),
    "telemetry-risk-profiles": (Allocations,),
    "validate-config": (documents.Validation,),
    "verify-decision-log": (documents.Verification,),
}


def schema_of(command: str) -> dict[str, Any]:
    """The schema of what `dudzian <command> --json` prints."""
    tops, definitions = msgspec.json.schema_components(DOCUMENTS[command], schema_hook=_text, ref_template="#/$defs/{name}")
    top = tops[0] if len(tops) == 1 else {"anyOf": list(tops)}
    return {"$schema": DIALECT, "title": f"dudzian {command} --json", **top, **({"$defs": definitions} if definitions else {})}


def file_name(command: str) -> str:
    """`alerts-list.json` of `alerts list`."""
    return f"{command.replace(' ', '-')}.json"


def text_of(command: str) -> str:
    """The schema's file."""
    return msgspec.json.format(msgspec.json.encode(schema_of(command), order="deterministic"), indent=2).decode() + "\n"


def _text(kind: type) -> dict[str, Any]:
    """Paths are written as text."""
    if issubclass(kind, Path):
        return {"type": "string"}
    raise NotImplementedError


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name in DOCUMENTS:
        (folder / file_name(name)).write_text(text_of(name), encoding="utf-8")
