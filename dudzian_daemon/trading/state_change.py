"""The state of a session told to a core of another spec: what fits is kept as it is, what is new begins now."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import msgspec

from dudzian_daemon.domain.fees import MODEL, ExecutionPreset
from dudzian_daemon.domain.risk import ProfileState
from dudzian_daemon.trading.driver import Driver
from dudzian_daemon.trading.spec import MANUAL, SessionSpec
from dudzian_daemon.trading.state import SessionState
from dudzian_daemon.trading.strategy_host import HostMemory
from dudzian_daemon.trading.strategy_unit import UnitMemory


def homeless(state: SessionState, spec: SessionSpec) -> list[str]:
    """Positions and open orders, as `strategy instrument`, that the spec has no schedule, no instrument or no model of fills for."""
    homes = {(schedule.strategy, key) for schedule in spec.schedules for key in schedule.instruments}
    homes |= {(MANUAL, key) for key in spec.instruments}
    return [
        f"{strategy} {key}"
        for strategy, key in _occupied(state)
        if (strategy, key) not in homes or _opened_by(state, strategy, key).model != MODEL
    ]


def adapted(driver: Driver, state: SessionState, anew: Collection[str]) -> None:
    """Let a new `driver` go on from a state of another spec, under exact money.

    Units of the strategies in `anew`, and those that take other series now, forget all but their position facts. A profile that
    the session did not have measures its losses from now. What is held or ordered goes on filling by the preset it was opened under.
    """
    core, spec, before = driver.core, driver.core.spec, state.core
    strategies = before.strategies
    told = msgspec.structs.replace(
        before,
        ledger=msgspec.structs.replace(
            before.ledger, values={key: value for key, value in before.ledger.values.items() if key in spec.instruments}
        ),
        strategies=HostMemory(
            units=_units(core.strategies.export().units, strategies.units, anew),
            faults={name: count for name, count in strategies.faults.items() if name in spec.strategies},
            inactive={name: why for name, why in strategies.inactive.items() if name in spec.strategies},
        ),
        execution_series=before.execution_series | core.execution_series,
        venue=msgspec.structs.replace(before.venue, pinned=_pinned(state, spec.preset)),
    )
    driver.restore(msgspec.structs.replace(state, core=told))
    equity = core.ledger.equity
    for name in core.gate.states.keys() - before.gate.states.keys():
        core.gate.states[name] = ProfileState(day=before.day, start_of_day_equity=equity, peak_equity=equity)


def _occupied(state: SessionState) -> list[tuple[str, str]]:
    """Strategy and instrument of every position and open order."""
    held = [(book.strategy, book.instrument) for book in state.core.ledger.books if book.quantity]
    ordered = [(order.strategy, order.instrument) for orders in state.core.venue.orders.values() for order in orders]
    return list(dict.fromkeys((*held, *ordered)))


def _opened_by(state: SessionState, strategy: str, instrument: str) -> ExecutionPreset:
    venue = state.core.venue
    return venue.pinned.get(f"{strategy} {instrument}", venue.preset)


def _pinned(state: SessionState, preset: ExecutionPreset) -> dict[str, ExecutionPreset]:
    """What was opened under another preset than the new one."""
    opened = {f"{strategy} {key}": _opened_by(state, strategy, key) for strategy, key in _occupied(state)}
    return {key: before for key, before in opened.items() if before != preset}


def _units(fresh: Iterable[UnitMemory], before: Iterable[UnitMemory], anew: Collection[str]) -> tuple[UnitMemory, ...]:
    """The new units, each as it was before, or new but for its position facts."""
    known = {(unit.strategy, unit.instruments): unit for unit in before}
    units = []
    for unit in fresh:
        old = known.get((unit.strategy, unit.instruments))
        if old is None:
            units.append(unit)
        elif unit.strategy in anew or _series(unit) != _series(old):
            units.append(msgspec.structs.replace(unit, positions=old.positions))
        else:
            units.append(old)
    return tuple(units)


def _series(unit: UnitMemory) -> set[tuple[str, str]]:
    return {(instrument, granularity) for instrument, granularity, _ in unit.seen}
