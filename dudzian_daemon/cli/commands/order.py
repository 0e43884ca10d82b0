"""Place, cancel or close orders by hand, through the same risk gate, under the profile `manual`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dudzian_daemon.cli.output import emit_json, emit_text

if TYPE_CHECKING:
    from dudzian_daemon.domain.orders import Verdict
    from dudzian_daemon.domain.records import CycleRecord

EXAMPLES = """Examples:

  dudzian order place BTC/USDT buy 0.01

  dudzian order place BTC/USDT buy 0.01 --limit 42000 --take-profit 46000 --stop-loss 40000

  dudzian order place BTC/USDT sell 0.01 --reduce-only --oco --limit 46000 --stop 40000 --stop-limit 39900

  dudzian order place BTC/USDT sell 0.01 --reduce-only --trail 500

  dudzian order place BTC/USDT buy 0.01 --limit 42000 --post-only --expires 2026-11-27T12:00Z

  dudzian order close BTC/USDT
"""

app = typer.Typer(no_args_is_help=True)

DataDir = Annotated[Path | None, typer.Option(help="Data folder of the daemon.", envvar="DUDZIAN_DATA_DIR")]
Config = Annotated[Path | None, typer.Option(help="Main configuration file.", envvar="DUDZIAN_CONFIG")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object.")]
Timeout = Annotated[float, typer.Option(min=0.1, help="Seconds to wait for the verdict.")]


@app.command()
def place(
    instrument: Annotated[str, typer.Argument(help="Pair, in any spelling, or venue:BASE/QUOTE.")],
    side: Annotated[str, typer.Argument(help="buy or sell.")],
    quantity: Annotated[str, typer.Argument(help="In what is traded; with --value a 0 will do.")],
    value: Annotated[str | None, typer.Option(help="Instead of the quantity: what to spend, in the quote asset.")] = None,
    asset: Annotated[str | None, typer.Option(help="What it is paid in; refused where that is not the quote asset.")] = None,
    kind: Annotated[
        str | None, typer.Option(help="market, limit, stop, stop-limit, take-profit or trailing-stop; default: what the prices make it.")
    ] = None,
    limit: Annotated[str | None, typer.Option(help="Limit price.")] = None,
    stop: Annotated[str | None, typer.Option(help="Stop price, or what triggers a take-profit; with --limit a stop-limit order.")] = None,
    trail: Annotated[str | None, typer.Option(help="Distance in price that a trailing stop keeps; --stop is where it starts.")] = None,
    oco: Annotated[
        bool, typer.Option("--oco", help="Two orders, at --limit and at --stop; the first that fills cancels the other.")
    ] = False,
    stop_limit: Annotated[str | None, typer.Option(help="With --oco: limit price of its stop.")] = None,
    take_profit: Annotated[str | None, typer.Option(help="Limit price of an exit that goes with the order.")] = None,
    stop_loss: Annotated[str | None, typer.Option(help="Stop price of an exit that goes with the order.")] = None,
    time_in_force: Annotated[str | None, typer.Option(help="gtc, ioc, fok or gtd; default gtc, with --expires gtd.")] = None,
    expires: Annotated[str | None, typer.Option(help="When a gtd order ends, in the session's time: 2026-11-27T12:00Z.")] = None,
    post_only: Annotated[bool, typer.Option("--post-only", help="Refuse to take.")] = False,
    reduce_only: Annotated[bool, typer.Option("--reduce-only", help="Only shrink a position.")] = False,
    client_id: Annotated[str | None, typer.Option(help="Of orders with one id, one passes.")] = None,
    config: Config = None,
    data_dir: DataDir = None,
    timeout: Timeout = 10.0,
    as_json: Json = False,
) -> None:
    """Exit 0 if the gate lets it pass, 1 if it refuses it, 2 if the order makes no sense or no daemon runs."""
    from dudzian_daemon.cli.asking import traded
    from dudzian_daemon.cli.order_arguments import order_arguments

    arguments = order_arguments(
        traded(instrument, config, data_dir),
        side,
        quantity,
        value=value,
        asset=asset,
        kind=kind,
        limit_price=limit,
        stop_price=stop,
        trail=trail,
        oco=oco,
        stop_limit_price=stop_limit,
        take_profit=take_profit,
        stop_loss=stop_loss,
        client_id=client_id,
        time_in_force=time_in_force,
        expires=expires,
        post_only=post_only,
        reduce_only=reduce_only,
    )
    _tell("order_place", arguments, data_dir, timeout, as_json=as_json)


@app.command()
def cancel(
    order_id: Annotated[str, typer.Argument(help="Id of the open order, as `order place` told it.")],
    data_dir: DataDir = None,
    timeout: Timeout = 10.0,
    as_json: Json = False,
) -> None:
    """Exit 0 if it was cancelled, 1 if no such order is open, 2 if no daemon runs."""
    _tell("order_cancel", {"order_id": order_id}, data_dir, timeout, as_json=as_json)


@app.command()
def close(
    instrument: Annotated[str, typer.Argument(help="Pair, in any spelling, or venue:BASE/QUOTE.")],
    strategy: Annotated[str, typer.Option(help="Whose position; default: the one opened by hand.")] = "manual",
    config: Config = None,
    data_dir: DataDir = None,
    timeout: Timeout = 10.0,
    as_json: Json = False,
) -> None:
    """Cancel what is open there, then close the position. Exit 0 if the closing order passes, 1 if not, 2 if no daemon runs."""
    from dudzian_daemon.cli.asking import traded

    arguments = {"instrument": traded(instrument, config, data_dir), "strategy": strategy}
    _tell("order_close", arguments, data_dir, timeout, as_json=as_json)


def _tell(name: str, arguments: dict[str, str], data_dir: Path | None, timeout: float, *, as_json: bool) -> None:
    """Send the command and show the cycle that records it; the exit code is that of its verdict."""
    from dudzian_daemon.cli.asking import recorded

    record = recorded(name, arguments, data_dir, timeout)
    if as_json:
        emit_json({"sequence": record.sequence, "verdicts": record.verdicts, "results": record.results})
    else:
        emit_text("\n".join(_lines(record)))
    raise typer.Exit(0 if all(verdict.outcome != "refused" for verdict in record.verdicts) else 1)


def _why(verdict: Verdict) -> str:
    if verdict.code is None:
        return ""
    return f" ({verdict.code}: {verdict.rule}, limit {verdict.limit}, value {verdict.value}, headroom {verdict.headroom})"


def _lines(record: CycleRecord) -> list[str]:
    verdicts = [f"{each.outcome}{_why(each)}" for each in record.verdicts]
    results = [f"{each.status} {each.side} {each.quantity} {each.instrument}, order {each.order_id}" for each in record.results]
    return [f"cycle {record.sequence}: {'; '.join(verdicts)}", *results]
