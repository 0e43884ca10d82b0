"""The session's report: what it adds up, where it is written, and its lines."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from dudzian_daemon.adapters.fold_marks import FoldFile
from dudzian_daemon.adapters.keychain import SigningKey
from dudzian_daemon.domain.counts import Counts
from dudzian_daemon.domain.money import exact_money
from dudzian_daemon.kernel.bus import Bus
from dudzian_daemon.sinks.reports import ReportSink, SessionReport, report_lines
from dudzian_daemon.testing.market import candles
from tests.unit.sinks.durable import follow, publish
from tests.unit.trading.desk import BTC, BTC_1H, Desk, desk, enter, hour, leave


def sink(bus: Bus, folder: Path) -> ReportSink:
    marks = FoldFile(folder, "report", Path("nowhere"), SigningKey(id="k", secret=b"k" * 32, source="test"))
    return ReportSink(follow(bus, "report"), marks, environment="demo", log_id="f" * 32, opening_equity=Decimal(10_000))


def traded() -> Desk:
    session = desk({hour(1): [enter(target=0.2)], hour(3): [leave()], hour(5): [enter(target=0.1)]})
    session.feed(candles(BTC_1H, [100.0] * 4 + [101.0] * 4))
    return session


async def test_it_is_written_with_counts_trips_and_what_is_held(tmp_path: Path) -> None:
    bus, counts = Bus(), Counts()
    report, records = sink(bus, tmp_path), traded().records
    publish(bus, records)
    with exact_money():
        for record in records:
            counts.add(record)
        await report.stop()
        await report.run()
    path = await report.write(tmp_path / "reports", "demo-f", ended="operator", content_chain="c" * 64)
    assert report.path == path == tmp_path / "reports" / "demo-f.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    assert {name: document[name] for name in ("signals", "groups", "closings", "approved", "fills", "bars")} == {
        "signals": 3,
        "groups": 3,
        "closings": 0,
        "approved": 3,
        "fills": 3,
        "bars": counts.bars,
    }
    assert [(trip["instrument"], trip["side"]) for trip in document["round_trips"]] == [(BTC.key, "buy")]
    assert [held["instrument"] for held in document["open_positions"]] == [BTC.key]
    assert document["schema"] == "dudzian.session_report/1"


def text(report: SessionReport, path: Path | None = None, width: int = 0) -> list[str]:
    return list(report_lines(report, path, width=width))


REPORT = SessionReport(
    environment="demo",
    log_id="f" * 32,
    ended="end_of_data",
    content_chain="c" * 64,
    opening_equity=Decimal(10_000),
    closing_equity=Decimal(10_100),
    cycles=5_165,
    signals=1_721,
    groups=1_382,
    closings=30,
    approved=880,
    adjusted=159,
    refused=373,
    refusal_codes={"max_signals": 7, "daily_loss_limit": 28, "position_limit": 181, "drawdown_limit": 98, "open_positions": 59},
)


def test_its_lines_say_where_it_is_and_how_the_figures_add_up(tmp_path: Path) -> None:
    lines = text(REPORT, tmp_path / "demo.json")
    assert lines[-1] == f"report        {tmp_path / 'demo.json'}"
    assert (
        "signals       1,721 in 1,382 groups (+ 30 closings by the core): 880 approved, 159 adjusted, 373 refused "
        "(daily_loss_limit 28, drawdown_limit 98, max_signals 7, open_positions 59, position_limit 181)"
    ) in lines


@pytest.mark.parametrize("width", [46, 80, 120])
def test_lines_are_wrapped_at_blanks(width: int) -> None:
    wrapped = text(REPORT, width=width)
    too_long = [line for line in wrapped if len(line) > width]
    assert too_long == ([f"{'':14}{'c' * 64}"] if width < 78 else []), "a hash is one word"
    words = [word for line in text(REPORT) for word in line.split()]
    assert [word for line in wrapped for word in line.split()] == words


def test_nothing_ends_in_a_blank() -> None:
    quiet = SessionReport(environment="demo", log_id="f" * 32, ended="operator", content_chain="c" * 64)
    assert [line for line in text(quiet) if line != line.rstrip()] == []
    assert "signals       0 in 0 groups: 0 approved, 0 adjusted, 0 refused" in text(quiet)
