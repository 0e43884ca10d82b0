"""What a venue's HTTP answer means: one table for every client of a venue. A fault says whether another try makes sense, and when."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Final

import orjson

from dudzian_daemon.domain.errors import Permanent, Retryable

#: Pauses in seconds where a venue limits us and does not say for how long; a ban begins with two minutes.
DEFAULT_PAUSE_S: Final = 60.0
DEFAULT_BAN_S: Final = 120.0
#: The longest pause a header may ask for: what is longer is no answer to believe, and the next try shows.
LONGEST_PAUSE_S: Final = 3 * 86_400.0

_TOO_MANY: Final = 429
_BANNED: Final = 418
_REQUEST_TIMEOUT: Final = 408
_SERVER_FAULT: Final = 500
_CLIENT_FAULT: Final = 400
_REDIRECT: Final = 300


class VenueDown(Retryable):
    """No answer in time, a lost connection, or the venue's own fault (5xx): it may be back soon."""


class BadAnswer(Retryable):
    """An answer that makes no sense: not JSON, cut off, empty, rows that are none. The venue lives, the answer is worth nothing."""


class Throttled(Retryable):
    """The venue asks us to wait `pause_s` seconds."""

    def __init__(self, text: str, pause_s: float) -> None:
        super().__init__(text)
        self.pause_s = pause_s


def judge_status(status: int, headers: Mapping[str, str], where: str, now_s: float) -> None:
    """Raise what a status means that is no success. `where` names venue and path for the operator, `now_s` is for dates in headers.

    An answer of the class 4xx that is JSON is for the venue's own client to read: it names the fault better than the status does.
    """
    if status < _REDIRECT:
        return
    if status in (_TOO_MANY, _BANNED):
        pause_s = retry_after_s(headers, now_s)
        if pause_s is None:
            pause_s = DEFAULT_BAN_S if status == _BANNED else DEFAULT_PAUSE_S
        word = "a ban" if status == _BANNED else "a rate limit"
        msg = f"{where}: {word} (HTTP {status}), asked again in {pause_s:.0f} s"
        raise Throttled(msg, pause_s)
    if status >= _SERVER_FAULT or status == _REQUEST_TIMEOUT:
        msg = f"{where}: HTTP {status}"
        raise VenueDown(msg)
    if status < _CLIENT_FAULT or "json" not in _header(headers, "content-type").lower():
        msg = f"{where}: HTTP {status}, which another try will not change"
        raise Permanent(msg)


def retry_after_s(headers: Mapping[str, str], now_s: float) -> float | None:
    """Seconds that the header `Retry-After` asks for, as a number or a date; None if it says nothing that can be read."""
    text = _header(headers, "retry-after").strip()
    if not text:
        return None
    try:
        pause_s = float(text)
    except ValueError:
        try:
            pause_s = parsedate_to_datetime(text).timestamp() - now_s
        except ValueError:
            return None
    return min(max(pause_s, 0.0), LONGEST_PAUSE_S) if pause_s - pause_s == 0.0 else None


def used_weight(headers: Mapping[str, str], name: str) -> int | None:
    """What the venue says is used of the minute's weight, None where it says nothing."""
    text = _header(headers, name) if name else ""
    return int(text) if text.isascii() and text.isdigit() else None


def decoded(body: str, where: str) -> Any:
    """The answer as JSON. Raises `BadAnswer` for what is none: HTML, a cut-off or empty text, NaN, a bare word or number."""
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        answer = None
    if not isinstance(answer, dict | list):
        shown = " ".join(body[:60].split())
        msg = f"{where}: expected a JSON object or list, found {shown!r}" if shown else f"{where}: expected JSON, found an empty answer"
        raise BadAnswer(msg)
    return answer


def _header(headers: Mapping[str, str], name: str) -> str:
    return next((value for key, value in headers.items() if key.lower() == name), "")
