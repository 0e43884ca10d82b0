"""The one HTTP client: no redirects, no proxy of the environment, a bounded answer, and errors that name the host alone, never the URL.

aiohttp is loaded with the first request. Deadlines are the caller's: a request is cancelled like anything else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import anyio
import anyio.to_thread

from dudzian_daemon.domain.alert_channels import HttpReply
from dudzian_daemon.domain.errors import Offline, Permanent, Retryable

if TYPE_CHECKING:
    import aiohttp

#: What is read of an answer at most; one that is longer is refused.
MOST_BYTES: Final = 64 * 1024


class HttpClient:
    """One session, made with the first request. `allowed(host)` raises for a host that must not be asked."""

    def __init__(self, allowed: Callable[[str], None], *, most_bytes: int = MOST_BYTES) -> None:
        self._allowed = allowed
        self._most_bytes = most_bytes
        self._session: aiohttp.ClientSession | None = None
        self._opening = anyio.Lock()

    async def request(
        self,
        method: str,
        url: str,
        *,
        json: Any = None,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> HttpReply:
        """The answer. Raises `Retryable` when none comes or it is too long, `Permanent` for a URL that is none, what `allowed` raises."""
        host = host_of(url)
        self._allowed(host)
        session = await self._opened()
        import aiohttp

        try:
            async with session.request(method, url, json=json, data=form, headers=headers, allow_redirects=False) as answer:
                body = await self._bounded(answer.content, host)
                return HttpReply(answer.status, host, body)
        except aiohttp.InvalidURL:
            raise _no_url(url) from None
        except (aiohttp.ClientError, OSError) as error:  # its text holds the URL, and the URL may hold a token
            msg = f"{host} gave no answer ({type(error).__name__})"
            raise Retryable(msg) from None

    async def close(self) -> None:
        """Close the connections; the next request opens a new session."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _opened(self) -> aiohttp.ClientSession:
        async with self._opening:
            if self._session is None:
                session_class, timeout, jar = await anyio.to_thread.run_sync(_load)
                self._session = session_class(timeout=timeout, cookie_jar=jar(), trust_env=False)
            return self._session

    async def _bounded(self, content: aiohttp.StreamReader, host: str) -> bytes:
        body = bytearray()
        async for chunk in content.iter_chunked(8192):
            body += chunk
            if len(body) > self._most_bytes:
                msg = f"{host} answered more than {self._most_bytes // 1024} KiB"
                raise Retryable(msg)
        return bytes(body)


def host_of(url: str) -> str:
    """Host of an http or https URL. Raises `Permanent` for anything else; the URL is not repeated."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        raise _no_url(url) from None
    if parts.scheme not in ("http", "https") or not host:
        raise _no_url(url)
    if parts.scheme == "http" and not is_loopback(host):
        msg = f"{host}: expected https for a host that is not this machine, found http"
        raise Permanent(msg)
    return host


def is_loopback(host: str) -> bool:
    """Whether the host is this machine, by its name or address alone."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def only_loopback(host: str) -> None:
    """For an offline environment. Raises `Offline` for any other host than this machine."""
    if not is_loopback(host):
        msg = f"{host} is not asked: the environment has offline_mode: true"
        raise Offline(msg)


def _no_url(url: str) -> Permanent:
    return Permanent(f"expected an http or https URL with a host, found something else ({len(url)} characters)")


def _load() -> tuple[type[aiohttp.ClientSession], Any, Any]:
    import aiohttp

    return aiohttp.ClientSession, aiohttp.ClientTimeout(total=None, connect=None), aiohttp.DummyCookieJar
