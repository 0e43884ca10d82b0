"""Schedules of a live session that cannot decide yet: the venue, or the store, had less history than their strategies need."""

from __future__ import annotations

import sys
from typing import Final

from dudzian_daemon.domain import events
from dudzian_daemon.domain.market import HOUR_NS
from dudzian_daemon.kernel import logs
from dudzian_daemon.kernel.bus import Bus
from dudzian_daemon.kernel.clock import iso_utc
from dudzian_daemon.trading.strategy_host import StrategyHost

#: Who waits no longer than this is warm before anybody has looked: series of seconds have no history at any venue.
_SHORT_NS: Final = HOUR_NS


class ColdSchedules:
    """Tells of them once, as soon as the session has had its warm-up; each decides by itself when its candles have come."""

    def __init__(self, strategies: StrategyHost, bus: Bus) -> None:
        self._strategies = strategies
        self._told = False
        bus.subscribe(events.SESSION_STATE, self._on_state, name="cold_schedules")

    def _on_state(self, _topic: str, state: events.SessionState) -> None:
        if state.state != "running" or self._told:
            return
        self._told = True
        for schedule, need, seen in self._strategies.cold():
            series, step_ns = f"{need.series.instrument} {need.series.granularity}", need.series.step_ns
            warm_at = (state.instant // step_ns + need.warm_up - seen) * step_ns
            if warm_at - state.instant <= _SHORT_NS:
                continue
            earliest = iso_utc(warm_at)[:16].replace("T", " ")
            logs.logger("daemon").warning(
                "schedule_not_warm", action="wait", unit=schedule, series=series, needed=need.warm_up, seen=seen, earliest=earliest
            )
            lacking = f"expected {need.warm_up:,} candles of {series}, found {seen:,}"
            sys.stderr.write(f"dudzian: schedule {schedule} decides nothing before {earliest}: {lacking}\n")
