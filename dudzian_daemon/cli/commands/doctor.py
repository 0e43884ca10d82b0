"""Look at everything a paper session needs, for a person: what is well, what is not, and the command that mends it.

Nothing is written. The checks are those of `dudzian paper-precheck`, which keeps a report. Exit 0 when nothing failed, else 5.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Final

import typer

from dudzian_daemon.cli.log_lines import Verbose, log_lines
from dudzian_daemon.cli.output import emit_json, emit_text
from dudzian_daemon.cli.secret_place import Namespace, Passphrase, PassphraseFile, Storage, secret_store

_MARKS: Final = {"ok": "ok", "warning": "look", "error": "FAIL", "skipped": "-"}

EXAMPLES = """Examples:

  dudzian doctor                                     the default environment

  dudzian doctor -e binance_paper

  dudzian doctor -e binance_paper --json
"""


def command(
    environment: Annotated[str | None, typer.Option("--environment", "-e", help="Which one; default: the default environment.")] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
    verbose: Verbose = False,
    secret_namespace: Namespace = None,
    headless_passphrase: Passphrase = None,
    headless_passphrase_file: PassphraseFile = None,
    headless_storage: Storage = None,
    data_dir: Annotated[Path | None, typer.Option("--data-dir", help="Data folder.", envvar="DUDZIAN_DATA_DIR")] = None,
    config: Annotated[Path | None, typer.Option("--config", help="Main configuration file.", envvar="DUDZIAN_CONFIG")] = None,
) -> None:
    """Check and tell."""
    from dudzian_daemon.adapters import data_folder
    from dudzian_daemon.app.precheck import machine
    from dudzian_daemon.app.precheck.report import FAILED_EXIT, PrecheckQuestion, precheck
    from dudzian_daemon.kernel.clock import SystemClock

    folder = data_folder.resolve(data_dir, os.environ)
    question = PrecheckQuestion(environment=environment, config=config, data_folder=folder, now=SystemClock().wall_ns())
    store = secret_store(secret_namespace, headless_passphrase, headless_passphrase_file, headless_storage)
    with log_lines(shown=verbose):
        found = precheck(question, store, os.environ)
    checks = [machine.python(), *found.checks]
    if json:
        emit_json({"environment": found.environment, "data_folder": str(folder), "status": found.status, "checks": checks})
    else:
        emit_text(f"environment {found.environment}, data folder {folder}")
        for each in checks:
            emit_text(f"{_MARKS[each.status]:<6}{each.check}: {each.message}")
            if each.remedy and each.status != "ok":
                emit_text(f"      -> {each.remedy}")
    raise typer.Exit(FAILED_EXIT if found.status == "error" else 0)
