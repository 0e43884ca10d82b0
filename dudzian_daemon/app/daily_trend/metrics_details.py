"""Section `metrics_service_details` of the runtime plan: the Prometheus endpoint and the telemetry file, and what is not built beside them.

The earlier code base had a telemetry service of its own, with TLS and a sink for alerts of a user interface. What it asked that has no
meaning here keeps its place, as off, with the reason.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from dudzian_daemon.adapters.file_facts import FileFacts, file_facts
from dudzian_daemon.config.load import LoadedConfig
from dudzian_daemon.config.runtime import Scheduler
from dudzian_daemon.sinks.telemetry.runs import telemetry_path

#: Where the alerts of a user interface would go.
UI_ALERTS: Final = Path("logs") / "ui_telemetry_alerts.jsonl"
PORT_FILE: Final = Path("run") / "metrics.port"
_NO_UI: Final = "no sink for alerts of a user interface is built: alerts go to the channels and to logs/alerts_audit.jsonl"
_NO_TLS: Final = "the endpoint listens on loopback only, so nothing is encrypted and no certificate is read"
_NO_CLIENT_AUTH: Final = "who is on this machine may read the figures; the kill switch alone wants a token"


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
    """Always off, with the reason; there is no file to tell of."""

    enabled: bool = False
    client_auth: bool = False
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
    reason: str = _NO_CLIENT_AUTH


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


def metrics_details(loaded: LoadedConfig, scheduler: Scheduler, root: Path) -> MetricsServiceDetails:
    """Look at the files below the data folder `root`; connects to nothing."""
    settings = loaded.config.runtime.metrics_http
    token = settings.kill_switch_token
    telemetry, ui_alerts = file_facts("telemetry", telemetry_path(root), "log"), file_facts("ui_alerts", root / UI_ALERTS, "log")
    return MetricsServiceDetails(
        enabled=settings.enabled,
        host=settings.host,
        port=settings.port,
        port_source=loaded.sources["runtime.metrics_http.port"].text,
        namespace=scheduler.telemetry_namespace,
        health_check_interval=scheduler.health_check_interval,
        jsonl=_lines(telemetry, sink_available=True, reason=""),
        ui_alerts=_lines(ui_alerts, sink_available=False, reason=_NO_UI),
        auth=ClientAuth(
            token_configured=token is not None,
            token_id="" if token is None else token.token_id,
            token_env="" if token is None else token.token_env,
        ),
        runtime_state=RuntimeState(
            service_enabled=settings.enabled,
            address=f"http://{settings.host}:{settings.port}/metrics" if settings.enabled else "",
            port_file=str(root / PORT_FILE),
            jsonl_path=telemetry.absolute_path,
            folders=tuple(
                file_facts(role, folder, "log")
                for role, folder in (("telemetry_folder", Path(telemetry.parent)), ("port_folder", (root / PORT_FILE).parent))
            ),
        ),
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
