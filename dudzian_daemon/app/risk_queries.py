"""Questions to a running daemon that change nothing and are on no record: the gate's state, and what it would say to an order."""

from __future__ import annotations

from typing import Final

import msgspec

from dudzian_daemon.domain.market import Command
from dudzian_daemon.domain.money import exact_money
from dudzian_daemon.services.inbox import CommandFile
from dudzian_daemon.trading.operator import manual_group
from dudzian_daemon.trading.risk_view import account_view
from dudzian_daemon.trading.step import Core

QUERIES: Final = frozenset({"risk_state", "what_if"})


def answer(core: Core, command_id: str, command: CommandFile) -> str:
    """The answer as JSON: an `AccountView`, or the `Verdict` on the order that an `order_place` with these arguments would be."""
    with exact_money():
        if command.name == "risk_state":
            return msgspec.json.encode(account_view(core)).decode()
        asked = Command(core.instant + 1, command_id, "order_place", command.arguments)
        return msgspec.json.encode(core.gate.preview(manual_group(asked, core.spec, core.ledger))).decode()
