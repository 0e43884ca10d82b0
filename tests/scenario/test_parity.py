"""One window, three roads: `backtest --journal`, `run --speed max`, and a live-like session whose inputs arrive in any order.

All end with the same content chain, and `parity` finds the recorded sessions equal to a backtest.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dudzian_daemon.app.backtest import run as backtest
from dudzian_daemon.app.backtest.result import BacktestResult
from dudzian_daemon.app.parity.compare import ParityOptions, compare
from dudzian_daemon.app.preparation import Prepared, RunOptions, prepare
from dudzian_daemon.domain.market import SECOND_NS, Candle
from dudzian_daemon.trading.barrier import DEFAULT_SETTLE_NS, MarketInput
from tests.integration.daemon_process import SHORT_WINDOWS, daemon, report, session_folder, short_config
from tests.scenario.live_like import Delivery, Piece, facts_of, live_session

#: Two days of two instruments by the hour, one of them by the day too, and of the mirror of the other.
WINDOW = "        - {start: 2024-02-10, end: 2024-02-12, instruments: [ETH_USDT, LTC_USDT]}"
#: Within the settle delay.
WAIT_NS = 2 * SECOND_NS


class Road:
    """What runs, and what the backtest says of it; made when first asked for, in the isolated home of a test."""

    def __init__(self, home: Path) -> None:
        self._home = home

    @cached_property
    def config(self) -> Path:
        return short_config(self._home, window=(SHORT_WINDOWS, WINDOW))

    @cached_property
    def prepared(self) -> Prepared:
        return prepare(RunOptions(config=self.config, data_dir=self._home / "data"), {})

    @cached_property
    def facts(self) -> dict[str, Any]:
        return facts_of(self.prepared)

    def live(self, delivery: Delivery) -> str:
        """Content chain of a live-like session."""
        return live_session(self.prepared, delivery, self.facts).content_chain

    @cached_property
    def result(self) -> BacktestResult:
        return backtest.run(
            backtest.BacktestOptions(config=self.config, data_dir=self._home / "data", journal=True), {"DECISION_LOG_HMAC_KEY": "00" * 32}
        )

    @property
    def chain(self) -> str:
        assert self.result.journal is not None
        return self.result.journal.content_chain


@pytest.fixture(scope="module")
def road(tmp_path_factory: pytest.TempPathFactory) -> Road:
    return Road(tmp_path_factory.mktemp("parity"))


def test_the_window_is_worth_comparing(road: Road) -> None:
    counts = road.result.counts
    assert min(counts.fills, counts.signals, counts.approved) >= 5
    assert min(counts.adjusted, counts.refused) > 0


def test_the_daemon_at_full_speed_ends_with_the_chain_of_the_backtest(road: Road, tmp_path: Path) -> None:
    with daemon(tmp_path, "--config", road.config, "--speed", "max", "--no-ui") as child:
        assert child.end().code == 0
    said = report(tmp_path / "data")
    assert (said["content_chain"], said["cycles"]) == (road.chain, road.result.counts.cycles)
    compared = compare(ParityOptions(run=RunOptions(config=road.config, data_dir=tmp_path / "data")), {})
    assert (compared.equal, compared.difference, compared.compared, compared.waited) == (True, None, said["cycles"], 0)
    assert (compared.log_id, compared.content_chain) == (session_folder(tmp_path / "data").name, road.chain)
    assert (compared.config_changes, compared.state) == ((), "closed")


@settings(max_examples=15)
@given(seed=st.integers(0))
def test_in_any_order_that_the_barrier_allows_a_live_session_ends_with_the_same_chain(road: Road, seed: int) -> None:
    """At each instant the inputs come in any order, and the barrier is looked at between any two of them before its last candle."""
    random = Random(seed)

    def shuffled(instant: int, items: list[MarketInput]) -> list[Piece]:
        random.shuffle(items)
        last = max((number for number, item in enumerate(items) if isinstance(item, Candle)), default=0)
        cuts = sorted(random.sample(range(1, last + 1), random.randint(0, last)))
        return [(instant, items[begin:end]) for begin, end in zip([0, *cuts], [*cuts, len(items)], strict=True)]

    assert road.live(shuffled) == road.chain


@settings(max_examples=5)
@given(seed=st.integers(0))
def test_what_comes_within_the_settle_delay_may_come_at_any_time_in_it(road: Road, seed: int) -> None:
    """The chain depends on when the last candle of an instant came, and on nothing else of the arrivals."""
    random = Random(seed)

    def scattered(instant: int, items: list[MarketInput]) -> list[Piece]:
        candles = [item for item in items if isinstance(item, Candle)]
        if not candles:
            return [(instant, items)]
        random.shuffle(items)
        last = random.choice(candles)
        return [(instant + (WAIT_NS if item is last else random.randrange(WAIT_NS)), [item]) for item in items]

    assert WAIT_NS < DEFAULT_SETTLE_NS
    assert road.live(scattered) == road.live(_together)


def _together(instant: int, items: list[MarketInput]) -> list[Piece]:
    waited = WAIT_NS if any(isinstance(item, Candle) for item in items) else 0
    return [(instant + waited, items)]
