"""`runtime.metrics_service.tls` looked at and made into what the port listens with; nothing of it is imported where none is configured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from dudzian_daemon.config.check import ConfigErrors
from dudzian_daemon.config.load import LoadedConfig
from dudzian_daemon.config.provenance import Problem
from dudzian_daemon.config.runtime import MetricsService, MetricsTls

if TYPE_CHECKING:
    import ssl

    from dudzian_daemon.adapters.tls_files import TlsFiles


_SECTION: Final = ("runtime", "metrics_service", "tls")


def looked_over(loaded: LoadedConfig, now_ns: int) -> tuple[Problem, ...]:
    """A warning where the certificate ends soon. Raises `ConfigErrors` that says which file is wrong, how, and where it is named."""
    settings = loaded.config.runtime.metrics_service
    if settings.tls is None or not settings.enabled:
        return ()
    from dudzian_daemon.adapters import tls_files

    try:
        left = tls_files.require_usable(_files(settings.tls), now_ns).days_left(now_ns)
    except tls_files.TlsFileError as error:
        raise ConfigErrors((loaded.document.problem((*_SECTION, error.role), str(error)),)) from None
    if left >= tls_files.WARN_DAYS:
        return ()
    return (loaded.document.problem((*_SECTION, "certificate"), f"{settings.tls.certificate} ends in {left} days: put a new one there"),)


def server_context(settings: MetricsService, now_ns: int) -> ssl.SSLContext | None:
    """What the port listens with, None for plain HTTP. Reads files. Raises `ConfigError`."""
    if settings.tls is None or not settings.enabled:
        return None
    from dudzian_daemon.adapters import tls_files

    return tls_files.server_context(_files(settings.tls), now_ns)


def url(settings: MetricsService, port: int) -> str:
    """`https://127.0.0.1:9108`, as a client of this machine writes it."""
    return f"{'http' if settings.tls is None else 'https'}://{host_in_url(settings)}:{port}"


def host_in_url(settings: MetricsService) -> str:
    """`127.0.0.1`, `[::1]`."""
    return f"[{settings.host}]" if ":" in settings.host else settings.host


def _files(tls: MetricsTls) -> TlsFiles:
    from dudzian_daemon.adapters.tls_files import TlsFiles

    return TlsFiles(certificate=Path(tls.certificate), key=Path(tls.key), client_ca=None if tls.client_ca is None else Path(tls.client_ca))
