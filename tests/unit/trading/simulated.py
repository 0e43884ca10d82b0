"""What the gate would have approved, for tests of the simulated venue alone."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from dudzian_daemon.domain.orders import ApprovedGroup, Link, OrderGroup, OrderLeg, Outcome, Verdict
from dudzian_daemon.testing.market import START_NS


def approve(*legs: OrderLeg, number: int = 1, link: Link = "", **fields: Any) -> ApprovedGroup:
    """Group `g<number>` of these legs; its orders are `g<number>.0` and so on."""
    usual: dict[str, Any] = {
        "id": f"g{number}",
        "signal_id": f"s{number}",
        "strategy": "a",
        "schedule": "a-1h",
        "profile": "balanced",
        "instant": START_NS,
    }
    group = OrderGroup(legs=legs, link=link, **usual | fields)
    verdict = Verdict(
        group_id=group.id,
        signal_id=group.signal_id,
        profile=group.profile,
        outcome=Outcome.APPROVED,
        code=None,
        rule="cash",
        limit=Decimal(1),
        value=Decimal(0),
        headroom=Decimal(1),
        requested=legs[0].quantity,
        approved=legs[0].quantity,
    )
    return ApprovedGroup(group, group.legs, verdict)
