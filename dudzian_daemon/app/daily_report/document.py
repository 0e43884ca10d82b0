"""The daily report for people: what of the day is told in which words, and the PDF of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from importlib.resources import files
from typing import Any, Final

import msgspec

from dudzian_daemon.adapters.report_charts import Curve, equity_chart, exposure_chart
from dudzian_daemon.adapters.typst_document import require_typesetting, typeset
from dudzian_daemon.app.daily_report.day import DailySummary, Day
from dudzian_daemon.domain.counts import decisions_text
from dudzian_daemon.domain.market import DAY_NS
from dudzian_daemon.domain.orders import RefusalCode
from dudzian_daemon.domain.refusals import MEANINGS
from dudzian_daemon.kernel.clock import iso_utc

_MOST_ROWS: Final = 60
#: How far back the charts go.
_CHART_DAYS: Final = 30
_TEMPLATE: Final = "report.typ"


class Table(msgspec.Struct, kw_only=True):
    """A table of the document: columns from 0 in `right` hold numbers, one whose width is `fill` takes the room that is left."""

    title: str
    columns: Sequence[str]
    widths: Sequence[str]
    right: Sequence[int]
    rows: Sequence[Sequence[str]]
    none: str
    about: str = ""
    more: str = ""


def pdf(day: Day, asset: str) -> bytes:
    """The PDF. Raises `ConfigError` where the extra is missing."""
    return _typeset(day, asset, "pdf")[0]


def pages(day: Day, asset: str) -> list[bytes]:
    """The same, a PNG for each page."""
    return _typeset(day, asset, "png")


def _typeset(day: Day, asset: str, form: Any) -> list[bytes]:
    require_typesetting("the PDF of the daily report")
    template = (files("dudzian_daemon.app.daily_report") / _TEMPLATE).read_bytes()
    span, since = (day.start, day.end), day.end - _CHART_DAYS * DAY_NS
    before = [value for instant, value in day.equity if instant < since]
    equity = [point for point in day.equity if point[0] >= since]
    exposure = [point for point in day.exposure if point[0] >= since]
    pictures = {
        "equity.svg": equity_chart(Curve(points=equity, day=span, asset=asset, highest=max(before, default=0.0))),
        "exposure.svg": exposure_chart(Curve(points=exposure, day=span, asset=asset)),
    }
    return typeset(template, content(day, asset), pictures, form=form)


def content(day: Day, asset: str) -> dict[str, Any]:
    """What the template shows."""
    summary = day.summary
    return {
        "title": f"Daily report {summary.artifact} {summary.report_date}",
        "subtitle": f"{summary.environment}, session {summary.log_id[:12]}, cycles {summary.first_sequence} to {summary.last_sequence}",
        "date": summary.report_date,
        "footer": f"journal line {summary.last_line_hash[:16]}, content chain {summary.content_chain[:16]}",
        "verdict": _verdict(day, asset),
        "figures": _figures(summary, asset),
        "tables": [
            _trades(day),
            _round_trips(day, asset),
            _positions(summary, asset),
            _refusals(day),
            _risk(day),
            _alerts(day),
            _quality(summary),
        ],
    }


def _verdict(day: Day, asset: str) -> dict[str, str]:
    summary = day.summary
    change = summary.closing_equity - summary.opening_equity
    sentences = [f"Equity {_signed(change)} {asset} ({_percent(change, summary.opening_equity)}), signals: {decisions_text(summary)}."]
    if summary.alerts.get("critical"):
        return {"tone": "bad", "head": f"{summary.alerts['critical']} critical alert(s).", "text": " ".join(sentences)}
    if summary.risk_events or summary.faults or summary.data_quality.gaps:
        told = [f"{summary.risk_events} risk event(s)", f"{summary.faults} strategy fault(s)", f"{summary.data_quality.gaps} data gap(s)"]
        return {"tone": "warn", "head": "Needs a look.", "text": f"{', '.join(told)}. {' '.join(sentences)}"}
    return {"tone": "good", "head": "An ordinary day.", "text": " ".join(sentences)}


def _figures(summary: DailySummary, asset: str) -> list[list[dict[str, str]]]:
    change = summary.closing_equity - summary.opening_equity
    tone = "good" if change > 0 else "bad" if change < 0 else "plain"
    exposure = summary.exposure
    quality = summary.data_quality
    return [
        [
            _figure("closing equity", _money(summary.closing_equity), f"{asset}, opened at {_money(summary.opening_equity)}"),
            _figure("change", _signed(change), _percent(change, summary.opening_equity), tone),
            _figure("deepest drawdown", f"{summary.max_drawdown * 100:.2f} %", "below the session's highest equity"),
            _figure("exposure at close", _money(exposure.closing), f"at most {_money(exposure.highest)}, {exposure.highest_share:.1%}"),
        ],
        [
            _figure("traded", _money(summary.traded_notional), f"{summary.fills:,} fills of {summary.orders:,} orders"),
            _figure("costs", _money(summary.fees_paid), f"fees; slippage {_money(summary.slippage_paid)}"),
            _figure("round trips", f"{summary.round_trips:,}", f"{summary.winners:,} with a profit, realised {_signed(summary.realised)}"),
            _figure("data", f"{quality.candles:,}", f"candles, {quality.gaps:,} gaps, {quality.data_refusals:,} refused as stale"),
        ],
    ]


def _figure(name: str, value: str, note: str, tone: str = "plain") -> dict[str, str]:
    return {"name": name, "value": value, "note": note, "tone": tone}


def _trades(day: Day) -> Table:
    fills = [line for line in day.ledger if line.get("fill_id")]
    rows = [
        [
            _time(line["timestamp"], day),
            line["strategy"],
            _symbol(line["symbol"]),
            line["side"],
            _short(line["quantity"]),
            _short(line["price"]),
            f"{Decimal(line['fee']):,.4f}",
            _signed(line["realised"]) if line["realised"] else "",
        ]
        for line in fills
    ]
    columns = ("time", "strategy", "instrument", "side", "quantity", "price", "fee", "realised")
    widths = ("auto", "fill", "auto", "auto", "auto", "auto", "auto", "auto")
    return _table("Trades", columns, rows, widths=widths, right=(4, 5, 6, 7), none="No trades.")


def _round_trips(day: Day, asset: str) -> Table:
    rows = [
        [
            iso_utc(trip.opened_at)[:16].replace("T", " "),
            iso_utc(trip.closed_at)[11:16],
            trip.strategy,
            _symbol(trip.instrument),
            "long" if trip.side == "buy" else "short",
            f"{trip.entry_price:,.6g}",
            f"{trip.exit_price:,.6g}",
            _signed(trip.profit),
        ]
        for trip in day.round_trips
    ]
    columns = ("opened", "closed", "strategy", "instrument", "side", "entry", "exit", f"profit, {asset}")
    widths = ("auto", "auto", "fill", "auto", "auto", "auto", "auto", "auto")
    return _table(
        "Closed round trips", columns, rows, widths=widths, right=(5, 6, 7), none="None was closed.", about="Profit is after fees."
    )


def _positions(summary: DailySummary, asset: str) -> Table:
    rows = [[each.strategy, _symbol(each.instrument), _short(each.quantity), _money(each.cost)] for each in summary.open_positions]
    columns = ("strategy", "instrument", "quantity", f"cost, {asset}")
    return _table("Open positions", columns, rows, widths=("fill", "auto", "auto", "auto"), right=(2, 3), none="None is open.")


def _refusals(day: Day) -> Table:
    counted: dict[tuple[str, str, str], list[str]] = {}
    for each in day.refusals:
        counted.setdefault((each["code"], each["strategy"], each["instrument"]), []).append(each["time"])
    rows = [
        [code, strategy, _symbol(instrument), str(len(times)), _time(times[0], day), _because(code)]
        for (code, strategy, instrument), times in counted.items()
    ]
    columns = ("code", "strategy", "instrument", "times", "first", "because")
    widths = ("auto", "auto", "auto", "auto", "auto", "fill")
    return _table("Refused by the risk gate", columns, rows, widths=widths, right=(3,), none="Nothing was refused.")


def _risk(day: Day) -> Table:
    rows = [[_time(each["time"], day), each["profile"], each["change"], each["rule"]] for each in day.risk_changes]
    told = [row for row in rows if row[2] != "day_rolled"]
    return _table(
        "Risk events", ("time", "profile", "change", "rule"), told, widths=("auto", "auto", "auto", "fill"), none="No limit tripped."
    )


def _alerts(day: Day) -> Table:
    rows = [
        [
            str(alert.get("created_at", ""))[11:19],
            str(alert["severity"]),
            str(alert.get("code", "")),
            str(alert.get("title") or alert.get("message") or ""),
        ]
        for alert in day.alerts
    ]
    columns = ("time", "severity", "code", "what")
    return _table("Alerts", columns, rows, widths=("auto", "auto", "auto", "fill"), none="None was raised.")


def _quality(summary: DailySummary) -> Table:
    quality = summary.data_quality
    rows = [[series, f"{bars:,}"] for series, bars in sorted(quality.missing_bars.items())]
    synthetic = f", {quality.synthetic_candles:,} of them made by a model" if quality.synthetic_candles else ""
    return _table(
        "Data quality",
        ("series", "bars missing"),
        rows,
        widths=("fill", "auto"),
        right=(1,),
        none="No bar was declared missing.",
        about=f"{quality.candles:,} candles{synthetic}; {quality.data_refusals:,} orders refused for want of a fresh price.",
    )


def _table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    widths: Sequence[str],
    none: str,
    right: Sequence[int] = (),
    about: str = "",
) -> Table:
    more = f"{len(rows) - _MOST_ROWS:,} more are in the package." if len(rows) > _MOST_ROWS else ""
    return Table(
        title=title,
        columns=columns,
        widths=widths,
        right=right,
        rows=rows[:_MOST_ROWS],
        none=none,
        about=about if rows or about else "",
        more=more,
    )


def _time(text: str, day: Day) -> str:
    """The hour of an instant of the day; what fell on the midnight that ends it is told with its date."""
    return text[11:19] if text[:10] == iso_utc(day.end - DAY_NS)[:10] else text[:16].replace("T", " ")


def _because(code: str) -> str:
    known: Mapping[RefusalCode, Any] = MEANINGS
    return str(known[RefusalCode(code)].because).replace("`", "")


def _symbol(key: str) -> str:
    venue, _, pair = key.partition(":")
    return f"{pair} ({venue})" if pair else key


def _short(value: Any) -> str:
    number = Decimal(str(value))
    text = f"{number.normalize():f}"
    return f"{number:,.4f}" if len(text.partition(".")[2]) > 8 else text


def _money(value: Decimal) -> str:
    return f"{value:,.2f}"


def _signed(value: Any) -> str:
    return f"{Decimal(str(value)):+,.2f}"


def _percent(part: Decimal, whole: Decimal) -> str:
    return f"{part / whole * 100:+.2f} %" if whole else "-"
