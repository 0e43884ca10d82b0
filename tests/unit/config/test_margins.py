"""A leverage that a maintenance margin would close at once is a fault of the configuration, named at its key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dudzian_daemon.config.load import load
from dudzian_daemon.domain.errors import ConfigError

Replaced = Callable[..., Path]


def faults(path: Path, **variables: str) -> list[str]:
    env = {f"DUDZIAN__{name}": value for name, value in variables.items()}
    try:
        load(path, env=env)
    except ConfigError as error:
        return str(error).splitlines()
    return []


def test_the_shipped_profiles_go_with_their_margins(folder: Path) -> None:
    assert faults(folder / "core.yaml", PAPER_TRADING__ALLOW_SHORT="true") == []
    assert faults(folder / "core.yaml", PAPER_TRADING__ALLOW_SHORT="true", PAPER_TRADING__DEFAULT_LEVERAGE="3") == []


@pytest.mark.parametrize(
    ("variables", "key", "found"),
    [
        ({"PAPER_TRADING__DEFAULT_LEVERAGE": "5"}, "paper_trading.default_leverage", "found 5"),
        ({"RISK_PROFILES__BALANCED__MAX_LEVERAGE": "5"}, "risk_profiles.balanced.max_leverage", "found 5"),
        ({"RISK_PROFILES__BALANCED__MAINTENANCE_MARGIN_PCT": "0.34"}, "risk_profiles.balanced.max_leverage", "found 3"),
    ],
)
def test_a_leverage_that_would_be_closed_at_once_is_named(folder: Path, variables: dict[str, str], key: str, found: str) -> None:
    told = faults(folder / "core.yaml", PAPER_TRADING__ALLOW_SHORT="true", **variables)
    assert any(key in line and found in line and "closed as soon as it opened" in line for line in told), told


def test_without_shorts_there_is_no_margin_to_meet(folder: Path) -> None:
    assert faults(folder / "core.yaml", PAPER_TRADING__DEFAULT_LEVERAGE="50") == []
