"""Builds the core of a recorded run from what its `run` entry says, and steps it with recorded inputs; it reads no outcome.

Timers and the snapshots of a stop are the core's own doing: their recorded inputs say only when, and are made anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from dudzian_daemon.adapters.journal_format import OBJECTS_FOLDER
from dudzian_daemon.adapters.journal_reader import read_object
from dudzian_daemon.app.plugins.controller_modules import KIND as CONTROLLERS
from dudzian_daemon.app.plugins.controller_modules import controllers_in
from dudzian_daemon.app.plugins.loader import PluginSource, load_place, make_strategy
from dudzian_daemon.app.plugins.module_graph import Member, RecordedMembers
from dudzian_daemon.app.plugins.places import Place
from dudzian_daemon.app.recorded_run import PluginFacts, RunEntry, recorded_config
from dudzian_daemon.app.session_spec import session_spec
from dudzian_daemon.domain.errors import IntegrityError
from dudzian_daemon.domain.fills import LAST_PRICE
from dudzian_daemon.domain.market import Candle, Input, Phase, Quote, Tick
from dudzian_daemon.domain.money import exact_money
from dudzian_daemon.domain.records import CycleRecord
from dudzian_daemon.trading.driver import Driver
from dudzian_daemon.trading.recorded import Recorded, recorded_ticks, ticks_of
from dudzian_daemon.trading.spec import SessionSpec
from dudzian_daemon.trading.state import decode_state, encode_state
from dudzian_daemon.trading.step import Core

_decode_rows: Final = msgspec.json.Decoder(list[Candle]).decode


class Executor:
    """One run's core, fed with inputs; `folder` is the session's, whose objects hold the rows of warm-ups."""

    def __init__(self, spec: SessionSpec, folder: Path) -> None:
        with exact_money():
            self._driver = Driver(Core(spec))
        self._folder = folder
        self._ahead = 0

    def cycles(self, recorded: Recorded) -> list[CycleRecord]:
        """The cycles that come of a cycle's inputs. Raises `IntegrityError` for rows that are not what their digest says."""
        known, self._ahead = self._ahead, 0
        with exact_money():
            return [record for tick in recorded_ticks(recorded, self._rows, known=known) for record in self._step(tick)]

    def state(self, pending: Sequence[Input]) -> bytes:
        """The whole state once the inputs are stepped that have led to no cycle yet; the next cycle has them on record too."""
        rest, self._ahead = pending[self._ahead :], len(pending)
        with exact_money():
            made = [record for tick in ticks_of(rest, self._rows) for record in self._step(tick)]
        if made:
            msg = f"expected no cycle of what had led to none, found cycle {made[0].sequence}"
            raise IntegrityError(msg)
        with exact_money():
            return encode_state(self._driver.export())

    @property
    def books(self) -> bytes:
        """Balances and positions, whatever the rules."""
        with exact_money():
            return msgspec.json.encode(self._driver.core.ledger.state())

    def restore(self, state: bytes, *, ahead: int) -> None:
        """Go on from a recorded state, whose `ahead` last inputs go on record with the next cycle. Raises `IntegrityError`."""
        try:
            with exact_money():
                self._driver.restore(decode_state(state))
        except msgspec.DecodeError as error:
            msg = f"expected a state that the run's plugins can read, found another ({error})"
            raise IntegrityError(msg) from None
        self._ahead = ahead

    def _step(self, tick: Tick) -> Iterator[CycleRecord]:
        if tick.phase is Phase.TIMER:
            return self._driver.timers_before(tick.instant, Phase.OPEN)
        if tick.inputs and all(isinstance(item, Quote) and item.source == LAST_PRICE for item in tick.inputs):
            return self._driver.snapshot()
        return self._driver.advance(tick)

    def _rows(self, digest: str) -> Sequence[Candle]:
        data = read_object(self._folder, digest)
        try:
            return _decode_rows(data)
        except msgspec.DecodeError as error:
            msg = f"object {digest}: expected the rows of a warm-up, found something else ({error})"
            raise IntegrityError(msg) from None


def recorded_spec(log_id: str, run: RunEntry, folder: Path) -> SessionSpec:
    """What the run was made of, by its own entry: configuration and plugin sources, byte for byte.

    Raises `ConfigError`, `PluginError` or `IntegrityError` when what it names is missing or of another version.
    """
    config = recorded_config(log_id, run)
    sources = {name: _plugin(name, facts, folder) for name, facts in run.plugins.items()}
    strategies = {name: make_strategy(source, config.strategy(name).parameters) for name, source in sources.items()}
    return msgspec.structs.replace(session_spec(config, run.environment, strategies), opening_source=run.opening_source)


def _plugin(strategy: str, facts: PluginFacts, folder: Path) -> PluginSource:
    """The plugin that ran, from the objects that hold its bytes and those of what it imported; nothing on disk beside them is used."""
    main = _member(folder, facts.sha256)  # nothing is run that is not what its name says
    members = RecordedMembers(facts.file or f"{facts.plugin}.py", {file: _member(folder, digest) for file, digest in facts.modules.items()})
    place = Place(facts.kind, facts.plugin, main.path, "recorded", ())
    if facts.kind == CONTROLLERS:
        return controllers_in(place, [strategy], (members, main))[strategy]
    return load_place(place, (members, main))


def _member(folder: Path, digest: str) -> Member:
    return Member(folder / OBJECTS_FOLDER / digest, read_object(folder, digest))
