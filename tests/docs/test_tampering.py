"""Tampering of every class with journal, decision log and ledger is found, by us and by the stranger's verifier alike."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest

from dudzian_daemon.adapters.heads import Head, encode_head, sign_head
from dudzian_daemon.adapters.journal_format import HEADS_FILE
from tests.scenario.tampering import KINDS, NEED_A_HEAD, OLD, Evidence, cases, lines_of, tamper, write
from tests.scenario.verdicts import ours, theirs

ALL = [(kind, name) for kind in KINDS for name in cases(kind)]


@pytest.fixture(scope="module")
def evidence() -> Iterator[dict[str, Evidence]]:
    with TemporaryDirectory() as folder:
        yield {kind: make(Path(folder) / kind) for kind, make in KINDS.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_written_is_intact(evidence: dict[str, Evidence], kind: str) -> None:
    one = evidence[kind]
    assert [judge(one.path, heads) for judge in (ours, theirs) for heads in (None, one.heads)] == [0] * 4


@pytest.mark.parametrize(("kind", "name"), ALL, ids=[f"{kind}: {name}" for kind, name in ALL])
def test_tampering_is_found(evidence: dict[str, Evidence], kind: str, name: str) -> None:
    one = evidence[kind]
    kept = one.kept()
    tamper(name, Random(name), one)
    try:
        assert (ours(one.path, one.heads, allow_unsigned=True), theirs(one.path, one.heads, allow_unsigned=True)) == (1, 1)
        alone = ours(one.path)
        assert alone == theirs(one.path)
        assert alone == 1 or name in NEED_A_HEAD or "head" in name
    finally:
        one.restore(kept)


@pytest.fixture
def with_own_heads(evidence: dict[str, Evidence]) -> Iterator[Evidence]:
    """The journal with its heads beside it, as a daemon writes them."""
    one = evidence["journal"]
    own = one._replace(heads=one.path / HEADS_FILE)
    own.heads.write_bytes(one.heads.read_bytes())
    yield own
    own.heads.unlink(missing_ok=True)


@pytest.mark.parametrize("name", [None, *cases("journal")])
def test_the_heads_beside_a_session_are_held_against_it(with_own_heads: Evidence, name: str | None) -> None:
    """Nobody has kept a head elsewhere."""
    one = with_own_heads
    kept = one.kept()
    if name is not None:
        tamper(name, Random(name), one)
    try:
        found = (ours(one.path, allow_unsigned=True), theirs(one.path, allow_unsigned=True))
        assert found == ((0, 0) if name is None else (1, 1))
    finally:
        one.restore(kept)


@pytest.mark.parametrize("name", ["another session's", "no heads", "a space behind", "an empty line before", "out of order"])
def test_what_is_no_head_of_the_session_does_not_stand_beside_it(with_own_heads: Evidence, name: str) -> None:
    one = with_own_heads
    kept = one.kept()
    text = kept[one.heads]
    other = {
        "another session's": text.replace(f'"log":"{one.path.name}"'.encode(), b'"log":"%s"' % (b"0" * 32)),
        "no heads": b'{"d":1}\n',
        "a space behind": text.replace(b"\n", b" \n"),
        "an empty line before": b"\n" + text,
        "out of order": text + head_of_line_2(one) + text,
    }
    one.heads.write_bytes(other[name])
    try:
        assert (ours(one.path), theirs(one.path)) == (1, 1)
    finally:
        one.restore(kept)


def test_a_session_that_was_emptied_had_lines_once(with_own_heads: Evidence) -> None:
    one = with_own_heads
    kept = one.kept()
    for path in one.logs[0][0][1:]:
        path.unlink()
    one.logs[0][0][0].write_bytes(b"")
    try:
        assert (ours(one.path), theirs(one.path)) == (1, 1)
    finally:
        one.restore(kept)


def test_a_session_put_back_with_its_side_files_is_found_by_a_head_from_outside_alone(with_own_heads: Evidence) -> None:
    one = with_own_heads
    kept, outside = one.kept(), one.path.parent / "kept-elsewhere.jsonl"
    outside.write_bytes(kept[one.heads])
    tamper("put back to an earlier time", Random(1), one)
    one.heads.unlink()
    try:
        assert (ours(one.path), theirs(one.path)) == (0, 0)
        assert (ours(one.path, outside), theirs(one.path, outside)) == (1, 1)
    finally:
        outside.unlink()
        one.restore(kept)


@pytest.mark.parametrize("kind", KINDS)
def test_every_bit_of_three_lines(evidence: dict[str, Evidence], kind: str) -> None:
    """The first, one in the middle, the last: here every 111th bit, all of them in the long suite. An id of no key at all is not judged."""
    one = evidence[kind]
    kept = one.kept()
    files = one.logs[0][0]
    lines = lines_of(files)
    try:
        for number in (0, len(lines) // 2, len(lines) - 1):
            for bit in range(number, len(lines[number]) * 8, 111):
                spoiled = bytearray(lines[number])
                spoiled[bit // 8] ^= 1 << bit % 8
                write(files, [*lines[:number], bytes(spoiled), *lines[number + 1 :]])
                verdicts = (ours(one.path, one.heads), theirs(one.path, one.heads))
                assert verdicts == (1, 1) or (verdicts == (3, 3) and number == 0), bit
                one.restore(kept)
    finally:
        one.restore(kept)


def head_of_line_2(one: Evidence) -> bytes:
    """A true head of an earlier line."""
    line = lines_of(sorted(one.path.glob("*.jsonl")))[1]
    seal = json.loads(line)["s"]
    digest = sha256(line[:-1]).hexdigest()
    return encode_head(sign_head(Head(log=seal["log"], line=2, sequence=0, hash=digest, content=seal["content"], at=1), OLD))


def test_an_earlier_head_before_a_later_one_is_true(with_own_heads: Evidence) -> None:
    one = with_own_heads
    one.heads.write_bytes(head_of_line_2(one) + one.heads.read_bytes())
    assert (ours(one.path), theirs(one.path)) == (0, 0)


def test_heads_that_came_by_mail_may_have_spaces_around_them(evidence: dict[str, Evidence], tmp_path: Path) -> None:
    one = evidence["journal"]
    mailed = tmp_path / "heads.txt"
    mailed.write_bytes(b"\r\n" + one.heads.read_bytes().replace(b"\n", b" \r\n"))
    assert (ours(one.path, mailed), theirs(one.path, mailed)) == (0, 0)


@pytest.fixture
def archived(tmp_path: Path) -> Evidence:
    """Ledgers as they lie in an archive: packed."""
    one = KINDS["ledger"](tmp_path)
    for path in one.path.iterdir():
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    return one


@pytest.mark.parametrize("harm", ["none", "edit", "cut the end", "another day's", "no gzip"])
def test_packed_ledgers_are_judged_as_those_that_are_not(archived: Evidence, harm: str) -> None:
    first, second, _ = sorted(archived.path.iterdir())
    text = gzip.decompress(first.read_bytes())
    if harm == "edit":
        first.write_bytes(gzip.compress(text.replace(b'"kind":"genesis"', b'"kind":"genesjs"')))
    elif harm == "cut the end":
        first.write_bytes(gzip.compress(b"".join(text.splitlines(keepends=True)[:-1])))
    elif harm == "another day's":
        first.write_bytes(second.read_bytes())
    elif harm == "no gzip":
        first.write_bytes(first.read_bytes()[:-9])
    expected = 0 if harm == "none" else 1
    assert (ours(archived.path), theirs(archived.path)) == (expected, expected)
