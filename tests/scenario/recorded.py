"""Recorded sessions for the tests of re-execution: played without waiting, an operator's commands in them, and sealed anew with changes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
from anyio.from_thread import start_blocking_portal

from dudzian_daemon.adapters.candle_store import digest_rows
from dudzian_daemon.adapters.derived_venue import candles_of
from dudzian_daemon.adapters.entry_checks import CHANGED
from dudzian_daemon.adapters.journal import SessionJournal
from dudzian_daemon.adapters.journal_format import HEADS_FILE, LineSealer, encode
from dudzian_daemon.adapters.keychain import SigningKey
from dudzian_daemon.adapters.verify import Terms
from dudzian_daemon.app.backtest.journal import JournalRecorder
from dudzian_daemon.app.preparation import Prepared
from dudzian_daemon.app.reexecution.recorded_log import LogOptions, find_recorded
from dudzian_daemon.app.reexecution.report import ReplayReport
from dudzian_daemon.app.reexecution.run import reexecute
from dudzian_daemon.app.replay_windows import replay_windows
from dudzian_daemon.app.run_logs import store_sources
from dudzian_daemon.domain.market import Tick, WindowEnd
from dudzian_daemon.domain.money import exact_money
from dudzian_daemon.domain.records import CycleRecord
from dudzian_daemon.testing.clock import ManualClock
from dudzian_daemon.trading.driver import Driver
from dudzian_daemon.trading.state import decode_state, encode_state, state_hash
from dudzian_daemon.trading.step import Core
from dudzian_daemon.trading.windows import end_window, read_window, window_ticks
from tests.scenario.live_like import KEY, facts_of

#: An operator's commands by the number of the tick they come after.
Commands = Mapping[int, Sequence[tuple[str, dict[str, str]]]]
#: Takes member `d` of a line and gives what stands in its place.
Change = Callable[[dict[str, Any]], dict[str, Any]]


def play(
    prepared: Prepared,
    commands: Commands | None = None,
    *,
    ticks: int | None = None,
    checkpoints: Collection[int] = (),
    hashes: Collection[int] = (),
    restarts: Mapping[int, Prepared] = MappingProxyType({}),
    before: Callable[[Tick], Iterable[Tick]] = lambda _tick: (),
) -> Path:
    """A session over the prepared window; its folder. It is left open after `ticks` ticks.

    Checkpoints and hashes of the state come after the ticks named, and so do restarts, from where on something else may be prepared.
    `before` gives ticks that come before each.
    """
    clock = ManualClock(wall_ns=0)
    journal = SessionJournal.create(prepared.data_folder, prepared.artifact, KEY, clock=clock)
    store_sources(journal, prepared)
    journal.append_entry("run", facts_of(prepared), {"at": clock.wall_ns()})
    with start_blocking_portal() as portal, exact_money():
        recorder, driver = JournalRecorder(journal, portal, clock), Driver(Core(prepared.spec))
        for number, tick in enumerate(_ticks(prepared, driver.core)):
            for other in before(tick):
                _record(recorder, driver.advance(other))
            recorder.store_rows(tick)
            _record(recorder, driver.advance(tick))
            for name, arguments in (commands or {}).get(number, ()):
                _record(recorder, driver.command(f"{name}-{number}", name, arguments))
            if number in checkpoints:
                journal.append_checkpoint(encode_state(driver.export()), "test")
            if number in hashes and driver.core.recorded:
                state = state_hash(encode_state(driver.export()))
                journal.append_entry("state", {"sequence": driver.core.sequence, "hash": state}, {})
            if number in restarts:
                driver = _restarted(journal, driver, restarts[number])
            if number == ticks:
                journal.flush_quiet()
                portal.call(journal.commit)
                journal.abandon()
                return journal.folder
        _record(recorder, end_window(driver, WindowEnd(1, last=True)))
        recorder.close("closed", "end_of_data")
    return journal.folder


def _restarted(journal: SessionJournal, driver: Driver, prepared: Prepared) -> Driver:
    """A new run that goes on from the state as it is, under rules of its own; a checkpoint opens it."""
    state = encode_state(driver.export())
    store_sources(journal, prepared)
    journal.append_entry("run", facts_of(prepared), {})
    resumed = Driver(Core(prepared.spec))
    resumed.restore(decode_state(state))
    journal.append_checkpoint(encode_state(resumed.export()), "run")
    return resumed


def _ticks(prepared: Prepared, core: Core) -> Iterator[Tick]:
    store = candles_of(prepared.chosen, prepared.data_folder)
    (window,) = replay_windows(prepared.config, prepared.environment, core, store)
    return window_ticks(window, read_window(store, window), None, digest_rows)


def _record(recorder: JournalRecorder, records: Iterator[CycleRecord]) -> None:
    for record in records:
        recorder.append(record)


def resealed(folder: Path, target: Path, change: Change, key: SigningKey = KEY) -> Path:
    """A copy of the session below `target` whose lines went through `change`, with seals and chains that fit, and without its heads."""
    copy = shutil.copytree(folder, target / folder.name)
    (copy / HEADS_FILE).unlink(missing_ok=True)
    (path,) = copy.glob("*.jsonl")
    sealer, state = LineSealer(folder.name, key), [bytes(32), bytes(32)]
    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    path.write_bytes(b"".join(_sealed(sealer, state, change, line) for line in lines))
    return copy


def _sealed(sealer: LineSealer, state: list[bytes], change: Change, line: dict[str, Any]) -> bytes:
    d = line["d"]
    if d["kind"] == "quiet":
        d = {**d, "cycles": [_chained(state, change(cycle)) for cycle in d["cycles"]]}
    else:
        d = change(d)
        if d["kind"] == "cycle":
            d = _chained(state, d)
        if d["kind"] == "checkpoint":
            chained = {"content": state[0].hex(), "books": state[1].hex(), "hash": sha256(encode(d["state"])).hexdigest()}
            d = {name: chained.get(name, value) for name, value in d.items()}
    return sealer.seal(encode(d), encode(line["w"]), state[0].hex())


def _chained(state: list[bytes], cycle: dict[str, Any]) -> dict[str, Any]:
    books = sha256(state[1] + encode([cycle[name] for name in CHANGED]))
    cycle = {**cycle, "books": books.hexdigest()}
    state[:] = sha256(state[0] + encode(cycle)).digest(), books.digest()
    return cycle


def replayed(folder: Path, key: SigningKey = KEY) -> ReplayReport:
    """The session executed again."""
    terms = Terms(key=lambda key_id: msgspec.structs.replace(key, id=key_id))
    return reexecute(find_recorded(LogOptions(session=str(folder)), {}), terms, ManualClock())
