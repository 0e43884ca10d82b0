"""The whole precheck of an environment: every check in its order, one status, one exit code. Reads, writes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from dudzian_daemon.adapters.rotation_register import DEFAULT, read_rotations
from dudzian_daemon.adapters.secret_store import SecretStore
from dudzian_daemon.app import metrics_tls
from dudzian_daemon.app.coverage.report import CoverageQuestion, CoverageReport, coverage
from dudzian_daemon.app.coverage.requirements import Selection
from dudzian_daemon.app.plugins.places import plugin_folders
from dudzian_daemon.app.plugins.strategy_entries import looked_over
from dudzian_daemon.app.precheck import keys, machine
from dudzian_daemon.app.precheck.findings import Finding, ok, worst
from dudzian_daemon.app.precheck.gate import GateSanity, gate_sanity
from dudzian_daemon.app.precheck.venue import VenuePlace, venue_findings
from dudzian_daemon.app.venues import addresses
from dudzian_daemon.config.check import ConfigErrors
from dudzian_daemon.config.load import LoadedConfig, load
from dudzian_daemon.config.schema import CoreConfig
from dudzian_daemon.domain.errors import ConfigError, DudzianError

Verdict = Literal["ok", "warning", "error", "skipped"]

CONFIG_EXIT: Final = 2
COVERAGE_EXIT: Final = 3
WARNINGS_EXIT: Final = 4
FAILED_EXIT: Final = 5


class PrecheckQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked. `as_of` in ns; None for limits means the configuration's.

    A venue is asked for its clock where the environment is live, or another address is given.
    """

    environment: str | None
    config: Path | None
    data_folder: Path
    now: int
    as_of: int | None = None
    manifest: Path | None = None
    selection: Selection = Selection()
    max_gap_minutes: int | None = None
    min_ok_ratio: Decimal | None = None
    min_free_mb: int | None = None
    skip_risk_check: bool = False
    base_url: str | None = None
    ws_url: str | None = None


class Precheck(msgspec.Struct, frozen=True, kw_only=True):
    """What `dudzian paper-precheck --json` prints."""

    environment: str
    status: Verdict
    coverage_status: Verdict
    risk_status: Verdict
    as_of: str | None
    manifest_path: str | None
    config: Mapping[str, Any]
    coverage: CoverageReport | None
    coverage_warnings: tuple[str, ...]
    risk: Mapping[str, Any]
    checks: tuple[Finding, ...]

    def exit_code(self, *, fail_on_warnings: bool) -> int:
        """0 may begin, 2 configuration, 3 coverage, 5 anything else that failed, 4 warnings that count as errors."""
        if not self.config["valid"]:
            return CONFIG_EXIT
        if self.coverage_status == "error":
            return COVERAGE_EXIT
        if self.status == "error":
            return FAILED_EXIT
        return WARNINGS_EXIT if fail_on_warnings and self.status == "warning" else 0


def precheck(question: PrecheckQuestion, store: SecretStore, env: Mapping[str, str]) -> Precheck:
    """Make every check. A configuration that is not valid ends it there: nothing else can be known."""
    try:
        loaded = load(question.config, env=env)
        name = loaded.config.environment_id(question.environment)
        loaded = load(question.config, env=env, cli=addresses(name, question.base_url, question.ws_url))
        plugins = looked_over(loaded, plugin_folders(None, env))
        warnings = (*loaded.warnings, *plugins, *metrics_tls.looked_over(loaded, question.now))
    except ConfigErrors as error:
        return _invalid(question, [problem.text for problem in error.problems])
    except ConfigError as error:
        return _invalid(question, [str(error)])
    findings = [_configuration(loaded, name, [problem.text for problem in warnings])]
    covered, coverage_findings = _covered(loaded, name, question)
    risk = None if question.skip_risk_check else gate_sanity(loaded.config, name)
    findings += [*coverage_findings, _risk(risk), *_others(loaded, name, question, covered, store, env)]
    return Precheck(
        environment=name,
        status=worst(findings),
        coverage_status=worst(coverage_findings),
        risk_status="skipped" if risk is None else risk.status,
        as_of=None if covered is None else covered.as_of,
        manifest_path=None if covered is None else covered.manifest_path,
        config={"valid": True, "errors": [], "warnings": [problem.text for problem in warnings]},
        coverage=covered,
        coverage_warnings=tuple(each.code for each in coverage_findings if each.status != "ok"),
        risk={"status": "skipped"} if risk is None else msgspec.structs.asdict(risk),
        checks=tuple(findings),
    )


def _invalid(question: PrecheckQuestion, errors: Sequence[str]) -> Precheck:
    return Precheck(
        environment=question.environment or "",
        status="error",
        coverage_status="skipped",
        risk_status="skipped",
        as_of=None,
        manifest_path=None,
        config={"valid": False, "errors": list(errors), "warnings": []},
        coverage=None,
        coverage_warnings=(),
        risk={"status": "skipped"},
        checks=tuple(
            Finding(check="config", status="error", code="config_invalid", message=text, remedy="dudzian validate-config")
            for text in errors
        ),
    )


