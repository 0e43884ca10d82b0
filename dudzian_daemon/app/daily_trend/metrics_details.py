"""Section `metrics_service_details` of the runtime plan: the Prometheus endpoint with its TLS, the telemetry file, and what is not built.

The earlier code base had a telemetry service of its own, with a sink for alerts of a user interface. What it asked that has no
meaning here keeps its place, as off, with the reason.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec

from dudzian_daemon.adapters.file_facts import FileFacts, file_facts
from dudzian_daemon.app.metrics_tls import url
from dudzian_daemon.config.load import LoadedConfig
from dudzian_daemon.config.runtime import MetricsTls, Scheduler
from dudzian_daemon.kernel.clock import iso_utc
from dudzian_daemon.sinks.telemetry.runs import telemetry_path

#: Where the alerts of a user interface would go.
UI_ALERTS: Final = Path("logs") / "ui_telemetry_alerts.jsonl"
PORT_FILE: Final = Path("run") / "metrics.port"
_NO_UI: Final = "no sink for alerts of a user interface is built: alerts go to the channels and to logs/alerts_audit.jsonl"
_NO_TLS: Final = "runtime.metrics_service.tls names no certificate: plain HTTP, on loopback only"
_CLIENT_AUTH: Final = "without a client CA, who reaches the port may read the figures; the kill switch wants a token in any case"


class JsonLines(msgspec.Struct, frozen=True, kw_only=True):
    """A file of JSON lines. `source` is where its path comes from, `sink_available` whether anything writes it, `reason` why not."""

    path: str
    exists: bool
    sha256: str
    source: str
    sink_available: bool
    reason: str
    file: FileFacts


class Tls(msgspec.Struct, frozen=True, kw_only=True):
    """`client_auth`: a client must show a certificate (mTLS). Times are UTC; `reason` says why it is off, or which file cannot be used.

    Of the key there is no digest.
    """

    enabled: bool = False
    client_auth: bool = False
    subject: str = ""
    names: tuple[str, ...] = ()
    not_before: str = ""
    not_after: str = ""
    days_left: int | None = None
    certificate: FileFacts | None = None
    key: FileFacts | None = None
    client_ca: FileFacts | None = None
    reason: str = _NO_TLS


class ClientAuth(msgspec.Struct, frozen=True, kw_only=True):
    """Who must show what. `token_configured`: there is a token of `POST /kill-switch`; `token_env` and `token_id` say where it is kept."""

    required: bool = False
    token_configured: bool
    token_id: str
    token_env: str
    reason: str = _CLIENT_AUTH


class RuntimeState(msgspec.Struct, frozen=True, kw_only=True):
    """What a run begun now would use. With port 0 the system chooses one, and `port_file` says which; `folders` are those written into."""

    service_enabled: bool
    address: str
    port_file: str
    jsonl_path: str
    jsonl_sink_active: bool = True
    ui_alert_sink_active: bool = False
    ui_alerts_path: str | None = None
    folders: tuple[FileFacts, ...]


class MetricsServiceDetails(msgspec.Struct, frozen=True, kw_only=True):
    """The whole section. `namespace` and `health_check_interval` (s) are the scheduler's."""

    enabled: bool
    host: str
    port: int
    port_source: str
    namespace: str
    health_check_interval: int
    jsonl: JsonLines
    ui_alerts: JsonLines
    tls: Tls = Tls()
    auth: ClientAuth
    runtime_state: RuntimeState


def metrics_details(loaded: LoadedConfig, scheduler: Scheduler, root: Path, now_ns: int) -> MetricsServiceDetails:
    """Look at the files below the data folder `root`, and at those of TLS; connects to nothing."""
    settings = loaded.config.runtime.metrics_service
    token = settings.kill_switch_token
    telemetry, ui_alerts = file_facts("telemetry", telemetry_path(root), "log"), file_facts("ui_alerts", root / UI_ALERTS, "log")
    return MetricsServiceDetails(
        enabled=settings.enabled,
        host=settings.host,
        port=settings.port,
        port_source=loaded.sources["runtime.metrics_service.port"].text,
        namespace=scheduler.telemetry_namespace,
        health_check_interval=scheduler.health_check_interval,
        jsonl=_lines(telemetry, sink_available=True, reason=""),
        ui_alerts=_lines(ui_alerts, sink_available=False, reason=_NO_UI),
        tls=Tls() if settings.tls is None else _tls(settings.tls, now_ns),
        auth=ClientAuth(
            required=settings.tls is not None and settings.tls.client_ca is not None,
            token_configured=token is not None,
            token_id="" if token is None else token.token_id,
            token_env="" if token is None else token.token_env,
        ),
        runtime_state=RuntimeState(
            service_enabled=settings.enabled,
            address=f"{url(settings, settings.port)}/metrics" if settings.enabled else "",
            port_file=str(root / PORT_FILE),
            jsonl_path=telemetry.absolute_path,
            folders=tuple(
                file_facts(role, folder, "log")
                for role, folder in (("telemetry_folder", Path(telemetry.parent)), ("port_folder", (root / PORT_FILE).parent))
            ),
        ),
    )


def _tls(tls: MetricsTls, now_ns: int) -> Tls:
    from dudzian_daemon.adapters.tls_files import TlsFileError, read_certificate

    files: dict[str, Any] = {
        "certificate": file_facts("tls_cert", Path(tls.certificate), "config", needs_parent=True),
        "key": file_facts("tls_key", Path(tls.key), "secret", needs_parent=True),
        "client_ca": None if tls.client_ca is None else file_facts("tls_client_ca", Path(tls.client_ca), "config", needs_parent=True),
        "client_auth": tls.client_ca is not None,
        "enabled": True,
    }
    try:
        found = read_certificate(Path(tls.certificate), "certificate")
    except TlsFileError as error:
        return Tls(**files, reason=str(error))
    return Tls(
        **files,
        subject=found.subject,
        names=found.names,
        not_before=iso_utc(found.not_before_ns),
        not_after=iso_utc(found.not_after_ns),
        days_left=found.days_left(now_ns),
        reason="",
    )


def _lines(facts: FileFacts, *, sink_available: bool, reason: str) -> JsonLines:
    return JsonLines(
        path=facts.absolute_path,
        exists=facts.exists,
        sha256=facts.sha256,
        source="default",
        sink_available=sink_available,
        reason=reason,
        file=facts,
    )
