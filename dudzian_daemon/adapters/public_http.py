"""GET and nothing else, to the hosts of one venue. A redirect to another host is not followed: the connection itself is refused."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

import aiohttp
import anyio.to_thread
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import Connection
from aiohttp.tracing import Trace

from dudzian_daemon.adapters.venue_answers import BadAnswer, VenueDown, decoded, judge_status
from dudzian_daemon.adapters.venue_hosts import HostRules
from dudzian_daemon.domain.errors import Permanent

#: Seconds for a whole request.
TIMEOUT_S: Final = 15.0
#: The longest answer, unpacked (bytes): all markets of the largest venue are half of it.
LONGEST_ANSWER: Final = 32 * 1024 * 1024
_CLIENT_FAULT: Final = 400


class GuardedConnector(aiohttp.TCPConnector):
    """Opens connections to allowed hosts only, whoever asks: requests, redirects, websockets."""

    def __init__(self, rules: HostRules, context: ssl.SSLContext) -> None:
        super().__init__(ssl=context)
        self._rules = rules

    async def connect(self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout) -> Connection:  # noqa: ASYNC109 the signature is aiohttp's
        """As the connector's own, after the host was looked at. Raises `Permanent`."""
        self._rules.require(str(req.url.origin()))
        return await super().connect(req, traces, timeout)


@cache
def tls_context() -> ssl.SSLContext:
    """The one context of the process. The first call blocks: it reads and parses the certificates of the machine."""
    return ssl.create_default_context()


class BoundedResponse(aiohttp.ClientResponse):
    """An answer that is read up to a bound: some kilobytes may unpack to gigabytes."""

    async def read(self) -> bytes:
        """The body. Raises `BadAnswer`, with the connection closed, where it is longer than `LONGEST_ANSWER`."""
        if self._body is None:
            parts, size = [], 0
            try:
                async for part in self.content.iter_any():
                    parts.append(part)
                    size += len(part)
                    if size > LONGEST_ANSWER:
                        msg = f"{self.url.host} {self.url.path}: expected an answer of at most {LONGEST_ANSWER} bytes, found a longer one"
                        raise BadAnswer(msg)
            except BaseException:
                self.close()
                raise
            self._body = b"".join(parts)
        return await super().read()


async def guarded_session(rules: HostRules) -> aiohttp.ClientSession:
    """A session that ignores proxies of the environment, reaches nothing but the allowed hosts, and reads no endless answer."""
    context = await anyio.to_thread.run_sync(tls_context)
    return aiohttp.ClientSession(connector=GuardedConnector(rules, context), trust_env=False, response_class=BoundedResponse)


class VenueHttp:
    """`heard` is told the headers of every answer; `wall_ns` is for dates in them."""

    def __init__(self, rules: HostRules, base: str, heard: Callable[[Mapping[str, str]], None], wall_ns: Callable[[], int]) -> None:
        self._rules = rules
        self._base = rules.base or base
        self._heard = heard
        self._wall_ns = wall_ns
        self._session: aiohttp.ClientSession | None = None

    async def get_json(self, path: str, params: Mapping[str, str | int]) -> Any:
        """The decoded answer. Raises `Retryable` or `Permanent` by the venue's answer."""
        where = f"{self._rules.venue} {path}"
        session = self._session = self._session or await guarded_session(self._rules)
        try:
            async with session.get(self._base + path, params=params, timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)) as answer:
                self._heard(answer.headers)
                judge_status(answer.status, answer.headers, where, self._wall_ns() / 1e9)
                if answer.status >= _CLIENT_FAULT:
                    msg = f"{where}: HTTP {answer.status}, which another try will not change"
                    raise Permanent(msg)
                return decoded(await answer.text(errors="replace"), where)
        except (aiohttp.ClientError, TimeoutError) as error:
            msg = f"{where}: {type(error).__name__}"
            raise VenueDown(msg) from error

    async def close(self) -> None:
        """End the connections; may be called twice."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()
