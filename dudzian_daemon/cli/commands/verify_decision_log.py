"""Check that a decision log or journal is what was written, and whether it is all of it.

Without a path: every session of the environment and its decision log.

The key is the one of a flag, else the one that the daemon would sign with; none is ever made.

Whether whole lines were cut off its end, a head tells that somebody kept elsewhere (--head); with the public key of an Ed25519 head the
lines up to it need no secret.

Exit codes: 0 intact, 1 tampered or less than a head says, 2 no log, unreadable, of another key than the expected one, or wrong usage,
3 key missing, 4 torn tail.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from enum import IntEnum
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from dudzian_daemon.cli.keys import HMAC_KEY_FILE_HELP, given_key
from dudzian_daemon.cli.option_groups import Options, grouped
from dudzian_daemon.cli.output import emit_json, emit_text
from dudzian_daemon.cli.progress import progress

if TYPE_CHECKING:
    from dudzian_daemon.adapters.heads import HeadVerifier, SignedHead
    from dudzian_daemon.adapters.keychain import SigningKey
    from dudzian_daemon.adapters.log_report import LogReport
    from dudzian_daemon.adapters.log_sources import Source

STDIN: Final = "-"
#: How long (s), ten times over, a line that is just being written is given to get its end.
_PAUSE_S: Final = 0.05
_PROGRESS_FROM_BYTES: Final = 16 * 1024 * 1024


EXAMPLES = """Examples:

  dudzian verify-decision-log                                      every session of the environment, and its decision log

  dudzian verify-decision-log logs/decision_journal/demo.jsonl --hmac-key-file risk-ci.key --expected-key-id risk-ci

  dudzian verify-decision-log data/journal/demo --head head.json --public-key heads.pub    without a secret, up to the head

  dudzian verify-decision-log data/journal --json                  those of all environments, for programs
