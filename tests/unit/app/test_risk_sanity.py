"""The risk sanity check: every shipped profile passes, a broken one does not, and the largest quantity is the right one."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from dudzian_daemon.app.risk_sanity import RiskSanity, risk_sanity
from dudzian_daemon.cli.main import main
from dudzian_daemon.config.load import load
from dudzian_daemon.domain.errors import ConfigError
from dudzian_daemon.trading.limits import PositionLimits


def checked(profile: str = "balanced", environment: str = "demo", **changes: str | int) -> RiskSanity:
    flags = {f"risk_profiles.{profile}.{name}": value for name, value in changes.items()}
    return risk_sanity(load(None, env={}, cli=flags).config, environment, profile)


@pytest.mark.parametrize(
    ("profile", "most"),
    [
        ("conservative", "0.12"),  # 3 % of 120,000 at 30,000
        ("balanced", "0.2"),
        ("aggressive", "0.4"),
    ],
)
def test_the_shipped_profiles_are_sane(profile: str, most: str) -> None:
    found = checked(profile)
    assert (found.risk_status, found.max_quantity) == ("ok", Decimal(most))
    assert [check.name for check in found.checks] == ["tight_stop", "wide_stop", "oversized", "oversized_whole"]
    assert found.checks[0].found == "refused: stop_too_tight"
    assert found.checks[2].found == f"adjusted: position_limit, quantity {found.max_quantity}"


def test_a_risk_budget_that_is_tighter_than_the_position_limit_decides() -> None:
    found = checked(target_volatility="0.0001")
    assert found.max_quantity == Decimal("0.03555")  # 12 at a distance of 337.5
    assert (found.risk_status, found.checks[2].found) == ("ok", "adjusted: risk_budget, quantity 0.03555")


@pytest.mark.parametrize(
    "broken", ["max_position_pct", "max_leverage", "stop_loss_atr_multiple", "target_volatility", "max_open_positions"]
)
def test_a_profile_that_allows_nothing_or_no_stop_is_an_error(broken: str) -> None:
    zero: dict[str, Any] = {broken: 0}
    assert checked(**zero).risk_status == "error"


def test_the_profile_of_orders_by_hand_may_allow_nothing() -> None:
    found = checked("manual")
    assert (found.risk_status, found.max_quantity, [check.name for check in found.checks]) == ("ok", Decimal(0), ["allows_nothing"])


def test_a_gate_that_clips_wrongly_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = PositionLimits._on_value
    monkeypatch.setattr(PositionLimits, "_on_value", lambda self, group, leg, limits: right(self, group, leg, limits)[1:])
    found = checked()
    assert (found.risk_status, [check.ok for check in found.checks]) == ("error", [True, True, False, False])


def test_the_command_tells_each_check_and_exits_by_the_verdict(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["risk", "sanity", "--environment", "paper_binance", "--json"])
    assert (ended.value.code, json.loads(capsys.readouterr().out)["risk_status"]) == (0, "ok")
    with pytest.raises(SystemExit) as ended:
        main(["risk", "sanity", "--profile", "foo"])
    assert ended.value.code == 2
    assert "unknown risk profile 'foo'; known: " in capsys.readouterr().err
    with pytest.raises(ConfigError, match="unknown environment"):
        checked(environment="nowhere")
