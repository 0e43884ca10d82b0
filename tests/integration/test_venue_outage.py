"""A venue of a live paper run goes away and comes back: one critical alert, one that says it is over, and a book with nothing left open."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.integration.daemon_process import dudzian
from tests.integration.live_paper import configured, market, start

pytestmark = pytest.mark.integration

#: Seconds of market time without an answer: three of the machine's, which is no pause that a busy one makes by itself.
LIMIT = 300


def told(home: Path, code: str) -> list[dict[str, Any]]:
    """What the channel has been given under a code."""
    path = home / "data" / "logs" / "alerts.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return [line for line in map(json.loads, lines) if line["code"] == code]


def test_an_outage_is_told_and_so_is_its_end(tmp_path: Path) -> None:
    home = tmp_path / "home"
    config = configured(home)
    alerts = f"version: 1\nalerts:\n  adapter_offline_seconds: {LIMIT}\n"
    (config.parent / "alerts.yaml").write_text(alerts, encoding="utf-8")
    with market() as venue:
        with start(home, venue, config) as child:
            child.wait_for_log('"event":"live"')
            venue.more("klines", 4)
            began = venue.clock.wall_ns()
            venue.exchange.fail("status", "/api/", times=1_000_000)
            child.wait_for_log('"code":"ADAPTER-OFFLINE"')
            seconds = (venue.clock.wall_ns() - began) / 1e9
            venue.exchange.faults.clear()
            child.wait_for_log('"active":false')
            venue.more("klines", 4)
            child.send(signal.SIGINT)
            ended = child.end()
        assert ended.code == 0, ended.err
    assert seconds >= LIMIT
    began_alert, over = told(home, "ADAPTER-OFFLINE")
    assert (began_alert["severity"], began_alert["subject"], began_alert.get("resolved", False)) == ("critical", "binance", False)
    assert (over["severity"], over["subject"], over["resolved"]) == ("info", "binance", True)
    assert began_alert["footer"].startswith("journal ")
    book = json.loads((home / "data" / "run" / "alerts.json").read_text(encoding="utf-8"))
    assert [each["state"] for each in book["alerts"] if each["alert"]["code"] == "ADAPTER-OFFLINE"] == ["closed"]


def test_what_a_killed_run_has_told_is_ended_by_the_next_one_once_the_venue_answers(tmp_path: Path) -> None:
    home = tmp_path / "home"
    config = configured(home)
    (config.parent / "alerts.yaml").write_text(f"version: 1\nalerts:\n  adapter_offline_seconds: {LIMIT}\n", encoding="utf-8")

    def states() -> list[str]:
        book = json.loads((home / "data" / "run" / "alerts.json").read_text(encoding="utf-8"))
        return [each["state"] for each in book["alerts"] if each["alert"]["code"] == "ADAPTER-OFFLINE"]

    with market() as venue:
        with start(home, venue, config) as child:
            child.wait_for_log('"event":"live"')
            venue.more("klines", 4)
            venue.exchange.fail("status", "/api/", times=1_000_000)
            child.wait_for_log('"code":"ADAPTER-OFFLINE"')
            for _ in range(20):  # until it is on disk: each turn takes as long as a command
                if states() or "ADAPTER-OFFLINE" in dudzian(home, "alerts", "list", "--data-dir", home / "data").out:
                    break
            psutil.Process(child.pid).kill()
            child.end()
        assert states() == ["open"]
        venue.exchange.faults.clear()
        with start(home, venue, config) as child:
            child.wait_for_log('"active":false')
            venue.more("klines", 4)
            child.send(signal.SIGINT)
            assert child.end().code == 0
    assert states() == ["closed"]
    assert [each.get("resolved", False) for each in told(home, "ADAPTER-OFFLINE")][-1]
