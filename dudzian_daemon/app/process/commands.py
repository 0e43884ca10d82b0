"""What the daemon does about each command of the inbox: every one that changes the session becomes an input on the record."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from dudzian_daemon.app.bootstrap import Assembly
from dudzian_daemon.app.process.ending import SessionEnd
from dudzian_daemon.app.risk_queries import QUERIES, answer
from dudzian_daemon.domain.errors import ConfigError
from dudzian_daemon.services.inbox import CommandFile, Reply
from dudzian_daemon.sinks.alerts.book import AlertState
from dudzian_daemon.trading.operator import OPERATOR_COMMANDS
from dudzian_daemon.trading.strategy_host import QUARANTINED, SUSPENDED

#: Commands about alerts, which are no part of the session: no input, no cycle.
ALERTS: Final[Mapping[str, AlertState]] = MappingProxyType({"alert_ack": "acknowledged", "alert_close": "closed"})
KNOWN: Final = tuple(sorted({"close_positions", "resume", "session_close", "stop", "suspend", *ALERTS, *OPERATOR_COMMANDS, *QUERIES}))


class Commands:
    """Obeys what the inbox let through."""

    def __init__(self, end: SessionEnd, assembly: Assembly) -> None:
        self._end = end
        self._assembly = assembly

    async def obey(self, command_id: str, command: CommandFile) -> Reply:
        """The reply, once what was done is durable."""
        if command.name in ("stop", "session_close"):
            keep = command.arguments.get("close_positions", "yes") != "yes"
            closes = command.name == "session_close"
            self._end.ask(f"{command.name} command", by_operator=True, keep_positions=keep, closes=closes)
            await self._end.recorded.wait()
            return Reply(command_id, accepted=True, detail="stopping", sequence=self._assembly.core.sequence)
        refusal = self._refusal(command)
        if refusal is not None:
            return Reply(command_id, accepted=False, detail=refusal)
        if command.name in ALERTS:
            return self._change_alert(command_id, command)
        if command.name in QUERIES:
            detail = answer(self._assembly.core, command_id, command)
            return Reply(command_id, accepted=True, detail=detail, sequence=await self._assembly.session.settled())
        arguments = command.arguments
        if command.name == "close_positions":
            arguments = {"close_positions": "yes", **arguments}
        elif command.name in ("suspend", "resume"):
            arguments = {"strategy": arguments["strategy"], "reason": "operator"}
        sequence = await self._assembly.session.command(command_id, command.name, arguments)
        return Reply(command_id, accepted=True, detail=f"{command.name} done", sequence=sequence)

    def _change_alert(self, command_id: str, command: CommandFile) -> Reply:
        """Acknowledge or close: the alerts' own book keeps it, and who did it."""
        arguments = command.arguments
        try:
            changed = self._assembly.alerts.change(
                arguments.get("id", ""), ALERTS[command.name], operator=arguments.get("operator", ""), note=arguments.get("note", "")
            )
        except ConfigError as error:
            return Reply(command_id, accepted=False, detail=str(error))
        return Reply(command_id, accepted=True, detail=changed.id)

    def _refusal(self, command: CommandFile) -> str | None:
        if command.name == "kill_switch" and command.arguments.get("on") not in ("yes", "no"):
            return f"kill_switch: expected on=yes or on=no, found {command.arguments}"
        if command.name in ("suspend", "resume"):
            return self._strategy_refusal(command.name, command.arguments.get("strategy", ""))
        return None if command.name in KNOWN else f"unknown command {command.name!r}; known: {', '.join(KNOWN)}"

    def _strategy_refusal(self, name: str, strategy: str) -> str | None:
        core = self._assembly.core
        if strategy not in core.spec.strategies:
            return f"unknown strategy {strategy!r}; this session runs {', '.join(sorted(core.spec.strategies))}"
        if core.sequence == 0:
            return f"{name}: the session has had no input yet; ask again when it runs"
        inactive = core.strategies.inactive.get(strategy)
        if name == "resume":
            return None if inactive else f"strategy {strategy!r} is running already"
        if inactive == QUARANTINED:
            return f"strategy {strategy!r} is quarantined, which is more than suspended"
        return f"strategy {strategy!r} is suspended already" if inactive == SUSPENDED else None
