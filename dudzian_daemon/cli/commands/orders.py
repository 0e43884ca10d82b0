"""Show a daemon's open orders: the last durable snapshot of the simulated venue."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dudzian_daemon.cli.snapshots import show_snapshot
from dudzian_daemon.cli.watching import EVERY, Interval, Watch

if TYPE_CHECKING:
    from dudzian_daemon.sinks.status import OpenOrder, Status

EXAMPLES = """Examples:

  dudzian orders

  dudzian orders --json

  dudzian orders --watch                    again after every cycle that is durable
"""


def command(
    data_dir: Annotated[Path | None, typer.Option(help="Data folder of the daemon.", envvar="DUDZIAN_DATA_DIR")] = None,
    watch: Watch = False,
    interval: Interval = EVERY,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object; with --watch one a line.")] = False,
) -> None:
    """Exit 0 if a daemon runs there, 1 if not (the last snapshot is shown all the same), 2 if none ever ran."""
    show_snapshot(data_dir, lambda status: {"orders": status.orders}, _lines, watch=watch, interval=interval, as_json=as_json)


def _lines(status: Status) -> Iterator[str]:
    from dudzian_daemon.cli.layout import table_lines, terminal_width

    if not status.orders:
        yield "no order is open"
        return
    heads = ["order", "instrument", "strategy", "side", "kind", "quantity", "filled", "limit", "stop", "state"]
    yield from table_lines(heads, [_row(order) for order in status.orders], terminal_width())


def _row(order: OpenOrder) -> list[str]:
    state = "dormant" if order.dormant else "triggered" if order.triggered else "open"
    numbers = (order.quantity, order.filled, order.limit_price, order.stop_price)
    texts = list(map(_text, numbers))
    return [order.order_id, order.instrument, order.strategy, order.side, order.kind, *texts, f"{state}{', reduces' * order.reduce_only}"]


def _text(number: Decimal | None) -> str:
    return "-" if number is None else f"{number.normalize():f}"
