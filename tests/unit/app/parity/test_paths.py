"""Where two cycles differ is told path by path, and no shortening makes the two sides look alike."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dudzian_daemon.app.parity.paths import differences, differing_paths, shown
from tests.unit.adapters.journal_samples import fill_cycle, quiet_cycle


def test_a_member_of_an_input_is_named_as_it_stands_in_the_journal() -> None:
    recorded = quiet_cycle(1)
    played = msgspec.structs.replace(recorded, inputs=(msgspec.structs.replace(recorded.inputs[0], close=100.5),))
    (differing,) = differing_paths(recorded, played)
    assert str(differing) == "inputs[0][8]: 100.75 recorded, 100.5 in the backtest"


def test_what_is_nearest_to_the_cause_comes_first() -> None:
    recorded = fill_cycle(1)
    played = msgspec.structs.replace(recorded, cash=recorded.cash + 1, signals=(), books="1")
    assert [differing.path for differing in differing_paths(recorded, played)] == ["signals[0]", "cash", "books"]
    assert str(differing_paths(recorded, played)[0]).endswith(" recorded, nothing in the backtest")


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, [("a.b", 1, 2)]),
        ({"a": 1}, {}, [("a", 1, None)]),
        ([1, 2], [1, 3, 4], [("[1]", 2, 3), ("[2]", None, 4)]),
        ([1], {"a": 1}, [("", [1], {"a": 1})]),
        (1, 1.0, [("", 1, 1.0)]),
    ],
)
def test_paths(one: Any, other: Any, expected: list[tuple[str, Any, Any]]) -> None:
    assert list(differences(one, other)) == expected


@given(st.text("ab", max_size=400), st.text("ab", max_size=400), st.text("ab", max_size=400))
def test_two_texts_that_differ_never_look_alike(head: str, one: str, other: str) -> None:
    first, second = shown(head + one, head + other, 40)
    assert (first == second) == (one == other)
    assert max(len(first), len(second)) <= 46
