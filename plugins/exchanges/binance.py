"""Binance spot, public data only: the hosts below serve market data and know no order."""

from __future__ import annotations

from typing import ClassVar

from dudzian_daemon.api.exchange import CcxtClient, VenueAccess, VenueProfile


class Binance:
    """6,000 weight a minute and address; a candle is final a moment after its end."""

    profile: ClassVar = VenueProfile(
        name="binance",
        hosts=("data-api.binance.vision",),
        stream_hosts=("data-stream.binance.vision",),
        granularities=("1m", "5m", "15m", "30m", "1h", "4h", "1d"),
        candles_per_call=1000,
        weight_limit=6000,
        weights={"candles": 2, "markets": 20, "quotes": 4, "book": 5, "book_stream": 50, "time": 1},
        weight_header="x-mbx-used-weight-1m",
    )

    def source(self, access: VenueAccess) -> CcxtClient:
        """Spoken by ccxt."""
        return CcxtClient(
            id="binance",
            sections={"public": "https://data-api.binance.vision"},
            stream_sections={"spot": "wss://data-stream.binance.vision"},
            stream_depths=(1000,),  # it pushes changes: what leaves a shallow book is missed in it
            options={"defaultType": "spot", "fetchMarkets": {"types": ["spot"]}, "fetchCurrencies": False, "fetchMargins": False},
            market_filter="symbols",
            market_filter_as_json=True,
        )


PLUGIN = Binance
