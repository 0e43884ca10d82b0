"""The operator's commands where no daemon runs, and what the prices given make of an order; real daemons are in tests/integration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dudzian_daemon.adapters.platform import InstanceLock
from dudzian_daemon.cli.asking import ask
from dudzian_daemon.cli.main import main
from dudzian_daemon.cli.order_arguments import order_arguments
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
        ("risk", "state-unknown", "off", "--operator", "jan", "--reason", "x"),
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
    assert run("risk", "state-unknown", "maybe", "--operator", "jan", "--reason", "x", "--data-dir", tmp_path) == 2
    assert run("risk", "explain", "1", "--data-dir", tmp_path) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(";")[0] for line in lines] == [
        "dudzian: unknown instrument 'BTC/EUR'",
        "dudzian: kill-switch: expected on or off, found 'maybe'",
        "dudzian: state-unknown: expected on or off, found 'maybe'",
        "dudzian: no cycle 1 in any session of demo",
    ]


def test_one_that_does_not_answer(tmp_path: Path) -> None:
    lock = InstanceLock.acquire(tmp_path)
    try:
        with pytest.raises(Retryable, match=r"has not answered order_cancel within 0.1 s"):
            ask("order_cancel", {"order_id": "x"}, tmp_path, 0.1)
    finally:
        lock.release()


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({}, "market"),
        ({"limit_price": "1"}, "limit"),
        ({"stop_price": "1"}, "stop"),
        ({"limit_price": "1", "stop_price": "1"}, "stop_limit"),
        ({"trail": "1"}, "trailing_stop"),
        ({"trail": "1", "stop_price": "1"}, "trailing_stop"),
        ({"kind": "take-profit", "stop_price": "1"}, "take_profit"),
        ({"kind": "take-profit", "stop_price": "1", "limit_price": "1"}, "take_profit"),
    ],
)
def test_the_prices_make_the_kind(given: dict[str, Any], kind: str) -> None:
    found = order_arguments("binance:BTC/USDT", "buy", "1", reduce_only=True, asset=None, **given)
    wish = {"instrument": "binance:BTC/USDT", "side": "buy", "quantity": "1", "time_in_force": "gtc", "reduce_only": "yes"}
    assert found == wish | given | {"kind": kind}


def test_two_prices_of_which_one_ends_the_other_and_a_time_at_which_both_end() -> None:
    prices: dict[str, Any] = {"limit_price": "2", "stop_price": "1", "stop_limit_price": "0.9"}
    found = order_arguments("binance:BTC/USDT", "sell", "1", oco=True, expires="2024-01-01T01:00+01:00", **prices)
    told = {"link": "oco", "time_in_force": "gtd", "expires_at": "1704067200000000000"}
    assert found == {"instrument": "binance:BTC/USDT", "side": "sell", "quantity": "1"} | prices | told


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (("hold", "1"), "side: expected one of buy, sell, found 'hold'"),
        (("buy", "much"), "quantity: expected a number above 0, found 'much'"),
        (("buy", "0"), "quantity: expected a number above 0, found '0'"),
        (("buy", "0", "--value", "NaN"), "value: expected a number above 0, found 'NaN'"),
        (("buy", "1", "--limit", "abc"), "limit_price: expected a number above 0, found 'abc'"),
        (("buy", "1", "--kind", "take-profit"), "a take_profit order needs a stop_price"),
        (("buy", "1", "--time-in-force", "gtd"), "a gtd order needs expires_at, and no other has it"),
        (
            ("buy", "1", "--limit", "1", "--time-in-force", "fok", "--expires", "2030-01-01"),
            "a gtd order needs expires_at, and no other has it",
        ),
        (("buy", "1", "--expires", "noon"), "--expires: expected a time such as 2026-11-27T12:00Z, found 'noon'"),
        (("sell", "1", "--oco", "--limit", "5"), "an oco needs both prices, --limit and --stop"),
        (("sell", "1", "--oco", "--limit", "5", "--stop", "6"), "expected limit_price above stop_price, found 5 and 6"),
        (
            ("sell", "1", "--oco", "--limit", "5", "--stop", "4", "--trail", "1"),
            "an oco is a limit order and a stop; it has no --kind, --trail or --post-only",
        ),
        (
            ("sell", "1", "--stop", "5", "--stop-limit", "4"),
            "--stop-limit is the limit of an oco's stop; a stop-limit order of its own has --stop and --limit",
        ),
    ],
)
def test_an_order_that_makes_no_sense_is_not_sent(
    wrong: tuple[str, ...], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("order", "place", "binance:BTC/USDT", *wrong, "--data-dir", tmp_path) == 2
    assert capsys.readouterr().err == f"dudzian: order: {told}\n"


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
    assert of_demo == f"{none_runs} of environment 'demo' has left a risk state there; start one with: dudzian run --environment demo"
    assert unknown.startswith("dudzian: unknown environment 'nowhere'")
    assert rubbish.startswith(f"dudzian: expected a risk state in {path}, found something else (")