def _configuration(loaded: LoadedConfig, name: str, warnings: Sequence[str]) -> Finding:
    if not loaded.config.environments[name].enabled:
        return Finding(
            check="config",
            status="error",
            code="environment_disabled",
            message=f"environment {name} is disabled",
            remedy=f"set environments.{name}.enabled to true",
        )
    if warnings:
        return Finding(
            check="config", status="warning", code="config_warnings", message="; ".join(warnings), remedy="dudzian validate-config"
        )
    return ok("config", "valid")


def _covered(loaded: LoadedConfig, name: str, question: PrecheckQuestion) -> tuple[CoverageReport | None, list[Finding]]:
    remedy = f"dudzian check-data-coverage --environment {name}"
    config = loaded.config
    if not config.universe(name):
        return None, [_uncovered("environment_missing_universe", "no instrument of instruments.yaml is traded at its exchange", remedy)]
    asked = CoverageQuestion(
        environment=name,
        now=question.now,
        as_of=question.as_of,
        selection=question.selection,
        manifest=question.manifest,
        max_gap_minutes=question.max_gap_minutes,
        min_ok_ratio=question.min_ok_ratio,
    )
    try:
        report = coverage(config, question.data_folder, asked)
    except DudzianError as error:
        return None, [_uncovered("coverage_unreadable", str(error), remedy)]
    if not report.entries:
        return report, [_uncovered("universe_not_defined", "no backfill window of an instrument says what is needed", remedy)]
    if not report.summary["ok"] and all("missing_row_count" in entry.issues for entry in report.entries):
        return report, [_uncovered("manifest_missing", f"no candles at all at {report.manifest_path}", report.entries[0].repair or remedy)]
    if report.status == "ok":
        return report, [ok("coverage", f"all {report.summary['total']} series are there as of {report.as_of}")]
    first = next((entry.repair for entry in report.entries if entry.repair), remedy)
    return report, [
        Finding(
            check="coverage",
            status=report.status,
            code=f"coverage_{report.status}",
            message="; ".join([*report.threshold_issues, *report.issues][:5]),
            remedy=f"{remedy}; first: {first}",
        )
    ]


def _uncovered(code: str, message: str, remedy: str) -> Finding:
    return Finding(check="coverage", status="error", code=code, message=message, remedy=remedy)


def _risk(risk: GateSanity | None) -> Finding:
    if risk is None:
        return Finding(check="risk", status="skipped", code="risk_skipped", message="--skip-risk-check: for debugging only")
    if risk.status == "ok":
        return ok("risk", f"the gate gave {sum(map(len, risk.checks.values()))} expected answers")
    return Finding(
        check="risk",
        status=risk.status,
        code=f"risk_{risk.status}",
        message="; ".join([*risk.issues, *risk.warnings]),
        remedy="look at risk_profiles in core.yaml",
    )


def _others(
    loaded: LoadedConfig,
    name: str,
    question: PrecheckQuestion,
    covered: CoverageReport | None,
    store: SecretStore,
    env: Mapping[str, str],
) -> list[Finding]:
    config, configured = loaded.config, loaded.config.risk.decision_log.signing_key_path
    try:
        rotation = keys.rotation(config, name, read_rotations(question.data_folder / DEFAULT), question.now)
    except DudzianError as error:
        rotation = Finding(check="rotation", status="error", code="rotation_unreadable", message=str(error), remedy="repair or remove it")
    return [
        machine.disk(question.data_folder, config.reporting.min_free_mb if question.min_free_mb is None else question.min_free_mb),
        machine.folder(question.data_folder),
        machine.resources(config.runtime.resource_limits),
        machine.clock(question.now, _newest(covered)),
        *_venue(config, name, question, env),
        machine.permissions(
            tuple(Path(each.path) for each in loaded.files), question.data_folder, None if configured is None else Path(configured)
        ),
        *keys.secrets(config, name, store, env),
        rotation,
        keys.addresses(config, name),
        keys.permissions(config, name),
    ]


def _venue(config: CoreConfig, name: str, question: PrecheckQuestion, env: Mapping[str, str]) -> list[Finding]:
    live = not config.environment(name).offline_mode or question.base_url is not None
    place = VenuePlace(plugin_folders(None, env), question.data_folder)
    return venue_findings(config, name, place, ask=live)


def _newest(covered: CoverageReport | None) -> int | None:
    """Open of the newest candle, ns: the clock cannot be before it."""
    stamps = [entry.last_timestamp_iso for entry in (covered.entries if covered else ()) if entry.last_timestamp_iso]
    return round(datetime.fromisoformat(max(stamps)).timestamp()) * 10**9 if stamps else None
