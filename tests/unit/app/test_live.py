"""What a live run says before it begins: where each venue is asked, and when books would come too rarely to be fresh."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dudzian_daemon.adapters import venue_budget
from dudzian_daemon.app.live import venue_plan
from dudzian_daemon.app.preparation import RunOptions, prepare
from dudzian_daemon.domain.errors import ConfigError
from dudzian_daemon.domain.money import exact_money
from dudzian_daemon.trading.step import Core


def plan(folder: Path, **settings: Any) -> tuple[str, ...]:
    said = {f"environments.binance_paper.adapter_settings.{name}": value for name, value in settings.items()}
    prepared = prepare(RunOptions(environment="binance_paper", data_dir=folder, live=True, settings=said), {})
    with exact_money():
        return venue_plan(prepared, Core(prepared.spec))


def test_the_plan_says_what_prices_come_by(tmp_path: Path) -> None:
    assert all("quotes every 2 s" in line for line in plan(tmp_path))
    assert all("books of 10 levels every 5 s" in line for line in plan(tmp_path, book_levels=10, quote_seconds=5))
    assert all("quotes pushed, from" in line for line in plan(tmp_path, streams=True))


def test_books_that_would_be_stale_between_two_questions_are_refused_unless_they_are_pushed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(venue_budget, "BOOK_SHARE", 0.04)  # as eleven instruments of Kraken would have it
    with pytest.raises(ConfigError, match=r"expected books of kraken within the 30 s .* 1 of them take 36 s within its limit; set streams"):
        plan(tmp_path, book_levels=10)
    assert len(plan(tmp_path, book_levels=10, streams=True)) == 2
    assert len(plan(tmp_path)) == 2


def test_more_levels_than_there_may_be_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="book_levels"):
        plan(tmp_path, book_levels=101)
