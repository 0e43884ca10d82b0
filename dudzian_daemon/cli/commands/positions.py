"""Show what a daemon's strategies hold: the last durable snapshot, valued at the last prices."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from dudzian_daemon.cli.snapshots import show_snapshot
from dudzian_daemon.cli.watching import EVERY, Interval, Watch

if TYPE_CHECKING:
    from dudzian_daemon.sinks.status import Status

EXAMPLES = """Examples:

  dudzian positions

  dudzian positions --json --data-dir /srv/dudzian

  dudzian positions --watch                 again after every cycle that is durable
"""


class PositionLine(msgspec.Struct, frozen=True, kw_only=True):
    """Signed `quantity` in the base asset, all else in the quote asset; what needs a price is None before the first one."""

    strategy: str
    instrument: str
    quantity: Decimal
    cost: Decimal
    average_price: Decimal
    last_price: Decimal | None
    value: Decimal | None
    unrealised: Decimal | None
    realised: Decimal
    margin: Decimal


def command(
    data_dir: Annotated[Path | None, typer.Option(help="Data folder of the daemon.", envvar="DUDZIAN_DATA_DIR")] = None,
    watch: Watch = False,
    interval: Interval = EVERY,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object; with --watch one a line.")] = False,
) -> None:
    """Exit 0 if a daemon runs there, 1 if not (the last snapshot is shown all the same), 2 if none ever ran."""
    show_snapshot(data_dir, lambda status: {"positions": list(_positions(status))}, _lines, watch=watch, interval=interval, as_json=as_json)


def _positions(status: Status) -> Iterator[PositionLine]:
    for held in status.positions:
        price = status.prices.get(held.instrument)
        last = None if price is None else Decimal(repr(price))
        value = None if last is None else held.quantity * last
        yield PositionLine(
            strategy=held.strategy,
            instrument=held.instrument,
            quantity=held.quantity,
            cost=held.cost,
            average_price=round(held.cost / held.quantity, 8),
            last_price=last,
            value=value,
            unrealised=None if value is None else value - held.cost,
            realised=held.realised,
            margin=held.margin,
        )


def _lines(status: Status) -> Iterator[str]:
    from dudzian_daemon.cli.layout import table_lines, terminal_width

    rows = [_row(line) for line in _positions(status)]
    if not rows:
        yield "no position is open"
        return
    heads = ["instrument", "strategy", "quantity", "average", "last", "value", "unrealised", "realised"]
    yield from table_lines(heads, rows, terminal_width())


def _row(line: PositionLine) -> list[str]:
    last = "-" if line.last_price is None else f"{line.last_price.normalize():f}"
    amounts = ("-" if amount is None else f"{amount:.2f}" for amount in (line.value, line.unrealised, line.realised))
    return [line.instrument, line.strategy, f"{line.quantity.normalize():f}", f"{line.average_price.normalize():f}", last, *amounts]
