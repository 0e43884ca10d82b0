"""What an alert channel is, and what it is given: its secret, an HTTP client, a look at which hosts it may reach."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec

from dudzian_daemon.domain.alerts import Alert
from dudzian_daemon.domain.errors import AuthFailed, ConfigError, Permanent, Retryable


class HttpReply(msgspec.Struct, frozen=True):
    """An answer: its status, the host that gave it, its first bytes (never more than the client's cap)."""

    status: int
    host: str
    body: bytes = b""

    def require_taken(self) -> None:
        """Return for a status of success. Raises `Retryable` (429, 5xx), `AuthFailed` (401, 403) or `Permanent`; no body in it."""
        if 200 <= self.status < 300:
            return
        msg = f"{self.host} answered {self.status}"
        if self.status in (408, 425, 429) or self.status >= 500:
            raise Retryable(msg)
        raise AuthFailed(msg) if self.status in (401, 403) else Permanent(msg)

    def json(self) -> Any:
        """The body as JSON. Raises `Retryable` when it is none."""
        try:
            return msgspec.json.decode(self.body)
        except msgspec.DecodeError:
            msg = f"{self.host} answered something else than JSON"
            raise Retryable(msg) from None


class Http(Protocol):
    """Requests without redirects and with a bounded answer. Raises `Retryable` when there is none, `Offline` for a host out of reach."""

    async def request(
        self,
        method: str,
        url: str,
        *,
        json: Any = None,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> HttpReply:
        """One request, `json` or `form` as its body."""
        ...


class ChannelTools(msgspec.Struct, frozen=True):
    """What a channel may use. `secret` is the credential's text, empty where none is configured; it must not be told to anybody.

    `require_reachable(host)` raises `Offline` where the environment forbids the host: to be called by a channel that does not
    use `http`. `data_folder` is where files go, `timeout_seconds` how long a send may take.
    """

    name: str
    secret: str
    http: Http
    require_reachable: Callable[[str], None]
    data_folder: str
    timeout_seconds: float

    def __repr__(self) -> str:
        return f"ChannelTools(name={self.name!r})"

    __str__ = __repr__

    def required_secret(self, what: str) -> str:
        """The secret. Raises `ConfigError` where there is none."""
        if not self.secret:
            msg = f"alert channel {self.name}: expected {what} as its credential, found none; set `credential` or `credential_env`"
            raise ConfigError(msg)
        return self.secret


class AlertChannel(Protocol):
    """The contract of a channel plugin, which is made by `plugin(params, tools)`.

    A fault says by its class what it means; its text never holds the secret.
    """

    #: A frozen `msgspec.Struct` that refuses unknown fields.
    Params: type[Any]

    async def send(self, alert: Alert) -> str:
        """Deliver; returns the receipt in a few words. Raises `Retryable`, `Permanent` (this alert will never be taken) or `AuthFailed`."""
        ...

    async def check(self) -> str:
        """See whether the channel works without delivering anything; returns what was found in a few words. Raises as `send`."""
        ...
