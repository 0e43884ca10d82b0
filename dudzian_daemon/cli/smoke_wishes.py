"""What the command line may say of a smoke run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dudzian_daemon.cli.option_groups import Options


class SmokeWishes(Options, frozen=True):
    """A path of None takes the default below the data folder, an empty one leaves it out."""

    panel = "A smoke run (--paper-smoke)"

    archive_smoke: Annotated[bool, typer.Option("--archive-smoke", help="Also pack the report of the smoke run into a ZIP.")] = False
    smoke_output: Annotated[Path | None, typer.Option(help="Folder for the report's own folder; default: the system's for such.")] = None
    smoke_min_free_mb: Annotated[float | None, typer.Option(min=0, help="Megabytes that should be free there.")] = None
    smoke_fail_on_low_space: Annotated[
        bool, typer.Option("--smoke-fail-on-low-space", help="Exit 4, after the report, where fewer are.")
    ] = False
    skip_paper_precheck: Annotated[
        bool, typer.Option("--skip-paper-precheck", help="No precheck before the smoke run; for debugging, and noted.")
    ] = False
    paper_precheck_fail_on_warnings: Annotated[
        bool, typer.Option("--paper-precheck-fail-on-warnings", help="A warning of the precheck ends it too.")
    ] = False
    paper_precheck_audit_dir: Annotated[str | None, typer.Option(help="Folder of kept precheck reports; empty: keep none.")] = None
    paper_smoke_audit_log: Annotated[str | None, typer.Option(help="Another audit log in Markdown; empty: none.")] = None
    paper_smoke_json_log: Annotated[str | None, typer.Option(help="Another audit log in JSON lines; empty: none.")] = None
    paper_smoke_operator: Annotated[str | None, typer.Option(help="Name for the audit log; default: $PAPER_SMOKE_OPERATOR.")] = None
    paper_smoke_summary_json: Annotated[Path | None, typer.Option(help="Write the normalised summary to this file.")] = None
    paper_smoke_auto_publish: Annotated[
        bool, typer.Option("--paper-smoke-auto-publish", help="Publish the report where a place for it is configured.")
    ] = False
    paper_smoke_auto_publish_required: Annotated[
        bool, typer.Option("--paper-smoke-auto-publish-required", help="Exit 6 where that does not happen.")
    ] = False
