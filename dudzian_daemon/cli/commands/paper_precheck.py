"""Go or no-go for a paper session: configuration, candles, risk gate, disk, keys, rotation, clock, permissions; the report is kept.

Exit 0 go (also with warnings), 2 configuration, 3 coverage, 4 warnings with --fail-on-warnings, 5 anything else. The report lies in
audit/paper_precheck_reports/ below the data folder, its SHA-256 beside it.
"""

from __future__ import annotations

import os
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dudzian_daemon.cli.log_lines import Verbose, log_lines
from dudzian_daemon.cli.option_groups import Options, grouped
from dudzian_daemon.cli.output import emit_json, emit_text
from dudzian_daemon.cli.secret_place import Namespace, Passphrase, PassphraseFile, Storage, secret_store
from dudzian_daemon.cli.session_options import WsUrl
from dudzian_daemon.domain.errors import ConfigError

if TYPE_CHECKING:
    from dudzian_daemon.app.precheck.archive import SavedReport
    from dudzian_daemon.app.precheck.report import Precheck, PrecheckQuestion

EXAMPLES = """Examples:

  dudzian paper-precheck --environment binance_paper --json

  dudzian paper-precheck -e binance_paper --as-of 2024-02-29 --fail-on-warnings
"""


class Asked(Options, frozen=True):
    """What is judged, by which limits, and where the report is kept."""

    environment: Annotated[str | None, typer.Option("--environment", "-e", help="Which one; default: the default environment.")] = None
    manifest: Annotated[Path | None, typer.Option("--manifest", help="Judge the store of this manifest instead of the environment's.")] = (
        None
    )
    as_of: Annotated[str | None, typer.Option("--as-of", metavar="TIME", help="Judge freshness at this time (ISO, UTC).")] = None
    symbol: Annotated[list[str] | None, typer.Option("--symbol", help="Only this pair; repeatable.")] = None
    interval: Annotated[list[str] | None, typer.Option("--interval", help="Only this length of candle; repeatable.")] = None
    max_gap_minutes: Annotated[int | None, typer.Option("--max-gap-minutes", min=0, help="Instead of the configured limit.")] = None
    min_ok_ratio: Annotated[str | None, typer.Option("--min-ok-ratio", help="Instead of the configured share, 0 to 1.")] = None
    min_free_mb: Annotated[
        int | None, typer.Option("--min-free-mb", min=0, help="MB that must be free; default: reporting.min_free_mb.")
    ] = None
    skip_risk_check: Annotated[bool, typer.Option("--skip-risk-check", help="Do not ask the gate; for debugging only.")] = False
    fail_on_warnings: Annotated[bool, typer.Option("--fail-on-warnings", help="Exit 4 on a warning.")] = False
    base_url: Annotated[
        str | None, typer.Option(help="Judge a live session whose REST data come from this address: loopback or a venue's own host.")
    ] = None
    ws_url: WsUrl = None
    output: Annotated[Path | None, typer.Option("--output", help="Write the report to this file too.")] = None
    audit_dir: Annotated[
        str | None, typer.Option("--audit-dir", help="Folder of the kept reports; empty: keep none. Default: below the data folder.")
    ] = None
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False
    verbose: Verbose = False
    secret_namespace: Namespace = None
    headless_passphrase: Passphrase = None
    headless_passphrase_file: PassphraseFile = None
    headless_storage: Storage = None
    data_dir: Annotated[Path | None, typer.Option("--data-dir", help="Data folder.", envvar="DUDZIAN_DATA_DIR")] = None
    config: Annotated[Path | None, typer.Option("--config", help="Main configuration file.", envvar="DUDZIAN_CONFIG")] = None


@grouped
def command(asked: Asked) -> None:
    """Check, keep the report, tell."""
    from dudzian_daemon.adapters import data_folder
    from dudzian_daemon.app.precheck.report import precheck
    from dudzian_daemon.kernel.clock import SystemClock

    folder, now = data_folder.resolve(asked.data_dir, os.environ), SystemClock().wall_ns()
    question = _question(asked, folder, now)
    store = secret_store(asked.secret_namespace, asked.headless_passphrase, asked.headless_passphrase_file, asked.headless_storage)
    with log_lines(shown=asked.verbose):
        found = precheck(question, store, os.environ)
    kept = _kept(found, asked, folder, now)
    if asked.json:
        emit_json({**_members(found), "report": kept})
    else:
        emit_text("\n".join(_lines(found, kept)))
    raise typer.Exit(found.exit_code(fail_on_warnings=asked.fail_on_warnings))


def _question(asked: Asked, folder: Path, now: int) -> PrecheckQuestion:
    from dudzian_daemon.adapters.candle_files import granularity_named
    from dudzian_daemon.app.coverage.requirements import Selection
    from dudzian_daemon.app.precheck.report import PrecheckQuestion
    from dudzian_daemon.cli.moments import moment_ns

    granularities = tuple(granularity_named(text) for text in asked.interval or ())
    return PrecheckQuestion(
        environment=asked.environment,
        config=asked.config,
        data_folder=folder,
        now=now,
        as_of=None if asked.as_of is None else moment_ns(asked.as_of, "--as-of"),
        manifest=None if asked.manifest is None else asked.manifest.absolute(),
        selection=Selection(symbols=tuple(asked.symbol or ()), granularities=granularities),
        max_gap_minutes=asked.max_gap_minutes,
        min_ok_ratio=_ratio(asked.min_ok_ratio),
        min_free_mb=asked.min_free_mb,
        skip_risk_check=asked.skip_risk_check,
        base_url=asked.base_url,
        ws_url=asked.ws_url,
    )


def _kept(found: Precheck, asked: Asked, folder: Path, now: int) -> SavedReport | None:
    """Where the report lies now, beside the file that was asked for; None where none is to be kept."""
    from dudzian_daemon.adapters.files import ensure_dir, write_atomic
    from dudzian_daemon.app.precheck.archive import DEFAULT, save_report
    from dudzian_daemon.cli.output import json_text

    data = json_text(found).encode()
    if asked.output is not None:
        ensure_dir(asked.output.absolute().parent)
        write_atomic(asked.output.absolute(), data)
    if asked.audit_dir == "":
        return None
    return save_report(folder / DEFAULT if asked.audit_dir is None else Path(asked.audit_dir).absolute(), found.environment, data, now)


def _members(found: Precheck) -> dict[str, object]:
    from msgspec.structs import asdict

    return asdict(found)


def _ratio(text: str | None) -> Decimal | None:
    if text is None:
        return None
    try:
        ratio = Decimal(text)
    except InvalidOperation:
        ratio = Decimal(-1)
    if not 0 <= ratio <= 1:
        msg = f"--min-ok-ratio: expected a number from 0 to 1, found {text!r}"
        raise ConfigError(msg)
    return ratio


def _lines(found: Precheck, kept: SavedReport | None) -> list[str]:
    lines = [f"{found.environment}: {found.status} (coverage {found.coverage_status}, risk {found.risk_status})"]
    for each in found.checks:
        remedy = f"\n  {each.remedy}" if each.remedy and each.status != "ok" else ""
        lines.append(f"{each.status:<8}{each.check}: {each.message}{remedy}")
    if kept is not None:
        lines.append(f"report {kept.path} SHA-256 {kept.sha256}")
    return lines
