"""Alerts as a JSON document by POST, to any receiver of webhooks; the text for people is in it as `text`."""

from __future__ import annotations

from typing import Any

import msgspec

from dudzian_daemon.api.alerts import Alert, ChannelTools, text


class WebhookChannel:
    """Without `url` the credential is the URL (as with services that put a token into it); else a credential is a bearer token."""

    class Params(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        """`text_only` sends `{"text": ...}` alone, which is what chat services take."""

        url: str = ""
        text_only: bool = False

    def __init__(self, params: Params, tools: ChannelTools) -> None:
        self._http = tools.http
        self._text_only = params.text_only
        self._url = params.url or tools.required_secret("a URL (there is no `url` in `parameters`)")
        self._headers = {"Authorization": f"Bearer {tools.secret}"} if params.url and tools.secret else {}

    async def send(self, alert: Alert) -> str:
        """Post the alert."""
        document: dict[str, Any] = {} if self._text_only else {**msgspec.to_builtins(alert), "key": alert.key}
        reply = await self._http.request("POST", self._url, json=document | {"text": text(alert)}, headers=self._headers)
        reply.require_taken()
        return f"{reply.host} answered {reply.status}"

    async def check(self) -> str:
        """Ask for the headers of the address: any answer that is no fault of the server will do."""
        reply = await self._http.request("HEAD", self._url, headers=self._headers)
        if reply.status >= 500 or reply.status in (401, 403, 429):
            reply.require_taken()
        return f"{reply.host} answers"


PLUGIN = WebhookChannel
