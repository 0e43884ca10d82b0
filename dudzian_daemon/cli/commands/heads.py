"""Signed heads of logs: what an auditor keeps elsewhere, so that nobody can cut a log's end off unseen, or put it back.

Ed25519 keys need the extra `signatures`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from dudzian_daemon.cli.keys import HMAC_KEY_FILE_HELP, KEY_MISSING, given_key
from dudzian_daemon.cli.output import emit_json, emit_text, note

EXAMPLES = """Examples:

  dudzian heads keygen -o heads.key                    makes heads.key (keep it) and heads.pub (hand it out)

  dudzian heads sign newest --signing-key heads.key > head.json

  dudzian verify-decision-log data/journal/demo --head head.json --public-key heads.pub
"""

app = typer.Typer(no_args_is_help=True)


@app.command("keygen")
def keygen(
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="The private key; the public one is FILE with .pub.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Make an Ed25519 key for heads: the private half readable by you only, the public half beside it. Nothing is written over."""
    from dudzian_daemon.adapters.heads import new_signer

    public = output.with_suffix(".pub")
    signer = new_signer(output, public)
    if as_json:
        emit_json({"key_id": signer.id, "private": str(output), "public": str(public)})
        return
    emit_text(f"made {signer.id}: {output} signs, keep it to yourself; {public} proves, hand it out")


@app.command("sign")
def sign(
    session: Annotated[
        str, typer.Argument(metavar="LOG", help="Log id, its beginning, folder, log file, artifact, or `newest`.")
    ] = "newest",
    signing_key: Annotated[
        Path | None, typer.Option("--signing-key", metavar="FILE", help="Ed25519 key; without it the log's own.")
    ] = None,
    hmac_key_file: Annotated[list[str] | None, typer.Option("--hmac-key-file", metavar="[ID=]FILE", help=HMAC_KEY_FILE_HELP)] = None,
    hmac_key_env: Annotated[str | None, typer.Option("--hmac-key-env", metavar="VAR", help="Environment variable with the key.")] = None,
    environment: Annotated[str | None, typer.Option("--environment", "-e", help="Whose newest session `newest` is.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Data folder.", envvar="DUDZIAN_DATA_DIR")] = None,
    config: Annotated[Path | None, typer.Option(help="Main configuration file.", envvar="DUDZIAN_CONFIG")] = None,
) -> None:
    """Print the signed head of a log as it is now, as one line of JSON. The log is verified first; one that is not intact gets none."""
    from dudzian_daemon.adapters.heads import Head, encode_head, read_signer, sign_head
    from dudzian_daemon.adapters.verify import Terms, verify_log
    from dudzian_daemon.app.reexecution.recorded_log import LogOptions, find_recorded
    from dudzian_daemon.domain.errors import IntegrityError
    from dudzian_daemon.kernel.clock import SystemClock

    signer = None if signing_key is None else read_signer(signing_key)
    log = find_recorded(LogOptions(session=session, data_dir=data_dir, config=config, environment=environment), os.environ)
    key = given_key(hmac_key_file, None, hmac_key_env, config)
    report = verify_log(log.source, Terms(key=key))
    if report.integrity == "key_missing":
        note(f"{report.log} is signed by key {report.reason}, which is not on this machine; give it by --hmac-key-file")
        raise typer.Exit(KEY_MISSING)
    by = signer or (key(report.key_id) if report.key_id else None)
    if report.integrity != "intact" or by is None:
        found = str(report.finding or report.reason or "no key")
        msg = f"expected a log that is intact at {report.log}, found one that is {report.integrity} ({found}); no head was made"
        raise IntegrityError(msg)
    head = Head(
        log=report.log_id,
        line=report.entries,
        sequence=report.last_sequence or 0,
        hash=report.last_hash,
        content=report.content,
        at=SystemClock().wall_ns(),
    )
    emit_text(encode_head(sign_head(head, by)).decode().rstrip("\n"))
