"""Tell what a recorded session did, or execute it again from its inputs and compare (--verify).

SESSION is a log id or its beginning, a session's folder or file, an artifact (its newest session), or `newest`, the default.

With --verify the seals are proved first, then each run is executed with its own recorded configuration and plugin sources, and
every cycle is compared byte for byte; see docs/reference/replay.md. It runs the plugins that the session has recorded.

Exit codes: 0 told, equal, or no cycle to replay; 1 differs, tampered or not re-executed; 2 wrong usage, unreadable or another key;
3 key missing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from dudzian_daemon.cli.keys import HMAC_KEY_FILE_HELP, KEY_MISSING, given_key
from dudzian_daemon.cli.output import emit_json, emit_text

if TYPE_CHECKING:
    from dudzian_daemon.app.reexecution.difference import CycleDifference
    from dudzian_daemon.app.reexecution.report import ReplayReport, RunReport

EXAMPLES = """Examples:

  dudzian replay                                               what the newest session did

  dudzian replay --verify                                      is it what its inputs lead to?

  dudzian replay paper_binance --verify --json                 the newest session of an artifact, for programs

  dudzian replay evidence-6b1f --verify --hmac-key-file k.key  an unpacked evidence pack
"""


class ReplayExit(IntEnum):
    """Exit codes of this command."""

    EQUAL = 0
    DIFFERS = 1
    UNREADABLE = 2
    KEY_MISSING = KEY_MISSING


#: Of verdicts that are no difference.
_CODES: Final = {
    "equal": ReplayExit.EQUAL,
    "nothing_to_replay": ReplayExit.EQUAL,
    "unreadable": ReplayExit.UNREADABLE,
    "other_key": ReplayExit.UNREADABLE,
    "key_missing": ReplayExit.KEY_MISSING,
}


def command(
    session: Annotated[
        str, typer.Argument(metavar="SESSION", help="Log id, its beginning, folder, file, artifact, or `newest`.")
    ] = "newest",
    verify: Annotated[bool, typer.Option("--verify", help="Execute it again from its inputs, and compare.")] = False,
    allow_skipped: Annotated[bool, typer.Option("--allow-skipped", help="A run that cannot be executed here is no failure.")] = False,
    hmac_key_file: Annotated[list[str] | None, typer.Option("--hmac-key-file", metavar="[ID=]FILE", help=HMAC_KEY_FILE_HELP)] = None,
    hmac_key_env: Annotated[str | None, typer.Option("--hmac-key-env", metavar="VAR", help="Environment variable with the key.")] = None,
    expected_key_id: Annotated[str | None, typer.Option("--expected-key-id", help="Execute no log that names another key.")] = None,
    allow_unsigned: Annotated[bool, typer.Option("--allow-unsigned", help="Accept a log declared unsigned in its first line.")] = False,
    environment: Annotated[str | None, typer.Option("--environment", "-e", help="Whose newest session `newest` is.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Data folder.", envvar="DUDZIAN_DATA_DIR")] = None,
    config: Annotated[Path | None, typer.Option(help="Main configuration file.", envvar="DUDZIAN_CONFIG")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Find, then tell or execute."""
    from dudzian_daemon.adapters.verify import Terms
    from dudzian_daemon.app.reexecution.recorded_log import LogOptions, find_recorded
    from dudzian_daemon.app.reexecution.run import reexecute
    from dudzian_daemon.domain.errors import ConfigError, IntegrityError
    from dudzian_daemon.kernel.clock import SystemClock

    options = LogOptions(session=session, data_dir=data_dir, config=config, environment=environment)
    log = find_recorded(options, os.environ)
    try:
        if not verify:
            _tell_summary(log, as_json=as_json)
            return
        key = given_key(hmac_key_file, None, hmac_key_env, config, expected_key_id)
        terms = Terms(key=key, expected_key_id=expected_key_id, allow_unsigned=allow_unsigned)
        report = reexecute(log, terms, SystemClock())
    except IntegrityError as error:  # exit code 1 is a verdict here
        raise ConfigError(str(error)) from None
    if as_json:
        emit_json(report)
    else:
        emit_text("\n".join(_lines(report)))
    raise typer.Exit(_code(report, allow_skipped=allow_skipped))


def _tell_summary(log: Any, *, as_json: bool) -> None:
    from dudzian_daemon.app.reexecution.session_summary import summarise, summary_lines

    summary = summarise(log)
    if as_json:
        emit_json(summary)
    else:
        emit_text("\n".join(summary_lines(summary)))


def _code(report: ReplayReport, *, allow_skipped: bool) -> ReplayExit:
    if report.verdict == "not_re_executed":
        return ReplayExit.EQUAL if allow_skipped else ReplayExit.DIFFERS
    return _CODES.get(report.verdict, ReplayExit.DIFFERS)


def _lines(report: ReplayReport) -> Iterator[str]:
    yield f"session       {report.log_id or 'unknown'} ({report.completeness}), {report.log}"
    if report.reason:
        yield f"verdict       {report.verdict.replace('_', ' ')}: {report.reason}"
        return
    torn = f"; {report.torn_bytes} bytes of a torn line after it are no part of it" if report.torn_bytes else ""
    yield f"seals         intact, {f'signed by {report.key_id}' if report.key_id else 'UNSIGNED'}{torn}"
    for number, run in enumerate(report.runs, start=1):
        yield f"run {number:<10}{_run_text(run)}"
    if report.verdict == "nothing_to_replay":
        yield "verdict       nothing to replay: 0 cycles"
        return
    pace = f"{report.market_seconds / 86_400:.1f} days in {report.seconds:.2f} s: {report.times_real_time:,.0f} times real time"
    states = f" and {report.checkpoints} checkpoint(s)" if report.checkpoints else ""
    states += f" and {report.states} state hash(es)" if report.states else ""
    yield f"re-executed   {report.compared} of {report.cycles} cycles{states}, {pace}"
    if report.difference is not None:
        yield from _difference_lines(report.difference)
    elif report.verdict == "equal":
        yield f"verdict       equal, content chain {report.content_chain}"
        yield f"              books {report.books}"
    else:
        yield "verdict       not re-executed in whole"


def _run_text(run: RunReport) -> str:
    head = f"line {run.line}, dudzian {run.version}, {run.environment}: "
    if run.verdict == "not_re_executed":
        return f"{head}not re-executed: {run.reason}"
    return f"{head}{run.verdict}, {run.compared} of {run.cycles} cycles"


def _difference_lines(difference: CycleDifference) -> Iterator[str]:
    from dudzian_daemon.kernel.clock import iso_utc

    yield f"verdict       differs from cycle {difference.sequence} on, {iso_utc(difference.instant)}, line {difference.line} of the log"
    if difference.fault:
        yield f"              its inputs made the core raise {difference.fault}"
    elif not difference.values:
        yield "              its inputs lead to no cycle"
    for value in difference.values:
        yield f"              {value.path}: recorded {_text(value.recorded)}, replayed {_text(value.replayed)}"
    if difference.more:
        yield f"              and {difference.more} more"


def _text(value: Any) -> str:
    import msgspec

    text = "nothing" if value is None else msgspec.json.encode(value).decode()
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."


#: Characters of a value that are shown.
_LONGEST_VALUE = 80
