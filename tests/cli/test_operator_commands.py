"""The operator's commands where no daemon runs, and what the prices given make of an order; real daemons are in tests/integration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dudzian_daemon.adapters.platform import InstanceLock
from dudzian_daemon.cli.asking import ask, order_arguments
from dudzian_daemon.cli.main import main
from dudzian_daemon.domain.errors import Retryable
from dudzian_daemon.sinks.risk_state import risk_state_path


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(each) for each in arguments])
    return int(ended.value.code or 0)


@pytest.mark.parametrize(
    "arguments",
    [
        ("order", "place", "BTC/USDT", "buy", "1"),
        ("order", "cancel", "x"),
        ("order", "close", "BTC/USDT"),
        ("risk", "what-if", "BTC/USDT", "buy", "1"),
        ("risk", "kill-switch", "on"),
        ("risk", "release-drawdown", "--profile", "balanced", "--operator", "jan", "--reason", "x"),
    ],
    ids=" ".join,
)
def test_where_none_runs(arguments: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*arguments, "--data-dir", tmp_path) == 2
    assert capsys.readouterr().err == f"dudzian: no daemon runs on {tmp_path}\n"
    assert list(tmp_path.iterdir()) == []


def test_a_pair_or_a_switch_that_does_not_exist(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("order", "place", "BTC/EUR", "buy", "1", "--data-dir", tmp_path) == 2
    assert run("risk", "kill-switch", "maybe", "--data-dir", tmp_path) == 2
    assert run("risk", "explain", "1", "--data-dir", tmp_path) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(";")[0] for line in lines] == [
        "dudzian: unknown instrument 'BTC/EUR'",
        "dudzian: kill-switch: expected on or off, found 'maybe'",
        "dudzian: no cycle 1 in session any of demo",
    ]


def test_one_that_does_not_answer(tmp_path: Path) -> None:
    lock = InstanceLock.acquire(tmp_path)
    try:
        with pytest.raises(Retryable, match=r"has not answered order_cancel within 0.1 s"):
            ask("order_cancel", {"order_id": "x"}, tmp_path, 0.1)
    finally:
        lock.release()


@pytest.mark.parametrize(
    ("prices", "kind"),
    [
        ({}, "market"),
        ({"limit_price": "1"}, "limit"),
        ({"stop_price": "1"}, "stop"),
        ({"limit_price": "1", "stop_price": "1"}, "stop_limit"),
    ],
)
def test_the_prices_make_the_kind(prices: dict[str, Any], kind: str) -> None:
    found = order_arguments("binance:BTC/USDT", "buy", "1", post_only=True, asset=None, **prices)
    assert (
        found
        == {"instrument": "binance:BTC/USDT", "side": "buy", "quantity": "1", "kind": kind, "time_in_force": "gtc", "post_only": "yes"}
        | prices
    )


def test_a_risk_state_that_nobody_left_or_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("show-risk-state", "--data-dir", tmp_path) == 2
    assert run("show-risk-state", "--environment", "demo", "--data-dir", tmp_path) == 2
    assert run("show-risk-state", "--environment", "nowhere", "--data-dir", tmp_path) == 2
    path = risk_state_path(tmp_path, "demo")
    path.parent.mkdir(parents=True)
    path.write_text('{"schema": "dudzian.risk_state/1", "sequence": "many"}')
    assert run("show-risk-state", "--environment", "demo", "--data-dir", tmp_path) == 2
    nobody, of_demo, unknown, rubbish = capsys.readouterr().err.splitlines()
    none_runs = f"dudzian: no daemon runs on {tmp_path}, and no session"
    assert nobody == f"{none_runs} has left a risk state there; start one with: dudzian run"
    assert of_demo == f"{none_runs} of environment 'demo' has left a risk state there; start one with: dudzian run"
    assert unknown.startswith("dudzian: unknown environment 'nowhere'")
    assert rubbish.startswith(f"dudzian: expected a risk state in {path}, found something else (")
