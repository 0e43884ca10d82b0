"""Every flag, variable and file that the runbook names for a normal day does something that can be seen."""

from __future__ import annotations

import pytest

from tests.docs.effects import EFFECTS, PAGE, renewed
from tests.docs.operator_day import Day


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Day:
    return Day(tmp_path_factory.mktemp("day"))


@pytest.mark.parametrize("name", EFFECTS)
def test_it_has_its_effect(name: str, day: Day) -> None:
    EFFECTS[name](day)


def test_the_page_is_made_of_what_is_tested() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert renewed(text) == text
