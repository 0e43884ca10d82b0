"""What lives inside the step and has a state of its own, gate, simulator and strategies, as units beside the services."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from dudzian_daemon.domain import events
from dudzian_daemon.domain.records import RiskChange, StrategyChange
from dudzian_daemon.kernel import logs
from dudzian_daemon.kernel.bus import Bus
from dudzian_daemon.kernel.service import ServiceState, UnitRegistry
from dudzian_daemon.trading.step import Core

_GATE: Final = {"active": ServiceState.RUNNING, "reducing": ServiceState.REDUCING, "halted": ServiceState.HALTED}
_INACTIVE: Final = {"suspended": ServiceState.SUSPENDED, "quarantined": ServiceState.QUARANTINED}


class PassiveUnits:
    """Keeps their states as the bus tells of them."""

    def __init__(self, units: UnitRegistry, bus: Bus) -> None:
        self._units = units
        self._bus = bus
        self._log = logs.logger("daemon")

    def add(self, core: Core) -> None:
        """All of a core, as they are now; from here on the bus moves them."""
        units: dict[str, list[str]] = {}
        for unit in (unit for each in core.strategies.units.values() for unit in each):
            units.setdefault(unit.schedule.strategy, []).append(f"strategy:{unit.name}")
        for name in ("risk_gate", "paper_execution", *(name for names in units.values() for name in names)):
            self._units.add(name)
            self._units.set(name, ServiceState.RUNNING)
        for strategy, why in core.strategies.inactive.items():
            for name in units.get(strategy, ()):
                self._units.set(name, _INACTIVE[why], why)
        for profile in core.gate.states:
            state = core.gate.state(profile)
            if state != "active":
                self._units.set("risk_gate", _GATE[state], profile)
        self._bus.subscribe(events.RISK_STATE, self._on_risk, name="units")
        self._bus.subscribe(events.STRATEGY_STATE, partial(self._on_strategy, units), name="units.strategies")

    def _on_risk(self, _topic: str, change: RiskChange) -> None:
        self._log.warning("risk", action=change.change, profile=change.profile, state=change.state, rule=change.rule)
        self._units.set("risk_gate", _GATE[change.state], "" if change.state == "active" else f"{change.profile}: {change.rule}")

    def _on_strategy(self, units: Mapping[str, Sequence[str]], _topic: str, change: StrategyChange) -> None:
        self._log.warning("strategy", action=change.change, strategy=change.strategy, reason=change.reason)
        for name in units[change.strategy]:
            self._units.set(name, _INACTIVE.get(change.change, ServiceState.RUNNING), "" if change.change == "resumed" else change.reason)
