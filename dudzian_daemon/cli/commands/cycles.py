"""Show the controller cycles of a session, from its journal: commands, signals, verdicts, fills, equity, or a summary of them.

A line that does not fit its neighbours is told on stderr; whether the journal is what was written says `verify-decision-log`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from dudzian_daemon.cli.output import emit_json, emit_text, note
from dudzian_daemon.cli.session_cycles import Newest, durable, require_lines, session_folder
from dudzian_daemon.cli.watching import EVERY, Interval, Seen, Watch, follow
from dudzian_daemon.domain.errors import ConfigError, IntegrityError

if TYPE_CHECKING:
    from dudzian_daemon.adapters.journal_reader import Cycle, Entry
    from dudzian_daemon.domain.events import ControllerCycle
    from dudzian_daemon.domain.history import Window
    from dudzian_daemon.domain.records import CycleRecord

#: How many cycles are listed when neither a number nor a time is given.
DEFAULT_LIMIT = 10

EXAMPLES = """Examples:

  dudzian cycles                      the last ten of the newest session

  dudzian cycles -n 100 --json        for programs

  dudzian cycles --eventful           only cycles in which something happened

  dudzian cycles --eventful --watch   the same, and each further one as it comes

  dudzian cycles --since 2024-02-01 --until 2024-02-02T12:00:00Z

  dudzian cycles --summary            counts, sides, statuses and durations of the whole session
