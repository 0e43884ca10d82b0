"""Zonda, public data only, disabled: ccxt dropped the venue in 4.5.54, and the exchange is in liquidation since April 2026.

What is here is proved against recorded answers alone. A market is written BASE-QUOTE; a candle row is [ms as text, {o, c, h, l, v}].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from dudzian_daemon.api.exchange import GRANULARITIES, PublicHttp, Retryable, TopOfBook, VenueAccess, VenueMarket, VenueProfile

_S_NS = 1_000_000_000


class ZondaSource:
    """The venue's `trading` REST paths."""

    def __init__(self, http: PublicHttp) -> None:
        self._http = http

    async def candle_rows(self, symbol: str, granularity: str, since_ms: int, until_ms: int, limit: int) -> Sequence[Any]:
        """The window's candles."""
        seconds = GRANULARITIES[granularity] // _S_NS
        path = f"/rest/trading/candle/history/{_market(symbol)}/{seconds}"
        answer = await self._ask(path, {"from": since_ms, "to": min(until_ms - 1, since_ms + limit * seconds * 1000 - 1)})
        return [[int(start), *(float(row[name]) for name in "ohlcv")] for start, row in answer["items"]]

    async def market_rows(self) -> Sequence[VenueMarket]:
        """Every market that has a ticker; rules are not told here."""
        answer = await self._ask("/rest/trading/ticker", {})
        return [_venue_market(item["market"]["code"]) for item in answer["items"].values()]

    async def tops(self, symbols: Sequence[str]) -> Sequence[TopOfBook]:
        """One request a symbol; the venue tells no sizes with a ticker, so they are 0."""
        found = [(symbol, (await self._ask(f"/rest/trading/ticker/{_market(symbol)}", {}))["ticker"]) for symbol in symbols]
        return [TopOfBook(symbol, ticker["highestBid"], ticker["lowestAsk"], 0, 0) for symbol, ticker in found]

    async def depth(self, symbol: str, levels: int) -> tuple[Sequence[Any], Sequence[Any], int]:
        """The best levels: the venue writes a price as `ra`, a size as `ca`."""
        answer = await self._ask(f"/rest/trading/orderbook-limited/{_market(symbol)}/{levels}", {})
        bids, asks = ([[row["ra"], row["ca"]] for row in answer[side][:levels]] for side in ("buy", "sell"))
        return bids, asks, int(answer.get("seqNo", 0))

    async def time_ms(self) -> int:
        """The moment of a ticker; the venue has no path for its clock."""
        answer = await self._ask("/rest/trading/ticker/BTC-PLN", {})
        return int(answer["ticker"]["time"])

    async def close(self) -> None:
        """End the connections."""
        await self._http.close()

    async def _ask(self, path: str, params: Mapping[str, str | int]) -> Any:
        answer = await self._http.get_json(path, params)
        if not isinstance(answer, dict) or answer.get("status") != "Ok":
            msg = f"zonda {path}: expected status Ok, found {str(answer)[:80]}"
            raise Retryable(msg)
        return answer


def _market(symbol: str) -> str:
    return symbol.replace("/", "-")


def _venue_market(code: str) -> VenueMarket:
    base, _, quote = code.partition("-")
    return VenueMarket(symbol=f"{base}/{quote}", venue_symbol=code, base=base, quote=quote, active=True)


class Zonda:
    """One call a second is what ccxt used to keep to."""

    profile: ClassVar = VenueProfile(
        name="zonda",
        hosts=("api.zondacrypto.exchange",),
        granularities=("1m", "5m", "15m", "30m", "1h", "4h", "1d"),
        candles_per_call=100,
        weight_limit=60,
        disabled="the exchange is in liquidation since April 2026 and gone from ccxt since 4.5.54; nothing answers there",
    )

    def source(self, access: VenueAccess) -> ZondaSource:
        """A small client of our own."""
        return ZondaSource(access.http)


PLUGIN = Zonda
