"""What a service is, the states of named units and the one table of their legal changes. Knows no particular unit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Protocol, runtime_checkable

import msgspec

from dudzian_daemon.kernel.clock import SECOND_NS, Clock


class Service(Protocol):
    """A named task of the daemon. A return is its end; an exception is judged by the supervisor."""

    @property
    def name(self) -> str:
        """Unique name in status, metrics and logs."""
        ...

    async def run(self) -> None:
        """Work until cancelled, asked to stop, or done; may be called again after a fault."""
        ...


@runtime_checkable
class Stoppable(Protocol):
    """A service that wants to be asked before it is cancelled."""

    async def stop(self) -> None:
        """Make `run` return soon; called once, while `run` is running."""
        ...


class ServiceState(StrEnum):
    """Where a unit is: a service, or a passive part such as a strategy, the gate or the simulator."""

    STARTING = "starting"
    RUNNING = "running"
    BACKING_OFF = "backing_off"
    SUSPENDED = "suspended"
    QUARANTINED = "quarantined"
    REDUCING = "reducing"
    HALTED = "halted"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"


_S = ServiceState
_ENDING: Final = frozenset({_S.STOPPING, _S.STOPPED, _S.FAILED})
_FROM_ANY_LIVE: Final = _ENDING | {_S.BACKING_OFF}
#: A unit that comes back from a crash may start in any live state: restrictions survive restarts.
_LIVE: Final = frozenset({_S.RUNNING, _S.SUSPENDED, _S.QUARANTINED, _S.REDUCING, _S.HALTED})

#: State -> states it may change into. Staying where one is (with another detail) is always legal.
TRANSITIONS: Final[Mapping[ServiceState, frozenset[ServiceState]]] = MappingProxyType(
    {
        _S.STARTING: _LIVE | _FROM_ANY_LIVE,
        _S.RUNNING: (_LIVE - {_S.RUNNING}) | _FROM_ANY_LIVE,
        _S.SUSPENDED: _FROM_ANY_LIVE | {_S.RUNNING, _S.QUARANTINED},
        _S.QUARANTINED: _FROM_ANY_LIVE | {_S.RUNNING, _S.SUSPENDED},
        _S.REDUCING: _FROM_ANY_LIVE | {_S.RUNNING, _S.HALTED},
        _S.HALTED: _FROM_ANY_LIVE | {_S.RUNNING, _S.REDUCING},
        _S.BACKING_OFF: _ENDING | {_S.STARTING, _S.RUNNING},
        _S.STOPPING: frozenset({_S.STOPPED, _S.FAILED}),
        _S.STOPPED: frozenset({_S.STARTING}),
        _S.FAILED: frozenset({_S.STARTING}),
    }
)


class Unit(msgspec.Struct, frozen=True):
    """A named unit as it is now; `restarts` counts how often it came back from `backing_off`."""

    name: str
    state: ServiceState
    detail: str = ""
    restarts: int = 0


class UnitRegistry:
    """All named units of the process; `on_change` gets every change, the first appearance included."""

    def __init__(self, on_change: Callable[[Unit], object] | None = None) -> None:
        self._units: dict[str, Unit] = {}
        self._on_change = on_change

    def add(self, name: str, detail: str = "") -> None:
        """Register a unit as `starting`; one that has ended starts again. Raises `ValueError` if the name is alive."""
        if name in self._units:
            if self._units[name].state not in (ServiceState.STOPPED, ServiceState.FAILED):
                msg = f"unit {name!r} exists already ({self._units[name].state})"
                raise ValueError(msg)
            self.set(name, ServiceState.STARTING, detail)
        else:
            self._store(Unit(name, ServiceState.STARTING, detail))

    def set(self, name: str, state: ServiceState, detail: str = "") -> None:
        """Change a unit's state or detail. Raises `LookupError` for an unknown unit, `ValueError` for an illegal change."""
        unit = self[name]
        if state is not unit.state and state not in TRANSITIONS[unit.state]:
            msg = f"unit {name!r} cannot change from {unit.state} to {state}; legal: {sorted(TRANSITIONS[unit.state])}"
            raise ValueError(msg)
        back = unit.state is ServiceState.BACKING_OFF and state in (ServiceState.STARTING, ServiceState.RUNNING)
        changed = Unit(name, state, detail, unit.restarts + back)
        if changed != unit:
            self._store(changed)

    def __getitem__(self, name: str) -> Unit:
        """The unit as it is now. Raises `LookupError` if there is none of that name."""
        try:
            return self._units[name]
        except KeyError:
            msg = f"no unit {name!r}; there are {sorted(self._units)}"
            raise LookupError(msg) from None

    def snapshot(self) -> dict[str, Unit]:
        """All units by name, in the order of their first appearance."""
        return dict(self._units)

    def _store(self, unit: Unit) -> None:
        self._units[unit.name] = unit
        if self._on_change is not None:
            self._on_change(unit)


class Readiness(msgspec.Struct, frozen=True):
    """Whether the daemon does its work; `reasons` say why not, one line each."""

    ready: bool
    reasons: Sequence[str] = ()


class Heartbeat:
    """A service's sign of life: it beats when it makes progress, the supervisor tells the age of the last beat."""

    __slots__ = ("_beaten_ns", "_clock", "detail")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._beaten_ns: int | None = None
        self.detail = ""

    def beat(self, detail: str = "") -> None:
        """Note that the service just made progress; `detail` is one line for people."""
        self._beaten_ns = self._clock.monotonic_ns()
        self.detail = detail

    def age_seconds(self) -> float | None:
        """Seconds since the last beat, None before the first."""
        return None if self._beaten_ns is None else (self._clock.monotonic_ns() - self._beaten_ns) / SECOND_NS
