"""What live prices do to orders: books are walked, and an order that was open at a kill waits for the first fresh price."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from dudzian_daemon.app.preparation import RunOptions, prepare
from dudzian_daemon.domain.market import MINUTE_NS, SECOND_NS, Book, Candle, Quote, Series
from dudzian_daemon.domain.money import exact_money
from dudzian_daemon.domain.orders import OrderStatus
from dudzian_daemon.kernel import logs
from dudzian_daemon.trading.driver import Driver
from dudzian_daemon.trading.state import decode_state, encode_state
from dudzian_daemon.trading.step import Core
from tests.integration.test_orders_by_hand import open_config
from tests.scenario.made_venue import BTC, MadeSource, live

FIVES = Series(BTC, "5m")


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Any:
    logs.logger("feed")  # loads the library here, off the loop, as the start of the daemon does
    home = tmp_path_factory.mktemp("home")
    return prepare(RunOptions(environment="binance_paper", config=open_config(home), data_dir=home / "data"), {}).spec


def placed(driver: Driver, instant: int, quantity: str) -> str:
    """A market order by hand, bought at `instant`; its id."""
    with exact_money():
        wish = {"instrument": BTC, "side": "buy", "quantity": quantity, "kind": "market"}
        (record,) = driver.command("mine", "order_place", wish, now=instant)
    (result,) = record.results
    assert result.status is OrderStatus.ACCEPTED, record.verdicts
    return result.order_id


async def test_an_order_walks_a_live_book_and_its_fills_say_so(spec) -> None:
    with exact_money():
        driver = Driver(Core(spec))
    async with live(spec, needs={FIVES: 5}, driver=driver, book_levels=2) as run:
        await run.clock.advance(12)
        run.source.size = 0.002
        order = placed(driver, run.feed.now(), "0.003")
        await run.clock.advance(6)
        fills = [fill for record in run.records for fill in record.fills]
        price = run.source.market.at((fills[0].filled_at) // 1_000_000)
        # A quote of the best price alone could not have given the second one.
        assert [(fill.order_id, str(fill.quantity), fill.fill_source) for fill in fills] == [
            (order, "0.002", "book"),
            (order, "0.001", "book"),
        ]
        assert [float(fill.reference_price) for fill in fills] == pytest.approx([price + 0.01, price + 0.02])
        assert driver.core.execution.open_orders == []


async def test_a_market_order_open_at_a_kill_fills_at_the_first_live_price_after_the_restart_and_at_none_of_the_pause(spec) -> None:
    with exact_money():
        driver = Driver(Core(spec))
    async with live(spec, needs={FIVES: 5}, driver=driver) as run:
        await run.clock.advance(12)
        order = placed(driver, run.feed.now(), "0.005")
        state, clock, accepted = encode_state(driver.export()), run.clock, run.feed.now()
    await clock.advance(20 * 60)
    with exact_money():
        resumed = Driver(Core(spec))
        resumed.restore(decode_state(state))
    assert [open_order.id for open_order in resumed.core.execution.open_orders] == [order]
    async with live(spec, needs={FIVES: 5}, driver=resumed, clock=clock) as again:
        await clock.advance(6)
        missed = [candle for candle in again.inputs(Candle) if candle.end <= accepted + 20 * MINUTE_NS]
        assert len(missed) == 4  # the bars of the pause went through, and gave it no price
        (fill,) = [fill for record in again.records for fill in record.fills]
        assert (fill.order_id, fill.fill_source) == (order, "quote")
        assert 20 * MINUTE_NS <= fill.filled_at - accepted < 20 * MINUTE_NS + 6 * SECOND_NS  # both are on record: the pause is its latency
        assert float(fill.reference_price) == pytest.approx(again.source.market.at(fill.filled_at // 1_000_000) + 0.01)


@pytest.mark.parametrize(("levels", "kind"), [(0, Quote), (2, Book)])
async def test_every_pushed_price_is_an_input_while_an_order_of_its_instrument_rests_and_the_latest_a_second_otherwise(
    spec, levels, kind
) -> None:
    with exact_money():
        driver = Driver(Core(spec))

    def quick(source: MadeSource) -> None:
        source.push_seconds = 0.1

    async with live(spec, needs={FIVES: 5}, driver=driver, pushed=True, book_levels=levels, before=quick) as run:

        async def came(seconds: int) -> int:
            before = len(run.inputs(kind))
            await run.clock.advance(seconds)
            return len(run.inputs(kind)) - before

        await run.clock.advance(3)
        assert await came(10) == 10
        price = Decimal(str(run.source.market.at(run.source.now_ms)))
        wish = {
            "instrument": BTC,
            "side": "buy",
            "quantity": "0.001",
            "kind": "limit",
            "limit_price": str((price * Decimal("0.98")).quantize(Decimal(1))),
        }
        with exact_money():
            (record,) = driver.command("mine", "order_place", wish, now=run.feed.now())
        assert [result.status for result in record.results] == [OrderStatus.ACCEPTED], record.verdicts
        assert await came(10) == pytest.approx(100, abs=2)
        with exact_money():
            list(driver.command("gone", "order_cancel", {"order_id": record.results[0].order_id}, now=run.feed.now()))
        assert driver.core.execution.open_orders == []
        await run.clock.advance(1)
        assert await came(10) == 10
        assert [tick.instant for tick in run.ticks] == sorted(tick.instant for tick in run.ticks)
