"""How a backtest is shown: lines, the table of figures, the plot. Numbers become text here and nowhere else."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from decimal import Decimal
from typing import Final

from dudzian_daemon.adapters.plots import EquityPlot, TextTable
from dudzian_daemon.app.backtest.result import BacktestResult
from dudzian_daemon.config.environment import midnight_ns
from dudzian_daemon.domain.counts import decisions_text
from dudzian_daemon.domain.market import DAY_NS
from dudzian_daemon.domain.round_trips import RoundTrip
from dudzian_daemon.domain.statistics import Statistics
from dudzian_daemon.kernel.clock import iso_utc

#: Where the texts of the head lines begin.
INDENT: Final = 14

_NOT_DEFINED: Final = "-"


def head_lines(result: BacktestResult) -> Iterator[str]:
    """What was played, on what terms, and what came of it in numbers; each line is a word and, from column `INDENT` on, its text."""
    counts, costs = result.counts, result.costs
    yield f"environment   {result.environment}, risk profile {', '.join(result.profiles)}"
    yield f"costs         fee {_plain(Decimal(costs['taker_fee']) * 100)} %, slippage {costs['slippage_bps']} bp ({costs['preset']})"
    for window in result.windows:
        yield f"window        {window.first} to {window.last}: {_series_text(window.series)}"
    if result.synthetic:
        yield f"synthetic     {', '.join(result.synthetic)}: prices of a declared model, not of a venue"
    yield f"played        {counts.bars:,} bars, {counts.cycles:,} cycles, {counts.fills:,} fills"
    yield f"signals       {decisions_text(counts)}"
    for short in result.never_warm:
        yield f"never warm    {short.schedule} decided nothing: expected {short.needed:,} candles of {short.series}, found {short.had:,}"
    if counts.faults:
        yield f"faults        {counts.faults} of strategies, on the record with --journal"
    for position in result.open_positions:
        yield f"still open    {_plain(position.quantity)} {position.instrument} of {position.strategy}"


def journal_lines(result: BacktestResult) -> Iterator[str]:
    """Where the journal is, and how to check it."""
    if result.journal is not None:
        yield f"journal       {result.journal.folder}"
        yield f"content chain {result.journal.content_chain}"
        yield f"check it      dudzian verify-decision-log {result.journal.folder}"


def figures(result: BacktestResult) -> TextTable:
    """One row a figure; one column for the account and one for each strategy."""
    columns = {"account": result.statistics.total, **result.statistics.strategies}
    rows = [(label, *(text(each) for each in columns.values())) for label, text in _ROWS]
    return TextTable("Figures", (f"amounts in {result.asset}", *columns), rows)


def trades(result: BacktestResult) -> TextTable:
    """One row a round trip."""
    head = ("strategy", "instrument", "side", "opened (UTC)", "closed (UTC)", "quantity", "entry", "exit", "fees", "profit")
    return TextTable(f"Round trips, {len(result.trades):,}", head, [_trade(trip) for trip in result.trades])


def plot(result: BacktestResult) -> EquityPlot:
    """The curve of every cycle, and the daily ones of the strategies."""
    total = result.statistics.total
    columns, names = result.equity_by_cycle, list(result.statistics.strategies)
    spans = [
        (midnight_ns(date.fromisoformat(window.first)), midnight_ns(date.fromisoformat(window.last)) + DAY_NS) for window in result.windows
    ]
    day_ends = [midnight_ns(date.fromisoformat(day)) + DAY_NS for day in result.equity.days]
    said = {
        "return": _signed_percent(total.total_return),
        "CAGR": _signed_percent(total.cagr),
        "Sharpe": _number(total.sharpe),
        "max drawdown": _percent(total.max_drawdown),
        "round trips": f"{total.round_trips}",
        "fees": f"{total.fees:,.2f}",
    }
    return EquityPlot(
        title=f"Backtest of {result.environment}, {names[0] if len(names) == 1 else f'{len(names)} strategies'}",
        subtitle="   ".join(f"{name} {text}" for name, text in said.items()),
        asset=result.asset,
        opening=float(total.opening_equity),
        total=_daily(day_ends, result.equity.total, spans, total.opening_equity) if columns is None else (columns.instants, columns.equity),
        strategies={name: _daily(day_ends, values, spans, total.opening_equity) for name, values in result.equity.strategies.items()},
        spans=spans,
    )


def _daily(
    day_ends: Sequence[int], equity: Sequence[Decimal], spans: Sequence[tuple[int, int]], opening: Decimal
) -> tuple[list[int], list[float]]:
    """A daily curve, with a point at the start of each window: there it is what it was before."""
    before = [opening, *equity]
    points = sorted([*zip(day_ends, equity, strict=True), *((start, before[bisect(day_ends, start)]) for start, _ in spans)])
    return [instant for instant, _ in points], [float(value) for _, value in points]


def _trade(trip: RoundTrip) -> tuple[str, ...]:
    return (
        trip.strategy,
        trip.instrument,
        trip.side,
        iso_utc(trip.opened_at)[:16].replace("T", " "),
        iso_utc(trip.closed_at)[:16].replace("T", " "),
        _plain(trip.quantity),
        f"{trip.entry_price:,.6g}",
        f"{trip.exit_price:,.6g}",
        f"{trip.fees:,.2f}",
        f"{trip.profit:+,.2f}",
    )


def _length(each: Statistics) -> str:
    """Days from the peak until it was reached again; `>` where it was not."""
    if not each.max_drawdown_days:
        return _NOT_DEFINED
    days = "1 day" if each.max_drawdown_days == 1 else f"{each.max_drawdown_days:,} days"
    return days if each.recovered else f"> {days}"


def _series_text(series: Sequence[str]) -> str:
    """`binance 1h ETH/USDT LTC/USDT, binance 1d LTC/USDT` for what is listed one by one."""
    groups: dict[str, list[str]] = {}
    for text in series:
        instrument, granularity = text.split(" ")
        venue, _, symbol = instrument.partition(":")
        groups.setdefault(f"{venue} {granularity}", []).append(symbol)
    return ", ".join(" ".join((group, *symbols)) for group, symbols in groups.items())


def _plain(number: Decimal) -> str:
    return f"{number.normalize():f}"


def _number(value: float | None) -> str:
    return _NOT_DEFINED if value is None else f"{value:,.2f}"


def _times(value: float | None) -> str:
    return _NOT_DEFINED if value is None else f"{value:,.2f}x"


def _percent(value: float | None) -> str:
    return _NOT_DEFINED if value is None else f"{value * 100:,.2f} %"


def _signed_percent(value: float | None) -> str:
    return _NOT_DEFINED if value is None else f"{value * 100:+,.2f} %"


#: The figures by name, in their order, with how each is written.
_ROWS: Final[tuple[tuple[str, Callable[[Statistics], str]], ...]] = (
    ("opening equity", lambda each: f"{each.opening_equity:,.2f}"),
    ("closing equity", lambda each: f"{each.closing_equity:,.2f}"),
    ("profit", lambda each: f"{each.profit:+,.2f}"),
    ("return", lambda each: _signed_percent(each.total_return)),
    ("CAGR", lambda each: _signed_percent(each.cagr)),
    ("volatility", lambda each: _percent(each.volatility)),
    ("Sharpe", lambda each: _number(each.sharpe)),
    ("Sortino", lambda each: _number(each.sortino)),
    ("Calmar", lambda each: _number(each.calmar)),
    ("max drawdown", lambda each: _percent(each.max_drawdown)),
    ("drawdown length", _length),
    ("exposure", lambda each: _percent(each.exposure)),
    ("turnover", lambda each: _times(each.turnover)),
    ("round trips", lambda each: f"{each.round_trips:,}"),
    ("win rate", lambda each: _percent(each.win_rate)),
    ("profit factor", lambda each: _number(each.profit_factor)),
    ("fees", lambda each: f"{each.fees:,.2f}"),
    ("slippage", lambda each: f"{each.slippage:,.2f}"),
)