"""


def command(
    environment: Annotated[str | None, typer.Option("--environment", "-e", help="Environment; default: the configuration's.")] = None,
    config: Annotated[Path | None, typer.Option(help="Main configuration file.", envvar="DUDZIAN_CONFIG")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Data folder.", envvar="DUDZIAN_DATA_DIR")] = None,
    session: Annotated[str | None, typer.Option(help="Log id of the session, or its beginning; default: the newest.")] = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", "-n", min=0, help="The newest so many; default: 10, and all with --since, --until or --summary."),
    ] = None,
    since: Annotated[str | None, typer.Option(help="From this time on: ISO 8601 (UTC unless it says otherwise) or epoch seconds.")] = None,
    until: Annotated[str | None, typer.Option(help="Up to this time, included; written as --since.")] = None,
    by: Annotated[str, typer.Option(help="Time that --since and --until speak of: instant (event time) or wall.")] = "instant",
    reverse: Annotated[bool, typer.Option("--reverse", help="Newest first.")] = False,
    eventful: Annotated[bool, typer.Option("--eventful", help="Leave out quiet cycles.")] = False,
    summary: Annotated[bool, typer.Option("--summary", help="Statistics instead of a list.")] = False,
    watch: Watch = False,
    interval: Interval = EVERY,
    as_json: Annotated[
        bool, typer.Option("--json", help="A JSON array of records, or one object with --summary; with --watch a record a line.")
    ] = False,
) -> None:
    """Works while the daemon runs and after it has ended; shows only what is durable."""
    from dudzian_daemon.adapters.chain_check import ChainCheck
    from dudzian_daemon.adapters.data_folder import resolve
    from dudzian_daemon.config.load import load
    from dudzian_daemon.domain.summary import summarize_cycles

    whole = summary or since is not None or until is not None
    window = _window(since, until, DEFAULT_LIMIT if limit is None and not whole else limit, by)
    artifact = load(config, env=os.environ).config.artifact_name(environment)
    root = resolve(data_dir, os.environ)
    if watch:
        _require_watchable({"--since": since, "--until": until, "--summary": summary, "--reverse": reverse})
        find = partial(session_folder, root, artifact, session)
        _watch(Newest(root, find, DEFAULT_LIMIT if limit is None else limit, eventful=eventful), interval, as_json=as_json)
    folder = session_folder(root, artifact, session)
    require_lines(folder)
    chain, through = ChainCheck(), durable(root, folder)
    cycles = _stored(folder, window, chain.take, through, eventful=eventful)
    if summary:
        _show_summary({"log_id": folder.name, **summarize_cycles(map(_event, cycles), window)}, as_json=as_json)
    else:
        wanted = list(window.pick(map(_Listed, cycles)))
        _show_list([each.cycle for each in (reversed(wanted) if reverse else wanted)], as_json=as_json)
    if chain.broken:
        note(f"{chain.broken}; run: dudzian verify-decision-log {folder}")


def _window(since: str | None, until: str | None, limit: int | None, by: str) -> Window:
    from dudzian_daemon.domain.history import parse_moment, window

    wanted = window(None if since is None else parse_moment(since), None if until is None else parse_moment(until), limit, by)
    if wanted.since is not None and wanted.until is not None and wanted.since > wanted.until:
        msg = f"expected --since before --until, found {since} and {until}"
        raise ConfigError(msg)
    return wanted


def _watch(newest: Newest, interval: float, *, as_json: bool) -> NoReturn:
    def look() -> Seen:
        running, found = newest.look()
        return Seen(running, list(map(_document, found)), "\n".join(map(_line, found)))

    follow(look, interval, as_json=as_json, adding=True)


def _require_watchable(beside: dict[str, object]) -> None:
    given = [name for name, value in beside.items() if value]
    if given:
        msg = f"--watch: expected none of {', '.join(beside)} beside it, found {', '.join(given)}"
        raise ConfigError(msg)


# -- reading -------------------------------------------------------------------------------------------------------


class _Listed:
    """A recorded cycle as an entry of a history: its wall time is looked at only if it is asked for."""

    def __init__(self, cycle: Cycle) -> None:
        self.cycle = cycle
        self.instant = cycle.record.instant

    @property
    def finished_at(self) -> float:
        return _event(self.cycle).finished_at


def _event(cycle: Cycle) -> ControllerCycle:
    """The event that the cycle was published as. Raises `IntegrityError` when the line does not tell its wall times."""
    import msgspec

    from dudzian_daemon.domain.cycle_events import Timing, controller_cycle

    try:
        return controller_cycle(cycle.record, msgspec.convert(cycle.wall, Timing))
    except msgspec.ValidationError as error:
        msg = f"log {cycle.log_id} line {cycle.line}: expected the wall times of its cycles ({error})"
        raise IntegrityError(msg) from None


def _stored(folder: Path, window: Window, seen: Callable[[Entry], None], through: int | None, *, eventful: bool) -> Iterable[Cycle]:
    """Cycles up to sequence `through` among which those of the window are, oldest first; as little is read as the window allows."""
    from dudzian_daemon.adapters.journal_reader import latest_cycles

    if window.limit is not None and window.since is None and window.until is None:
        return latest_cycles(folder, window.limit, quiet=not eventful, through=through, seen=seen)
    durable = takewhile(lambda cycle: through is None or cycle.record.sequence <= through, _forwards(folder, window, seen))
    return (cycle for cycle in durable if not (eventful and cycle.record.quiet))


def _forwards(folder: Path, window: Window, seen: Callable[[Entry], None]) -> Iterator[Cycle]:
    """Event time never falls, so reading starts at the segment that reaches the window and ends behind it; wall time may jump."""
    from dudzian_daemon.adapters.journal_format import segments
    from dudzian_daemon.domain.history import stamp

    by_instant = window.by == "instant"
    files = segments(folder)
    start = 0 if window.since is None or not by_instant else _segment_before(files, window.since)
    for path in files[start:]:
        for cycle in _cycles_of(path, seen):
            if by_instant and window.until is not None and stamp(_Listed(cycle), "instant") > window.until:
                return
            yield cycle


def _segment_before(files: list[Path], since: int) -> int:
    """Number of the last segment whose first cycle is earlier than `since` (microseconds): none before it holds a later one."""
    from dudzian_daemon.domain.history import stamp

    for number in range(len(files) - 1, 0, -1):
        first = next(_cycles_of(files[number]), None)
        if first is not None and stamp(_Listed(first), "instant") < since:
            return number
    return 0


def _cycles_of(path: Path, seen: Callable[[Entry], None] | None = None) -> Iterator[Cycle]:
    from dudzian_daemon.adapters.journal_reader import entries

    for entry in entries(path):
        if seen is not None:
            seen(entry)
        yield from entry.cycles()


# -- showing -------------------------------------------------------------------------------------------------------


def _show_list(cycles: list[Cycle], *, as_json: bool) -> None:
    if as_json:
        emit_json([_document(cycle) for cycle in cycles])
    elif cycles:
        emit_text("\n".join(_line(cycle) for cycle in cycles))


def _document(cycle: Cycle) -> object:
    return {"log_id": cycle.log_id, "line": cycle.line, "wall": cycle.wall, "cycle": cycle.record}


def _line(cycle: Cycle) -> str:
    from dudzian_daemon.kernel.clock import iso_utc

    record = cycle.record
    when = iso_utc(record.instant)[:19].replace("T", " ")
    return f"{record.sequence:>6}  {when}  equity {record.equity:.2f}  {'; '.join(_happened(record)) or _nothing(record)}"


def _happened(record: CycleRecord) -> list[str]:
    from dudzian_daemon.domain.market import Command
    from dudzian_daemon.domain.orders import OrderStatus

    commands = [item for item in record.inputs if isinstance(item, Command)]
    ended = (OrderStatus.CANCELLED, OrderStatus.EXPIRED)
    return [
        *(" ".join(["command", command.name, *(f"{name}={value}" for name, value in command.arguments.items())]) for command in commands),
        *(f"strategy {change.strategy} {change.change} ({change.reason})" for change in record.strategies),
        *(f"signal {signal.intent} {signal.instrument}" for signal in record.signals),
        *(f"{verdict.outcome} {verdict.code or ''}".rstrip() for verdict in record.verdicts),
        *(f"order {each.instrument} {each.status} {each.code or ''}".rstrip() for each in record.results if each.status in ended),
        *(f"fill {fill.side} {fill.quantity.normalize():f} {fill.instrument} at {fill.price.normalize():f}" for fill in record.fills),
        *(f"risk {change.profile} {change.change}" for change in record.risk),
        *(f"fault {fault.unit} {fault.error}" for fault in record.faults),
    ]


def _nothing(record: CycleRecord) -> str:
    """Of a cycle that is not quiet and shows none of the above: that its orders moved, else what kind of input it is of."""
    from dudzian_daemon.domain.market import Phase, WarmUp

    if record.quiet:
        return "quiet"
    if any(isinstance(item, WarmUp) for item in record.inputs):
        return "warm-up"
    return "; ".join(f"order {each.instrument} {each.status}" for each in record.results) or Phase(record.phase).name.lower()


def _show_summary(summary: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        emit_json(summary)
        return
    from dudzian_daemon.domain.history import as_datetime, microseconds

    lines = [f"session      {summary['log_id']}", f"cycles       {summary['total']}"]
    if summary["total"]:
        first, last = (as_datetime(microseconds(summary[f"{end}_timestamp"]), None).isoformat(" ", "seconds") for end in ("first", "last"))
        duration = summary["duration"]
        lines[-1] += f", number {summary['first_sequence']} to {summary['last_sequence']}"
        lines += [
            f"{summary['filters']['by']:<12} {first} to {last} UTC",
            f"signals      {summary['signals']['total']}{_parts(summary['signals']['by_side'])}",
            f"orders       {summary['orders']['distinct']}, in {_changes(summary['results'])}",
            f"duration     {duration['total']:.3f} s, {1e3 * duration['average']:.3f} ms a cycle, at most {1e3 * duration['max']:.3f} ms",
        ]
    emit_text("\n".join(lines))


def _changes(results: dict[str, Any]) -> str:
    return f"{results['total']} changes{_parts(results['status_counts'])}"


def _parts(counts: dict[str, int]) -> str:
    return (": " if counts else "") + ", ".join(f"{name} {count}" for name, count in counts.items())
