"""Alerts through a Telegram bot: `sendMessage` of the Bot API (https://core.telegram.org/bots/api). The credential is the bot's token."""

from __future__ import annotations

import re
from typing import Any, Final, Literal

import msgspec

from dudzian_daemon.api.alerts import Alert, AuthFailed, ChannelTools, HttpReply, Permanent, Severity, text

#: Characters of a message, as the Bot API counts them after entities are taken out.
MOST_CHARACTERS: Final = 4096
#: Every character that MarkdownV2 gives a meaning, and the backslash that takes it away.
_MARKUP: Final = re.compile(r"([_*\[\]()~`>#+\-=|{}.!\\])")


class TelegramChannel:
    """One chat."""

    class Params(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        """`chat_id` is a number or `@channel`; with `parse_mode` MarkdownV2 the text is escaped, and looks the same."""

        chat_id: str | int
        parse_mode: Literal["", "MarkdownV2"] = ""
        api_url: str = "https://api.telegram.org"

    def __init__(self, params: Params, tools: ChannelTools) -> None:
        self._params = params
        self._http = tools.http
        self._base = f"{params.api_url.rstrip('/')}/bot{tools.required_secret('the token of a bot')}"

    async def send(self, alert: Alert) -> str:
        """Send one message; information comes without a sound."""
        most = MOST_CHARACTERS if not self._params.parse_mode else MOST_CHARACTERS // 2
        words = text(alert, most=most)
        message: dict[str, Any] = {"chat_id": self._params.chat_id, "text": words, "disable_notification": alert.severity is Severity.INFO}
        if self._params.parse_mode:
            message |= {"parse_mode": self._params.parse_mode, "text": _MARKUP.sub(r"\\\1", words)}
        result = _result(await self._http.request("POST", f"{self._base}/sendMessage", json=message))
        return f"message {result.get('message_id', '')}".strip()

    async def check(self) -> str:
        """Ask who the bot is."""
        result = _result(await self._http.request("POST", f"{self._base}/getMe"))
        return f"bot {result.get('username', '')}".strip()


def _result(reply: HttpReply) -> dict[str, Any]:
    if reply.status == 404:  # the path holds the token, so this says that there is no such bot
        msg = f"{reply.host} knows no such bot: check the token"
        raise AuthFailed(msg)
    reply.require_taken()
    answer = reply.json()
    if not isinstance(answer, dict) or answer.get("ok") is not True:
        msg = f"{reply.host} did not take the message"
        raise Permanent(msg)
    result = answer.get("result")
    return result if isinstance(result, dict) else {}


PLUGIN = TelegramChannel
