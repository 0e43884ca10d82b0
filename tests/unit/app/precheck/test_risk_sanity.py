"""The gate's known answers: with the shipped limits all are right, and a broken profile shows."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from dudzian_daemon.app.precheck.risk_sanity import largest_quantity, risk_sanity
from dudzian_daemon.app.session_spec import limits
from dudzian_daemon.config.load import load
from dudzian_daemon.config.schema import CoreConfig

CONFIG = Path(__file__).resolve().parents[4] / "config" / "core.yaml"


@pytest.fixture(scope="module")
def config() -> CoreConfig:
    return load(CONFIG, env={}).config


def changed(config: CoreConfig, profile: str, **fields: object) -> CoreConfig:
    profiles = {**config.risk_profiles, profile: msgspec.structs.replace(config.profile(profile), **fields)}
    return msgspec.structs.replace(config, risk_profiles=profiles)


def test_the_shipped_profiles_give_every_expected_answer(config: CoreConfig) -> None:
    found = risk_sanity(config, "binance_paper")
    assert (found.status, found.issues, found.warnings) == ("ok", (), ())
    assert sorted({each.profile for each in found.checks}) == ["aggressive", "balanced", "conservative"]
    answers = {each.name: each for each in found.checks if each.profile == "balanced"}
    assert answers["tight_stop_refused"].found == "refused: stop_too_tight"
    assert answers["wide_stop_accepted"].approved == Decimal("0.19")
    assert answers["oversize_blocked"].approved == 0
    # 5 % of 120,000 at 30,000
    assert answers["max_quantity"].approved == Decimal("0.2")


def test_the_risk_budget_can_be_the_tighter_limit(config: CoreConfig) -> None:
    tight = changed(config, "balanced", target_volatility=Decimal("0.0005"))
    # 0.05 % of 120,000 over a stop of 1.5 times 1.5 ATR of 150
    assert largest_quantity(tight, limits("balanced", tight.profile("balanced"))) == Decimal("0.17777")
    assert risk_sanity(tight, "binance_paper").status == "ok"


def test_a_broken_profile_is_an_error(config: CoreConfig) -> None:
    found = risk_sanity(changed(config, "balanced", max_open_positions=0), "binance_paper")
    assert found.status == "error"
    assert "balanced: wide_stop_accepted" in found.issues


@pytest.mark.parametrize(
    ("field", "code"),
    [
        ("target_volatility", "target_volatility_not_positive"),
        ("stop_loss_atr_multiple", "stop_multiple_not_positive"),
        ("max_position_pct", "max_position_pct_not_positive"),
    ],
)
def test_a_limit_of_nothing_is_a_warning(config: CoreConfig, field: str, code: str) -> None:
    found = risk_sanity(changed(config, "balanced", **{field: Decimal(0)}), "binance_paper")
    assert (found.status, found.issues, found.warnings) == ("warning", (), (f"balanced: {code}",))
