"""Makes the clients of ccxt: without keys, with the URLs of public data only, that can GET at the allowed hosts and nothing else."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import msgspec

from dudzian_daemon.adapters.ccxt_import import ccxt_class, ccxt_errors
from dudzian_daemon.adapters.ccxt_streams import heard_by_its_owner, paced_by_the_feed
from dudzian_daemon.adapters.public_http import TIMEOUT_S, tls_context
from dudzian_daemon.adapters.venue_answers import decoded, judge_status
from dudzian_daemon.adapters.venue_hosts import HostRules
from dudzian_daemon.domain.errors import Permanent
from dudzian_daemon.domain.venues import CcxtClient


class ClientOptions(msgspec.Struct, frozen=True):
    """What a client needs beside its plugin's word: `wanted` are the venue's ids of the session's symbols, empty for all markets.

    `heard` is told the headers of every answer; `streams` loads the websocket side too.
    """

    rules: HostRules
    wanted: Mapping[str, str]
    heard: Callable[[Mapping[str, str]], None]
    wall_ns: Callable[[], int]
    streams: bool = False


def imported(venue: str, streams: bool) -> tuple[ModuleType, type[Any]]:
    """The exceptions of ccxt, and the venue's class."""
    found = ccxt_errors(), ccxt_class(venue, streams=streams)
    logging.getLogger("ccxt").setLevel(logging.INFO)  # below that it writes headers and bodies
    return found


def client_of(venue: type[Any], plugin: CcxtClient, options: ClientOptions) -> Any:
    """A client of the venue's class with no key, no session yet, and no URL but those of public data."""
    client = heard_by_its_owner(paced_by_the_feed(_public(venue, options)))(
        {"enableRateLimit": False, "timeout": round(TIMEOUT_S * 1000), "options": dict(plugin.options)}
    )
    streams = client.urls["api"].get("ws", {})
    sections: dict[str, Any] = {name: _at(client.urls["api"][name], host) for name, host in plugin.sections.items()}
    if options.streams:
        sections["ws"] = {name: _at(streams[name], host) for name, host in plugin.stream_sections.items()}
    client.urls = {"api": _moved(sections, options.rules)}
    options.rules.require_all(client.urls["api"])
    client.options["ws"] = {**client.options.get("ws", {}), "compress": 0}  # short messages; each packed socket holds 0.3 MB of buffers
    client.own_session, client.timeout_on_exit = False, 0
    client.ssl_context = tls_context()  # it would make one of its own, on the loop
    client.has["fetchCurrencies"] = False
    return client


def _public(venue: type[Any], options: ClientOptions) -> type[Any]:
    """The venue's class, held to GET at the allowed hosts, and to answers that are what they say."""
    rules = options.rules

    class PublicOnly(venue):  # type: ignore[misc] # ccxt has no types
        async def fetch(self, url: str, method: str = "GET", headers: object = None, body: object = None) -> Any:
            if method != "GET" or body:
                msg = f"{rules.venue}: only GET is sent from here, found {method}"
                raise Permanent(msg)
            rules.require(url)
            return await super().fetch(url, method, headers, body)

        def on_rest_response(
            self, code: int, _reason: object, url: str, _method: object, headers: dict[str, str], text: str, *_: object
        ) -> str:
            options.heard(headers)
            judge_status(code, headers, f"{rules.venue} {urlsplit(url).path}", options.wall_ns() / 1e9)
            return text.strip()

        def parse_json(self, text: str) -> Any:
            return decoded(text, rules.venue)

    return PublicOnly


def _at(url: str, host: str) -> str:
    """The URL of a section, with the scheme and host that the plugin names."""
    wanted = urlsplit(host)
    return urlsplit(url)._replace(scheme=wanted.scheme, netloc=wanted.netloc).geturl()


def _moved(urls: Mapping[str, Any], rules: HostRules) -> dict[str, Any]:
    return {name: _moved(url, rules) if isinstance(url, Mapping) else rules.moved(url) for name, url in urls.items()}
