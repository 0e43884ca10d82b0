"""Alerts through a Facebook page's Messenger: the Send API of the Graph API. The credential is the page's access token.

Built after the published description (https://developers.facebook.com/docs/messenger-platform/reference/send-api), not
verified against the service.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from dudzian_daemon.api.alerts import Alert, ChannelTools, text

MOST_CHARACTERS: Final = 2000


class MessengerChannel:
    """One recipient, by the id that the page knows them by."""

    class Params(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        """`tag` allows messages outside the 24 hours after the recipient's last one."""

        recipient_id: str | int
        tag: str = "ACCOUNT_UPDATE"
        api_url: str = "https://graph.facebook.com/v21.0"

    def __init__(self, params: Params, tools: ChannelTools) -> None:
        self._params = params
        self._http = tools.http
        self._url = params.api_url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {tools.required_secret('the access token of a page')}"}

    async def send(self, alert: Alert) -> str:
        """Send one message."""
        message: dict[str, Any] = {
            "recipient": {"id": str(self._params.recipient_id)},
            "messaging_type": "MESSAGE_TAG" if self._params.tag else "UPDATE",
            "message": {"text": text(alert, most=MOST_CHARACTERS)},
        }
        if self._params.tag:
            message["tag"] = self._params.tag
        reply = await self._http.request("POST", f"{self._url}/me/messages", json=message, headers=self._headers)
        reply.require_taken()
        return f"{reply.host} answered {reply.status}"

    async def check(self) -> str:
        """Ask for the page's own entry."""
        reply = await self._http.request("GET", f"{self._url}/me", headers=self._headers)
        reply.require_taken()
        return "page answers"


PLUGIN = MessengerChannel
