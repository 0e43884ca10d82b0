"""What a person sees while the daemon runs: a live view on a terminal, plain lines elsewhere. It may miss messages, never delays any."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final, Literal

import anyio
from anyio.to_thread import run_sync as in_thread
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from dudzian_daemon.adapters.event_lines import WIDE, Line, Names, collapsed, event_lines, joined_faults, minute
from dudzian_daemon.domain.events import CycleDurable, SessionState
from dudzian_daemon.domain.market import DAY_NS, Book, Candle, OpenPrint, Quote, price_shown
from dudzian_daemon.domain.records import CycleRecord, PositionChange
from dudzian_daemon.kernel.bus import QueuedSubscription

_EVENTS_SHOWN: Final = 12
_LEAST_EVENTS_SHOWN: Final = 3
_SPARKS: Final = "▁▂▃▄▅▆▇█"
_SPARKLINE_WIDTH: Final = 60
_LIVE_PER_SECOND: Final = 8
#: Event time between two lines of equity where there is no live view.
_PLAIN_EQUITY_EVERY_NS: Final = 7 * DAY_NS
#: Columns of the position table, and from which width of the terminal on they are shown.
_POSITION_COLUMNS: Final = {
    "strategy": 0,
    "position": 0,
    "quantity": 66,
    "entry price": WIDE,
    "last price": WIDE,
    "value": 0,
    "unrealised": 0,
    "realised": 66,
}


class ConsoleView:
    """Consumes durable cycles; draws at most a few times a second."""

    name = "console"

    def __init__(
        self,
        queue: QueuedSubscription,
        console: Console,
        *,
        environment: str,
        opening_equity: Decimal,
        notes: Sequence[str],
        names: Names,
    ) -> None:
        self._queue = queue
        self._console = console
        self._environment = environment
        self._opening = opening_equity
        self._notes = notes
        self._names = names
        self._state = "starting"
        self._record: CycleRecord | None = None
        self._events: deque[Line] = deque(maxlen=_EVENTS_SHOWN)
        self._equities: deque[float] = deque(maxlen=_SPARKLINE_WIDTH)
        self._positions: dict[tuple[str, str], PositionChange] = {}
        self._prices: dict[str, float] = {}
        self._day = -1
        self._told = 0
        self._live: Live | None = None

    async def run(self) -> None:
        """Draw until the queue is closed, in threads: a terminal or pipe that nobody reads must not hold the loop."""
        if not self._console.is_terminal:
            async for batch in self._queue.batches():
                await in_thread(self._print, [message for _topic, message in batch])
            return
        live = self._live = Live(self._render(), console=self._console, refresh_per_second=_LIVE_PER_SECOND, transient=False)
        await in_thread(live.start, True)
        try:
            async for batch in self._queue.batches():
                for _topic, message in batch:
                    for line in self._take(message):
                        self._keep(line)
                await in_thread(live.update, self._render())
        finally:
            with anyio.CancelScope(shield=True):
                await in_thread(live.stop)

    async def stop(self) -> None:
        """Take what is queued and end."""
        self._queue.end()

    def halt(self) -> None:
        """Give the terminal back at once, from any thread: the view stays as it was drawn last, the cursor comes back."""
        if self._live is not None:
            self._live.stop()

    def _print(self, messages: Sequence[Any]) -> None:
        """Plain lines of some messages; equal faults among them are one line."""
        for line in collapsed(line for message in messages for line in self._take_plain(message)):
            self._console.print(Text(line.shown(self._names.width), line.style), soft_wrap=True)

    def _take_plain(self, message: Any) -> list[Line]:
        """The lines of a message, and every week of market time the equity."""
        lines = self._take(message)
        record = self._record
        if record is not None and record.instant - self._told >= _PLAIN_EQUITY_EVERY_NS:
            self._told = record.instant
            lines.append(Line("", record.instant, "equity", f"{record.equity:.2f}, cycle {record.sequence}"))
        return lines

    def _keep(self, line: Line) -> None:
        joined = joined_faults(self._events[-1], line) if self._events else None
        if joined is not None:
            self._events.pop()
        self._events.append(joined or line)

    def _take(self, message: Any) -> list[Line]:
        if isinstance(message, SessionState):
            known, self._state = self._state, message.state
            said = f"{message.state}{': ' if message.detail else ''}{message.detail}"
            return [] if message.state == known and not message.detail else [Line("dim", None, "session", said)]
        if not isinstance(message, CycleDurable):
            return []
        record = self._record = message.record
        for item in record.inputs:
            if isinstance(item, Candle | OpenPrint | Quote | Book) and (price := price_shown(item)) is not None:
                self._prices[item.instrument] = price
        for change in record.positions:
            self._positions[(change.strategy, change.instrument)] = change
        if record.instant // DAY_NS != self._day:
            self._day = record.instant // DAY_NS
            self._equities.append(float(record.equity))
        return list(event_lines(record, self._names))

    def _render(self) -> Group:
        width, height = self._console.size
        above = [*flowed(self._head(), width), *flowed(self._figures(width), width)]
        table = self._position_table(width)
        room = height - len(above) - table.row_count - 2  # its head, and the line the cursor is on
        shown = list(self._events)[-max(room, _LEAST_EVENTS_SHOWN) :]
        lines = [Text(line.shown(self._names.width, width), line.style, no_wrap=True, overflow="ellipsis") for line in shown]
        return Group(*above, table, *lines)

    def _head(self) -> list[Text]:
        title = Text(f"dudzian · {self._environment} · paper only", "bold")
        return [title, Text(self._state, "cyan"), *(Text(note, "dim") for note in self._notes)]

    def _figures(self, width: int) -> list[Text]:
        record = self._record
        equity = self._opening if record is None else record.equity
        return [
            Text("-" if record is None else minute(record.instant)),
            Text(f"cycle {0 if record is None else record.sequence:,}"),
            Text(f"equity {equity:,.2f}", "bold"),
            Text(f"{equity - self._opening:+,.2f}", "green" if equity >= self._opening else "red"),
            Text(sparkline(list(self._equities)[-width:]), "cyan"),
        ]

    def _position_table(self, width: int) -> Table:
        columns = [name for name, least in _POSITION_COLUMNS.items() if width >= least]
        rows = [self._position_cells(*key, change) for key, change in sorted(self._positions.items()) if change.quantity]
        gap = 2 if width >= WIDE else 1
        needed = {name: max(len(name), *(len(row[name]) for row in rows), 0) for name in columns}
        left = max(1, width - sum(needed.values()) - gap * len(columns) + needed["position"])
        table = Table(box=None, padding=(0, gap, 0, 0), show_header=True, header_style="dim")
        for name in columns:
            justify: Literal["left", "right"] = "left" if name in ("strategy", "position") else "right"
            room = min(needed[name], left) if name == "position" else needed[name]
            table.add_column(name, justify=justify, no_wrap=True, overflow="ellipsis", width=room)
        for row in rows:
            table.add_row(*(row[name] for name in columns))
        return table

    def _position_cells(self, strategy: str, instrument: str, change: PositionChange) -> dict[str, str]:
        """A position's columns; a price that was not seen leaves value and unrealised profit open. Realised is before fees."""
        price = self._prices.get(instrument)
        value = None if price is None else float(change.quantity) * price
        return {
            "strategy": self._names.strategy(strategy),
            "position": self._names.instrument(instrument),
            "quantity": f"{change.quantity.normalize():f}",
            "entry price": f"{float(change.cost) / float(change.quantity):.6g}",
            "last price": "-" if price is None else f"{price:.6g}",
            "value": "-" if value is None else f"{value:,.2f}",
            "unrealised": "-" if value is None else f"{value - float(change.cost):+,.2f}",
            "realised": f"{change.realised:+,.2f}",
        }


def flowed(parts: Sequence[Text], width: int) -> list[Text]:
    """The parts one after the other, two blanks between them, on as many lines as they take; one that is wider than a line is cut."""
    lines: list[Text] = []
    for part in parts:
        if not part:
            continue
        if lines and lines[-1].cell_len + 2 + part.cell_len <= width:
            lines[-1].append("  ").append_text(part)
        else:
            lines.append(Text(no_wrap=True, overflow="ellipsis").append_text(part))
    return lines


def sparkline(values: Sequence[float]) -> str:
    """One block character a value, from the lowest to the highest."""
    if not values:
        return ""
    low, high = min(values), max(values)
    scale = (len(_SPARKS) - 1) / (high - low) if high > low else 0.0
    return "".join(_SPARKS[round((value - low) * scale)] for value in values)
