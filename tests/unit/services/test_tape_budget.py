"""The day's budget of quotes on record: within it everything passes, beyond it the latest of each instrument, in order and on record."""

from __future__ import annotations

from pathlib import Path

import msgspec

from dudzian_daemon.adapters.journal import SessionJournal
from dudzian_daemon.adapters.journal_reader import entries
from dudzian_daemon.domain.market import DAY_NS, SECOND_NS, Command, OpenPrint, Phase, Quote, Tick, WindowEnd
from dudzian_daemon.services.tape_budget import HELD_NS, TapeBudget, TapePolicy, tape_budget
from dudzian_daemon.testing.clock import ManualClock
from tests.unit.adapters.journal_samples import KEY
from tests.unit.trading.desk import desk

START = 20_000 * DAY_NS
BTC, ETH = "binance:BTC/USDT", "binance:ETH/USDT"


def quote(seconds: float, instrument: str = BTC) -> Tick:
    instant = START + int(seconds * SECOND_NS)
    return Tick(instant, Phase.QUOTE, (Quote(instant, instrument, 100.0, 101.0, 1.0, 1.0),))


SIZE = len(msgspec.json.encode(quote(0).inputs))


class Bench:
    """A budget of so many quotes, what it let through, and what it told."""

    def __init__(self, quotes: int) -> None:
        self.resting: set[str] = set()
        self.last = (0, Phase.COMMAND)
        self.told: list[TapePolicy] = []
        self.passed: list[Tick] = []
        self.budget = TapeBudget(quotes * SIZE, self.resting.__contains__, lambda: self.last, self.told.append)

    def offer(self, *ticks: Tick | WindowEnd) -> list[tuple[float, str]]:
        """(Seconds, instrument) of the quotes that went on, `-` for everything else."""
        shown: list[tuple[float, str]] = []
        for tick in ticks:
            for item in self.budget.offer(tick):
                if not isinstance(item, Tick):
                    shown.append((-1.0, "-"))
                    continue
                assert (item.instant, item.phase) > self.last
                self.last = (item.instant, item.phase)
                self.passed.append(item)
                shown += [((each.instant - START) / SECOND_NS, getattr(each, "instrument", "-")) for each in item.inputs]
        return shown


def test_within_the_budget_everything_passes() -> None:
    bench = Bench(10)
    assert bench.offer(*map(quote, range(10))) == [(float(number), BTC) for number in range(10)]
    assert bench.told == []


def test_beyond_it_the_latest_of_each_goes_on_now_and_then() -> None:
    bench = Bench(1)
    assert bench.offer(quote(0), quote(1)) == [(0, BTC), (1, BTC)]
    assert bench.told == [TapePolicy(START + SECOND_NS, "latest_per_instrument", 20_000, 2 * SIZE)]
    assert bench.offer(quote(2), quote(3, ETH), quote(4), quote(5)) == []
    assert bench.offer(quote(1 + HELD_NS / SECOND_NS)) == [(3, ETH), (11, BTC)]
    assert bench.offer(quote(12), quote(20.5)) == []


def test_what_was_held_goes_before_every_other_input_and_the_end_of_a_window() -> None:
    bench = Bench(0)
    bench.offer(quote(0))
    print_ = OpenPrint(START + 3 * SECOND_NS, BTC, "1h", 100.5)
    assert bench.offer(quote(1), quote(2, ETH), Tick(print_.instant, Phase.OPEN, (print_,))) == [(1, BTC), (2, ETH), (3, BTC)]
    assert bench.offer(quote(3.5), WindowEnd(1, last=True)) == [(3.5, BTC), (-1.0, "-")]


def test_a_quote_of_the_instant_of_another_input_is_kept() -> None:
    bench = Bench(0)
    bench.offer(quote(0))
    print_ = OpenPrint(START + 3 * SECOND_NS, BTC, "1h", 100.5)
    bench.offer(Tick(print_.instant, Phase.OPEN, (print_,)))
    assert bench.offer(quote(3), quote(3.5, ETH), WindowEnd(1, last=True)) == [(3, BTC), (3.5, ETH), (-1.0, "-")]


def test_all_pass_while_an_order_of_the_instrument_rests() -> None:
    bench = Bench(0)
    bench.offer(quote(0))
    bench.resting.add(BTC)
    assert bench.offer(quote(1, ETH), quote(2), quote(3), quote(4, ETH)) == [(1, ETH), (2, BTC), (3, BTC)]
    bench.resting.clear()
    assert bench.offer(quote(5)) == []


def test_what_a_command_has_overtaken_is_left_out() -> None:
    bench = Bench(0)
    bench.offer(quote(0), quote(1), quote(3, ETH))
    command = Command(START + 2 * SECOND_NS, "c", "stop")
    bench.last = (command.instant, Phase.COMMAND)
    assert bench.offer(WindowEnd(1, last=True)) == [(3, ETH), (-1.0, "-")]


def test_a_new_day_has_a_new_budget() -> None:
    bench = Bench(1)
    bench.offer(quote(0), quote(1), quote(2))
    day = DAY_NS / SECOND_NS
    assert bench.offer(quote(day), quote(day + 1, ETH)) == [(day, BTC), (day + 1, ETH)]
    policies = [(each.policy, each.day) for each in bench.told]
    assert policies == [("latest_per_instrument", 20_000), ("all", 20_001), ("latest_per_instrument", 20_001)]


def test_the_change_is_an_entry_of_the_journal(tmp_path: Path) -> None:
    journal = SessionJournal.create(tmp_path, "demo", KEY, clock=ManualClock())
    budget = tape_budget(desk().driver, journal, SIZE)
    for tick in map(quote, range(4)):
        budget.offer(tick)
    journal.commit_now()
    journal.abandon()
    (entry,) = [entry for entry in entries(journal.path) if entry.kind == "tape"]
    told = {"kind": "tape", "instant": START + SECOND_NS, "policy": "latest_per_instrument", "day": 20_000, "bytes": 2 * SIZE}
    assert msgspec.json.decode(entry.d) == told
