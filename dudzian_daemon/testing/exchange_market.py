"""The made-up market of the loopback exchange: prices are a function of symbol and time, so any candle of any day can be asked for."""

from __future__ import annotations

from hashlib import sha256
from math import sin
from typing import Any, Final

import msgspec

MINUTE_MS: Final = 60_000
_DECIMALS: Final = 2


class Market(msgspec.Struct, frozen=True, kw_only=True):
    """A pair: its names at the two venues, its price level, and between which moments (ms) it was traded."""

    base: str
    quote: str = "USDT"
    price: float
    listed_ms: int = 1_502_928_000_000
    delisted_ms: int | None = None

    @property
    def binance_id(self) -> str:
        """`BTCUSDT`."""
        return self.base + self.quote

    @property
    def kraken_id(self) -> str:
        """`XBTUSDT`."""
        return ("XBT" if self.base == "BTC" else self.base) + self.quote

    def at(self, moment_ms: int, shift: float = 0.0) -> float:
        """The price at a moment, moved by a share of itself: two venues do not quite agree."""
        phase = int.from_bytes(sha256(self.base.encode()).digest()[:2], "big")
        days = moment_ms / 86_400_000
        swing = 0.2 * sin(days / 17 + phase) + 0.04 * sin(days * 2.1 + phase) + 0.004 * sin(days * 311 + phase)
        return round(self.price * (1.0 + swing) * (1.0 + shift), _DECIMALS)

    def candle(self, start_ms: int, step_ms: int, shift: float = 0.0) -> list[float]:
        """[start, open, high, low, close, volume]; it opens where the one before has closed."""
        opened, closed = self.at(start_ms, shift), self.at(start_ms + step_ms, shift)
        middle = self.at(start_ms + step_ms // 2, shift)
        low, high = min(opened, closed, middle), max(opened, closed, middle)
        volume = round(1_000_000 / self.price * step_ms / 3_600_000 * (1.1 + sin(start_ms / 7.0)), 5)
        return [start_ms, opened, round(high * 1.0005, _DECIMALS), round(low * 0.9995, _DECIMALS), closed, volume]

    def candles(self, since_ms: int, until_ms: int, step_ms: int, limit: int, shift: float = 0.0) -> list[list[float]]:
        """The first `limit` candles that start in [`since_ms`, `until_ms`], the running one included."""
        first = -(-max(since_ms, self.listed_ms) // step_ms) * step_ms
        last = min(until_ms, (self.delisted_ms or until_ms + step_ms) - step_ms)
        return [self.candle(start, step_ms, shift) for start in range(first, last + 1, step_ms)[:limit]]

    def is_open(self, moment_ms: int) -> bool:
        """Whether it is traded then."""
        return self.listed_ms <= moment_ms and (self.delisted_ms is None or moment_ms < self.delisted_ms)


#: The basket of the core set.
MARKETS: Final = tuple(
    Market(base=base, price=price)
    for base, price in (
        ("BTC", 60_000.0),
        ("ETH", 3_000.0),
        ("SOL", 150.0),
        ("BNB", 600.0),
        ("XRP", 10.0),
        ("ADA", 8.0),
        ("LTC", 90.0),
        ("MATIC", 7.0),
    )
)

#: What MATIC became: listed on 2024-09-13 at 10:00, three days after the other name had ended.
POL: Final = Market(base="POL", price=5.0, listed_ms=1_726_221_600_000)


def binance_market(market: Market, open_now: bool) -> dict[str, Any]:
    """An entry of `exchangeInfo`, in the shape of the recorded answer."""
    return {
        "symbol": market.binance_id,
        "status": "TRADING" if open_now else "BREAK",
        "baseAsset": market.base,
        "baseAssetPrecision": 8,
        "quoteAsset": market.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"],
        "icebergAllowed": True,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": True,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": "0.01000000", "maxPrice": "1000000.00000000", "tickSize": "0.01000000"},
            {"filterType": "LOT_SIZE", "minQty": "0.00001000", "maxQty": "9000.00000000", "stepSize": "0.00001000"},
            {"filterType": "NOTIONAL", "minNotional": "5.00000000", "applyMinToMarket": True, "maxNotional": "9000000.00000000"},
        ],
        "permissions": ["SPOT"],
    }


def futures_market(market: Market, open_now: bool) -> dict[str, Any]:
    """An entry of the perpetuals' `exchangeInfo`."""
    contract = {"pair": market.binance_id, "contractType": "PERPETUAL", "marginAsset": market.quote, "deliveryDate": 4_133_404_800_000}
    filters = [
        {"filterType": "PRICE_FILTER", "minPrice": "0.10", "maxPrice": "1000000", "tickSize": "0.10"},
        {"filterType": "LOT_SIZE", "minQty": "0.001", "maxQty": "1000", "stepSize": "0.001"},
        {"filterType": "MIN_NOTIONAL", "notional": "100"},
    ]
    return binance_market(market, open_now) | contract | {"onboardDate": market.listed_ms, "filters": filters, "underlyingType": "COIN"}


def kraken_market(market: Market, open_now: bool) -> dict[str, Any]:
    """An entry of `AssetPairs`, in the shape of the recorded answer."""
    base = "XBT" if market.base == "BTC" else market.base
    return {
        "altname": market.kraken_id,
        "wsname": f"{base}/{market.quote}",
        "aclass_base": "currency",
        "base": f"X{base}" if base == "XBT" else base,
        "aclass_quote": "currency",
        "quote": market.quote,
        "lot": "unit",
        "cost_decimals": 5,
        "pair_decimals": 2,
        "lot_decimals": 8,
        "lot_multiplier": 1,
        "leverage_buy": [],
        "leverage_sell": [],
        "fees": [[0, 0.4], [10_000, 0.35]],
        "fees_maker": [[0, 0.25], [10_000, 0.2]],
        "fee_volume_currency": "ZUSD",
        "margin_call": 80,
        "margin_stop": 40,
        "ordermin": "0.00005",
        "costmin": "0.5",
        "tick_size": "0.01",
        "status": "online" if open_now else "cancel_only",
    }
