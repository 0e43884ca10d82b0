"""The content chain: equal records give equal links, any difference a different one, and no cycle may be left out."""

from __future__ import annotations

from decimal import Decimal
from hashlib import sha256

import msgspec
import pytest

from dudzian_daemon.domain.errors import IntegrityError
from dudzian_daemon.domain.records import CycleRecord, RiskChange
from dudzian_daemon.trading.content import ORIGIN, ContentChain


def cycle(sequence: int, *, cash: str = "10", due: tuple[str, ...] = ("a",)) -> CycleRecord:
    return CycleRecord(sequence=sequence, instant=sequence, phase=2, due=due, inputs=(), cash=Decimal(cash), equity=Decimal(10))


def test_a_link_is_the_hash_of_the_link_before_and_the_canonical_bytes() -> None:
    chain = ContentChain()
    assert (chain.link, chain.sequence) == (ORIGIN, 0)
    content = chain.seal(cycle(1))
    assert chain.link == sha256(bytes(32) + content).hexdigest()
    assert msgspec.json.decode(content, type=CycleRecord) == msgspec.structs.replace(cycle(1), books=chain.books)
    assert msgspec.json.encode(msgspec.json.decode(content, type=CycleRecord)) == content


def test_equal_cycles_give_equal_chains_and_a_chain_resumes_where_another_stood() -> None:
    whole, first = ContentChain(), ContentChain()
    for number in (1, 2, 3):
        whole.seal(cycle(number))
    first.seal(cycle(1))
    resumed = ContentChain(link=first.link, sequence=first.sequence, books=first.books)
    resumed.seal(cycle(2))
    resumed.seal(cycle(3))
    assert (resumed.link, resumed.books, resumed.sequence) == (whole.link, whole.books, 3)


def test_any_difference_shows_in_the_link_and_one_of_the_books_in_the_books_hash() -> None:
    same, other_due, other_cash = ContentChain(), ContentChain(), ContentChain()
    same.seal(cycle(1))
    other_due.seal(cycle(1, due=("b",)))
    other_cash.seal(cycle(1, cash="11"))
    assert len({same.link, other_due.link, other_cash.link}) == 3
    assert same.books == other_due.books != other_cash.books


def test_a_text_that_looks_like_the_books_field_is_not_taken_for_it() -> None:
    change = RiskChange(profile='","books":"x', change="tripped", state="reducing", rule='"books":"', limit=None, value=None)
    content = ContentChain().seal(msgspec.structs.replace(cycle(1), risk=(change,)))
    assert msgspec.json.decode(content, type=CycleRecord).risk == (change,)


@pytest.mark.parametrize("sequence", [0, 2])
def test_a_cycle_out_of_sequence_is_refused(sequence: int) -> None:
    with pytest.raises(IntegrityError, match="expected cycle 1"):
        ContentChain().seal(cycle(sequence))
