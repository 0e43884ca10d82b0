"""Entries are read many ways, by dictionary, as cycles, by the shape of their kind, and no way reads what another one would not."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dudzian_daemon.adapters.entry_reading import Cycle, Cycles, Entry, read_entries, read_session
from dudzian_daemon.adapters.entry_shapes import Shapes
from dudzian_daemon.adapters.journal_format import encode, split
from dudzian_daemon.domain.records import CycleRecord
from tests.unit.adapters.journal_samples import KEY, small_session, write_session

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
#: Entries of few kinds and few sets of members, so that shapes are learned, used and left again.
ENTRY = st.builds(
    lambda kind, more: {"kind": kind} | more, st.sampled_from(["a", "b", "cycle", 1]), st.dictionaries(st.sampled_from("xy"), JSON)
)


def text(d: object, w: object = {}) -> bytes:
    return encode({"d": d, "w": w})[:-1]


def texts_of_a_session(folder: Path) -> list[bytes]:
    parts = [split(line) for line in write_session(folder, small_session(), KEY).read_bytes().splitlines()]
    return [b'{"d":' + bytes(part.d) + b',"w":' + bytes(part.w) for part in parts]


def spelled(entries: list[Any]) -> list[bytes]:
    return [text(entry.d, entry.w) for entry in entries]


def test_cycles_are_read_with_the_members_that_they_have() -> None:
    assert Cycle.__struct_fields__ == CycleRecord.__struct_fields__


def test_a_session_is_read_the_fast_way_and_every_byte_of_its_cycles_is_there(tmp_path: Path) -> None:
    texts = texts_of_a_session(tmp_path)
    entries = read_session(texts)
    assert [entry.kind for entry in entries] == ["genesis", "run", "quiet", "cycle", "quiet", "cycle", "closed"]
    for entry, whole in zip(entries, texts, strict=True):
        if entry.kind in ("cycle", "quiet"):
            assert isinstance(entry, Cycles)
            assert b",".join(entry.raws) in whole
            assert [encode(cycle) for cycle in entry.cycles] == entry.raws


@pytest.fixture
def usual_depth() -> Iterator[None]:
    """The interpreter's own limit, which libraries of other tests raise: how deep a text may be nested depends on it."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(1_000)
    yield
    sys.setrecursionlimit(limit)


@pytest.mark.usefixtures("usual_depth")
@pytest.mark.parametrize(
    "spoil",
    [
        lambda whole: whole.replace(b'"sequence":', b'"sequence":1e0,"sequence":', 1),
        lambda whole: whole.replace(b'"phase":', b'"phase": ', 1),
        lambda whole: whole.replace(b'"due":', b'"d\\u0075e":', 1),
        lambda whole: whole.replace(b'"kind":"cycle"', b'"kind":"cycl\\u0065"', 1),
        lambda whole: whole + b',"cycles":[]',
        lambda whole: whole + b',"raws":[]',
        lambda whole: whole[:-1],
        lambda whole: whole + b"}",
        lambda whole: whole.replace(b'"signals":[', b'"signals":[' + b"[" * 5_000 + b"]" * 5_000, 1),
    ],
)
def test_cycles_that_are_not_spelled_canonically_are_not_read(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    texts = texts_of_a_session(tmp_path)
    for number in (2, 3):  # quiet ones and one with a signal
        spoiled = spoil(texts[number])
        assert spoiled != texts[number]
        assert len(read_session([*texts[:number], spoiled, *texts[number:]])) == number


def test_cycles_with_other_members_are_read_as_what_they_are(tmp_path: Path) -> None:
    whole = texts_of_a_session(tmp_path)[3].replace(b'"phase":', b'"later":1,"phase":', 1)
    (entry,) = read_session([whole])
    assert isinstance(entry, Entry)
    assert entry.kind == "cycle"
    assert entry.d["later"] == 1


@given(blocks=st.lists(st.lists(ENTRY, min_size=1, max_size=3), max_size=6))
@example(blocks=[[{"kind": "a", "x": 1}], [{"kind": "a", "x": 1.0}], [{"kind": "a", "y": 1}], [{"kind": "a", "x": []}]])
def test_shapes_read_what_dictionaries_read(blocks: list[list[dict[str, object]]]) -> None:
    shapes = Shapes(never=frozenset({"cycle"}))
    for block in blocks:
        texts = [text(d) for d in block]
        entries = shapes.read(texts)
        assert spelled(entries) == texts
        assert shapes.kinds(entries) in ([], [d["kind"] for d in block])
        assert "cycle" not in shapes.kinds(entries)


def test_a_shape_is_learned_at_once_and_used_from_then_on() -> None:
    shapes = Shapes(never=frozenset())
    a, b = text({"kind": "a", "x": 1, "class": None}), text({"kind": "b", "märz": {}})
    assert shapes.kinds(shapes.read([a, b])) == []
    assert shapes.kinds(shapes.read([b, a, a])) == ["b", "a", "a"]


def test_shapes_are_given_up_where_members_come_and_go() -> None:
    shapes = Shapes(never=frozenset())
    for d in ({"kind": "a", "x": 1}, {"kind": "a"}, {"kind": "a", "x": 1}, {"kind": "a", "x": 1}):
        assert shapes.kinds(shapes.read([text(d)])) == []


@pytest.mark.parametrize("d", [{"kind": "a", 'odd "name"\n': {}}, {"kind": "a\n"}, {"kind": "a", "": 1}])
def test_names_that_no_record_can_have_are_left_to_dictionaries(d: dict[str, object]) -> None:
    shapes = Shapes(never=frozenset())
    for _ in range(2):
        assert spelled(shapes.read([text(d)])) == [text(d)]
        assert shapes.kinds(shapes.read([text(d)])) == []


@given(
    spoil=st.sampled_from(
        [
            lambda whole: whole.replace(b'"x":1', b'"x": 1'),
            lambda whole: whole.replace(b'"x":1', b'"x":1,"x":1'),
            lambda whole: whole.replace(b'"x":1', b'"\\u0078":1'),
            lambda whole: whole.replace(b'"x":1', b'"x":1e0'),
            lambda whole: whole + b',"kind":"a"',
            lambda whole: whole.replace(b'"kind":"a"', b'"kind":"\\u0061"'),
            lambda whole: whole.replace(b'"w":{}', b'"w":{},"w":{}'),
        ]
    ),
    before=st.integers(0, 3),
    after=st.integers(0, 3),
)
def test_what_is_not_canonical_ends_a_known_shape_too(spoil: Callable[[bytes], bytes], before: int, after: int) -> None:
    whole = text({"kind": "a", "x": 1})
    shapes = Shapes(never=frozenset())
    shapes.read([whole])
    block = [whole] * before + [spoil(whole)] + [whole] * after
    assert len(shapes.read(block)) == len(read_entries(block)) == before


def test_numbers_beyond_64_bits_and_deep_nesting_are_no_entries_to_a_shape() -> None:
    shapes = Shapes(never=frozenset())
    shapes.read([text({"kind": "a", "x": 1})])
    deep = b'{"d":{"kind":"a","x":' + b"[" * 100_000 + b"]" * 100_000 + b'},"w":{}'
    assert shapes.read([deep]) == []
    assert shapes.read([text({"kind": "a", "x": 2**64 - 1})])[0].d.member_0 == 2**64 - 1
