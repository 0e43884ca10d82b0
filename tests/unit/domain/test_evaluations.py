"""Risk evaluations: what a verdict looks like in the history, and which ones a reader wants."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from msgspec import UNSET

from dudzian_daemon.domain.evaluations import DECISION_KEYS, UNJUDGED, choice, of_record
from dudzian_daemon.domain.orders import Outcome, RefusalCode
from tests.unit.domain import cycle_samples as samples
from tests.unit.domain.cycle_samples import GATE, WALL_S, evaluation, instant, record, signal, verdict

BASE = ["timestamp", "approved", "normalized", "decision", "service"]
FOUR = {
    "approved": evaluation(samples.APPROVED),
    "adjusted": evaluation(samples.ADJUSTED),
    "refused": evaluation(samples.REFUSED, service="OtherGate"),
    "unjudged": evaluation(samples.UNJUDGED),
}


@pytest.mark.parametrize(
    ("name", "approved", "normalized", "error"),
    [
        ("approved", True, True, None),
        ("adjusted", True, True, None),
        ("refused", False, False, None),
        ("unjudged", None, False, "no_reference_price"),
    ],
)
def test_an_answer_raw_and_as_it_was_acted_upon(name: str, approved: bool | None, normalized: bool, error: str | None) -> None:
    asked = FOUR[name]
    assert (asked.approved, asked.normalized, asked.error) == (approved, normalized, error)
    entry = asked.entry()
    assert list(entry) == [*BASE, "response" if error is None else "error"]
    assert (entry["approved"], entry["normalized"], entry.get("error")) == (approved, normalized, error)


@pytest.mark.parametrize("code", sorted(RefusalCode))
def test_only_what_could_not_be_judged_is_an_error(code: RefusalCode) -> None:
    refused = evaluation(verdict("s1", Outcome.REFUSED, code))
    assert (refused.error is not None) is (code in UNJUDGED) is (refused.approved is None)
    assert evaluation(verdict("s1", Outcome.ADJUSTED, code)).error is None


def test_an_entry_tells_wish_and_answer_and_is_the_readers_own() -> None:
    asked = evaluation(samples.ADJUSTED, 3, asked=signal("s2", target=0.5))
    entry = asked.entry()
    assert (entry["timestamp"], entry["service"]) == (WALL_S + 3.0, GATE)
    assert tuple(entry["decision"]) == DECISION_KEYS
    assert {key: entry["decision"][key] for key in ("group_id", "profile", "instrument", "intent", "target", "numbers")} == {
        "group_id": "s2",
        "profile": "balanced",
        "instrument": samples.BTC,
        "intent": "enter",
        "target": 0.5,
        "numbers": {"close": 100.5},
    }
    assert entry["response"] == {
        "outcome": "adjusted",
        "code": "position_limit",
        "rule": "max_position_pct",
        "limit": Decimal("0.05"),
        "value": Decimal("0.02"),
        "headroom": Decimal("0.03"),
        "requested": Decimal("0.5"),
        "approved": Decimal("0.5"),
    }
    entry["decision"]["numbers"].clear()
    entry["response"].clear()
    assert asked.entry()["decision"]["numbers"] == {"close": 100.5}
    assert asked.entry()["response"]["outcome"] == "adjusted"


def test_a_closing_of_the_cores_own_has_no_wish() -> None:
    assert evaluation(samples.CLOSING).entry()["decision"] == {"group_id": "close", "profile": "balanced"}


def test_a_record_gives_each_verdict_with_its_signal() -> None:
    first, second = signal("s1"), signal("s3")
    found = list(of_record(record(7, [samples.CLOSING, samples.REFUSED, samples.APPROVED], [first, second]), finished_at=5.5, service=GATE))
    assert [(each.verdict, each.signal) for each in found] == [
        (samples.CLOSING, None),
        (samples.REFUSED, second),
        (samples.APPROVED, first),
    ]
    assert {(each.instant, each.finished_at, each.service) for each in found} == {(instant(7), 5.5, GATE)}


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ({}, ["approved", "adjusted", "refused", "unjudged"]),
        ({"approved": True}, ["approved", "adjusted"]),
        ({"approved": None}, ["unjudged"]),
        ({"approved": [False, None]}, ["refused", "unjudged"]),
        ({"approved": []}, []),
        ({"normalized": False}, ["refused", "unjudged"]),
        ({"normalized": {True, False}}, ["approved", "adjusted", "refused", "unjudged"]),
        ({"normalized": None}, []),
        ({"service": "OtherGate"}, ["refused"]),
        ({"service": [GATE, "OtherGate"]}, ["approved", "adjusted", "refused", "unjudged"]),
        ({"service": (name for name in [GATE])}, ["approved", "adjusted", "unjudged"]),
        ({"service": None}, []),
        ({"errors": False}, ["approved", "adjusted", "refused"]),
        ({"approved": None, "errors": False}, []),
        ({"approved": False, "service": GATE}, []),
    ],
)
def test_a_choice_by_one_value_or_several(asked: dict[str, Any], wanted: list[str]) -> None:
    whole: dict[str, Any] = {"approved": UNSET, "normalized": UNSET, "service": UNSET, "errors": True, **asked}
    chosen = choice(**whole)
    assert list(chosen.of(FOUR.values())) == [FOUR[name] for name in wanted]
