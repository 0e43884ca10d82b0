"""What commands show beside a running daemon: the last durable state, and never what a crash could take back."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.integration.daemon_process import LAST_LINE, Child, cycles, daemon, dudzian, journal_lines, short_config
from tests.integration.test_orders_by_hand import open_config

pytestmark = pytest.mark.integration


def shown(home: Path, *arguments: object) -> Any:
    return json.loads(dudzian(home, *arguments, "--json", "--data-dir", home / "data").out)


def sequences(home: Path) -> dict[str, int]:
    """The newest cycle that each reader knows of."""
    listed = dudzian(home, "cycles", "-n", 1, "--json", "--data-dir", home / "data", "--config", home / "config" / "core.yaml")
    documents = {name: shown(home, name) for name in ("status", "positions", "orders")}
    newest = json.loads(listed.out)
    return {name: document["sequence"] for name, document in documents.items()} | {
        "cycles": newest[-1]["cycle"]["sequence"] if newest else 0
    }


@pytest.mark.parametrize("point", ["journal.fsync", "journal.release"])
def test_what_is_written_and_not_synced_is_shown_to_nobody(tmp_path: Path, point: str) -> None:
    """The sync hangs while the core has run ahead and the lines are in the file: a power cut could still take them."""
    with daemon(tmp_path, "--config", short_config(tmp_path), "--speed", "max", faults=f"{point}=pause@3;status.renamed=trace") as child:
        for _ in range(3):
            child.wait_for_point(point)
        for _ in range(2):  # snapshots that were written since
            child.wait_for_point("status.renamed")
        seen = sequences(tmp_path)
        written = cycles(journal_lines(tmp_path / "data"))[-1]["sequence"]
        child.go_on()
        assert child.end().code == 0
    assert len(set(seen.values())) == 1, seen
    assert 0 < seen["status"] < written


def test_open_orders_and_positions_come_and_go_with_their_cycles_and_survive_a_restart(tmp_path: Path) -> None:
    config = open_config(tmp_path)
    both = ("--data-dir", tmp_path / "data", "--config", config)

    def place(*arguments: object) -> None:
        ended = dudzian(tmp_path, "order", "place", *arguments, *both)
        assert ended.code == 0, ended

    def started() -> Child:
        child = daemon(tmp_path, "--config", config, "--speed", 60_000, "--no-ui")
        child.err.wait_for('"state":"running"')
        return child

    with started() as child:
        place("BTC/USDT", "buy", "0.01")
        place("BTC/USDT", "buy", "0.01", "--limit", "10400")
        with Child(tmp_path, "positions", "--watch", "--json", "--data-dir", tmp_path / "data") as watching:
            watching.wait_for_line('"strategy":"manual"')  # the market order has met its open
            watching.send(signal.SIGINT)
            assert watching.end().code == 0
        with Child(tmp_path, "orders", "--watch", "--json", "--data-dir", tmp_path / "data") as watching:
            first = json.loads(watching.wait_for_line('"limit_price":"10400"'))
            watching.send(signal.SIGINT)
            assert watching.end().code == 0
        child.send(signal.SIGTERM)
        assert child.end().last_line == LAST_LINE
    (order,) = first["orders"]
    assert (order["side"], order["kind"], order["quantity"], order["strategy"]) == ("buy", "limit", "0.01", "manual")
    kept = shown(tmp_path, "orders")
    assert (kept["running"], kept["orders"]) == (False, [order])
    (held,) = [each for each in shown(tmp_path, "positions")["positions"] if each["strategy"] == "manual"]
    assert held["quantity"] == "0.01" and held["last_price"] is not None

    with started() as child:
        again = shown(tmp_path, "orders")
        assert (again["running"], again["orders"]) == (True, [order])
        cancelled = dudzian(tmp_path, "order", "cancel", order["order_id"], "--data-dir", tmp_path / "data", "--json")
        assert cancelled.code == 0
        with Child(tmp_path, "orders", "--watch", "--json", "--data-dir", tmp_path / "data") as watching:
            watching.wait_for_line('"orders":[]')
            child.send(signal.SIGTERM)
            assert watching.end().code == 1
        assert child.end().code == 0