"""


class VerifyExit(IntEnum):
    """Exit codes of this command."""

    INTACT = 0
    TAMPERED = 1
    UNREADABLE = 2
    KEY_MISSING = 3
    TORN_TAIL = 4


#: Of several logs the first of these that occurs is the verdict on all.
_WORST_FIRST: Final = {
    "tampered": VerifyExit.TAMPERED,
    "incomplete": VerifyExit.TAMPERED,
    "not_a_log": VerifyExit.UNREADABLE,
    "other_key": VerifyExit.UNREADABLE,
    "unreadable": VerifyExit.UNREADABLE,
    "key_missing": VerifyExit.KEY_MISSING,
    "torn_tail": VerifyExit.TORN_TAIL,
    "intact": VerifyExit.INTACT,
}
#: So many intact logs are described each; of more, found without a path, only the first (the newest session) and the last.
_MOST_DESCRIBED: Final = 4


class Asked(Options, frozen=True):
    """By which key and heads the logs are judged, and what is told."""

    log: Annotated[str | None, typer.Option("--log", help="Same as the path.")] = None
    hmac_key_file: Annotated[list[str] | None, typer.Option("--hmac-key-file", metavar="[ID=]FILE", help=HMAC_KEY_FILE_HELP)] = None
    hmac_key: Annotated[str | None, typer.Option("--hmac-key", help="The key itself; other users can see it.")] = None
    hmac_key_env: Annotated[str | None, typer.Option("--hmac-key-env", metavar="VAR", help="Environment variable with the key.")] = None
    expected_key_id: Annotated[str | None, typer.Option("--expected-key-id", help="Judge no log that names another key.")] = None
    allow_unsigned: Annotated[bool, typer.Option("--allow-unsigned", help="Accept logs declared unsigned in their first line.")] = False
    head: Annotated[
        Path | None, typer.Option("--head", metavar="FILE", help="Signed heads, one a line, that the logs must agree with.")
    ] = None
    public_key: Annotated[Path | None, typer.Option("--public-key", metavar="FILE", help="Ed25519 key that proves heads (PEM).")] = None
    environment: Annotated[str | None, typer.Option("--environment", "-e", help="Whose sessions, when no path is given.")] = None
    data_dir: Annotated[Path | None, typer.Option(help="Data folder.", envvar="DUDZIAN_DATA_DIR")] = None
    config: Annotated[Path | None, typer.Option(help="Main configuration file.", envvar="DUDZIAN_CONFIG")] = None
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False
    report_output: Annotated[Path | None, typer.Option("--report-output", help="Also write the JSON document to this file.")] = None
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing about logs that are intact.")] = False


@grouped
def command(
    asked: Asked, path: Annotated[str | None, typer.Argument(help="Journal or session folder, log file (.gz too), or - for stdin.")] = None
) -> None:
    """Judge each log at the path and exit with the worst verdict."""
    if path is not None and asked.log is not None:
        raise _usage("give the log once: as PATH or by --log")
    given = path or asked.log
    sources = _sources(given, asked.environment, asked.data_dir, asked.config)
    reports = _judged(sources, asked)
    verdict, code = worst_verdict(reports)
    document = {"verdict": verdict, "exit_code": int(code), "counts": Counter(map(_verdict, reports)), "logs": reports}
    if asked.report_output is not None:
        _write_report(asked.report_output, document)
    if asked.json:
        emit_json(document)
    else:
        sessions = sum(source.log_id is not None for source in sources)
        _tell(reports, sessions, all_described=given is not None, quiet=asked.quiet)
    raise typer.Exit(code)


def _judged(sources: Sequence[Source], asked: Asked) -> list[LogReport]:
    """A report of each log, then of what the heads say beside them."""
    from dudzian_daemon.adapters.head_checks import missing_logs
    from dudzian_daemon.adapters.verify import Terms, verify_log

    key = given_key(asked.hmac_key_file, asked.hmac_key, asked.hmac_key_env, asked.config, asked.expected_key_id)
    verifier = _verifier(asked.public_key)
    heads, unproven = _heads(asked.head, verifier, key)
    size = sum(path.stat().st_size for source in sources for path in source.files if path.exists())
    with progress("verifying", "bytes", size, shown=size >= _PROGRESS_FROM_BYTES and not asked.quiet) as bar:
        terms = Terms(
            key=key,
            expected_key_id=asked.expected_key_id,
            allow_unsigned=asked.allow_unsigned,
            pause=_pause,
            progress=bar.advance,
            heads=heads,
            public_key=verifier,
        )
        reports = [verify_log(source, terms) for source in sources]
    return reports if asked.head is None else [*reports, *unproven, *missing_logs(asked.head, heads, reports)]


def _tell(reports: Sequence[LogReport], sessions: int, *, all_described: bool, quiet: bool) -> None:
    described = reports if all_described or len(reports) <= _MOST_DESCRIBED else [reports[0], reports[-1]]
    for report in reports:
        if _verdict(report) != "intact" or (not quiet and report in described):
            emit_text(_describe(report))
    if len(reports) > 1 and not quiet:
        emit_text(_summary(reports, sessions))


def worst_verdict(reports: Sequence[LogReport]) -> tuple[str, VerifyExit]:
    """The verdict on all of them in a word, and its exit code; nothing to judge is unreadable."""
    verdicts = {*map(_verdict, reports)} or {"unreadable"}
    return next((word, code) for word, code in _WORST_FIRST.items() if word in verdicts)


def _usage(text: str) -> Exception:
    from dudzian_daemon.domain.errors import ConfigError

    return ConfigError(text)


def _sources(given: str | None, environment: str | None, data_dir: Path | None, config: Path | None) -> list[Source]:
    from dudzian_daemon.adapters.data_folder import resolve
    from dudzian_daemon.adapters.log_lines import unpacked
    from dudzian_daemon.adapters.log_sources import Source, find_logs

    if given == STDIN:
        return [Source(label="stdin", stream=unpacked(sys.stdin.buffer))]
    root = resolve(data_dir, os.environ)
    if given is None:
        return _all_of(root, environment, config)
    path = Path(given)
    if not path.exists() and (root / path).exists():
        path = root / path
    found = find_logs(path)
    if not found:
        raise _usage(f"expected a log at {path}, found none below it")
    return found


def _all_of(root: Path, environment: str | None, config: Path | None) -> list[Source]:
    """The sessions of the environment, newest first, and the decision log written beside them."""
    from dudzian_daemon.adapters.journal_format import journal_folder
    from dudzian_daemon.adapters.journal_reader import sessions
    from dudzian_daemon.adapters.log_segments import files_here
    from dudzian_daemon.adapters.log_sources import find_logs
    from dudzian_daemon.config.load import load

    configuration = load(config, env=os.environ).config
    name = configuration.environment_id(environment)
    artifact = configuration.artifact_name(name)
    found = sessions(root, artifact)
    if not found:
        folder = journal_folder(root, artifact)
        raise _usage(f"expected a session of {name} in {folder}, found none; start one: dudzian run --environment {name}")
    decision_log = root / configuration.risk.decision_log.path / f"{artifact}.jsonl"
    places = [*(session.folder for session in found), *files_here(decision_log)[-1:]]
    return [source for place in places for source in find_logs(place)]


def _verifier(public_key: Path | None) -> HeadVerifier | None:
    from dudzian_daemon.adapters.heads import read_verifier

    return None if public_key is None else read_verifier(public_key)


def _heads(
    path: Path | None, verifier: HeadVerifier | None, key: Callable[[str], SigningKey | None]
) -> tuple[tuple[SignedHead, ...], list[LogReport]]:
    """The heads that are proven, and what is to be said of the others."""
    if path is None:
        return (), []
    from dudzian_daemon.adapters.head_checks import proven_heads
    from dudzian_daemon.adapters.heads import read_heads

    return proven_heads(path, read_heads(path), key, verifier)


def _pause() -> None:
    Event().wait(_PAUSE_S)


def _verdict(report: LogReport) -> str:
    if report.lacking is not None and report.integrity in ("intact", "key_missing"):
        return "incomplete"
    return "torn_tail" if report.integrity == "intact" and report.torn_bytes else report.integrity


def _summary(reports: Sequence[LogReport], sessions: int) -> str:
    counts = Counter(map(_verdict, reports))
    verdicts = ", ".join(f"{counts[word]} {word.replace('_', ' ')}" for word in _WORST_FIRST if counts[word])
    signed, unsigned = sum(report.signed for report in reports), sum(report.unsigned for report in reports)
    return f"checked {len(reports)} logs, {sessions} of them sessions: {verdicts}; entries {signed} signed, {unsigned} unsigned"


def _describe(report: LogReport) -> str:
    if report.finding is not None:
        return str(report.finding)
    if report.lacking is not None:
        lacking = report.lacking
        return f"INCOMPLETE: {report.log}: at {lacking.place}: expected {lacking.expected}, found {lacking.found}"
    if report.integrity == "not_a_log":
        return f"not a decision log: {report.log}: {report.reason}"
    if report.integrity == "other_key":
        return f"other key: {report.log} is signed by key {report.reason}, which is not the expected one; it was not judged"
    if report.integrity == "key_missing":
        return _key_missing(report)
    if report.integrity == "unreadable":
        return f"unreadable: {report.log}: {report.reason}"
    return f"{_counts(report)}\n  {_ending(report)}; completeness {report.proof}"


def _key_missing(report: LogReport) -> str:
    by = f"{report.log} is signed by key {report.reason}, which is not on this machine; give it by --hmac-key-file"
    if report.head is None:
        return f"key missing: {by}"
    return f"key missing: {by}\n  up to line {report.head.line} a head proves it, for the lines after that it takes the key; {report.proof}"


def _counts(report: LogReport) -> str:
    kind = "torn tail" if report.torn_bytes else "intact"
    seals = f"{report.signed} signed by {', then '.join(report.key_ids)}" if report.signed else f"{report.unsigned} UNSIGNED"
    if report.by_head:
        seals += " (no key: their hashes are proven by the head)"
    text = f"{kind}: {report.log}: {report.entries} entries, {seals}"
    if report.projection:
        return f"{text}, decision log of {report.artifact}"
    cycles = f"{report.cycles} cycles, sequence {report.first_sequence}..{report.last_sequence}" if report.cycles else "no cycles"
    return f"{text}, {cycles}\n  content chain {report.content}"


def _ending(report: LogReport) -> str:
    if report.torn_bytes:
        return f"intact up to line {report.entries}, then {report.torn_bytes} bytes of a line that a crash cut off"
    if report.projection and report.completeness == "stopped":  # of its writer, whatever became of the session
        return "its last writer has ended as it should; the next session goes on in it"
    return {
        "closed": "ends with `closed`",
        "stopped": "ends with `stopped`, may be resumed",
        "open": "open: still being written, or its writer died",
    }[report.completeness]


def _write_report(path: Path, document: dict[str, Any]) -> None:
    import msgspec

    from dudzian_daemon.adapters.files import write_atomic

    write_atomic(path.absolute(), msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
