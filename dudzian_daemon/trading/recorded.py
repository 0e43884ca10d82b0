"""From the record back to ticks: the inputs of a cycle as the core was stepped with them, timers and snapshots among them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from types import MappingProxyType
from typing import Final, Protocol

from dudzian_daemon.domain.market import Book, Candle, Command, Funding, Gap, Input, OpenPrint, Phase, Quote, Tick, Timer, WarmUp

#: In which phase an input comes. One tick holds all inputs of one (instant, phase).
PHASES: Final[Mapping[type, Phase]] = MappingProxyType(
    {
        Command: Phase.COMMAND,
        Gap: Phase.REVISION,
        WarmUp: Phase.REVISION,
        Funding: Phase.REVISION,
        Candle: Phase.CLOSE,
        Timer: Phase.TIMER,
        OpenPrint: Phase.OPEN,
        Quote: Phase.QUOTE,
        Book: Phase.QUOTE,
    }
)


class Recorded(Protocol):
    """What of a cycle is its input."""

    @property
    def instant(self) -> int: ...
    @property
    def phase(self) -> int: ...
    @property
    def inputs(self) -> tuple[Input, ...]: ...


def ticks_of(inputs: Sequence[Input], read_rows: Callable[[str], Sequence[Candle]]) -> Iterator[Tick]:
    """The ticks of these inputs; `read_rows` gives the candles of a warm-up by their digest."""
    for (instant, phase), items in groupby(inputs, key=lambda item: (item.instant, PHASES[type(item)])):
        members = tuple(items)
        yield Tick(instant, phase, members, {item.digest: read_rows(item.digest) for item in members if isinstance(item, WarmUp)})


def recorded_ticks(record: Recorded, read_rows: Callable[[str], Sequence[Candle]], *, known: int = 0) -> Iterator[Tick]:
    """The ticks since the cycle before, without the first `known` inputs; `read_rows` gives the candles of a warm-up by their digest.

    The last one is the cycle's own, which may have no input at all.
    """
    last = None
    for tick in ticks_of(record.inputs[known:], read_rows):
        last = (tick.instant, tick.phase)
        yield tick
    if last != (record.instant, record.phase):
        yield Tick(record.instant, Phase(record.phase), ())
