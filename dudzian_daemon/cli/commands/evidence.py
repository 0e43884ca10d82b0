"""Hand a session over: one archive that somebody else can verify and execute again, offline."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from dudzian_daemon.cli.keys import HMAC_KEY_FILE_HELP, given_key
from dudzian_daemon.cli.output import emit_json, emit_text

EXAMPLES = """Examples:

  dudzian evidence pack newest -o evidence.tar.gz

  tar xzf evidence.tar.gz && cd evidence-*/ && dudzian replay . --verify --hmac-key-file ~/risk-ci.key
"""

app = typer.Typer(no_args_is_help=True)


@app.callback()
def group() -> None:
    """Keeps `pack` a word of its own while it is the only one."""


@app.command("pack")
def pack(
    session: Annotated[str, typer.Argument(metavar="SESSION", help="Log id, its beginning, folder, file, artifact, or `newest`.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE.tar.gz", help="Where the archive goes; replaced if it is there.")],
    hmac_key_file: Annotated[list[str] | None, typer.Option("--hmac-key-file", metavar="[ID=]FILE", help=HMAC_KEY_FILE_HELP)] = None,
    hmac_key_env: Annotated[str | None, typer.Option("--hmac-key-env", metavar="VAR", help="Environment variable with the key.")] = None,
    allow_unsigned: Annotated[bool, typer.Option("--allow-unsigned", help="Accept a log declared unsigned in its first line.")] = False,
    environment: Annotated[str | None, typer.Option("--environment", "-e", help="Whose newest session `newest` is.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Data folder.", envvar="DUDZIAN_DATA_DIR")] = None,
    config: Annotated[Path | None, typer.Option(help="Main configuration file.", envvar="DUDZIAN_CONFIG")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The archive's manifest (schema dudzian.evidence/1) on stdout.")] = False,
) -> None:
    """Pack journal, objects, configuration, hashes and report of a session; the key stays here. A journal that is not intact is refused."""
    from dudzian_daemon.adapters.verify import Terms
    from dudzian_daemon.app.reexecution import evidence_pack
    from dudzian_daemon.app.reexecution.recorded_log import LogOptions, find_recorded

    options = LogOptions(session=session, data_dir=data_dir, config=config, environment=environment)
    log = find_recorded(options, os.environ)
    key = given_key(hmac_key_file, None, hmac_key_env, config)
    manifest = evidence_pack.pack(log, Terms(key=key, allow_unsigned=allow_unsigned), output)
    if as_json:
        emit_json(manifest)
        return
    proved = "intact" if manifest.seals == "intact" else f"not proved here: key {manifest.key_id} is not on this machine"
    emit_text(f"packed        {output}: {len(manifest.files)} files, {output.stat().st_size:,} bytes")
    emit_text(f"session       {manifest.log_id}, {manifest.lines} lines, seals {proved}")
    emit_text(f"content chain {manifest.content_chain}")
