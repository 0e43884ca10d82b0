"""The risk gate: explain a recorded verdict, ask what it would say, and the operator's switches."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dudzian_daemon.cli.output import emit_json, emit_text
from dudzian_daemon.domain.errors import ConfigError

if TYPE_CHECKING:
    from dudzian_daemon.domain.orders import Verdict

EXAMPLES = """Examples:

  dudzian risk explain 812

  dudzian risk what-if BTC/USDT buy 0.5

  dudzian risk sanity --environment paper_binance --profile balanced

  dudzian risk kill-switch on

  dudzian risk release-drawdown --profile balanced --operator jan --reason "reviewed, see ticket 12"

  dudzian risk state-unknown off --operator jan --reason "books compared by hand, see ticket 13"
"""

app = typer.Typer(no_args_is_help=True)

DataDir = Annotated[Path | None, typer.Option(help="Data folder.", envvar="DUDZIAN_DATA_DIR")]
Config = Annotated[Path | None, typer.Option(help="Main configuration file.", envvar="DUDZIAN_CONFIG")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document.")]
Timeout = Annotated[float, typer.Option(min=0.1, help="Seconds to wait for the answer.")]


@app.command()
def explain(
    sequence: Annotated[int, typer.Argument(min=1, help="Number of the cycle.")],
    environment: Annotated[str | None, typer.Option("--environment", "-e", help="Environment; default: the configuration's.")] = None,
    session: Annotated[str | None, typer.Option(help="Log id of the session, or its beginning; default: the newest.")] = None,
    config: Config = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Rule, inputs and arithmetic of every verdict of a cycle, from the journal. Exit 2 if there is no such cycle."""
    from dudzian_daemon.adapters.data_folder import resolve
    from dudzian_daemon.adapters.journal_reader import cycles_between, sessions
    from dudzian_daemon.config.load import load

    artifact = load(config, env=os.environ).config.artifact_name(environment)
    found = [each for each in sessions(resolve(data_dir, os.environ), artifact) if session is None or each.log_id.startswith(session)]
    cycles = cycles_between(found[0].folder, sequence, sequence) if found else []
    if not cycles:
        where = f"session {session}" if session else "any session"
        msg = f"no cycle {sequence} in {where} of {artifact}; look at: dudzian cycles --environment {artifact}"
        raise ConfigError(msg)
    record = cycles[0].record
    if as_json:
        emit_json({"sequence": sequence, "instant": record.instant, "verdicts": record.verdicts, "risk": record.risk})
        return
    lines = [line for verdict in record.verdicts for line in _explained(verdict)]
    changes = [
        f"state        {each.profile} {each.change}: {each.state}, {each.rule}, limit {each.limit}, value {each.value}"
        for each in record.risk
    ]
    emit_text("\n".join([*lines, *changes]) or f"cycle {sequence} has no verdict")


@app.command("what-if")
def what_if(
    instrument: Annotated[str, typer.Argument(help="Pair, in any spelling, or venue:BASE/QUOTE.")],
    side: Annotated[str, typer.Argument(help="buy or sell.")],
    quantity: Annotated[str, typer.Argument(help="In what is traded.")],
    limit: Annotated[str | None, typer.Option(help="Limit price.")] = None,
    stop: Annotated[str | None, typer.Option(help="Stop price.")] = None,
    reduce_only: Annotated[bool, typer.Option("--reduce-only", help="Only shrink a position.")] = False,
    config: Config = None,
    data_dir: DataDir = None,
    timeout: Timeout = 10.0,
    as_json: Json = False,
) -> None:
    """What the gate of the running daemon would say to an order by hand; nothing is ordered. Exit 0 if it would pass, else 1."""
    import msgspec

    from dudzian_daemon.cli.asking import ask, traded
    from dudzian_daemon.cli.order_arguments import order_arguments
    from dudzian_daemon.domain.orders import Verdict

    key = traded(instrument, config, data_dir)
    wish = order_arguments(key, side, quantity, limit_price=limit, stop_price=stop, reduce_only=reduce_only)
    verdict = msgspec.json.decode(ask("what_if", wish, data_dir, timeout).detail, type=Verdict)
    if as_json:
        emit_json(verdict)
    else:
        emit_text("\n".join(_explained(verdict)))
    raise typer.Exit(0 if verdict.outcome != "refused" else 1)


