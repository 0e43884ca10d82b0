"""`POST /kill-switch` on a guarded port: stops new orders, for who sends a token. It cannot be switched off this way.

It judges no token and knows no inbox: `press` does, and says what to answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Final

import msgspec
from aiohttp import web

#: Takes the token that was sent, empty if none was; says with which status and document to answer.
Press = Callable[[str], Awaitable[tuple[HTTPStatus, Mapping[str, object]]]]

_SCHEME: Final = "bearer "
_NO_BODY: Final = "expected an empty body: this only switches on; to switch off: dudzian risk kill-switch off"


async def answer(request: web.Request, press: Press, note: Callable[[str], None]) -> web.Response:
    """The answer to a request; `note` counts who is turned away for the token, as `token`."""
    if request.body_exists:
        return _response(HTTPStatus.BAD_REQUEST, {"accepted": False, "detail": _NO_BODY})
    status, document = await press(_token(request))
    if status is HTTPStatus.UNAUTHORIZED:
        note("token")
    return _response(status, document)


def _token(request: web.Request) -> str:
    """What stands behind `Bearer` in the one Authorization header; empty for none, several, or another scheme."""
    headers = request.headers.getall("Authorization", [])
    sent = headers[0] if len(headers) == 1 else ""
    return sent[len(_SCHEME) :].strip() if sent.lower().startswith(_SCHEME) else ""


def _response(status: HTTPStatus, document: Mapping[str, object]) -> web.Response:
    headers = {"WWW-Authenticate": "Bearer"} if status is HTTPStatus.UNAUTHORIZED else {}
    return web.Response(status=status, body=msgspec.json.encode(document), content_type="application/json", headers=headers)
