"""Alerts by e-mail over SMTP. The credential is the password of `username`; without a name there is no login."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Callable
from email.message import EmailMessage
from typing import Annotated, Any, Final, Literal

import anyio.to_thread
import msgspec

from dudzian_daemon.api.alerts import Alert, AuthFailed, ChannelTools, ConfigError, Permanent, Retryable, Severity, headline, text

#: Bytes of a server's reply that are read; a longer one is refused.
MOST_BYTES: Final = 64 * 1024
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")


class EmailChannel:
    """A mail an alert, to all recipients; each send opens a connection of its own, in a thread."""

    class Params(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        """`recipients` are separated by commas. `security` `none` is for a server on this machine."""

        host: Annotated[str, msgspec.Meta(min_length=1)]
        sender: Annotated[str, msgspec.Meta(min_length=3)]
        recipients: Annotated[str, msgspec.Meta(min_length=3)]
        port: Annotated[int, msgspec.Meta(ge=1, le=65_535)] = 587
        security: Literal["starttls", "tls", "none"] = "starttls"
        username: str = ""

        def __post_init__(self) -> None:
            if self.security == "none" and self.host not in _LOOPBACK:
                msg = f"expected security starttls or tls for {self.host}, found none: that is for a server on this machine"
                raise ValueError(msg)

    def __init__(self, params: Params, tools: ChannelTools) -> None:
        self._params = params
        self._tools = tools
        self._password = tools.required_secret("the password of `username`") if params.username else ""
        self._recipients = [each.strip() for each in params.recipients.split(",") if each.strip()]
        if not self._recipients:
            msg = f"alert channel {tools.name}: expected recipients, found none"
            raise ConfigError(msg)

    async def send(self, alert: Alert) -> str:
        """Send one mail. Raises `Permanent` when the server refuses a recipient or the mail."""
        mail = self._mail(alert)
        refused = await self._with_server(lambda server: server.send_message(mail))
        if refused:
            msg = f"{self._params.host} refused {len(refused)} of {len(self._recipients)} recipients"
            raise Permanent(msg)
        return f"{self._params.host} took it for {len(self._recipients)}"

    async def check(self) -> str:
        """Connect, log in, and leave again."""
        await self._with_server(lambda server: server.noop())
        return f"{self._params.host} answers"

    def _mail(self, alert: Alert) -> EmailMessage:
        mail = EmailMessage()
        mail["From"], mail["To"] = self._params.sender, ", ".join(self._recipients)
        mail["Subject"] = " ".join(headline(alert).split())[:200]
        mail["X-Dudzian-Alert"] = alert.id
        if alert.severity is Severity.CRITICAL:
            mail["Importance"] = "high"
        mail.set_content(text(alert))
        return mail

    async def _with_server(self, work: Callable[[smtplib.SMTP], Any]) -> Any:
        self._tools.require_reachable(self._params.host)
        try:
            return await anyio.to_thread.run_sync(self._session, work, abandon_on_cancel=True)
        except smtplib.SMTPAuthenticationError:
            msg = f"{self._params.host} refuses the login"
            raise AuthFailed(msg) from None
        except smtplib.SMTPResponseException as error:
            msg = f"{self._params.host} answered {error.smtp_code}"
            raise (Permanent(msg) if 500 <= error.smtp_code < 600 and error.smtp_code != 500 else Retryable(msg)) from None
        except smtplib.SMTPRecipientsRefused:
            msg = f"{self._params.host} refused every recipient"
            raise Permanent(msg) from None
        except (smtplib.SMTPException, OSError) as error:
            msg = f"{self._params.host} gave no answer ({type(error).__name__})"
            raise Retryable(msg) from None

    def _session(self, work: Callable[[smtplib.SMTP], Any]) -> Any:
        params, timeout = self._params, self._tools.timeout_seconds
        context = ssl.create_default_context()
        connection = (
            _Tls(params.host, params.port, timeout=timeout, context=context)
            if params.security == "tls"
            else _Plain(params.host, params.port, timeout=timeout)
        )
        with connection as server:
            if params.security == "starttls":
                server.starttls(context=context)
            if params.username:
                server.login(params.username, self._password)
            return work(server)


class _Bounded:
    """The reading end of a server's replies, cut off after `MOST_BYTES`."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._left = MOST_BYTES

    def readline(self, most: int) -> bytes:
        line: bytes = self._file.readline(most)
        self._left -= len(line)
        if self._left < 0:
            msg = f"a reply of more than {MOST_BYTES // 1024} KiB"
            raise OSError(msg)
        return line

    def close(self) -> None:
        self._file.close()


class _Plain(smtplib.SMTP):
    def getreply(self) -> tuple[int, bytes]:
        if self.file is None and self.sock is not None:
            self.file = _Bounded(self.sock.makefile("rb"))
        return super().getreply()


class _Tls(smtplib.SMTP_SSL):
    def getreply(self) -> tuple[int, bytes]:
        if self.file is None and self.sock is not None:
            self.file = _Bounded(self.sock.makefile("rb"))
        return super().getreply()


PLUGIN = EmailChannel
