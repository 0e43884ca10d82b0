"""What happened in a cycle as lines for people: who, what, where, and why; one line a thing, whatever shows it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from dudzian_daemon.domain.market import Command, Gap
from dudzian_daemon.domain.orders import Fill, Intent, OrderResult, OrderStatus, Outcome, Side, Signal, Verdict
from dudzian_daemon.domain.records import CycleRecord, RiskChange, StrategyChange
from dudzian_daemon.kernel.clock import iso_utc

#: From this width on a line has all there is; below the other it is as short as it can be.
WIDE: Final = 100
COMPACT: Final = 60
_WORD_WIDTH: Final = 9
_VERDICT_STYLES: Final[Mapping[Outcome, str]] = {Outcome.APPROVED: "green", Outcome.ADJUSTED: "yellow", Outcome.REFUSED: "red"}


class Line(msgspec.Struct, frozen=True):
    """One thing that happened, `count` times in a row; `instant` (ns) is None for what has no market time, `who` is a strategy."""

    style: str
    instant: int | None
    word: str
    text: str
    who: str = ""
    count: int = 1

    def shown(self, who_width: int, width: int = WIDE) -> str:
        """As one line, with `who` in a column of its own; for less room there is no year, for little no day and no columns."""
        word = self.word if self.count == 1 else f"{self.word} x{self.count}"
        if self.instant is None:
            return f"{word} {self.text}"
        when = minute(self.instant)
        if width < COMPACT:
            return " ".join(filter(None, (when[11:], word, self.who, self.text)))
        when = when[0 if width >= WIDE else 5 :]
        who = f"{self.who:<{who_width}}" if self.who else ""
        return "  ".join(filter(None, (when, f"{word:<{_WORD_WIDTH}}", who, self.text)))


class Names:
    """How a session's strategies and instruments are called where room is short."""

    def __init__(self, strategies: Sequence[str], instruments: Iterable[str]) -> None:
        self._strategies = {name: _shortest(name, strategies) for name in strategies}
        self._venues = Counter(key.partition(":")[2] for key in instruments)
        #: Of the longest name of a strategy.
        self.width = max(map(len, self._strategies.values()), default=0)

    def strategy(self, name: str) -> str:
        """The last words of its name, as many as it takes to tell it from the others."""
        return self._strategies.get(name, name)

    def instrument(self, key: str) -> str:
        """Its symbol, and the venue where the session trades the symbol at more than one."""
        venue, _, symbol = key.partition(":")
        return f"{symbol}@{venue}" if self._venues[symbol] > 1 else symbol


def event_lines(record: CycleRecord, names: Names) -> Iterator[Line]:
    """The lines of a cycle, in the order of its step."""
    at = record.instant
    yield from _input_lines(record)
    for change in record.strategies:
        yield _strategy_line(at, change, names)
    for group in _in_groups(record.signals):
        yield _signal_line(at, group, names)
    for verdict in record.verdicts:
        yield _verdict_line(at, verdict, [each for each in record.results if each.order_id.rpartition(".")[0] == verdict.group_id], names)
    for fill in record.fills:
        yield _fill_line(at, fill, names)
    for result in record.results:
        if result.status in (OrderStatus.CANCELLED, OrderStatus.EXPIRED):
            text = f"{_leg(result, names)} {_plain(result.quantity)} ({result.code})"
            yield Line("yellow", at, result.status.value, text, names.strategy(result.strategy))
    for each in record.risk:
        yield _risk_line(at, each)
    for fault in record.faults:
        yield Line("bold red", at, "fault", f"{fault.unit} {fault.where}: {fault.error}")


def collapsed(lines: Iterable[Line]) -> Iterator[Line]:
    """Equal faults in a row as one line, at the time of the last."""
    last: Line | None = None
    for line in lines:
        joined = None if last is None else joined_faults(last, line)
        if last is not None and joined is None:
            yield last
        last = joined or line
    if last is not None:
        yield last


def joined_faults(last: Line, line: Line) -> Line | None:
    """Both as one if they are the same fault, else None."""
    if line.word != "fault" or (last.word, last.text) != (line.word, line.text):
        return None
    return msgspec.structs.replace(line, count=last.count + line.count)


def minute(instant: int) -> str:
    """An instant (ns) to the minute, UTC."""
    return iso_utc(instant)[:16].replace("T", " ")


