"""Signed heads beside a log: when one is written, what it says, and what becomes of it on a disk that refuses."""

from __future__ import annotations

from pathlib import Path

import anyio.to_thread
import msgspec
import pytest

from dudzian_daemon.adapters.head_file import FILE_NAME, LINES, PERIOD_NS, HeadFile, HeadKeeper, last_proven_head, newest_head
from dudzian_daemon.adapters.heads import Head, HeadVerifier, SignedHead, encode_head, new_signer, read_heads, read_verifier, verify_head
from dudzian_daemon.adapters.journal import SessionJournal
from dudzian_daemon.adapters.journal_reader import entries
from dudzian_daemon.adapters.log_sources import find_logs
from dudzian_daemon.adapters.verify import Terms, verify_log
from dudzian_daemon.domain.errors import ConfigError
from dudzian_daemon.domain.events import SessionHead
from dudzian_daemon.domain.market import SECOND_NS
from dudzian_daemon.testing.clock import ManualClock
from tests.unit.adapters.journal_samples import KEY, OTHER_KEY, fill_cycle, quiet_cycle


class Bench:
    """A journal, its heads and what was told of them."""

    def __init__(self, root: Path) -> None:
        self.clock = ManualClock()
        self.journal = SessionJournal.create(root, "demo", KEY, clock=self.clock)
        self.told: list[SessionHead] = []
        self.keeper = HeadKeeper(HeadFile(self.journal.folder, KEY), self.journal.head, self.told.append, self.clock)
        self.path = self.journal.folder / FILE_NAME
        self.sequence = 0

    async def cycles(self, count: int) -> None:
        """So many lines, committed, and what follows a commit."""
        for _ in range(count):
            self.sequence += 1
            self.journal.append(fill_cycle(self.sequence), wall={})
        await self.journal.commit()
        await self.keeper.keep(False)

    async def written(self) -> list[Head]:
        found = await anyio.to_thread.run_sync(read_heads, self.path)
        assert all(verify_head(signed, KEY) and not verify_head(signed, OTHER_KEY) for signed in found)
        return [signed.head for signed in found]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def test_a_head_is_written_after_a_hundred_lines_a_minute_and_at_the_end(bench: Bench) -> None:
    await bench.cycles(LINES - 1)
    assert not bench.told
    await bench.cycles(1)
    await bench.clock.advance(PERIOD_NS / SECOND_NS - 1)
    await bench.cycles(1)
    assert [head.line for head in await bench.written()] == [LINES + 1]
    await bench.clock.advance(1)
    await bench.keeper.keep(False)
    await bench.keeper.keep(True)
    await bench.cycles(1)
    await bench.keeper.keep(True)
    assert [(head.line, head.sequence) for head in await bench.written()] == [(line, line - 1) for line in (101, 102, 103)]
    assert [head.line for head in bench.told] == [101, 102, 103]


async def test_it_names_the_last_durable_line_and_not_one_that_waits(bench: Bench) -> None:
    await bench.cycles(3)
    bench.journal.append(fill_cycle(4), wall={})
    bench.journal.append(quiet_cycle(5), wall={})
    await bench.keeper.keep(True)
    (head,) = await bench.written()
    last = (await anyio.to_thread.run_sync(lambda: list(entries(bench.journal.path))))[-1]
    assert (head.log, head.line, head.hash, head.content) == (last.seal.log, last.seal.line, last.line_hash, last.seal.content)
    assert (head.sequence, head.at) == (3, bench.clock.wall_ns())
    (told,) = bench.told
    assert told.signed.encode() + b"\n" == await anyio.to_thread.run_sync(bench.path.read_bytes)
    assert (told.line, told.sequence, told.line_hash) == (head.line, head.sequence, head.hash)


async def test_what_a_crash_left_of_a_head_is_cut_off_with_the_next(bench: Bench) -> None:
    await bench.cycles(LINES)
    with bench.path.open("ab") as file:
        file.write(b'{"head":{"log":"')
    bench.keeper = HeadKeeper(HeadFile(bench.journal.folder, KEY), bench.journal.head, bench.told.append, bench.clock)
    await bench.cycles(LINES)
    assert [head.sequence for head in await bench.written()] == [LINES, 2 * LINES]


