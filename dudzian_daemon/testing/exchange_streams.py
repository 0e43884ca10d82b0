"""The loopback exchange's websocket messages: what a client has asked for, and quotes as each venue spells them."""

from __future__ import annotations

from typing import Any


def binance_asked(message: dict[str, Any]) -> list[str]:
    """Streams that a client subscribes to, such as `btcusdt@bookTicker`."""
    return list(message.get("params", []))


def binance_confirmed(message: dict[str, Any]) -> dict[str, Any]:
    """The answer to that."""
    return {"result": None, "id": message["id"]}


def binance_quote(number: int, top: dict[str, str]) -> dict[str, Any]:
    """A quote out of the answer of `bookTicker`, with the number of the update."""
    return {"u": number, "s": top["symbol"], "b": top["bidPrice"], "B": top["bidQty"], "a": top["askPrice"], "A": top["askQty"]}


def kraken_asked(message: dict[str, Any]) -> list[str]:
    """Channel and symbol of each stream that a client subscribes to, such as `ticker BTC/USDT`."""
    params = message.get("params", {}) if message.get("method") == "subscribe" else {}
    return [f"{params['channel']} {symbol}" for symbol in params.get("symbol", [])]


def kraken_confirmed(message: dict[str, Any]) -> dict[str, Any]:
    """The answer to that."""
    return {"method": "subscribe", "success": True, "req_id": message.get("req_id")}


def kraken_quote(symbol: str, price: float) -> dict[str, Any]:
    """A quote around the price."""
    bid, ask = (float(side) for side in sides(price))
    data = {"symbol": symbol, "bid": bid, "bid_qty": 1.7, "ask": ask, "ask_qty": 1.5, "last": price, "volume": 1.0, "vwap": price}
    return {"channel": "ticker", "type": "update", "data": [data | {"low": price, "high": price, "change": 0.0, "change_pct": 0.0}]}


def sides(price: float) -> tuple[str, str]:
    """Bid and ask around the price."""
    return f"{price - 0.01:.2f}", f"{price + 0.01:.2f}"
