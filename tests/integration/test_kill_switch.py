"""The kill switch from outside a real daemon: by HTTP with a token, by SIGUSR1, and what is left of it after kill -9."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from dudzian_daemon.sinks.risk_state import risk_state_path
from tests.integration.daemon_process import Child, cycles, daemon, dudzian, journal_lines, session_folder
from tests.integration.http_of_daemon import TOKEN, VARIABLE, port, post, pressed, scrape
from tests.integration.test_orders_by_hand import open_config

assert sys.platform != "win32", "SIGUSR1 and FIFOs as POSIX has them"

pytestmark = pytest.mark.integration


def config_for_low_orders(home: Path) -> Path:
    """The demo from a month on before whose end trend buys again, in which an operator may trade, and order far from the market."""
    config = open_config(home, share="0.5")
    text = config.read_text(encoding="utf-8")
    assert "price_collar_bps: 1000" in text
    assert "start: 2020-10-15" in text
    text = text.replace("start: 2020-10-15", "start: 2020-12-20").replace("price_collar_bps: 1000", "price_collar_bps: 9000")
    config.write_text(text, encoding="utf-8")
    return config


def trading(home: Path, config: Path, env: Mapping[str, str] | None = None, *more: str, speed: int = 300_000) -> Child:
    """A daemon whose session lasts, unless it is said otherwise, a minute."""
    return daemon(home, "--config", config, "--speed", speed, "--no-ui", *more, env=env)


def order(home: Path, *arguments: object, config: Path | None = None) -> tuple[int, dict[str, Any]]:
    options = ("--data-dir", home / "data", "--json", *(() if config is None else ("--config", config)))
    done = dudzian(home, "order", *arguments, *options)
    return done.code, json.loads(done.out)


def resting_order(home: Path, config: Path) -> str:
    """Id of an order by hand far below the market."""
    code, answer = order(home, "place", "BTC/USDT", "buy", "0.01", "--limit", "9000", config=config)
    assert (code, [each["code"] for each in answer["verdicts"]]) == (0, [None])
    return str(answer["results"][0]["order_id"])


def wait_for_a_strategy_to_be_refused(child: Child) -> None:
    while '"strategy":"manual"' in child.err.wait_for('"code":"kill_switch"'):
        pass


def assert_stopped(home: Path, sequence: int, resting: str) -> None:
    """From the cycle of the switch on nothing opens and a cancel passes, and the record says by whom it was switched."""
    recorded = cycles(journal_lines(home / "data"))
    after = [cycle for cycle in recorded if cycle["sequence"] > sequence]
    verdicts = [verdict for cycle in after for verdict in cycle["verdicts"]]
    hand = [verdict for verdict in verdicts if verdict["profile"] == "manual"]
    assert [(verdict["outcome"], verdict["code"]) for verdict in hand] == [("refused", "kill_switch"), ("approved", None)]
    assert hand[-1]["group_id"] == resting
    accepted = [result for cycle in after for result in cycle["results"] if result["status"] == "accepted"]
    reducing = {signal["id"] for cycle in after for signal in cycle["signals"] if signal["intent"] == "exit"}
    assert {result["signal_id"] for result in accepted} <= reducing | {""}
    assert {verdict["code"] for verdict in verdicts if verdict["profile"] != "manual" and verdict["signal_id"] not in reducing | {""}} == {
        "kill_switch"
    }


def test_by_http_new_orders_stop_at_the_cycle_of_the_answer_and_cancels_pass(tmp_path: Path) -> None:
    config = config_for_low_orders(tmp_path)
    with trading(tmp_path, config, {VARIABLE: TOKEN}) as child:
        child.err.wait_for('"state":"running"')
        resting = resting_order(tmp_path, config)
        where = port(tmp_path)
        assert [post(where, token)[0] for token in (None, "", TOKEN[:-1], TOKEN + "x", "\xfc" * 20)] == [401] * 5
        assert post(where, Host="evil.example")[0] == 421
        assert post(where, Origin="http://evil.example")[0] == 403
        assert dudzian(tmp_path, "status", "--json", "--data-dir", tmp_path / "data").code == 0

        answer = pressed(tmp_path)
        code, refused = order(tmp_path, "place", "BTC/USDT", "buy", "0.011", config=config)
        assert (code, refused["verdicts"][0]["code"]) == (1, "kill_switch")
        assert order(tmp_path, "cancel", resting)[0] == 0
        wait_for_a_strategy_to_be_refused(child)
        figures = scrape(where)
        child.send(signal.SIGTERM)
        ended = child.end()
        assert ended.code == 0
    assert_stopped(tmp_path, answer["sequence"], resting)
    assert TOKEN not in ended.err + ended.out
    assert figures["dudzian_kill_switch"] == 1.0
    assert figures['dudzian_orders_rejected_total{code="kill_switch",strategy="manual"}'] == 1.0
    assert figures['dudzian_orders_total{status="cancelled",strategy="manual"}'] == 1.0
    assert figures['dudzian_http_refused_total{reason="token",server="metrics_http"}'] == 5.0
    assert figures['dudzian_liquidation_state{profile="manual"}'] == 0.0
    assert figures['dudzian_risk_state{profile="manual",state="halted"}'] == 1.0
    (switched,) = [
        cycle for cycle in cycles(journal_lines(tmp_path / "data")) if any(each["change"] == "kill_switch" for each in cycle["risk"])
    ]
    assert switched["sequence"] == answer["sequence"]
    assert switched["inputs"][-1][2:] == [answer["id"], "kill_switch", {"on": "yes", "reason": "http"}]


def test_by_signal_new_orders_stop_at_its_cycle_and_cancels_pass(tmp_path: Path) -> None:
    config = config_for_low_orders(tmp_path)
    with trading(tmp_path, config) as child:
        child.err.wait_for('"state":"running"')
        resting = resting_order(tmp_path, config)
        status, answer = post(port(tmp_path))
        assert (status, answer["accepted"]) == (503, False)
        assert "DUDZIAN_KILL_SWITCH_TOKEN" in answer["detail"]
        child.send(signal.SIGUSR1)
        child.err.wait_for('"action":"kill_switch"')
        code, refused = order(tmp_path, "place", "BTC/USDT", "buy", "0.011", config=config)
        assert (code, refused["verdicts"][0]["code"]) == (1, "kill_switch")
        assert order(tmp_path, "cancel", resting)[0] == 0
        wait_for_a_strategy_to_be_refused(child)
        child.send(signal.SIGTERM)
        assert child.end().code == 0
    (switched,) = [
        cycle for cycle in cycles(journal_lines(tmp_path / "data")) if any(each["change"] == "kill_switch" for each in cycle["risk"])
    ]
    assert switched["inputs"][-1][3:] == ["kill_switch", {"on": "yes", "reason": "SIGUSR1"}]
    assert_stopped(tmp_path, switched["sequence"], resting)


def test_a_signal_during_the_start_is_obeyed_before_the_first_entry(tmp_path: Path) -> None:
    with daemon(tmp_path, "--speed", "max", "--no-ui", faults="run.assemble=pause") as child:
        child.wait_for_point("run.assemble")
        child.send(signal.SIGUSR1)
        child.go_on()
        child.err.wait_for('"action":"kill_switch"')
        child.err.wait_for('"state":"running"')
        child.send(signal.SIGTERM)
        assert child.end().code == 0
    recorded = cycles(journal_lines(tmp_path / "data"))
    at = next(number for number, cycle in enumerate(recorded) if cycle["risk"])
    assert [change["change"] for change in recorded[at]["risk"]] == ["kill_switch"]
    assert not any(cycle["signals"] for cycle in recorded[:at])
    assert not any(result["status"] == "accepted" for cycle in recorded for result in cycle["results"])


def test_the_switch_survives_a_kill_and_the_last_known_state_is_told(tmp_path: Path) -> None:
    config = open_config(tmp_path)
    where = ("--data-dir", tmp_path / "data")
    with trading(tmp_path, config, {VARIABLE: TOKEN}, speed=20_000) as child:
        child.err.wait_for('"state":"running"')
        pressed(tmp_path)
        watched = json.loads(dudzian(tmp_path, "show-risk-state", *where, "--json").out)
        assert watched["kill_switch"] is True
        child.send(signal.SIGKILL)
        child.end()
    first = session_folder(tmp_path / "data").name
    shown = dudzian(tmp_path, "show-risk-state", *where)
    lines = shown.out.splitlines()
    assert (shown.code, lines[0].startswith("daemon       not running; last known at ")) == (1, True)
    assert lines[1].startswith(f"session      demo {first}, event time ")
    assert lines[2].startswith("account      kill switch on, cycle ")
    document = json.loads(dudzian(tmp_path, "show-risk-state", *where, "--profile", "balanced", "--json").out)
    assert [each["profile"] for each in document["profiles"]] == ["balanced"]
    assert [each["profile"] for each in document["last_known"]["profiles"]] == ["balanced"]
    assert dudzian(tmp_path, "show-risk-state", *where, "--profile", "nobody").code == 2

    for fresh, damage, reason in ((), None, "http"), (("--fresh",), None, "carried_over"), (("--fresh",), b"{", "risk_state_unreadable"):
        if damage is not None:
            risk_state_path(tmp_path / "data", "demo").write_bytes(damage)
            broken = dudzian(tmp_path, "show-risk-state", *where)
            assert (broken.code, broken.err.count("\n")) == (2, 1)
        with trading(tmp_path, config, None, *fresh, speed=20_000) as child:
            child.err.wait_for('"state":"running"')
            code, refused = order(tmp_path, "place", "BTC/USDT", "buy", "0.01", config=config)
            assert (code, refused["verdicts"][0]["code"]) == (1, "kill_switch")
            child.send(signal.SIGTERM)
            ended = child.end()
        (told,) = [line for line in ended.err.splitlines() if line.endswith("nothing opens before: dudzian risk kill-switch off")]
        newest = max((tmp_path / "data" / "data" / "journal" / "demo").iterdir(), key=lambda folder: folder.stat().st_mtime_ns)
        opening = next(json.loads(line)["d"] for line in (next(newest.glob("*.jsonl"))).read_text().splitlines() if '"kill_switch"' in line)
        assert opening["inputs"][-1][4] == {"on": "yes", "reason": reason}, told
        assert (newest.name == first) is (not fresh)  # which goes on, with what its journal says of the switch
