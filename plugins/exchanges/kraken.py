"""Kraken spot, public data only. Older candles than the last 720 are not to be had, whatever one asks for."""

from __future__ import annotations

from typing import ClassVar

from dudzian_daemon.api.exchange import SECOND_NS, CcxtClient, VenueAccess, VenueProfile


class Kraken:
    """One public call a second and address; the venue has no weight header."""

    profile: ClassVar = VenueProfile(
        name="kraken",
        hosts=("api.kraken.com",),
        stream_hosts=("ws.kraken.com",),
        granularities=("1m", "5m", "15m", "30m", "1h", "4h", "1d"),
        candles_per_call=720,
        weight_limit=60,
        settle_ns=5 * SECOND_NS,
    )

    def source(self, access: VenueAccess) -> CcxtClient:
        """Spoken by ccxt, without its second request for the list of assets."""
        return CcxtClient(
            id="kraken",
            sections={"public": "https://api.kraken.com"},
            stream_sections={"public": "wss://ws.kraken.com", "publicV2": "wss://ws.kraken.com"},
            stream_depths=(10, 25, 100, 500, 1000),
            market_filter="pair",
            quotes_by="fetch_tickers",
        )


PLUGIN = Kraken