@app.command("kill-switch")
def kill_switch(
    state: Annotated[str, typer.Argument(help="on or off.")],
    data_dir: DataDir = None,
    timeout: Timeout = 10.0,
) -> None:
    """On: no new order that opens passes until it is off again; cancels and reductions do."""
    from dudzian_daemon.cli.asking import recorded

    _require_switch("kill-switch", state)
    record = recorded("kill_switch", {"on": "yes" if state == "on" else "no"}, data_dir, timeout)
    emit_text(f"kill switch {state}, cycle {record.sequence}")


@app.command("release-drawdown")
def release_drawdown(
    profile: Annotated[str, typer.Option(help="The profile that is latched.")],
    operator: Annotated[str, typer.Option(help="Who releases it; on the signed record.")],
    reason: Annotated[str, typer.Option(help="Why; on the signed record.")],
    data_dir: DataDir = None,
    timeout: Timeout = 10.0,
) -> None:
    """Let a profile trade again after a drawdown: when flat, on a later day. Exit 1 if that is not so yet."""
    from dudzian_daemon.cli.asking import recorded

    arguments = {"profile": profile, "operator": operator, "reason": reason}
    record = recorded("release_drawdown", arguments, data_dir, timeout)
    released = any(change.change == "released" for change in record.risk)
    rules = ", ".join(change.rule for change in record.risk)
    emit_text(f"cycle {record.sequence}: {profile} {'released' if released else f'not released: {rules}'}")
    raise typer.Exit(0 if released else 1)


@app.command("state-unknown")
def state_unknown(
    state: Annotated[str, typer.Argument(help="on or off.")],
    operator: Annotated[str, typer.Option(help="Who says so; on the signed record.")],
    reason: Annotated[str, typer.Option(help="Why; on the signed record.")],
    data_dir: DataDir = None,
    timeout: Timeout = 10.0,
) -> None:
    """On: no new order that opens passes, since the books may be wrong. Off: they are known again; exit 1 if they were not unknown."""
    from dudzian_daemon.cli.asking import recorded

    _require_switch("state-unknown", state)
    arguments = {"on": "yes" if state == "on" else "no", "operator": operator, "reason": reason}
    record = recorded("state_unknown", arguments, data_dir, timeout)
    refused = [change.rule for change in record.risk if change.change == "release_refused"]
    emit_text(f"state unknown {f'not lifted: {refused[0]}' if refused else state}, cycle {record.sequence}")
    raise typer.Exit(1 if refused else 0)


@app.command()
def sanity(
    profile: Annotated[str | None, typer.Option(help="Risk profile; default: the environment's.")] = None,
    environment: Annotated[str | None, typer.Option("--environment", "-e", help="Environment; default: the configuration's.")] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Judge reference orders whose right answer is known: a tight stop, a wide one, a size too large. Exit 1 if the gate errs."""
    from dudzian_daemon.app.risk_sanity import risk_sanity
    from dudzian_daemon.config.load import load

    known = load(config, env=os.environ).config
    chosen = known.environment_id(environment)
    found = risk_sanity(known, chosen, profile or known.environment(chosen).risk_profile)
    if as_json:
        emit_json(found)
    else:
        told = [f"  {'ok ' if each.ok else 'BAD'} {each.name:<15} expected {each.expected}; found {each.found}" for each in found.checks]
        emit_text("\n".join([f"{found.risk_status:<5} profile {found.profile}, largest quantity {found.max_quantity}", *told]))
    raise typer.Exit(0 if found.risk_status == "ok" else 1)


def _require_switch(name: str, state: str) -> None:
    if state not in ("on", "off"):
        msg = f"{name}: expected on or off, found {state!r}"
        raise ConfigError(msg)


def _explained(verdict: Verdict) -> Iterator[str]:
    from dudzian_daemon.domain.refusals import MEANINGS

    yield f"{verdict.outcome:<12} {verdict.group_id}, profile {verdict.profile}"
    if verdict.code is not None:
        meaning = MEANINGS[verdict.code]
        yield f"  because    {verdict.code}: {meaning.because}"
        if meaning.figures != "-":
            yield f"  figures    {meaning.figures}"
    yield f"  rule       {verdict.rule}"
    yield f"  arithmetic limit {verdict.limit} - value {verdict.value} -> headroom {verdict.headroom}"
    yield f"  quantity   requested {verdict.requested}, approved {verdict.approved}{', crossed' if verdict.crossed else ''}"
