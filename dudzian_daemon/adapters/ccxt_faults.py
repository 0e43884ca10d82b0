"""ccxt's faults in our words: whatever a call of its client raises becomes one of ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Final

import aiohttp

from dudzian_daemon.adapters.venue_answers import BadAnswer, Throttled, VenueDown, judge_status, retry_after_s
from dudzian_daemon.domain.errors import AdapterError, Permanent

#: Seconds of pause after a rate limit that comes in a body, which names no time.
_BODY_LIMIT_PAUSE_S: Final = 5.0


class Errors:
    """ccxt's faults in our words."""

    def __init__(self, ccxt: ModuleType, venue: str, wall_ns: Callable[[], int]) -> None:
        self._ccxt = ccxt
        self._venue = venue
        self._wall_ns = wall_ns

    def read(self, what: str) -> _Reading:
        """A fence around one call of the client."""
        return _Reading(self, f"{self._venue} {what}")

    def fault(self, error: Exception, where: str) -> AdapterError:
        """The fault to raise for what ccxt, or our own guard inside it, has raised."""
        if isinstance(error, AdapterError):
            return error
        if (limit := _refused_handshake(error, where, self._wall_ns() / 1e9)) is not None:
            return limit
        text = f"{where}: {type(error).__name__}: {' '.join(str(error).split())[:160]}"
        if isinstance(error, (self._ccxt.RateLimitExceeded, self._ccxt.DDoSProtection)):
            return Throttled(text, _BODY_LIMIT_PAUSE_S)
        if isinstance(error, self._ccxt.BadResponse):
            return BadAnswer(text)
        if isinstance(error, self._ccxt.OperationFailed) or isinstance(error.__cause__, aiohttp.ClientPayloadError):
            return VenueDown(text)
        if isinstance(error, self._ccxt.BaseError):
            return Permanent(text)
        return BadAnswer(text)


class _Reading:
    """Turns whatever a call raises into one of our faults: an answer that makes no sense makes ccxt raise anything."""

    def __init__(self, errors: Errors, where: str) -> None:
        self._errors = errors
        self._where = where

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _stack: object) -> None:
        if isinstance(error, Exception):
            raise self._errors.fault(error, self._where) from error


def _refused_handshake(error: Exception, where: str, now_s: float) -> Throttled | None:
    """The pause that a venue asks for where it refuses a websocket, None for any other fault of ccxt's; `now_s` is for dates."""
    cause = error.args[0] if error.args else None
    if not isinstance(cause, aiohttp.WSServerHandshakeError):
        return None
    headers: Mapping[str, str] = cause.headers or {}
    pause_s = retry_after_s(headers, now_s)
    if pause_s is not None:
        return Throttled(f"{where}: refused (HTTP {cause.status}), asked again in {pause_s:.0f} s", pause_s)
    try:
        judge_status(cause.status, headers, where, now_s)
    except Throttled as limit:
        return limit
    except AdapterError:
        return None
    return None
