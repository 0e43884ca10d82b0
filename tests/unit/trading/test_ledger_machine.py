"""Random histories of a whole account through the real core, judged after every step by a second account of plain Fractions.

300 here; 10,000 by `python benchmarks/ledger_histories.py`. The rules named INV-.. are those of docs/reference/ledger.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from dudzian_daemon.domain.market import (
    DAY_NS,
    HOUR_NS,
    MINUTE_NS,
    SECOND_NS,
    Candle,
    Funding,
    FundingTerms,
    Gap,
    Input,
    OpenPrint,
    Phase,
    Quote,
    Tick,
)
from dudzian_daemon.domain.money import exact_money
from dudzian_daemon.domain.orders import Intent, Signal
from dudzian_daemon.domain.ports import MarketView
from dudzian_daemon.domain.records import CycleRecord, LedgerEntry
from dudzian_daemon.testing.market import START_NS, instrument, limits, preset, schedule, spec
from dudzian_daemon.trading.driver import Driver
from dudzian_daemon.trading.invariants import Fold, SelfCheck, differences
from dudzian_daemon.trading.ledger import Ledger
from dudzian_daemon.trading.step import Core
from tests.unit.trading.desk import Scripted, Seen
from tests.unit.trading.reference_account import CENT, ReferenceAccount

HISTORIES, STEPS = 300, 30
BTC = instrument("BTC")
ETH = instrument("ETH", funding=FundingTerms(8 * HOUR_NS, Decimal("0.0003")))
SOL = instrument("SOL", symbol="SOL/EUR", quote="EUR")
EUR = instrument("EUR", tick_size=Decimal("0.0001"))
TRADED = (BTC, ETH, SOL)
PRICES = {BTC.key: 100.0, ETH.key: 10.0, SOL.key: 20.0, EUR.key: 1.1}
LEVERAGE, MAINTENANCE = 3, Decimal("0.2")
OPENING = {"USDT": 10_000, "EUR": 5_000}
GENEROUS = {
    "max_position_pct": Decimal(2),
    "max_leverage": Decimal(3),
    "max_daily_loss_pct": Decimal("0.05"),
    "hard_drawdown_pct": Decimal("0.5"),
}

keys = st.sampled_from([each.key for each in TRADED])
moves = st.integers(-1500, 1500)
amounts = st.integers(1, 30_000)
sizes = st.sampled_from([0.001, 0.7, 7.0, 1e6])
volumes = st.sampled_from([0.0, 20.0, 300.0, 1e6])
reaches = st.integers(0, 4000)
sides = st.sampled_from(["buy", "sell"])
kinds = st.sampled_from(["market", "market", "limit", "stop"])


class Wishes(Scripted):
    """Says at the next candle what it was asked to."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: dict[str, Signal] = {}

    def decide(self, state: Seen, view: MarketView) -> Sequence[Signal]:
        return [self.asked.pop(key) for key in sorted(self.asked) if key in view.positions]


