"""The ledger's daily files: what was booked, when, sealed and chained, each line naming its journal line; old files go."""

from __future__ import annotations

import errno
import os
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from dudzian_daemon.adapters.chained_log import ChainedLog
from dudzian_daemon.adapters.cycle_follower import Mark
from dudzian_daemon.adapters.journal_format import genesis
from dudzian_daemon.adapters.keychain import SigningKey
from dudzian_daemon.adapters.log_report import Integrity
from dudzian_daemon.adapters.log_sources import find_logs
from dudzian_daemon.adapters.verify import Terms, verify_log
from dudzian_daemon.domain.errors import Permanent, StorageError, StorageFull
from dudzian_daemon.domain.market import DAY_NS
from dudzian_daemon.kernel.bus import Bus
from dudzian_daemon.sinks.ledger import LedgerFiles, LedgerSink, prune
from dudzian_daemon.testing.clock import ManualClock
from tests.unit.sinks.durable import follow, publish
from tests.unit.trading.desk import BTC, Desk, desk, enter, flat_hours, hour, leave, quote_tick

KEY = SigningKey(id="risk-ci", secret=bytes(range(32)), source="test")


def files(folder: Path, key: SigningKey | None = KEY, *, days: int = 730, fsync: bool = True) -> LedgerFiles:
    return LedgerFiles(folder=folder, artifact="paper_test", key=key, retention_days=days, fsync=fsync)


def two_days() -> Desk:
    """In on the first evening, out on the second morning; then a limit order that is cancelled."""
    session = desk({hour(20): [enter()], hour(28): [leave()]})
    session.feed(flat_hours(32))
    session.command("stop", close_positions="no")
    return session


def write(session: Desk, wanted: LedgerFiles, clock: ManualClock | None = None, *, cycles: slice = slice(None)) -> None:
    """Run the sink on a loop of its own over cycles of a session: all of them, or from the last one that an earlier run has told."""
    chosen = session.records[cycles]
    begun = Mark(chosen[0].sequence, 99) if chosen[0].sequence > 1 else None

    async def play() -> None:
        bus = Bus()
        sink = LedgerSink(follow(bus, "ledger"), wanted, clock or ManualClock(), environment="test", begun=begun)
        publish(bus, chosen)
        await sink.stop()
        await sink.run()

    anyio.run(play)


def lines(path: Path) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line)["d"] for line in path.read_bytes().splitlines()]


