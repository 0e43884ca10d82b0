"""Binance USD-margined perpetuals, public data of the demo trading host.

The old futures testnet is dead: ccxt refuses signed calls to it, and Binance points to demo trading. Its books and candles are a
thin market of their own, not the live one.
"""

from __future__ import annotations

from typing import ClassVar

from dudzian_daemon.api.exchange import CcxtClient, VenueAccess, VenueProfile


class BinanceFutures:
    """2,400 weight a minute and address."""

    profile: ClassVar = VenueProfile(
        name="binance_futures",
        hosts=("demo-fapi.binance.com",),
        granularities=("1m", "5m", "15m", "30m", "1h", "4h", "1d"),
        candles_per_call=1000,
        weight_limit=2400,
        weights={"candles": 5, "markets": 1, "quotes": 5, "book": 5, "time": 1},
        weight_header="x-mbx-used-weight-1m",
    )

    def source(self, access: VenueAccess) -> CcxtClient:
        """Spoken by ccxt's class for these perpetuals."""
        return CcxtClient(
            id="binanceusdm",
            sections={"fapiPublic": "https://demo-fapi.binance.com"},
            options={"defaultType": "swap", "fetchMarkets": {"types": ["linear"]}, "fetchCurrencies": False, "fetchMargins": False},
            symbol_suffix=":{quote}",
        )


PLUGIN = BinanceFutures
