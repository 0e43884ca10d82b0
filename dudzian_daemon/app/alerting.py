"""Alert channels and the sink behind them, made from the configuration: tokens by their labels, hosts by the environment."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from dudzian_daemon.adapters.cycle_follower import CycleFollower
from dudzian_daemon.adapters.http import HttpClient, only_loopback
from dudzian_daemon.adapters.keychain import find_token
from dudzian_daemon.app.plugins.channel_entries import ChannelEntry
from dudzian_daemon.config.alerts import Alerts
from dudzian_daemon.config.schema import CoreConfig
from dudzian_daemon.domain.alert_channels import ChannelTools
from dudzian_daemon.domain.alerts import Severity
from dudzian_daemon.domain.errors import DudzianError
from dudzian_daemon.kernel.bus import Bus, Policy
from dudzian_daemon.kernel.clock import SECOND_NS, Clock
from dudzian_daemon.kernel.redaction import SHORTEST_SECRET, register_secret
from dudzian_daemon.sinks.alerts.channel import OpenChannel
from dudzian_daemon.sinks.alerts.routing import Routing
from dudzian_daemon.sinks.alerts.sink import MERGE_KEY, TOPICS, AlertSettings, AlertSink
from dudzian_daemon.sinks.alerts.throttle import Throttle

#: Messages of the daemon that wait for the alerts; beyond, the oldest are dropped and counted.
QUEUE_SIZE = 1024


class ChannelOpener:
    """Opens channels that share one HTTP client. Offline, no other host than this machine is asked."""

    def __init__(self, env: Mapping[str, str], data_folder: Path, *, offline: bool) -> None:
        self._env = env
        self._data_folder = data_folder
        self._allowed: Callable[[str], None] = only_loopback if offline else _any_host
        self.http = HttpClient(self._allowed)

    def open(self, entry: ChannelEntry) -> OpenChannel:
        """The channel; one whose credential is missing or unusable fails with every alert, and says why. Blocks on the keychain."""
        settings = entry.settings
        try:
            tools = ChannelTools(
                name=entry.name,
                secret=self._secret(entry),
                http=self.http,
                require_reachable=self._allowed,
                data_folder=str(self._data_folder),
                timeout_seconds=settings.timeout_seconds,
            )
            return OpenChannel(entry.name, settings.timeout_seconds, entry.source.plugin(entry.params, tools))
        except DudzianError as error:
            return OpenChannel(entry.name, settings.timeout_seconds, fault=str(error))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - fence "plugin call": a channel may raise anything while it is made
            return OpenChannel(entry.name, settings.timeout_seconds, fault=f"the channel broke: {type(error).__name__}")

    def _secret(self, entry: ChannelEntry) -> str:
        """The credential's text, masked from now on wherever something is written."""
        label, variable = entry.settings.credential, entry.settings.credential_env
        if label is None and variable is None:
            return ""
        secret = self._env.get(variable or "", "") if label is None else find_token(label, variable or "", self._env) or ""
        for part in {secret, *secret.split(":"), *secret.split("/")}:
            if len(part) >= max(SHORTEST_SECRET, 8):
                register_secret(part)
        if len(secret) >= SHORTEST_SECRET:
            register_secret(secret)
        return secret


def alert_sink(
    config: CoreConfig,
    environment: str,
    data_folder: Path,
    channels: Sequence[OpenChannel],
    follower: CycleFollower,
    bus: Bus,
    clock: Clock,
    recorded: int,
) -> AlertSink:
    """The sink of a run; `recorded` is the last cycle that earlier runs of the session have recorded."""
    chosen, alerts = config.environments[environment], config.alerts
    throttle = chosen.alert_throttle
    settings = AlertSettings(
        routing=routing(alerts, [channel.name for channel in channels]),
        data_folder=data_folder,
        audit_path=data_folder / chosen.alert_audit.path,
        environment=environment,
        runbook=alerts.runbook,
        check_interval_seconds=config.scheduler(chosen.scheduler).health_check_interval,
        health_interval_seconds=alerts.health_interval_seconds,
        retry_seconds=alerts.retry_seconds,
        retry_cap_seconds=alerts.retry_cap_seconds,
        head_channel=alerts.head_channel,
        head_interval_seconds=alerts.head_interval_seconds,
    )
    queue = bus.subscribe_queued(TOPICS, name="alerts.messages", size=QUEUE_SIZE, policy=Policy.MERGE, merge_key=MERGE_KEY)
    held_back = Throttle(
        throttle.window_seconds * SECOND_NS, throttle.max_entries, throttle.exclude_severities, throttle.exclude_categories
    )
    return AlertSink(follower, queue, bus, clock, channels, settings, held_back, recorded)


def routing(alerts: Alerts, active: Sequence[str]) -> Routing:
    """The configured routes among the active channels."""
    routes = {severity: getattr(alerts.routes, severity) for severity in Severity}
    by_severity = {severity: [name for name in route if name in active] for severity, route in routes.items() if route is not None}
    return Routing(active=active, by_severity=by_severity, fallback=[name for name in alerts.fallback if name in active])


def _any_host(_host: str) -> None:
    """Online, every host may be asked."""
