"""The content chain is a function of what a session did and of nothing else."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dudzian_daemon.adapters.journal_reader import entries
from dudzian_daemon.adapters.log_sources import Source
from dudzian_daemon.adapters.verify import Terms, verify_log
from dudzian_daemon.domain.errors import IntegrityError
from dudzian_daemon.domain.market import Candle, Command, Gap, OpenPrint, Quote, Timer, WarmUp
from dudzian_daemon.domain.orders import Intent, Signal
from dudzian_daemon.domain.records import CycleRecord, PositionChange, RiskChange, StrategyFault
from dudzian_daemon.trading.content import ORIGIN, ContentChain
from tests.unit.adapters.journal_samples import KEY, OTHER_KEY, fill_cycle, quiet_cycle, small_session, write_session
from tests.unit.adapters.stranger import Stranger

text = st.text(max_size=8)
integers = st.integers(0, 2**63 - 1)
floats = st.floats(allow_nan=False, allow_infinity=False)
decimals = st.decimals(allow_nan=False, allow_infinity=False)
inputs = st.one_of(
    st.builds(OpenPrint, integers, text, text, floats),
    st.builds(Candle, integers, text, text, integers, floats, floats, floats, floats, floats, integers),
    st.builds(Quote, integers, text, floats, floats, floats, floats),
    st.builds(Timer, integers, integers),
    st.builds(Command, integers, text, text, st.dictionaries(text, text, max_size=2)),
    st.builds(Gap, integers, text, text, integers, integers),
    st.builds(WarmUp, integers, text, text, integers, integers, integers, text),
)
signals = st.builds(
    Signal,
    instrument=text,
    intent=st.sampled_from(Intent),
    reason=text,
    confidence=floats,
    target=st.none() | floats,
    numbers=st.dictionaries(text, floats, max_size=2),
)
positions = st.builds(PositionChange, strategy=text, instrument=text, quantity=decimals, cost=decimals, realised=decimals)
risks = st.builds(RiskChange, profile=text, change=text, state=text, rule=text, limit=st.none() | decimals, value=st.none() | decimals)
faults = st.builds(StrategyFault, strategy=text, unit=text, where=text, error=text)


def some(values: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(values, max_size=2).map(tuple)


records = st.builds(
    CycleRecord,
    sequence=st.just(0),
    instant=integers,
    phase=st.integers(0, 5),
    due=some(text),
    inputs=some(inputs),
    signals=some(signals),
    positions=some(positions),
    risk=some(risks),
    faults=some(faults),
    cash=decimals,
    equity=decimals,
)
# Mostly quiet, as sessions are, so that groups form.
sessions = st.lists(st.one_of(st.none(), st.none(), records), min_size=1, max_size=10).map(
    lambda drawn: [
        quiet_cycle(number) if record is None else msgspec.structs.replace(record, sequence=number)
        for number, record in enumerate(drawn, start=1)
    ]
)


def chain_of(made: list[CycleRecord]) -> ContentChain:
    chain = ContentChain()
    for record in made:
        chain.seal(record)
    return chain


@settings(max_examples=25)
@given(made=sessions, first=st.integers(1, 5), second=st.integers(1, 5), wall=st.dictionaries(text, integers | text | floats, max_size=2))
def test_any_session_verifies_and_its_chain_knows_no_grouping_wall_or_key(
    made: list[CycleRecord], first: int, second: int, wall: dict[str, Any]
) -> None:
    with TemporaryDirectory() as folder:
        one = write_session(Path(folder), made, KEY, flush_every=first)
        other = write_session(Path(folder), made, OTHER_KEY, flush_every=second, wall=wall, artifact="elsewhere", end="stopped")
        bare = write_session(Path(folder), made, None)
        report = verify_log(Source(label="one", files=(one,)), Terms(key=lambda _: KEY))
        again = verify_log(Source(label="other", files=(other,)), Terms(key=lambda _: OTHER_KEY))
        unsigned = verify_log(Source(label="bare", files=(bare,)), Terms(key=lambda _: None, allow_unsigned=True))
        read = [cycle.record for entry in entries(one) for cycle in entry.cycles()]
        log = one.read_bytes()
    assert [report.finding, again.finding, unsigned.finding] == [None, None, None]
    assert report.cycles == len(made)
    assert report.content == again.content == unsigned.content == chain_of(made).link
    assert [msgspec.structs.replace(record, books="") for record in read] == made
    assert Stranger(KEY.secret, report.log_id).accepts(log)


@settings(max_examples=40)
@given(sessions, st.data())
def test_a_chain_can_be_resumed_anywhere(made: list[CycleRecord], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(made)))
    before = chain_of(made[:cut])
    resumed = ContentChain(link=before.link, sequence=before.sequence, books=before.books)
    for record in made[cut:]:
        resumed.seal(record)
    whole = chain_of(made)
    assert (resumed.link, resumed.sequence, resumed.books) == (whole.link, whole.sequence, whole.books)


def test_a_chain_starts_at_zeros() -> None:
    chain = ContentChain()
    assert (chain.link, chain.sequence, chain.books) == (ORIGIN, 0, ORIGIN)


@pytest.mark.parametrize("member", ["equity", "cash", "due", "instant"])
def test_any_change_moves_the_content_link_and_a_change_of_cash_the_books_too(member: str) -> None:
    value: Any = {"equity": Decimal("1"), "cash": Decimal("1"), "due": ("x",), "instant": 1}[member]
    made = small_session()
    other = [*made[:2], msgspec.structs.replace(made[2], **{member: value}), *made[3:]]
    assert chain_of(made).link != chain_of(other).link
    assert (chain_of(made).books == chain_of(other).books) == (member != "cash")


def test_books_tell_apart_states_that_came_about_differently() -> None:
    bought = chain_of([quiet_cycle(1), fill_cycle(2)])
    quiet = chain_of([quiet_cycle(1), msgspec.structs.replace(quiet_cycle(2), cash=fill_cycle(2).cash)])
    assert bought.books != quiet.books


def test_the_sealed_bytes_are_the_record_with_its_books() -> None:
    chain = ContentChain()
    sealed = chain.seal(fill_cycle(1))
    assert msgspec.json.decode(sealed, type=CycleRecord) == msgspec.structs.replace(fill_cycle(1), books=chain.books)
    assert msgspec.json.encode(msgspec.json.decode(sealed)) == sealed


@pytest.mark.parametrize("sequence", [0, 1, 3])
def test_a_record_out_of_turn_moves_nothing(sequence: int) -> None:
    chain = chain_of([quiet_cycle(1)])
    before = (chain.link, chain.sequence, chain.books)
    with pytest.raises(IntegrityError, match="expected cycle 2"):
        chain.seal(quiet_cycle(sequence))
    assert (chain.link, chain.sequence, chain.books) == before
