"""What a person sees while the daemon runs: a live view on a terminal, plain lines elsewhere. It may miss messages, never delays any."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any, Final

import anyio
from anyio.to_thread import run_sync as in_thread
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from dudzian_daemon.domain.events import CycleDurable, SessionState
from dudzian_daemon.domain.market import DAY_NS
from dudzian_daemon.domain.orders import Fill, Intent, OrderStatus, Outcome, Side, Verdict
from dudzian_daemon.domain.records import CycleRecord, PositionChange, RiskChange
from dudzian_daemon.kernel.bus import QueuedSubscription
from dudzian_daemon.kernel.clock import iso_utc

_EVENTS_SHOWN: Final = 12
_SPARKS: Final = "▁▂▃▄▅▆▇█"
_SPARKLINE_WIDTH: Final = 60
_LIVE_PER_SECOND: Final = 8
#: Event time between two lines of equity where there is no live view.
_PLAIN_EQUITY_EVERY_NS: Final = 7 * DAY_NS

Line = tuple[str, str]


class ConsoleView:
    """Consumes durable cycles; draws at most a few times a second."""

    name = "console"

    def __init__(
        self, queue: QueuedSubscription, console: Console, *, environment: str, opening_equity: Decimal, notes: Sequence[str]
    ) -> None:
        self._queue = queue
        self._console = console
        self._environment = environment
        self._opening = opening_equity
        self._notes = notes
        self._state = "starting"
        self._record: CycleRecord | None = None
        self._events: deque[Line] = deque(maxlen=_EVENTS_SHOWN)
        self._equities: deque[float] = deque(maxlen=_SPARKLINE_WIDTH)
        self._positions: dict[tuple[str, str], PositionChange] = {}
        self._day = -1
        self._told = 0

    async def run(self) -> None:
        """Draw until the queue is closed, in threads: a terminal or pipe that nobody reads must not hold the loop."""
        if not self._console.is_terminal:
            async for batch in self._queue.batches():
                await in_thread(self._print, [message for _topic, message in batch])
            return
        live = Live(self._render(), console=self._console, refresh_per_second=_LIVE_PER_SECOND, transient=False)
        await in_thread(live.start, True)
        try:
            async for batch in self._queue.batches():
                for _topic, message in batch:
                    self._events.extend(self._take(message))
                await in_thread(live.update, self._render())
        finally:
            with anyio.CancelScope(shield=True):
                await in_thread(live.stop)

    async def stop(self) -> None:
        """Take what is queued and end."""
        self._queue.end()

    def _print(self, messages: Sequence[Any]) -> None:
        for message in messages:
            for style, text in self._take(message):
                self._console.print(Text(text, style), soft_wrap=True)
            record = self._record
            if record is not None and record.instant - self._told >= _PLAIN_EQUITY_EVERY_NS:
                self._told = record.instant
                self._console.print(Text(f"{_minute(record.instant)}  cycle {record.sequence}  equity {record.equity:.2f}"), soft_wrap=True)

    def _take(self, message: Any) -> list[Line]:
        if isinstance(message, SessionState):
            self._state = message.state
            return [("dim", f"session {message.state}{': ' if message.detail else ''}{message.detail}")]
        if not isinstance(message, CycleDurable):
            return []
        record = self._record = message.record
        for change in record.positions:
            self._positions[(change.strategy, change.instrument)] = change
        if record.instant // DAY_NS != self._day:
            self._day = record.instant // DAY_NS
            self._equities.append(float(record.equity))
        return list(event_lines(record))

    def _render(self) -> Group:
        record = self._record
        equity = self._opening if record is None else record.equity
        head = Table.grid(padding=(0, 2))
        head.add_row(
            Text(f"dudzian · {self._environment} · paper only", "bold"),
            Text(self._state, "cyan"),
            *(Text(note, "dim") for note in self._notes),
        )
        figures = Table.grid(padding=(0, 2))
        figures.add_row(
            Text("-" if record is None else _minute(record.instant)),
            Text(f"cycle {0 if record is None else record.sequence}"),
            Text(f"equity {equity:.2f}", "bold"),
            Text(f"{equity - self._opening:+.2f}", "green" if equity >= self._opening else "red"),
            Text(sparkline(self._equities), "cyan"),
        )
        return Group(
            head,
            figures,
            self._position_table(),
            Group(*(Text(text, style, no_wrap=True, overflow="ellipsis") for style, text in self._events)),
        )

    def _position_table(self) -> Table:
        table = Table(box=None, padding=(0, 2), show_header=True, header_style="dim")
        for column in ("position", "quantity", "entry price", "realised"):
            table.add_column(column, justify="left" if column == "position" else "right")
        for (_, instrument), change in sorted(self._positions.items()):
            if change.quantity:
                price = float(change.cost) / float(change.quantity)
                table.add_row(_pair(instrument), f"{change.quantity.normalize():f}", f"{price:.6g}", f"{change.realised:+.2f}")
        return table


def event_lines(record: CycleRecord) -> Iterator[Line]:
    """What happened in a cycle, a line each, with the style it is shown in."""
    when = _minute(record.instant)
    for signal in record.signals:
        verb = "enter" if signal.intent is Intent.ENTER else signal.intent.value
        yield "cyan", f"{when}  signal    {_pair(signal.instrument):<11} {verb} ({signal.reason}, confidence {signal.confidence:.2f})"
    signals = {signal.id: signal.instrument for signal in record.signals}
    for verdict in record.verdicts:
        yield _verdict_line(when, verdict, signals.get(verdict.signal_id, verdict.group_id.split("/", 1)[-1].rsplit("/", 2)[0]))
    for fill in record.fills:
        yield _fill_line(when, fill)
    for result in record.results:
        if result.status in (OrderStatus.CANCELLED, OrderStatus.EXPIRED):
            yield (
                "yellow",
                f"{when}  {result.status:<9} {_pair(result.instrument):<11} {result.side} {result.quantity.normalize():f} ({result.code})",
            )
    for change in record.risk:
        yield _risk_line(when, change)
    for fault in record.faults:
        yield "bold red", f"{when}  fault     {fault.unit} {fault.where}: {fault.error}"


def sparkline(values: Sequence[float]) -> str:
    """One block character a value, from the lowest to the highest."""
    if not values:
        return ""
    low, high = min(values), max(values)
    scale = (len(_SPARKS) - 1) / (high - low) if high > low else 0.0
    return "".join(_SPARKS[round((value - low) * scale)] for value in values)


def _verdict_line(when: str, verdict: Verdict, instrument: str) -> Line:
    style = {Outcome.APPROVED: "green", Outcome.ADJUSTED: "yellow", Outcome.REFUSED: "red"}[verdict.outcome]
    what = (
        f"{verdict.approved.normalize():f} of {verdict.requested.normalize():f}"
        if verdict.outcome is not Outcome.REFUSED
        else f"{verdict.code}"
    )
    why = (
        f" ({verdict.code}: limit {_short(verdict.limit)})"
        if verdict.outcome is Outcome.ADJUSTED
        else f" (limit {_short(verdict.limit)})"
        if verdict.code
        else ""
    )
    return style, f"{when}  {verdict.outcome:<9} {_pair(instrument):<11} {what}{why}"


def _fill_line(when: str, fill: Fill) -> Line:
    style = "bold green" if fill.side is Side.BUY else "bold magenta"
    text = f"{fill.side} {fill.quantity.normalize():f} at {fill.price.normalize():f} (fee {fill.fee:.4f} {fill.fee_asset})"
    return style, f"{when}  fill      {_pair(fill.instrument):<11} {text}"


def _risk_line(when: str, change: RiskChange) -> Line:
    figures = "" if change.limit is None else f", limit {_short(change.limit)}, found {_short(change.value)}"
    return "bold red", f"{when}  risk      profile {change.profile} {change.change}: {change.state} ({change.rule}{figures})"


def _pair(instrument: str) -> str:
    return instrument.rpartition(":")[2]


def _minute(instant: int) -> str:
    return iso_utc(instant)[:16].replace("T", " ")


def _short(value: Decimal | None) -> str:
    return "-" if value is None else f"{value:.2f}"
