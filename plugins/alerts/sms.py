"""Alerts by SMS through an operator's HTTP interface: any that takes recipient and text by POST, and a preset for Orange.

The preset `orange` follows the published SMS API of Orange (https://developer.orange.com/apis/sms/getting-started): a token by OAuth 2
client credentials, then one request a recipient. It is not verified against the operator.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal
from urllib.parse import quote

import msgspec

from dudzian_daemon.api.alerts import Alert, AuthFailed, ChannelTools, HttpReply, Permanent, text

ORANGE_URL: Final = "https://api.orange.com"


class SmsChannel:
    """One text a recipient. A send that fails half way is sent again to all: at least once."""

    class Params(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        """`recipients` are numbers with their country code, separated by commas.

        Without a preset `url`, and by which names it takes number, text and sender (none: not sent), are needed; `auth` says
        how the credential is shown: as a bearer token, as `user:password`, or in a field of the body.
        """

        recipients: Annotated[str, msgspec.Meta(min_length=1)]
        sender: str = ""
        preset: Literal["", "orange"] = ""
        url: str = ""
        check_url: str = ""
        encoding: Literal["form", "json"] = "form"
        to_field: str = "to"
        text_field: str = "message"
        sender_field: str = "from"
        auth: Literal["bearer", "basic", "field", "none"] = "bearer"
        auth_field: str = "token"
        most_characters: Annotated[int, msgspec.Meta(ge=40, le=1600)] = 320

        def __post_init__(self) -> None:
            if not self.preset and not self.url:
                msg = "expected `url`, or `preset: orange`, found neither"
                raise ValueError(msg)

    def __init__(self, params: Params, tools: ChannelTools) -> None:
        self._params = params
        self._http = tools.http
        self._secret = "" if params.auth == "none" and not params.preset else tools.required_secret("what the SMS operator knows you by")
        self._recipients = [number.strip() for number in params.recipients.split(",") if number.strip()]
        self._bearer = ""

    async def send(self, alert: Alert) -> str:
        """Send the text to every recipient."""
        words = text(alert, most=self._params.most_characters)
        for number in self._recipients:
            reply = await (self._by_orange(number, words) if self._params.preset else self._by_http(number, words))
            reply.require_taken()
        return f"{len(self._recipients)} sent"

    async def check(self) -> str:
        """A token for Orange, else a request to `check_url`; no SMS is sent."""
        if self._params.preset:
            self._bearer = await self._orange_token()
            return "token granted"
        if not self._params.check_url:
            return "not asked: there is no check_url"
        (await self._http.request("GET", self._params.check_url, headers=self._headers())).require_taken()
        return "answers"

    async def _by_http(self, number: str, words: str) -> HttpReply:
        params = self._params
        fields = dict(self._fields(number, words))
        if params.encoding == "json":
            return await self._http.request("POST", params.url, json=fields, headers=self._headers())
        return await self._http.request("POST", params.url, form=fields, headers=self._headers())

    def _fields(self, number: str, words: str) -> Iterator[tuple[str, str]]:
        yield self._params.to_field, number
        yield self._params.text_field, words
        if self._params.sender and self._params.sender_field:
            yield self._params.sender_field, self._params.sender
        if self._params.auth == "field":
            yield self._params.auth_field, self._secret

    def _headers(self) -> Mapping[str, str]:
        if self._params.auth == "basic":
            return {"Authorization": f"Basic {_basic(self._secret)}"}
        return {"Authorization": f"Bearer {self._secret}"} if self._params.auth == "bearer" else {}

    async def _by_orange(self, number: str, words: str) -> HttpReply:
        """A token lasts an hour: one that is refused is asked for anew, once."""
        fresh = not self._bearer
        self._bearer = self._bearer or await self._orange_token()
        reply = await self._orange_request(number, words)
        if reply.status == 401 and not fresh:
            self._bearer = await self._orange_token()
            reply = await self._orange_request(number, words)
        return reply

    async def _orange_request(self, number: str, words: str) -> HttpReply:
        sender = f"tel:{self._params.sender}"
        message: dict[str, Any] = {"address": f"tel:{number}", "senderAddress": sender, "outboundSMSTextMessage": {"message": words}}
        return await self._http.request(
            "POST",
            f"{self._params.url or ORANGE_URL}/smsmessaging/v1/outbound/{quote(sender, safe='')}/requests",
            json={"outboundSMSMessageRequest": message},
            headers={"Authorization": f"Bearer {self._bearer}"},
        )

    async def _orange_token(self) -> str:
        reply = await self._http.request(
            "POST",
            f"{self._params.url or ORANGE_URL}/oauth/v3/token",
            form={"grant_type": "client_credentials"},
            headers={"Authorization": f"Basic {_basic(self._secret)}"},
        )
        if reply.status == 400:
            msg = f"{reply.host} refuses the client's credentials"
            raise AuthFailed(msg)
        reply.require_taken()
        answer = reply.json()
        token = answer.get("access_token") if isinstance(answer, dict) else None
        if not isinstance(token, str) or not token:
            msg = f"{reply.host} granted no token"
            raise Permanent(msg)
        return token


def _basic(user_and_password: str) -> str:
    return base64.b64encode(user_and_password.encode()).decode()


PLUGIN = SmsChannel
