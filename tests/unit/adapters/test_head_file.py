"""Signed heads beside a log: when one is written, what it says, and what becomes of it on a disk that refuses."""

from __future__ import annotations

from pathlib import Path

import anyio.to_thread
import msgspec
import pytest

from dudzian_daemon.adapters.head_file import FILE_NAME, LINES, PERIOD_NS, HeadFile, HeadKeeper, newest_head
from dudzian_daemon.adapters.heads import Head, read_heads, verify_head
from dudzian_daemon.adapters.journal import SessionJournal
from dudzian_daemon.adapters.journal_reader import entries
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
    assert [head.line for head in await bench.written()] == [LINES + 2]


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