def _shortest(name: str, names: Sequence[str]) -> str:
    words = name.split("_")
    for count in range(1, len(words)):
        tail = "_".join(words[-count:])
        if sum(other == tail or other.endswith(f"_{tail}") for other in names) == 1:
            return tail
    return name


def _input_lines(record: CycleRecord) -> Iterator[Line]:
    """Holes, those of one stretch together, and commands that nothing else in the record tells of."""
    holes: dict[tuple[int, int], list[str]] = {}
    for item in record.inputs:
        if isinstance(item, Gap):
            holes.setdefault((item.start, item.end), []).append(f"{item.instrument} {item.granularity}")
        elif isinstance(item, Command) and item.name in ("end_of_data", "stop", "close_positions"):
            yield _command_line(item)
    for (start, end), series in holes.items():
        which = series[0] if len(series) == 1 else f"{len(series)} series"
        yield Line("yellow", record.instant, "gap", f"{which}: no candles from {minute(start)} to {minute(end)}")


def _command_line(command: Command) -> Line:
    closing = ", positions are closed" if command.arguments.get("close_positions") == "yes" else ""
    if command.name == "end_of_data":
        return Line("bold", command.instant, "window", f"{command.arguments.get('window', '')} ended{closing}")
    said = command.arguments.get("reason", "") or command.name
    return Line("bold", command.instant, "command", f"{said}{closing}")


def _strategy_line(at: int, change: StrategyChange, names: Names) -> Line:
    style = "bold red" if change.change == "quarantined" else "bold yellow"
    return Line(style, at, "strategy", f"{change.change} ({change.reason})", names.strategy(change.strategy))


def _in_groups(signals: Iterable[Signal]) -> Iterable[list[Signal]]:
    groups: dict[tuple[str, ...], list[Signal]] = {}
    for signal in signals:
        groups.setdefault((signal.schedule, signal.group) if signal.group else (signal.id,), []).append(signal)
    return groups.values()


def _signal_line(at: int, group: Sequence[Signal], names: Names) -> Line:
    first = group[0]
    wishes = ", ".join(f"{_wish(signal)} {names.instrument(signal.instrument)}" for signal in group)
    text = f"{wishes} ({first.reason}, confidence {first.confidence:.2f})"
    return Line("cyan", at, "signal", text, names.strategy(first.strategy))


def _wish(signal: Signal) -> str:
    """`enter` with its direction where the signal says it."""
    if signal.intent is Intent.ENTER and signal.target is not None:
        return "enter short" if signal.target < 0 else "enter long"
    return signal.intent.value


def _verdict_line(at: int, verdict: Verdict, legs: Sequence[OrderResult], names: Names) -> Line:
    who = names.strategy(legs[0].strategy if legs else verdict.group_id.partition("/")[0])
    what = ", ".join(_leg(leg, names) for leg in legs)
    if verdict.outcome is Outcome.REFUSED:
        text = f"{what}: {verdict.code} (limit {_short(verdict.limit)}, found {_short(verdict.value)})"
    else:
        clipped = f" ({verdict.code}: limit {_short(verdict.limit)})" if verdict.outcome is Outcome.ADJUSTED else ""
        text = f"{what} {_plain(verdict.approved)} of {_plain(verdict.requested)}{clipped}"
    return Line(_VERDICT_STYLES[verdict.outcome], at, verdict.outcome.value, text, who)


def _leg(leg: OrderResult, names: Names) -> str:
    return f"{leg.side} {names.instrument(leg.instrument)}"


def _fill_line(at: int, fill: Fill, names: Names) -> Line:
    style = "bold green" if fill.side is Side.BUY else "bold magenta"
    what = f"{fill.side} {names.instrument(fill.instrument)} {_plain(fill.quantity)} at {_plain(fill.price)}"
    return Line(style, at, "fill", f"{what} (fee {fill.fee:.4f} {fill.fee_asset})", names.strategy(fill.strategy))


def _risk_line(at: int, change: RiskChange) -> Line:
    figures = "" if change.limit is None else f", limit {_short(change.limit)}, found {_short(change.value)}"
    return Line("bold red", at, "risk", f"profile {change.profile} {change.change}: {change.state} ({change.rule}{figures})")


def _plain(number: Decimal) -> str:
    return f"{number.normalize():f}"


def _short(value: Decimal | None) -> str:
    return "-" if value is None else f"{value:.2f}"
