"""What the options of a command that orders by hand come to: the arguments of an `order_place`, checked before they are sent."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Final

from dudzian_daemon.domain.errors import ConfigError

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_KINDS: Final = {(False, False): "market", (True, False): "limit", (False, True): "stop", (True, True): "stop_limit"}


def order_arguments(
    instrument: str,
    side: str,
    quantity: str,
    *,
    oco: bool = False,
    post_only: bool = False,
    reduce_only: bool = False,
    **given: str | None,
) -> dict[str, str]:
    """What was given, and the kind of order that the prices make it. Raises `ConfigError` for what no gate would let pass.

    `given` are arguments of the command by name; `expires` is a time in ISO 8601, UTC where it names no zone.
    """
    named = {name: text for name, text in given.items() if text is not None}
    flags = {"post_only": post_only, "reduce_only": reduce_only}
    expires = named.pop("expires", None)
    arguments = {
        "instrument": instrument,
        "side": side,
        "quantity": quantity,
        **({"link": "oco"} if oco else {"kind": _kind(named)}),
        "time_in_force": "gtc" if expires is None else "gtd",
        **({} if expires is None else {"expires_at": str(_instant_ns(expires))}),
        **{name: text for name, text in named.items() if name != "kind"},
        **{name: "yes" for name, wanted in flags.items() if wanted},
    }
    _require_sense(arguments)
    return arguments


def _kind(named: Mapping[str, str]) -> str:
    if "kind" in named:
        return named["kind"].replace("-", "_")
    return "trailing_stop" if "trail" in named else _KINDS["limit_price" in named, "stop_price" in named]


def _require_sense(arguments: Mapping[str, str]) -> None:
    from dudzian_daemon.domain.order_form import read_form, sensible

    _require_number("value" if "value" in arguments else "quantity", arguments)
    if arguments.get("link") != "oco" and "stop_limit_price" in arguments:
        msg = "order: --stop-limit is the limit of an oco's stop; a stop-limit order of its own has --stop and --limit"
        raise ConfigError(msg)
    if arguments.get("link") == "oco" and not {"limit_price", "stop_price"} <= set(arguments):
        msg = "order: an oco needs both prices, --limit and --stop"
        raise ConfigError(msg)
    if arguments.get("link") == "oco" and {"trail", "kind", "post_only"} & set(arguments):
        msg = "order: an oco is a limit order and a stop; it has no --kind, --trail or --post-only"
        raise ConfigError(msg)
    try:
        sensible(read_form(arguments))
    except ValueError as error:
        msg = f"order: {error}"
        raise ConfigError(msg) from None


def _require_number(name: str, arguments: Mapping[str, str]) -> None:
    text = arguments[name]
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal(0)
    if not (number.is_finite() and number > 0):
        msg = f"order: {name}: expected a number above 0, found {text!r}"
        raise ConfigError(msg)


def _instant_ns(text: str) -> int:
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        msg = f"order: --expires: expected a time such as 2026-11-27T12:00Z, found {text!r}"
        raise ConfigError(msg) from None
    when = when.replace(tzinfo=UTC) if when.tzinfo is None else when
    return (when - _EPOCH) // timedelta(microseconds=1) * 1000
