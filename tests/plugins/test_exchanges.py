"""The bundled exchange plugins that have something of their own: Zonda's client, the store as a venue, perpetuals of demo trading."""

from __future__ import annotations

from pathlib import Path

import pytest

from dudzian_daemon.adapters.public_http import VenueHttp
from dudzian_daemon.adapters.venue_hosts import host_rules
from dudzian_daemon.app.plugins.loader import load_plugin
from dudzian_daemon.app.venues import AdapterSettings, choose_venue
from dudzian_daemon.config.places import bundled
from dudzian_daemon.domain.errors import ConfigError, Permanent, Retryable
from dudzian_daemon.domain.market import HOUR_NS, Candle, Series
from dudzian_daemon.domain.venues import CcxtClient, TopOfBook, VenueAccess
from dudzian_daemon.testing.clock import START_NS
from dudzian_daemon.testing.exchange import LoopbackExchange
from tests.scenario.venues import opened

PAYLOADS = Path(__file__).parents[1] / "data" / "payloads"
FOLDERS = [bundled("plugins")]


@pytest.fixture(scope="module")
def plugins():
    """Loaded off the loop."""
    return {name: load_plugin("exchanges", name, FOLDERS).plugin() for name in ("binance", "binance_futures", "kraken", "offline", "zonda")}


def test_a_venue_is_named_like_its_file_and_says_only_what_ccxt_is_to_do(plugins) -> None:
    for name, plugin in plugins.items():
        assert plugin.profile.name == name
    said = plugins["binance"].source(VenueAccess(None, None))  # type: ignore[arg-type] # it uses neither
    assert isinstance(said, CcxtClient)
    assert set(said.sections) == {"public"}


async def test_zonda_is_read_as_it_was_recorded(plugins) -> None:
    async with LoopbackExchange() as exchange:
        recorded = {"candle/history/BTC-USDT/3600": "candle_history_BTC-USDT_3600", "ticker/BTC-USDT": "ticker_BTC-USDT"}
        for path, name in recorded.items():
            exchange.answers[f"/rest/trading/{path}"] = (PAYLOADS / f"zonda_{name}.json").read_bytes()
        rules = host_rules(plugins["zonda"].profile, exchange.url)
        http = VenueHttp(rules, "", lambda _headers: None, lambda: START_NS)
        source = plugins["zonda"].source(VenueAccess(http, None))  # type: ignore[arg-type] # it reads no store
        rows = await source.candle_rows("BTC/USDT", "1h", 1_710_327_600_000, 1_710_331_200_000, 10)
        assert rows == [[1_710_327_600_000, 73194.5, 73250.01, 73194.5, 73250.01, 0.00142076]]
        assert await source.tops(["BTC/USDT"]) == [TopOfBook("BTC/USDT", "73236.235", "73250.01", 0, 0)]
        exchange.answers["/rest/trading/ticker/BTC-USDT"] = b'{"status":"Fail","errors":["FAIL"]}'
        with pytest.raises(Retryable, match="expected status Ok"):
            await source.tops(["BTC/USDT"])
        with pytest.raises(Permanent, match="HTTP 404"):
            await source.depth("BTC/USDT", 5)
        await source.close()


def test_zonda_is_not_to_be_used() -> None:
    with pytest.raises(ConfigError, match="liquidation"):
        choose_venue("zonda", FOLDERS, AdapterSettings())


async def test_the_store_is_served_as_a_venue(plugins, tmp_path) -> None:
    series = Series("binance:BTC/USDT", "1h")
    rows = [Candle(end, series.instrument, "1h", end, 1.0, 2.0, 0.5, 1.5, 3.0) for end in range(HOUR_NS, 4 * HOUR_NS, HOUR_NS)]

    class Rows:
        def read(self, wanted: Series, start: int, end: int) -> list[Candle]:
            return [row for row in rows if wanted == series and start <= row.end - HOUR_NS and row.end <= end]

    source = plugins["offline"].source(VenueAccess(None, Rows()))  # type: ignore[arg-type] # it asks no host
    assert await source.candle_rows("binance:BTC/USDT", "1h", 3_600_000, 10_800_000, 10) == [
        [n * 3_600_000, 1.0, 2.0, 0.5, 1.5, 3.0] for n in (1, 2)
    ]
    assert await source.tops(["binance:BTC/USDT"]) == ()
    with pytest.raises(Permanent):
        await source.time_ms()


async def test_perpetuals_come_from_the_demo_host_alone(tmp_path) -> None:
    async with opened(tmp_path, "binance_futures") as (exchange, data, _):
        market = (await data.markets())["BTC/USDT"]
        assert (str(market.tick_size), str(market.lot_size)) == ("0.1", "0.001")
        rows = await data.candles("BTC/USDT", "1h", START_NS - 3 * HOUR_NS, START_NS, 10)
        assert [row.end for row in rows] == [START_NS - n * HOUR_NS for n in (2, 1, 0)]
        (quote,) = await data.quotes(["BTC/USDT"])
        assert 0 < quote.bid < quote.ask
        assert all(request.path.startswith("/fapi/v1/") for request in exchange.requests)
