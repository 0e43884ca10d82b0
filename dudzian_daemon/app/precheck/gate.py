"""Is the gate sane under every risk profile that an environment uses? The reference orders are those of `app.risk_sanity`."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Final, Literal

import msgspec

from dudzian_daemon.app.risk_sanity import ATR, EQUITY, OVERSIZED_CHECK, PRICE, RiskSanity, SanityCheck, risk_sanity
from dudzian_daemon.app.session_spec import limits
from dudzian_daemon.config.schema import CoreConfig
from dudzian_daemon.domain.risk import RiskLimits

#: The gate clips an order to something else than was worked out: a person should look, nothing is unsafe about it by itself.
DIFFERS: Final = "max_quantity_adjustment_differs"


class GateSanity(msgspec.Struct, frozen=True, kw_only=True):
    """The answers by profile. `issues` are errors, `warnings` want a look; both are `profile: code`."""

    status: Literal["ok", "warning", "error"]
    issues: tuple[str, ...]
    warnings: tuple[str, ...]
    checks: dict[str, tuple[SanityCheck, ...]]
    observations: dict[str, Decimal]


def gate_sanity(config: CoreConfig, environment: str) -> GateSanity:
    """Ask the gate under the profile of the environment and of each of its schedules."""
    chosen = config.environment(environment)
    used = sorted({chosen.risk_profile, *(each.risk_profile for each in config.scheduler(chosen.scheduler).schedules.values())})
    lacking = {name: tuple(_lacking(limits(name, config.profile(name)))) for name in used}
    asked = [risk_sanity(config, environment, name) for name in used if not lacking[name]]
    issues = tuple(f"{each.profile}: {check.name}" for each in asked for check in _failed(each) if check.name != OVERSIZED_CHECK)
    warnings = [f"{name}: {code}" for name in used for code in lacking[name]]
    warnings += [f"{each.profile}: {DIFFERS}" for each in asked for check in _failed(each) if check.name == OVERSIZED_CHECK]
    return GateSanity(
        status="error" if issues else "warning" if warnings else "ok",
        issues=issues,
        warnings=tuple(warnings),
        checks={each.profile: each.checks for each in asked},
        observations={"equity": EQUITY, "price": PRICE, "atr": ATR} | {f"{each.profile}.max_quantity": each.max_quantity for each in asked},
    )


def _failed(found: RiskSanity) -> list[SanityCheck]:
    return [check for check in found.checks if not check.ok]


def _lacking(rules: RiskLimits) -> Iterator[str]:
    """Limits of 0: they allow nothing, so there is nothing to ask, and a person should look."""
    if rules.target_volatility <= 0:
        yield "target_volatility_not_positive"
    if rules.stop_loss_atr_multiple <= 0:
        yield "stop_multiple_not_positive"
    if rules.max_position_pct <= 0:
        yield "max_position_pct_not_positive"