async def test_a_disk_that_refuses_holds_nothing_up_and_is_tried_again(bench: Bench) -> None:
    await anyio.to_thread.run_sync(bench.path.symlink_to, bench.journal.path)
    await bench.cycles(LINES)
    assert bench.sequence == LINES
    assert not bench.told
    await anyio.to_thread.run_sync(bench.path.unlink)
    await bench.cycles(1)
    assert not bench.told, "a disk that refused is left in peace for a second"
    await bench.clock.advance(1)
    await bench.cycles(1)
    assert [head.line for head in await bench.written()] == [LINES + 3]


async def test_a_disk_that_goes_on_refusing_is_told_of_once_a_minute(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    await anyio.to_thread.run_sync(bench.path.symlink_to, bench.journal.path)
    await bench.cycles(LINES)
    for _ in range(61):
        await bench.clock.advance(1)
        await bench.cycles(2)
    assert capsys.readouterr().err.count("head_not_written") == 2


def test_the_newest_one_is_the_last_whole_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="found none"):
        newest_head(tmp_path)
    file = HeadFile(tmp_path, KEY)
    signed = [file.write(Head(log="0" * 32, line=line, sequence=line, hash="1" * 64, content="2" * 64, at=3)) for line in (1, 2)]
    with (tmp_path / FILE_NAME).open("ab") as opened:
        opened.write(b'{"hea')
    assert newest_head(tmp_path) == signed[1]
    assert msgspec.json.decode((tmp_path / FILE_NAME).read_bytes().splitlines()[0])["head"]["line"] == 1
    (tmp_path / FILE_NAME).write_bytes(b"{}\n")
    with pytest.raises(ConfigError, match="expected a signed head"):
        newest_head(tmp_path)


async def test_an_ed25519_key_signs_each_head_too_and_is_the_one_that_is_told(bench: Bench, tmp_path: Path) -> None:
    signer = await anyio.to_thread.run_sync(new_signer, tmp_path / "heads.key", tmp_path / "heads.pub")
    public = await anyio.to_thread.run_sync(read_verifier, tmp_path / "heads.pub")
    bench.keeper = HeadKeeper(HeadFile(bench.journal.folder, KEY, signer), bench.journal.head, bench.told.append, bench.clock)
    await bench.cycles(LINES)
    by_key, by_signer = await anyio.to_thread.run_sync(read_heads, bench.path)
    assert by_key.head == by_signer.head
    assert verify_head(by_key, KEY)
    assert verify_head(by_signer, public)
    assert [told.signed for told in bench.told] == [encode_head(by_signer).decode().rstrip("\n")]
    await anyio.to_thread.run_sync(require_both_on_disk, bench.journal.folder, by_key, by_signer, public)


def require_both_on_disk(folder: Path, by_key: SignedHead, by_signer: SignedHead, public: HeadVerifier) -> None:
    assert newest_head(folder) == by_signer
    assert last_proven_head(folder, KEY) == by_key.head
    (source,) = find_logs(folder)
    for terms in (Terms(key=lambda _: KEY), Terms(key=lambda _: None, public_key=public), Terms(key=lambda _: KEY, public_key=public)):
        report = verify_log(source, terms)
        assert (report.lacking, report.proof) == (None, f"unproven: no head but its own, up to line {LINES + 1}")


def test_heads_that_are_not_by_the_key_say_nothing_to_a_start(tmp_path: Path) -> None:
    folder = tmp_path / ("a" * 32)
    folder.mkdir()
    assert last_proven_head(folder, KEY) is None
    head = Head(log=folder.name, line=9, sequence=3, hash="1" * 64, content="2" * 64, at=1)
    HeadFile(folder, OTHER_KEY).write(head)
    assert last_proven_head(folder, KEY) is None
    HeadFile(folder, KEY).write(head)
    assert last_proven_head(folder, KEY) == head