class AccountMachine(RuleBasedStateMachine):
    """Every rule is a stretch of history; the invariants are asked after each."""

    def __init__(self) -> None:
        super().__init__()
        self.strategies = {name: Wishes() for name in ("a", "b")}
        profiles = {name: limits(name, maintenance_margin_pct=MAINTENANCE, **GENEROUS) for name in ("balanced", "manual")}
        made = spec(
            self.strategies,
            [schedule("a", TRADED), schedule("b", (BTC, ETH))],
            (*TRADED, EUR),
            profiles=profiles,
            preset=preset(),
            allow_short=True,
            leverage=Decimal(LEVERAGE),
            other_balances={"EUR": Decimal(OPENING["EUR"])},
            conversions={"EUR": EUR.key},
        )
        with exact_money():
            self.core = Core(made)
        self.driver = Driver(self.core)
        self.spec = made
        quotes = {each.key: each.quote for each in (*TRADED, EUR)}
        self.reference = ReferenceAccount(quotes, OPENING, LEVERAGE, Fraction(MAINTENANCE))
        self.rate = Fraction(ETH.funding.rate if ETH.funding else 0)
        self.funded_until = 0
        self.prices = dict(PRICES)
        self.now = START_NS
        self.records: list[CycleRecord] = []
        self.entries: list[LedgerEntry] = []
        self.check = SelfCheck(
            made.instruments, {(each.strategy, key): each.profile for each in made.schedules for key in each.instruments}
        )
        self.commands = self.recoveries = 0
        for key, price in PRICES.items():
            self.quote(key, price, price, 1_000.0)

    # -- rules -----------------------------------------------------------------------------------------------------

    @rule(key=keys, move=moves, volume=volumes, reach=reaches)
    def hour_passes(self, key: str, move: int, volume: float, reach: int) -> None:
        """An open print and the bar that closes an hour later; the strategies are asked, resting orders meet its range."""
        self.now = max(self.now, self.driver.last[0] + 1)
        start = -(-self.now // HOUR_NS) * HOUR_NS
        opened = self.prices[key]
        close = self.moved(opened, move)
        high = round(max(opened, close) * (1 + reach / 10_000), 2)
        low = max(round(min(opened, close) * (1 - reach / 10_000), 2), 0.01)
        self.feed(Tick(start, Phase.OPEN, (OpenPrint(start, key, "1h", opened),)))
        self.prices[key] = close
        candle = Candle(start + HOUR_NS, key, "1h", start + HOUR_NS, opened, high, low, close, volume)
        self.feed(Tick(candle.instant, Phase.CLOSE, (candle,)))

    @rule(key=keys, move=moves, spread=st.integers(0, 50), size=sizes, after=st.integers(1, 90))
    def price_moves(self, key: str, move: int, spread: int, size: float, after: int) -> None:
        """A quote, often smaller than what is ordered."""
        self.now = max(self.now, self.driver.last[0]) + after * SECOND_NS
        bid = self.moved(self.prices[key], move)
        self.prices[key] = bid
        self.quote(key, bid, round(bid + spread / 100, 2), size)

    @rule(move=st.integers(-300, 300))
    def rate_of_exchange_moves(self, move: int) -> None:
        self.now = max(self.now, self.driver.last[0]) + SECOND_NS
        price = round(max(self.prices[EUR.key] * (1 + move / 10_000), 0.01), 4)
        self.prices[EUR.key] = price
        self.quote(EUR.key, price, price, 1.0)

    @rule(who=st.sampled_from("ab"), key=keys, tenths=st.integers(-15, 15), moves=st.tuples(moves, moves), volume=volumes, reach=reaches)
    def strategy_trades(self, who: str, key: str, tenths: int, moves: tuple[int, int], volume: float, reach: int) -> None:
        """It wants out, or a target of up to one and a half of its budget, either way; it is asked after one bar and filled in the next."""
        intent = Intent.REBALANCE if tenths else Intent.EXIT
        self.strategies[who].asked[key] = Signal(instrument=key, intent=intent, reason="told to", target=tenths / 10 if tenths else None)
        for move in moves:
            self.hour_passes(key, move, volume, reach)

    @rule(key=keys, side=sides, lots=amounts, kind=kinds, away=moves, force=st.sampled_from(["gtc", "gtc", "ioc", "fok"]),
          then=st.lists(st.tuples(moves, sizes), max_size=3))  # fmt: skip
    def operator_trades(self, key: str, side: str, lots: int, kind: str, away: int, force: str, then: list[tuple[int, float]]) -> None:
        """An order by hand, and what the market does next; against a position it closes at most that."""
        price = f"{self.moved(self.prices[key], away // 5):.2f}"
        terms = {"limit": {"limit_price": price, "time_in_force": force}, "stop": {"stop_price": price}, "market": {}}[kind]
        held = self.core.ledger.position("manual", key)
        reduces = held != 0 and (held > 0) == (side == "sell")
        quantity = min(Decimal(lots) / 1000, abs(held)) if reduces else Decimal(lots) / 1000
        self.command(
            "order_place", instrument=key, side=side, quantity=str(quantity), kind=kind, reduce_only="yes" if reduces else "no", **terms
        )
        for move, size in then:
            self.price_moves(key, move // 3, 1, size, 2)

    @rule(which=st.integers(0, 20))
    def operator_cancels(self, which: int) -> None:
        orders = self.core.execution.open_orders
        if orders:
            self.command("order_cancel", order_id=orders[which % len(orders)].id)

    @rule(which=st.integers(0, 20), move=moves, size=sizes)
    def operator_closes(self, which: int, move: int, size: float) -> None:
        held = sorted(key for key, book in self.core.ledger.books.items() if book.quantity)
        if held:
            who, key = held[which % len(held)]
            self.command("order_close", instrument=key, strategy=who)
            self.price_moves(key, move, 2, size, 1)

    @rule(key=keys)
    def kill_switch_for_a_while(self, key: str) -> None:
        self.command("kill_switch", on="yes")
        self.command("order_place", instrument=key, side="buy", quantity="1", kind="market")
        self.price_moves(key, 0, 0, 1e6, 5)
        self.command("kill_switch", on="no")

    @rule(rate=st.integers(-100, 100))
    def funding_rate(self, rate: int) -> None:
        self.now = max(self.now, self.driver.last[0]) + MINUTE_NS
        self.feed(Tick(self.now, Phase.REVISION, (Funding(self.now, ETH.key, rate / 10_000),)))
        self.rate = Fraction(repr(rate / 10_000))

    @rule(days=st.integers(1, 3), part=st.integers(0, 24))
    def clock_jumps(self, days: int, part: int) -> None:
        """Nothing for days: funding falls due and days roll unseen; the hole is told."""
        before = self.now = max(self.now, self.driver.last[0])
        self.now += days * DAY_NS + part * HOUR_NS
        self.feed(Tick(self.now, Phase.REVISION, (Gap(self.now, BTC.key, "1h", before, self.now),)))

    @rule(cut=st.integers(0, 10**6))
    def kill_and_recover(self, cut: int) -> None:
        """INV-08..10: folding what was written gives the ledger back, from the start or from any prefix; what came twice counts once."""
        written = [msgspec.json.decode(msgspec.json.encode(entry), type=LedgerEntry) for entry in self.entries]
        with exact_money():
            whole = self.folded(written)
            part = self.folded(written[: 1 + cut % len(written)])
            for entry in written:
                part.apply(entry)
            for ledger in (whole, part):
                assert ledger.state() == self.core.ledger.state()
                for key in sorted(self.prices):
                    last = self.core.ledger.prices.last_quote(key)
                    assert last is not None
                    ledger.mark(key, *last)
                assert (ledger.equity, ledger.cash, ledger.gross_exposure) == self.totals()
            fold = Fold()
            assert [each for entry in written for each in fold.add(entry)] == []
            assert differences(fold.state(), whole.state()) == []
        self.recoveries += 1
        vars(self.core.ledger).update(vars(whole))  # the session goes on with what was recovered

    # -- what the second account says ------------------------------------------------------------------------------

    @invariant()
    def cash_and_positions_are_the_sum_of_what_happened(self) -> None:
        """INV-01, 02, 16, 18 to the last digit; INV-06: what rounding leaves in a cost is bounded."""
        ledger, reference = self.core.ledger, self.reference
        assert {asset: Fraction(amount) for asset, amount in ledger.wallet.items()} == reference.cash
        for key, book in ledger.books.items():
            found = tuple(map(Fraction, (book.quantity, book.cost, book.realised, book.margin)))
            assert found == (reference.quantity[key], reference.cost[key], reference.profit[key], reference.margin[key]), key
            assert book.quantity or not (book.cost or book.margin)
            assert abs(reference.cost[key] - reference.smooth[key]) <= reference.closings * CENT
        for each in TRADED:
            own = sum((quantity for (_, name), quantity in reference.quantity.items() if name == each.key), Fraction(0))
            assert Fraction(ledger.net.get(each.key, Decimal(0))) == own
        for asset in OPENING:
            blocked = sum(
                (reference.margin[key] - reference.cost[key] for key, held in reference.quantity.items()
                 if held < 0 and reference.quotes[key[1]] == asset), Fraction(0))  # fmt: skip
            assert Fraction(ledger.blocked(asset)) == blocked
            assert Fraction(ledger.balances.get(("expense:fees", asset), Decimal(0))) == reference.fees[asset]
            assert Fraction(ledger.balances.get(("expense:funding", asset), Decimal(0))) == reference.funded[asset]

    @invariant()
    def equity_is_cash_and_marked_positions(self) -> None:
        """INV-03, both ways: by what is held, and by what it began with and has gained and paid."""
        reference, rates = self.reference, {"USDT": Fraction(1), "EUR": self.reference.marks[EUR.key]}
        equity, cash, _ = map(Fraction, self.totals())
        assert equity == reference.worth(rates)
        assert cash == reference.money(rates)
        told = Fraction(0)
        for asset, rate in rates.items():
            gained = reference.opened[asset] - reference.fees[asset] - reference.funded[asset]
            for key, quantity in reference.quantity.items():
                if reference.quotes[key[1]] == asset:
                    gained += reference.profit[key] + quantity * reference.marks.get(key[1], Fraction(0)) - reference.cost[key]
            told += gained * rate
        assert told == equity

    @invariant()
    def every_entry_balances(self) -> None:
        totals: dict[str, Decimal] = {}
        for (_, asset), amount in self.core.ledger.balances.items():
            totals[asset] = totals.get(asset, Decimal(0)) + amount
        assert not any(totals.values())

    def teardown(self) -> None:
        sequences = [record.sequence for record in self.records]
        assert sequences == list(range(1, len(sequences) + 1))
        assert [entry.number for entry in self.entries] == list(range(1, len(self.entries) + 1))

    # -- feeding ---------------------------------------------------------------------------------------------------

    def quote(self, key: str, bid: float, ask: float, size: float) -> None:
        self.feed(Tick(self.now, Phase.QUOTE, (Quote(self.now, key, bid, ask, size, size),)))
        self.now += 1

    def feed(self, tick: Tick) -> None:
        """The step, then the same for the second account: funding that fell due before, what was filled, the new mark."""
        (item,) = tick.inputs
        self.fund(tick.instant, tick.phase)
        held = dict(self.reference.quantity)
        records = self.absorb(self.driver.advance(tick))
        worst = self.take_price(item)
        if worst is not None:
            self.judge_liquidations(getattr(item, "instrument", ""), worst, records, held)

    def command(self, name: str, **arguments: str) -> None:
        self.commands += 1
        self.now = max(self.now, self.driver.last[0] + 1)
        self.fund(self.now, Phase.COMMAND)
        self.absorb(self.driver.command(f"c{self.commands}", name, arguments, now=self.now))

    def absorb(self, steps: Iterator[CycleRecord]) -> list[CycleRecord]:
        """Step; the online self-check looks at each cycle, and finds nothing; then the second account takes it."""
        records = []
        with exact_money():
            for record in steps:
                assert self.check.look(record, self.core.ledger) == []
                records.append(record)
        for record in records:
            self.reference.lives(record)
            for entry in record.entries:
                self.entries.append(entry)
                self.at_its_own_price(entry, record)
        self.records += records
        return records

    def at_its_own_price(self, entry: LedgerEntry, record: CycleRecord) -> None:
        """INV-05: a fill neither makes nor destroys money at its own price; INV-19: it lies on the grid."""
        if not entry.fill_id:
            return
        (fill,) = [each for each in record.fills if each.id == entry.fill_id]
        moved = sum((each.amount for each in entry.postings if each.account.endswith((":cash", ":margin"))), Decimal(0))
        assert moved + entry.quantity * fill.price == -fill.fee
        rules = self.spec.instruments[fill.instrument]
        assert fill.price % rules.tick_size == 0 < fill.price
        assert fill.quantity % rules.lot_size == 0 < fill.quantity
        assert (entry.order_id, entry.signal_id, entry.strategy) == (fill.order_id, fill.signal_id, fill.strategy)

    def take_price(self, item: Input) -> Fraction | None:
        """Mark as the input says; returns the highest price it has shown."""
        if isinstance(item, OpenPrint):
            shown, worst = item.price, item.price
        elif isinstance(item, Quote):
            shown, worst = (item.bid + item.ask) / 2.0, item.ask
        elif isinstance(item, Candle):
            shown, worst = item.close, item.high
        else:
            return None
        self.reference.marks[item.instrument] = Fraction(repr(shown))
        return Fraction(repr(worst))

    def judge_liquidations(self, key: str, worst: Fraction, records: Sequence[CycleRecord], held: dict[tuple[str, str], Fraction]) -> None:
        """A short that its margin does not carry is gone in the same step, and only such a one is taken."""
        for who in ("a", "b", "manual"):
            assert not self.reference.broken((who, key), worst), f"{who} should have been liquidated"
        calls = [change for record in records for change in record.risk if change.change == "liquidated"]
        forced = [fill for record in records for fill in record.fills if fill.fill_source == "liquidation"]
        assert len(calls) == len(forced)
        for call, fill in zip(calls, forced, strict=True):
            assert call.value is not None
            assert call.limit is not None
            assert call.value < call.limit
            assert held.get((fill.strategy, fill.instrument), Fraction(0)) <= 0 < fill.fee
            assert self.reference.quantity[fill.strategy, fill.instrument] >= 0

    def fund(self, instant: int, phase: Phase) -> None:
        """What the perpetual's holders owe at the boundaries that this input finds behind it."""
        last = instant if phase >= Phase.TIMER else instant - 1
        boundary = (self.funded_until // (8 * HOUR_NS) + 1) * 8 * HOUR_NS
        while boundary <= last and ETH.key in self.reference.marks:
            self.reference.fund(ETH.key, self.rate)
            boundary += 8 * HOUR_NS
        self.funded_until = max(last, self.funded_until)

    def folded(self, entries: Sequence[LedgerEntry]) -> Ledger:
        made = self.spec
        return Ledger.folded(made.instruments, made.valuation_asset, entries, leverage=made.leverage, conversions=made.conversions)

    def totals(self) -> tuple[Decimal, Decimal, Decimal]:
        with exact_money():
            return self.core.ledger.equity, self.core.ledger.cash, self.core.ledger.gross_exposure

    @staticmethod
    def moved(price: float, move: int) -> float:
        return max(round(price * (1 + move / 10_000), 2), 0.05)


def histories(count: int, *, kind: type[AccountMachine] = AccountMachine, **changes: Any) -> None:
    """Run `count` random histories of up to `STEPS` rules each; raises on the first that does not add up."""
    run_state_machine_as_test(kind, settings=settings(max_examples=count, stateful_step_count=STEPS, deadline=None, **changes))


def test_random_histories_add_up_to_the_last_digit() -> None:
    histories(HISTORIES)
