"""Compares a recorded session with a backtest of the same window: entry by entry, up to the first that differs, and why.

The market of the backtest is the candle store's; commands that an operator gave are taken from the record, as they are inputs.
"""

from __future__ import annotations

import platform
import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from dudzian_daemon.adapters.candle_store import digest_rows
from dudzian_daemon.adapters.derived_venue import DerivedVenueStore, candles_of
from dudzian_daemon.adapters.journal_reader import read_object
from dudzian_daemon.adapters.keychain import find_key
from dudzian_daemon.app.parity.causes import Cause, Evidence, cause_of
from dudzian_daemon.app.parity.live_window import live_ticks
from dudzian_daemon.app.parity.paths import Differing, differences, differing_paths, shown
from dudzian_daemon.app.parity.session import NEWEST, Recorded, Seals, check_seals, cycles_of, find_session, read_recorded
from dudzian_daemon.app.preparation import Prepared, RunOptions, prepare, run_facts
from dudzian_daemon.app.recorded_run import LIVE
from dudzian_daemon.app.replay_windows import replay_windows, warm_up_needs
from dudzian_daemon.config.canonical import canonical
from dudzian_daemon.domain.market import Candle, Command, Input, Phase, Tick, WarmUp, WindowEnd
from dudzian_daemon.domain.money import exact_money
from dudzian_daemon.domain.records import CycleRecord
from dudzian_daemon.trading.content import ContentChain
from dudzian_daemon.trading.driver import Driver
from dudzian_daemon.trading.step import Core
from dudzian_daemon.trading.windows import Window, end_window, read_window, window_ticks

_END_OF_DATA: Final = "end_of_data"
_LONGEST_VALUE: Final = 40


class ParityOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for. `session` is a log id, its beginning, or `newest`; `run` says how the backtest is prepared."""

    run: RunOptions
    session: str = NEWEST
    allow_waiting: bool = False


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """The first recorded cycle that the backtest does not make; `instant` in ns. `backtest` is null when it has ended before.

    `paths` are all places where the two differ, those nearest to the cause first.
    """

    sequence: int
    instant: int
    cause: Cause
    detail: str
    paths: tuple[Differing, ...]
    recorded: CycleRecord
    backtest: CycleRecord | None


class ParityReport(msgspec.Struct, frozen=True, kw_only=True):
    """Schema `dudzian.parity/1`. `compared` cycles are equal, `waited` of them but for `held_ns`; changes are told as texts."""

    schema: str = "dudzian.parity/1"
    environment: str
    log_id: str
    state: str
    seals: Seals
    equal: bool
    cycles: int
    compared: int
    waited: int
    content_chain: str
    config_changes: tuple[str, ...]
    code_changes: tuple[str, ...]
    difference: Difference | None


def compare(options: ParityOptions, env: Mapping[str, str]) -> ParityReport:
    """Play the window and compare. Raises `ConfigError` for what cannot be compared, `IntegrityError` for what is damaged or tampered."""
    prepared = prepare(options.run, env)
    session = find_session(prepared.data_folder, prepared.artifact, options.session)
    settings = prepared.config.risk.decision_log
    key_file = Path(settings.signing_key_path) if settings.signing_key_path else None
    seals = check_seals(session, partial(find_key, configured=settings.signing_key_id, env=env, key_file=key_file))
    recorded = read_recorded(session)
    prepared = _on_windows_of(recorded, prepared)
    with exact_money():
        core = Core(prepared.spec)
    store = candles_of(prepared.chosen, prepared.data_folder)
    windows = _windows(recorded, prepared, core, store)
    evidence = _evidence(recorded, prepared, store, windows, sealed=seals is Seals.INTACT)
    played = play(core, windows, store, recorded.commands, recorded.opening if recorded.run.feed == LIVE else ())
    return _report(recorded, prepared, seals, evidence, played, allow_waiting=options.allow_waiting)


# -- the same window ---------------------------------------------------------------------------------------------------


def _on_windows_of(recorded: Recorded, prepared: Prepared) -> Prepared:
    """What would run now, on the windows that ran then."""
    replace = msgspec.structs.replace
    config, chosen = prepared.config, prepared.chosen
    windows = recorded.config.environment(recorded.run.environment).replay.windows
    chosen = replace(chosen, replay=replace(chosen.replay, windows=windows))
    config = replace(config, environments=config.environments | {prepared.environment: chosen})
    return replace(prepared, loaded=replace(prepared.loaded, config=config))


def _windows(recorded: Recorded, prepared: Prepared, core: Core, store: DerivedVenueStore) -> Sequence[Window]:
    """The configured windows; where none are configured, from the first tick to the last price of the session."""
    if recorded.run.feed == LIVE:
        return [Window(recorded.first, recorded.last, warm_up_needs(prepared.config, prepared.environment, core))]
    windows = replay_windows(prepared.config, prepared.environment, core, store)
    if prepared.chosen.replay.windows:
        return windows
    return [msgspec.structs.replace(window, start=recorded.first, end=recorded.last) for window in windows]


def play(
    core: Core, windows: Sequence[Window], store: DerivedVenueStore, commands: Sequence[Command], opening: Sequence[WarmUp] = ()
) -> Iterator[CycleRecord]:
    """The cycles of a backtest that is given the recorded commands at their instants, and ends where a recorded stop ends it.

    `opening` is how a session on live data began: in the midst of bars, each series with history of its own.
    """
    driver = Driver(core)
    waiting = deque(commands)
    previous_end: int | None = None
    for number, window in enumerate(windows, start=1):
        for tick in live_ticks(window, opening, store) if opening else _stored_ticks(store, window, previous_end):
            for command in _due(waiting, tick.instant, tick.phase):
                yield from _obey(driver, command)
                if command.name == "stop":
                    return
            yield from _exactly(driver.advance(tick))
        for command in _due(waiting, sys.maxsize, Phase.QUOTE):
            yield from _obey(driver, command)
            if command.name == "stop":
                return
        if waiting:
            waiting.popleft()  # the recorded end of this window
        yield from _exactly(end_window(driver, WindowEnd(number, last=number == len(windows))))
        previous_end = window.end


def _stored_ticks(store: DerivedVenueStore, window: Window, previous_end: int | None) -> Iterator[Tick]:
    return window_ticks(window, read_window(store, window), previous_end, digest_rows)


def _due(waiting: deque[Command], instant: int, phase: Phase) -> Iterator[Command]:
    """The operator's commands up to a tick; the end of a window is a command too, and none of theirs."""
    while waiting and waiting[0].name != _END_OF_DATA and (waiting[0].instant, Phase.COMMAND) < (instant, phase):
        yield waiting.popleft()


