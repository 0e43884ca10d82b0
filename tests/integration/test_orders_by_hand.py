"""An operator beside a real daemon: orders by hand, what the gate sees, what it would say, why it said so, and its switches."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.integration.daemon_process import Ended, cycles, daemon, dudzian, journal_lines, write_config

pytestmark = pytest.mark.integration

#: A profile and a bucket that let an operator trade, where the shipped ones allow nothing.
OPEN_PROFILE = {
    "max_daily_loss_pct": "0.5",
    "max_position_pct": "0.05",
    "target_volatility": "0.1",
    "max_leverage": "1",
    "max_open_positions": "10",
    "hard_drawdown_pct": "0.5",
    "catastrophe_stop_pct": "0.9",
}
BUCKET = "manual_override: {symbols: [BTC_USDT, ETH_USDT], max_position_pct: 0, max_notional_usd: 0"


def open_config(home: Path, share: str = "0.05") -> Path:
    """The demo with a manual profile of its own, which allows positions of `share` of equity, all strategies together."""
    path = write_config(
        home,
        bucket=(BUCKET, BUCKET.replace("max_position_pct: 0, max_notional_usd: 0", f"max_position_pct: {share}, max_notional_usd: 5000")),
    )
    before, head, rest = path.read_text(encoding="utf-8").partition("  manual:\n")
    profile, tail, after = rest.partition("  unlimited_research:\n")
    for name, value in {**OPEN_PROFILE, "max_position_pct": share}.items():
        profile = profile.replace(f"    {name}: 0\n", f"    {name}: {value}\n")
    path.write_text(before + head + profile + tail + after, encoding="utf-8")
    return path


def test_orders_by_hand_end_to_end(tmp_path: Path) -> None:
    config = open_config(tmp_path)
    where, both = ("--data-dir", tmp_path / "data"), ("--data-dir", tmp_path / "data", "--config", config)

    def order(*arguments: object) -> Ended:
        return dudzian(tmp_path, "order", *arguments, *both, "--json")

    with daemon(tmp_path, "--config", config, "--speed", 20_000, "--no-ui") as child:
        child.err.wait_for('"state":"running"')
        asked = dudzian(tmp_path, "risk", "what-if", "BTC_USDT", "buy", "0.01", *both, "--json")
        assert (asked.code, json.loads(asked.out)["outcome"]) == (0, "approved")
        seen = json.loads(dudzian(tmp_path, "show-risk-state", *where, "--profile", "manual", "--json").out)
        assert [(each["profile"], each["state"], each["force_liquidation"]) for each in seen["profiles"]] == [("manual", "active", False)]
        assert (seen["gross_notional"], seen["reserved"], seen["kill_switch"]) == ("0", "0", False)  # what was asked reserved nothing

        bought = order("place", "BTC/USDT", "buy", "0.01", "--client-id", "mine")
        assert bought.code == 0
        again = order("place", "BTC/USDT", "buy", "0.02", "--client-id", "mine")
        assert (again.code, json.loads(again.out)["verdicts"][0]["code"]) == (1, "duplicate_order")
        refused = order("place", "BTC/USDT", "buy", "900")
        answer = json.loads(refused.out)
        assert (refused.code, answer["verdicts"][0]["code"]) == (1, "position_limit")
        assert order("cancel", "nothing").code == 2  # a cancel needs no configuration
        unknown = dudzian(tmp_path, "order", "cancel", "nothing", *where, "--json")
        assert (unknown.code, json.loads(unknown.out)["verdicts"][0]["code"]) == (1, "unknown_order")

        switched = dudzian(tmp_path, "risk", "kill-switch", "on", *where)
        assert (switched.code, switched.out.startswith("kill switch on, cycle ")) == (0, True)
        assert json.loads(order("place", "BTC/USDT", "buy", "0.011").out)["verdicts"][0]["code"] == "kill_switch"
        assert dudzian(tmp_path, "risk", "kill-switch", "off", *where).code == 0
        released = dudzian(tmp_path, "risk", "release-drawdown", "--profile", "balanced", "--operator", "jan", "--reason", "test", *where)
        assert (released.code, "not_latched" in released.out) == (1, True)
        wrong = dudzian(tmp_path, "show-risk-state", "--environment", "binance_paper", *both)
        assert (wrong.code, wrong.err.startswith("dudzian: the daemon there runs environment 'demo'")) == (2, True)
        child.send(signal.SIGTERM)
        assert child.end().code == 0

    why = dudzian(tmp_path, "risk", "explain", answer["sequence"], *both)
    assert (why.code, why.out.splitlines()[0].split()[0]) == (0, "refused")
    assert "because    position_limit: `max_position_pct` of equity, open orders counted" in why.out
    assert dudzian(tmp_path, "risk", "explain", 10**9, *both).code == 2
    recorded = [
        verdict["code"]
        for cycle in cycles(journal_lines(tmp_path / "data"))
        for verdict in cycle["verdicts"]
        if verdict["profile"] == "manual"
    ]
    assert recorded == [None, "duplicate_order", "position_limit", "unknown_order", "kill_switch"]


def test_every_kind_of_order_from_the_command_line(tmp_path: Path) -> None:
    """The replay is so slow that the last price stays the first one: BTC at 11,417.89."""
    config = open_config(tmp_path, share="0.5")
    where, both = ("--data-dir", tmp_path / "data"), ("--data-dir", tmp_path / "data", "--config", config)

    def place(*arguments: object) -> list[tuple[str, str, str, str]]:
        done = dudzian(tmp_path, "order", "place", "BTC/USDT", *arguments, *both, "--json")
        assert (done.code, done.err) == (0, ""), done.out
        results = json.loads(done.out)["results"]
        return [(each["order_id"], each["status"], each["side"], each["terms"]["kind"]) for each in results]

    with daemon(tmp_path, "--config", config, "--speed", 1, "--no-ui") as child:
        child.err.wait_for('"state":"running"')
        bracket = place("buy", "0.01", "--limit", 11_000, "--take-profit", 12_000, "--stop-loss", 10_800, "--post-only")
        pair = place("buy", "0.02", "--oco", "--limit", 11_000, "--stop", 12_000, "--stop-limit", 12_010)
        assert [told[1:] for told in (*bracket, *pair)] == [
            ("accepted", "buy", "limit"),
            ("accepted", "sell", "limit"),
            ("accepted", "sell", "stop"),
            ("accepted", "buy", "limit"),
            ("accepted", "buy", "stop_limit"),
        ]
        alone = {
            "take_profit": ("--kind", "take-profit", "--stop", 11_000),
            "trailing_stop": ("--trail", 50),
            "limit": ("--limit", 11_000, "--expires", "2099-01-01"),
            "stop": ("--stop", 12_000),
        }
        assert {kind: place("buy", "0.03", *prices)[0][1:] for kind, prices in alone.items()} == {
            kind: ("accepted", "buy", kind) for kind in alone
        }
        nothing = dudzian(tmp_path, "order", "place", "BTC/USDT", "sell", "0.01", "--reduce-only", "--trail", "50", *both)
        assert (nothing.code, "no_position" in nothing.out) == (1, True)
        assert dudzian(tmp_path, "order", "cancel", pair[0][0], *where).code == 0

        who = ("--operator", "jan", "--reason", "compared by hand", *where)
        assert dudzian(tmp_path, "risk", "state-unknown", "on", *who).out.startswith("state unknown on, cycle ")
        assert "state_unknown" in dudzian(tmp_path, "order", "place", "BTC/USDT", "buy", "0.01", *both).out
        assert dudzian(tmp_path, "risk", "state-unknown", "off", *who).out.startswith("state unknown off, cycle ")
        again = dudzian(tmp_path, "risk", "state-unknown", "off", *who)
        assert (again.code, again.out.startswith("state unknown not lifted: not_unknown")) == (1, True)
        child.send(signal.SIGTERM)
        assert child.end().code == 0
    assert (
        sum("compared by hand" in json.dumps(line["d"]["inputs"]) for line in journal_lines(tmp_path / "data") if "inputs" in line["d"])
        == 3
    )
    assert dudzian(tmp_path, "replay", "--verify", *both).code == 0