def test_each_day_has_a_file_and_each_line_says_what_was_booked_and_where_it_is_recorded(tmp_path: Path) -> None:
    session = two_days()
    write(session, files(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ledger-20240101.jsonl", "ledger-20240102.jsonl"]
    begun, opening, bought, stopped = lines(tmp_path / "ledger-20240101.jsonl")
    assert (begun["kind"], begun["projection"], opening["kind"], opening["entry"]) == ("genesis", True, "opening", 1)
    assert stopped["kind"] == "stopped"
    fill = session.fills[0]
    (record,) = [each for each in session.records if fill in each.fills]
    assert bought["sequence"] == record.sequence
    assert bought["line_hash"] == f"{record.sequence:064x}"
    wanted = {  #  with the ids of the rebuild
        "kind": "fill", "order_id": fill.order_id,
        "fill_id": fill.id, "signal_id": fill.signal_id, "strategy": "told", "symbol": BTC.key, "side": "buy",
        "quantity": str(fill.quantity), "price": str(fill.price), "fee": str(fill.fee), "fee_asset": "USDT", "status": "filled",
        "leverage": "1", "session": "f" * 32}  # fmt: skip
    assert {key: bought[key] for key in wanted} == wanted
    assert Decimal(bought["position_value"]) == fill.quantity * 100
    assert bought["timestamp"].startswith("2024-01-01T20:00:00")
    assert {tuple(each) for each in bought["postings"]} >= {("expense:fees", "USDT", str(fill.fee))}
    second = lines(tmp_path / "ledger-20240102.jsonl")
    assert [line["kind"] for line in second] == ["genesis", "follows", "fill", "stopped"]
    assert second[1]["file"] == "ledger-20240101.jsonl"


def test_a_file_that_a_later_run_begins_follows_the_last_one_of_the_run_before(tmp_path: Path) -> None:
    session = two_days()
    first = next(place for place, record in enumerate(session.records) if record.instant >= hour(25))
    write(session, files(tmp_path), cycles=slice(0, first))
    before = tmp_path / "ledger-20240101.jsonl"
    ended = before.read_bytes()
    with before.open("ab") as file:
        file.write(b'{"d":{"kind":"fi')
    write(session, files(tmp_path), cycles=slice(first - 1, None))
    assert before.read_bytes() == ended, "what a kill left of a write is no part of it"
    follows = lines(tmp_path / "ledger-20240102.jsonl")[1]
    last = sha256(ended.splitlines()[-1]).hexdigest()
    assert follows == {"kind": "follows", "file": before.name, "line_hash": last}


def test_the_files_verify_and_a_changed_digit_does_not(tmp_path: Path) -> None:
    write(two_days(), files(tmp_path))
    path = tmp_path / "ledger-20240101.jsonl"

    def verdict() -> Integrity:
        (source,) = find_logs(path)
        return verify_log(source, Terms(key=lambda _name: KEY)).integrity

    assert verdict() is Integrity.INTACT
    path.write_bytes(path.read_bytes().replace(b'"side":"buy"', b'"side":"bux"'))
    assert verdict() is Integrity.TAMPERED


def test_a_cancelled_order_is_an_entry_that_moves_nothing(tmp_path: Path) -> None:
    session = desk({hour(1): [enter()]})
    session.feed(flat_hours(1))
    session.command("stop", close_positions="no")
    write(session, files(tmp_path))
    last = lines(tmp_path / "ledger-20240101.jsonl")[-2]
    assert (last["kind"], last["status"], last["code"], last["fee"], last["price"]) == ("cancel", "cancelled", "stopped", "0", None)
    assert last["order_id"] == session.results[-1].order_id


def test_partial_fills_each_say_how_far_the_order_is(tmp_path: Path) -> None:
    session = desk({hour(1): [enter()]})
    session.feed(flat_hours(1))
    session.ticks([quote_tick(hour(1) + number, 100.0, 100.0) for number in (1, 2)])
    write(session, files(tmp_path))
    told = [line["status"] for line in lines(tmp_path / "ledger-20240101.jsonl") if line["kind"] == "fill"]
    assert told == [each.status for each in session.results if each.price is not None]


def test_another_session_goes_on_in_the_same_file(tmp_path: Path) -> None:
    for _ in range(2):
        write(two_days(), files(tmp_path))
    kinds = [line["kind"] for line in lines(tmp_path / "ledger-20240101.jsonl")]
    assert kinds == ["genesis", "opening", "fill", "stopped", "opening", "fill", "stopped"]
    (source,) = find_logs(tmp_path / "ledger-20240102.jsonl")
    assert verify_log(source, Terms(key=lambda _name: KEY)).integrity is Integrity.INTACT


def test_without_a_sync_the_lines_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fdatasync", lambda _descriptor: pytest.fail("synced"))
    write(two_days(), files(tmp_path, None, fsync=False))
    assert len(lines(tmp_path / "ledger-20240101.jsonl")) == 4


def test_files_are_kept_as_long_as_they_should_be_and_pruned_with_a_new_one(tmp_path: Path) -> None:
    clock = ManualClock()
    for name, age in (("ledger-20200101.jsonl", 731), ("ledger-20220201.jsonl", 729), ("notes.jsonl", 9999)):
        path = tmp_path / name
        path.write_text("{}\n")
        os.utime(path, ns=(0, clock.wall_ns() - age * DAY_NS))
    write(two_days(), files(tmp_path), clock)
    assert {path.name for path in tmp_path.iterdir()} == {
        "ledger-20220201.jsonl", "notes.jsonl", "ledger-20240101.jsonl", "ledger-20240102.jsonl"}  # fmt: skip
    assert prune(tmp_path, 730, clock.wall_ns()) == []


def test_a_disk_that_fails_leaves_the_files_behind_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(_log: ChainedLog) -> None:
        message = "I/O error"
        raise StorageError(message)

    monkeypatch.setattr(ChainedLog, "commit", broken)
    with pytest.raises(Permanent, match="the ledger files stay behind the journal: I/O error"):
        write(two_days(), files(tmp_path))


def test_a_file_of_another_key_is_left_alone(tmp_path: Path) -> None:
    other = SigningKey(id="risk-ci", secret=bytes(range(1, 33)), source="test")
    log = ChainedLog.create(tmp_path / "ledger-20240101.jsonl", "a" * 32, other)
    log.append(msgspec.json.encode(genesis("paper_test", "t", signed=True, projection=True)), b"{}")
    log.commit_now()
    log.release()
    before = (tmp_path / "ledger-20240101.jsonl").read_bytes()
    with pytest.raises(Permanent, match="stay behind"):
        write(two_days(), files(tmp_path))
    assert (tmp_path / "ledger-20240101.jsonl").read_bytes() == before


def test_a_day_that_cannot_begin_yet_waits_and_no_line_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk, or no descriptor for the new file: what was wrong with it the first times is gone at the third."""
    refusals = [errno.EMFILE, errno.ENOSPC]
    opened = os.open

    def refuse(path: Any, flags: int, mode: int = 0o777, **more: Any) -> int:
        if refusals and str(path).endswith("ledger-20240102.jsonl") and flags & os.O_CREAT:
            raise OSError(refusals.pop(), "refused")
        return opened(path, flags, mode, **more)

    class Patient(ManualClock):
        async def sleep(self, seconds: float) -> None:
            waited.append(seconds)

    waited: list[float] = []
    monkeypatch.setattr(os, "open", refuse)
    write(two_days(), files(tmp_path), Patient())
    assert waited == [1.0, 1.0]
    kinds = [[line["kind"] for line in lines(tmp_path / f"ledger-2024010{day}.jsonl")] for day in (1, 2)]
    assert (kinds[0][-1], kinds[1][:3]) == ("stopped", ["genesis", "follows", "fill"])


def test_a_full_disk_is_asked_again_and_no_line_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refusals = [StorageFull("full"), StorageFull("full")]
    commit = ChainedLog.commit

    async def full(log: ChainedLog) -> None:
        if refusals:
            raise refusals.pop()
        await commit(log)

    class Patient(ManualClock):
        async def sleep(self, seconds: float) -> None:
            waited.append(seconds)

    waited: list[float] = []
    monkeypatch.setattr(ChainedLog, "commit", full)
    write(two_days(), files(tmp_path), Patient())
    assert waited == [1.0, 1.0]
    assert [line["kind"] for line in lines(tmp_path / "ledger-20240101.jsonl")] == ["genesis", "opening", "fill", "stopped"]