def _obey(driver: Driver, command: Command) -> Iterator[CycleRecord]:
    yield from _exactly(driver.advance(Tick(command.instant, Phase.COMMAND, (command,))))
    if command.name == "stop":
        yield from _exactly(driver.snapshot())


def _exactly(cycles: Iterator[CycleRecord]) -> list[CycleRecord]:
    with exact_money():
        return list(cycles)


# -- the comparison ----------------------------------------------------------------------------------------------------


def _report(
    recorded: Recorded, prepared: Prepared, seals: Seals, evidence: Evidence, played: Iterator[CycleRecord], *, allow_waiting: bool
) -> ParityReport:
    chain = ContentChain()
    compared = waited = 0
    difference: Difference | None = None
    for cycle in cycles_of(recorded.session):
        record = next(played, None)
        content = b"" if record is None else chain.seal(record)
        if content != cycle.d:
            if not (allow_waiting and _equal_but_for_waiting(cycle.d, content)):
                difference = _difference(cycle.d, content, evidence, allow_waiting=allow_waiting)
                break
            waited += 1
        compared += 1
    return ParityReport(
        environment=prepared.environment,
        log_id=recorded.session.log_id,
        state=recorded.session.state,
        seals=seals,
        equal=difference is None,
        cycles=recorded.cycles,
        compared=compared,
        waited=waited,
        content_chain=recorded.content,
        config_changes=evidence.config_changes,
        code_changes=evidence.code_changes,
        difference=difference,
    )


def _equal_but_for_waiting(recorded: bytes, played: bytes) -> bool:
    return bool(played) and _unwaited(recorded) == _unwaited(played)


def _as_recorded(content: bytes) -> CycleRecord:
    return msgspec.json.decode(content, type=CycleRecord)


def _unwaited(content: bytes) -> CycleRecord:
    record = _as_recorded(content)
    inputs = tuple(msgspec.structs.replace(item, held_ns=0) if isinstance(item, Candle) else item for item in record.inputs)
    return msgspec.structs.replace(record, inputs=inputs)


def _difference(recorded_d: bytes, played_d: bytes, evidence: Evidence, *, allow_waiting: bool) -> Difference:
    as_judged = _unwaited if allow_waiting else _as_recorded
    one, other = as_judged(recorded_d), as_judged(played_d) if played_d else None
    finding = cause_of(one, other, evidence)
    recorded = _as_recorded(recorded_d)
    return Difference(
        sequence=recorded.sequence,
        instant=recorded.instant,
        cause=finding.cause,
        detail=finding.detail,
        paths=() if other is None else differing_paths(one, other),
        recorded=recorded,
        backtest=_as_recorded(played_d) if played_d else None,
    )


def _evidence(recorded: Recorded, prepared: Prepared, store: DerivedVenueStore, windows: Sequence[Window], *, sealed: bool) -> Evidence:
    def inputs() -> Iterator[Input]:
        return (item for cycle in cycles_of(recorded.session) for item in cycle.record.inputs)

    def rows(digest: str) -> Sequence[Candle]:
        return msgspec.json.decode(read_object(recorded.session.folder, digest), type=list[Candle])

    then = canonical(recorded.config, recorded.run.environment)
    now = canonical(prepared.config, prepared.environment)
    facts = run_facts(prepared, platform.python_version(), f"{sys.platform}-{platform.machine()}")
    return Evidence(
        inputs=inputs,
        rows=rows,
        store=store,
        recorded_series=recorded.series,
        backtest_series=frozenset(series for window in windows for series in window.series),
        config_changes=tuple(_changes(msgspec.json.decode(then), msgspec.json.decode(now))),
        code_changes=tuple(_changes(_code(msgspec.structs.asdict(recorded.run)), _code(facts))),
        sealed=sealed,
    )


def _code(facts: Mapping[str, Any]) -> dict[str, Any]:
    code: dict[str, Any] = msgspec.to_builtins(
        {name: facts[name] for name in ("plugins", "package", "interpreter", "platform", "dependencies")}
    )
    return code


def _changes(then: Any, now: Any) -> Iterator[str]:
    """`key: then -> now` for every value that differs, keys joined by points."""
    for path, one, other in differences(then, now):
        first, second = shown(_text(one), _text(other), _LONGEST_VALUE)
        yield f"{path}: {first} -> {second}"


def _text(value: Any) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode().strip('"')
