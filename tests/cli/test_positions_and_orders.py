"""`dudzian positions` and `dudzian orders`: what the last durable snapshot says, as a table and for programs."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from dudzian_daemon.adapters.platform import InstanceLock
from dudzian_daemon.cli.main import main

BTC = "binance:BTC/USDT"
ORDER = {
    "order_id": "m.0",
    "strategy": "manual",
    "instrument": BTC,
    "side": "buy",
    "kind": "limit",
    "quantity": "0.50",
    "filled": "0.1",
    "limit_price": "30000.0",
    "stop_price": None,
    "time_in_force": "gtc",
    "expires_at": None,
    "accepted_at": 5,
    "reduce_only": False,
    "dormant": False,
    "triggered": False,
}
SNAPSHOT: dict[str, Any] = {
    "environment": "demo",
    "log_id": "0" * 32,
    "pid": 1,
    "started_at": 0,
    "state": "running",
    "sequence": 7,
    "instant": 1_706_745_600_000_000_000,
    "positions": [
        {"strategy": "trend", "instrument": BTC, "quantity": "0.0250", "cost": "1000", "realised": "1.5"},
        {"strategy": "pair", "instrument": "binance:ETH/USDT", "quantity": "-2", "cost": "-4000", "realised": "0"},
    ],
    "prices": {BTC: 42000.5},
    "orders": [
        ORDER,
        ORDER | {"order_id": "m.1", "side": "sell", "kind": "stop", "stop_price": "29000", "limit_price": None, "dormant": True},
    ],
}


def command(*arguments: object) -> int:
    try:
        main([*map(str, arguments)])
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def write(folder: Path, document: dict[str, Any]) -> None:
    (folder / "run").mkdir(exist_ok=True)
    (folder / "run" / "status.json").write_text(json.dumps(document))


@pytest.mark.parametrize("name", ["positions", "orders"])
@pytest.mark.parametrize("watch", [(), ("--watch",)])
def test_where_none_ever_ran(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, watch: tuple[str, ...]) -> None:
    assert command(name, "--data-dir", tmp_path, *watch) == 2
    assert capsys.readouterr().err == f"dudzian: no daemon has run on {tmp_path} yet; start one with: dudzian run\n"


@pytest.mark.parametrize("name", ["positions", "orders"])
def test_a_snapshot_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    write(tmp_path, {"environment": 1})
    assert command(name, "--data-dir", tmp_path) == 2
    assert capsys.readouterr().err.startswith("dudzian: expected a status snapshot in ")


def test_positions_are_valued_where_there_is_a_price(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, SNAPSHOT)
    assert command("positions", "--data-dir", tmp_path) == 1
    assert capsys.readouterr().out.splitlines() == [
        "demo, cycle 7, 2024-02-01 00:00:00 UTC, not running; last snapshot",
        "instrument        strategy  quantity  average     last    value  unrealised  realised",
        "binance:BTC/USDT     trend     0.025    40000  42000.5  1050.01       50.01      1.50",
        "binance:ETH/USDT      pair        -2     2000        -        -           -      0.00",
    ]


def test_orders_as_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, SNAPSHOT)
    assert command("orders", "--data-dir", tmp_path) == 1
    assert capsys.readouterr().out.splitlines()[1:] == [
        "order        instrument  strategy  side   kind  quantity  filled  limit   stop    state",
        "m.0    binance:BTC/USDT    manual   buy  limit       0.5     0.1  30000      -     open",
        "m.1    binance:BTC/USDT    manual  sell   stop       0.5     0.1      -  29000  dormant",
    ]


def test_nothing_held_and_nothing_ordered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, SNAPSHOT | {"positions": [], "orders": []})
    assert [command(name, "--data-dir", tmp_path) for name in ("positions", "orders")] == [1, 1]
    assert capsys.readouterr().out.splitlines()[1::2] == ["no position is open", "no order is open"]


def test_for_programs_while_it_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, SNAPSHOT | {"pid": os.getpid()})
    lock = InstanceLock.acquire(tmp_path)
    try:
        assert command("positions", "--json", "--data-dir", tmp_path) == 0
        held = json.loads(capsys.readouterr().out)
        assert command("orders", "--json", "--data-dir", tmp_path) == 0
        ordered = json.loads(capsys.readouterr().out)
    finally:
        lock.release()
    assert (held["running"], held["sequence"], held["log_id"]) == (True, 7, "0" * 32)
    assert (held["positions"][0]["value"], held["positions"][0]["unrealised"]) == ("1050.01250", "50.01250")
    assert held["positions"][1]["last_price"] is None
    assert ordered["orders"][0] == ORDER
