"""The gate's known answers: with the shipped limits all are right, and a broken profile shows."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from dudzian_daemon.app import risk_sanity
from dudzian_daemon.app.precheck.gate import gate_sanity
from dudzian_daemon.config.load import load
from dudzian_daemon.config.schema import CoreConfig
from dudzian_daemon.domain.risk import RiskLimits
from dudzian_daemon.trading.spec import SessionSpec

CONFIG = Path(__file__).resolve().parents[4] / "config" / "core.yaml"


@pytest.fixture(scope="module")
def config() -> CoreConfig:
    return load(CONFIG, env={}).config


def changed(config: CoreConfig, profile: str, **fields: object) -> CoreConfig:
    profiles = {**config.risk_profiles, profile: msgspec.structs.replace(config.profile(profile), **fields)}
    return msgspec.structs.replace(config, risk_profiles=profiles)


def test_the_shipped_profiles_give_every_expected_answer(config: CoreConfig) -> None:
    found = gate_sanity(config, "binance_paper")
    assert (found.status, found.issues, found.warnings) == ("ok", (), ())
    assert sorted(found.checks) == ["aggressive", "balanced", "conservative"]
    answers = {each.name: each.found for each in found.checks["balanced"]}
    assert answers["tight_stop"] == "refused: stop_too_tight"
    assert answers["wide_stop"] == "approved, quantity 0.19000"
    assert answers["oversized_whole"].startswith("refused: ")
    assert found.observations["balanced.max_quantity"] == Decimal("0.2")  # 5 % of 120,000 at 30,000


def test_another_largest_quantity_than_worked_out_is_a_warning(config: CoreConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    def less(session: SessionSpec, rules: RiskLimits, distance: Decimal) -> Decimal:
        return Decimal("0.19") if rules.name == "balanced" else most(session, rules, distance)

    most = risk_sanity._most
    monkeypatch.setattr(risk_sanity, "_most", less)
    found = gate_sanity(config, "binance_paper")
    assert (found.status, found.issues, found.warnings) == ("warning", (), ("balanced: max_quantity_adjustment_differs",))


def test_a_broken_profile_is_an_error(config: CoreConfig) -> None:
    found = gate_sanity(changed(config, "balanced", max_open_positions=0), "binance_paper")
    assert found.status == "error"
    assert "balanced: wide_stop" in found.issues


@pytest.mark.parametrize(
    ("field", "code"),
    [
        ("target_volatility", "target_volatility_not_positive"),
        ("stop_loss_atr_multiple", "stop_multiple_not_positive"),
        ("max_position_pct", "max_position_pct_not_positive"),
    ],
)
def test_a_limit_of_nothing_is_a_warning(config: CoreConfig, field: str, code: str) -> None:
    found = gate_sanity(changed(config, "balanced", **{field: Decimal(0)}), "binance_paper")
    assert (found.status, found.issues, found.warnings) == ("warning", (), (f"balanced: {code}",))
