"""Alerts through any service that Apprise knows (Signal, WhatsApp, Slack, Discord, ntfy, ...). The credential is its Apprise URL.

Needs the extra `alerts`. https://github.com/caronc/apprise lists the URLs.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from dudzian_daemon.api.alerts import Alert, ChannelTools, ConfigError, Retryable, Severity, headline, text

_KINDS: Final = {Severity.INFO: "info", Severity.WARNING: "warning", Severity.ERROR: "failure", Severity.CRITICAL: "failure"}


class AppriseChannel:
    """One URL, so that a failure is this channel's alone."""

    class Params(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        """`host` is what the URL leads to, where its own host is a name of the service only; it decides whether an offline run asks it."""

        host: str = ""

    def __init__(self, params: Params, tools: ChannelTools) -> None:
        target = _empty_target(tools.name)
        url = tools.required_secret("an Apprise URL")
        if not target.add(url):
            msg = f"alert channel {tools.name}: expected an Apprise URL as its credential, found something else"
            raise ConfigError(msg)
        self._tools = tools
        self._target = target
        self._host = params.host or _host(url)

    async def send(self, alert: Alert) -> str:
        """Hand it to Apprise, which sends from a thread of its own."""
        self._tools.require_reachable(self._host)
        taken = await self._target.async_notify(title=headline(alert), body=text(alert), notify_type=_KINDS[alert.severity])
        if not taken:
            msg = "Apprise could not deliver it"
            raise Retryable(msg)
        return "taken by Apprise"

    async def check(self) -> str:
        """Apprise offers no check that delivers nothing."""
        self._tools.require_reachable(self._host)
        return "not asked: Apprise has no check"


def _empty_target(name: str) -> Any:
    try:
        import apprise
    except ImportError:
        msg = f"alert channel {name} needs the extra `alerts`; run: pip install 'dudzian[alerts]'"
        raise ConfigError(msg) from None
    return apprise.Apprise()


def _host(url: str) -> str:
    """The host of `jsons://host/` and the like; a service's scheme (`slack://token`) has none, and counts as far away."""
    parts = urlsplit(url)
    return (
        (parts.hostname or "") if parts.scheme in ("json", "jsons", "xml", "xmls", "form", "forms", "mailto", "mailtos") else parts.scheme
    )


PLUGIN = AppriseChannel
