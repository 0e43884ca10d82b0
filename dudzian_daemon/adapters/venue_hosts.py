"""Which hosts a venue's client may talk to: the venue's public data hosts, or the one that was configured. Everything else is refused."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import msgspec

from dudzian_daemon.domain.errors import ConfigError, Permanent
from dudzian_daemon.domain.venues import VenueProfile

_SECURE: Final = {"https": 443, "wss": 443}
_PORTS: Final = {"http": 80, "ws": 80} | _SECURE


class HostRules(msgspec.Struct, frozen=True):
    """The hosts that are allowed, as (host, port); `base` and `stream` replace scheme and host of the client's own URLs."""

    venue: str
    allowed: frozenset[tuple[str, int]]
    base: str = ""
    stream: str = ""

    def moved(self, url: str) -> str:
        """`url` at the host it shall go to; its path is kept."""
        parts = urlsplit(url)
        target = self.stream if parts.scheme in ("ws", "wss") else self.base
        if not target:
            return url
        wanted = urlsplit(target)
        return parts._replace(scheme=wanted.scheme, netloc=wanted.netloc).geturl()

    def require(self, url: str) -> None:
        """Raise `Permanent` unless the URL's host is allowed, over TLS but for loopback."""
        if self.problem(url):
            msg = f"{self.venue}: {self.problem(url)}"
            raise Permanent(msg)

    def problem(self, url: str) -> str:
        """Why this URL is out of bounds, empty where it is not."""
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), _port(parts)
        if (host, port) not in self.allowed:
            known = ", ".join(sorted(f"{name}:{number}" for name, number in self.allowed)) or "none"
            return f"host {host or url!r}:{port} is not one this venue's data may come from; allowed: {known}"
        if parts.scheme not in _SECURE and not is_loopback(host):
            return f"expected an encrypted connection to {host}, found {parts.scheme}"
        return ""

    def require_all(self, urls: Mapping[str, Any]) -> None:
        """Raise `ConfigError` naming every URL of a client's table that is out of bounds."""
        wrong = [f"{name}: {problem}" for name, url in _flat(urls) if (problem := self.problem(url))]
        if wrong:
            msg = f"{self.venue}: {'; '.join(wrong)}"
            raise ConfigError(msg)


def host_rules(profile: VenueProfile, base_url: str = "", ws_url: str = "") -> HostRules:
    """The rules of a venue. A configured address is loopback or one of the venue's own hosts, and then the only one of its kind.

    Without a `ws_url`, streams of a loopback `base_url` go to the same port. Raises `ConfigError` for any other address.
    """
    stream = ws_url or (_as_stream(base_url) if base_url and is_loopback(urlsplit(base_url).hostname or "") else "")
    allowed: set[tuple[str, int]] = set()
    for key, url, hosts in (("base_url", base_url, profile.hosts), ("ws_url", stream, profile.stream_hosts)):
        if url:
            allowed.add(_configured(profile.name, key, url, hosts))
        else:
            allowed |= {(host, port) for host in hosts for port in ((443, 9443) if key == "ws_url" else (443,))}
    return HostRules(profile.name, frozenset(allowed), base_url, stream)


def is_loopback(host: str) -> bool:
    """Whether the host is this machine, by its address or as `localhost`."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _configured(venue: str, key: str, url: str, hosts: tuple[str, ...]) -> tuple[str, int]:
    schemes = ("http", "https") if key == "base_url" else ("ws", "wss")
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), _port(parts)
    except ValueError:
        parts, host, port = urlsplit(""), "", 0
    if parts.scheme not in schemes or not host or parts.path not in ("", "/") or parts.query or parts.username:
        msg = f"{venue}: adapter_settings.{key}: expected {schemes[0]}://HOST:PORT and nothing behind it, found {url!r}"
        raise ConfigError(msg)
    if not is_loopback(host) and (host not in hosts or parts.scheme not in _SECURE):
        known = ", ".join(hosts) or "none of its own"
        msg = f"{venue}: adapter_settings.{key}: expected loopback or one of the venue's data hosts ({known}), found {url!r}"
        raise ConfigError(msg)
    return host, port


def _as_stream(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(scheme="wss" if parts.scheme == "https" else "ws").geturl()


def _port(parts: SplitResult) -> int:
    return parts.port or _PORTS.get(parts.scheme, 0)


def _flat(urls: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    for name, value in urls.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        elif value is not None:
            yield f"{before}{name}", str(value)
