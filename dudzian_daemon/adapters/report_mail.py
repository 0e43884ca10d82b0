"""Sends one mail with attachments over SMTP. Certificates are checked; a connection without TLS only goes to this machine."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Mapping
from email.message import EmailMessage
from typing import Final

import msgspec

from dudzian_daemon.config.reporting import Mail
from dudzian_daemon.domain.errors import AuthFailed, ConfigError, Permanent, Retryable

_THIS_MACHINE: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_TLS_PORT: Final = 465


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """What is sent: attachments by file name."""

    subject: str
    text: str
    attachments: Mapping[str, bytes]


def require_mailable(settings: Mail) -> None:
    """Raise `ConfigError` where a report would cross a network in the clear."""
    if settings.security == "none" and settings.host not in _THIS_MACHINE:
        msg = f"reporting.mail.security: expected starttls or tls for {settings.host}, found none: that is for a server on this machine"
        raise ConfigError(msg)


def send_letter(settings: Mail, letter: Letter, password: str | None) -> None:
    """Send it, and wait for the server's answer. Raises an `AdapterError` that names the server and never the password."""
    require_mailable(settings)
    where = f"mail server {settings.host}:{settings.port}"
    try:
        with _connected(settings) as server:
            if settings.user is not None:
                server.login(settings.user, password or "")
            server.send_message(_message(settings, letter))
    except smtplib.SMTPAuthenticationError:
        msg = f"{where} refuses the login of {settings.user}; look at {settings.password_env} or the keychain entry {settings.password_id}"
        raise AuthFailed(msg) from None
    except smtplib.SMTPRecipientsRefused:
        msg = f"{where} refuses every recipient of reporting.mail.recipients"
        raise Permanent(msg) from None
    except smtplib.SMTPException as error:
        msg = f"{where} does not take the report: {type(error).__name__}"
        raise Permanent(msg) from None
    except OSError as error:
        msg = f"{where} cannot be reached: {error.strerror or type(error).__name__}; the report lies on disk, send it again later"
        raise Retryable(msg) from None


def _connected(settings: Mail) -> smtplib.SMTP:
    context = ssl.create_default_context()
    if settings.security == "tls" or settings.port == _TLS_PORT:
        return smtplib.SMTP_SSL(settings.host, settings.port, timeout=settings.timeout_seconds, context=context)
    server = smtplib.SMTP(settings.host, settings.port, timeout=settings.timeout_seconds)
    if settings.security == "starttls":
        server.starttls(context=context)
    return server


def _message(settings: Mail, letter: Letter) -> EmailMessage:
    message = EmailMessage()
    message["Subject"] = letter.subject
    message["From"] = settings.sender
    message["To"] = ", ".join(settings.recipients)
    message.set_content(letter.text)
    kinds = {".pdf": ("application", "pdf"), ".csv": ("text", "csv"), ".txt": ("text", "plain")}
    for name, content in letter.attachments.items():
        main, sub = kinds.get(name[name.rfind(".") :], ("application", "octet-stream"))
        message.add_attachment(content, maintype=main, subtype=sub, filename=name)
    return message
