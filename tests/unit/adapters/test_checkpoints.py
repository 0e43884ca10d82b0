"""Checkpoints in a real log: where they stand, what the verifier says of forged ones, and what a start goes on from."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from dudzian_daemon.adapters.checkpoints import CYCLES, HASHED_CYCLES, Checkpoints
from dudzian_daemon.adapters.journal import SessionJournal
from dudzian_daemon.adapters.journal_format import LineSealer, encode, split
from dudzian_daemon.adapters.journal_reader import Session, entries, sessions
from dudzian_daemon.adapters.journal_recovery import SessionLog
from dudzian_daemon.adapters.keychain import SigningKey
from dudzian_daemon.adapters.log_report import LogReport
from dudzian_daemon.adapters.log_sources import Source
from dudzian_daemon.adapters.verify import Terms, verify_log
from dudzian_daemon.domain.errors import IntegrityError
from dudzian_daemon.testing.clock import ManualClock
from dudzian_daemon.trading.state import encode_state, state_hash
from tests.unit.adapters.journal_samples import KEY
from tests.unit.trading.desk import BTC, Desk, Scripted, Seen, desk, enter, flat_hours, hour

HOURS = 12


def session(root: Path, key: SigningKey | None = KEY, *, every: int = 4) -> tuple[Session, Desk]:
    """A session of the real core in its journal, with a checkpoint after every few cycles; it was killed."""
    played = desk({hour(2): [enter(target=0.5)]})
    journal = SessionJournal.create(root, "demo", key, clock=ManualClock())
    for candle in flat_hours(HOURS):
        for record in played.feed([candle]):
            journal.append(record, wall={})
            if record.sequence % every == 0:
                Checkpoints(played.driver, journal).take_now("due")
    journal.flush_quiet()
    journal.commit_now()
    journal.abandon()
    return sessions(root, "demo")[0], played


def verdict(log: bytes, key: SigningKey | None = KEY) -> LogReport:
    return verify_log(Source(label="log", stream=io.BytesIO(log)), Terms(key=lambda _: key, allow_unsigned=True))


def resealed(log: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    """An unsigned log whose first checkpoint was changed, and everything after it sealed anew."""
    lines = log.splitlines()
    sealer = LineSealer(split(lines[0]).s.log, None)
    made, done = [], False
    for line in lines:
        parts = split(line)
        d = msgspec.json.decode(parts.d)
        if d["kind"] == "checkpoint" and not done:
            change(d)
            done = True
        made.append(sealer.seal(encode(d), bytes(parts.w), parts.s.content))
    return b"".join(made)


def test_it_holds_the_state_right_after_its_cycle(tmp_path: Path) -> None:
    found, played = session(tmp_path)
    (first, second, _, *_) = SessionLog(found, KEY).checkpoints()
    assert first.state is not None
    assert (first.sequence, first.sequence % 4, second.sequence) == (first.state.core.sequence, 0, first.sequence - 4)
    assert first.state.core.ledger.books[0].quantity == played.core.ledger.position("told", BTC.key) == 50
    assert verdict(found.segments[0].read_bytes()).integrity == "intact"


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(sequence=d["sequence"] - 1),
        lambda d: d.update(content="0" * 64),
        lambda d: d.update(books="0" * 64),
        lambda d: d["state"]["core"]["gate"].update(kill_switch=True),
        lambda d: d.pop("state"),
    ],
    ids=["sequence", "content", "books", "state", "no state"],
)
def test_a_forged_one_is_found_even_without_a_key(tmp_path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    found, _ = session(tmp_path, None)
    log = found.segments[0].read_bytes()
    assert verdict(log, None).integrity == "intact"
    assert verdict(resealed(log, change), None).integrity == "tampered"


def test_a_damaged_one_is_passed_over_and_the_lines_around_it_stay_proven(tmp_path: Path) -> None:
    found, _ = session(tmp_path)
    path = found.segments[0]
    newest = next(SessionLog(found, KEY).checkpoints())
    log = bytearray(path.read_bytes())
    log[newest.end - 2000] ^= 1
    path.write_bytes(log)
    spoiled = SessionLog(found, KEY)
    checkpoint = next(spoiled.checkpoints())
    assert (checkpoint.sequence, spoiled.bad) == (newest.sequence - 4, 1)
    told = [cycle.record.sequence for entry in spoiled.entries_after(checkpoint) for cycle in entry.cycles()]
    assert told[0] == checkpoint.sequence + 1
    assert told == list(range(told[0], told[-1] + 1))


@pytest.mark.parametrize("kind", ["cycle", "quiet"])
def test_any_other_damaged_line_ends_it(tmp_path: Path, kind: str) -> None:
    found, _ = session(tmp_path)
    path = found.segments[0]
    lines = path.read_bytes().splitlines(keepends=True)
    place = max(place for place, line in enumerate(lines) if split(line[:-1]).d and f'"kind":"{kind}"'.encode() in line[:40])
    lines[place] = lines[place].replace(b'"w":', b'"w" :', 1)
    path.write_bytes(b"".join(lines))
    log = SessionLog(found, KEY)
    *_, beginning = log.checkpoints()
    with pytest.raises(IntegrityError, match="expected a line that fits its seal"):
        list(log.entries_after(beginning))


class Unreadable(Seen):
    """A state with a number that JSON does not know."""

    number: float = float("nan")


def test_a_state_that_does_not_come_back_is_named_and_nothing_is_sealed(tmp_path: Path) -> None:
    class Forgetful(Scripted):
        def new_state(self) -> Unreadable:
            return Unreadable()

    played = desk(strategy=Forgetful())
    played.feed(flat_hours(2))
    journal = SessionJournal.create(tmp_path, "demo", KEY, clock=ManualClock())
    assert not Checkpoints(played.driver, journal).take_now("due")
    assert played.core.strategies.unreadable(played.core.strategies.export()) == [f"told[{BTC.key}]"]
    assert journal.pending == 0
    journal.abandon()


def test_one_is_due_after_a_while_of_steps_or_many_cycles(tmp_path: Path) -> None:
    played = desk()
    played.feed(flat_hours(2))
    journal = SessionJournal.create(tmp_path, "demo", KEY, clock=ManualClock())
    for record in played.records:
        journal.append(record, wall={})
    taking = Checkpoints(played.driver, journal)
    due = [taking.due]
    for stepped_ns in (299_000_000, 1_000_000):
        taking.stepped(stepped_ns)
        due.append(taking.due)
    assert due == ["", "", "due"]
    assert anyio.run(taking.take, "due")
    due = [taking.due]
    played.core.sequence += CYCLES
    assert [*due, taking.due] == ["", "due"]
    journal.abandon()


def test_the_hash_of_the_state_goes_on_record_once_in_a_thousand_cycles(tmp_path: Path) -> None:
    played = desk()
    journal = SessionJournal.create(tmp_path, "demo", KEY, clock=ManualClock())
    taking = Checkpoints(played.driver, journal)
    hashes = []
    for candle in flat_hours(6):
        played.feed([candle])
        before = journal.pending
        taking.hash_state()
        if journal.pending > before:
            hashes.append((played.core.sequence, state_hash(encode_state(played.driver.export()))))
        played.core.sequence += HASHED_CYCLES // 2 - 1 if played.core.sequence < 2 * HASHED_CYCLES else 0
    journal.commit_now()
    journal.abandon()
    recorded = [msgspec.json.decode(entry.d) for entry in entries(journal.path) if entry.kind == "state"]
    assert [(each["sequence"], each["hash"]) for each in recorded] == hashes
    assert [sequence // HASHED_CYCLES for sequence, _ in hashes] == [1, 2]


def test_nothing_is_sealed_where_the_core_was_stepped_meanwhile(tmp_path: Path) -> None:
    played = desk()
    played.feed(flat_hours(2))
    journal = SessionJournal.create(tmp_path, "demo", KEY, clock=ManualClock())
    taking = Checkpoints(played.driver, journal)

    async def both() -> bool:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(taking.take, "due")
            await anyio.lowlevel.checkpoint()
            played.command("kill_switch", on="yes")
        return journal.pending == 0

    assert anyio.run(both)
    journal.abandon()


def test_equal_states_are_equal_bytes(tmp_path: Path) -> None:
    first, second = (session(tmp_path / name)[1] for name in ("one", "other"))
    assert encode_state(first.driver.export()) == encode_state(second.driver.export())
