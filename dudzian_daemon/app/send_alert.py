"""Alerts with no daemon between, of an operator or a smoke run: channels opened, each alert sent once, told in the audit file."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec

from dudzian_daemon.app.alerting import ChannelOpener, routing
from dudzian_daemon.app.plugins.channel_entries import ChannelEntry, all_channels, channel_entries
from dudzian_daemon.app.preparation import Prepared
from dudzian_daemon.config.load import LoadedConfig
from dudzian_daemon.config.lookup import suggestion
from dudzian_daemon.domain.alerts import Alert
from dudzian_daemon.domain.errors import ConfigError
from dudzian_daemon.kernel.clock import Clock
from dudzian_daemon.sinks.alerts.audit import NO_CHANNEL, AuditLine, append_audit, audit_line
from dudzian_daemon.sinks.alerts.channel import OpenChannel

_STATUS = {"ok": "OK", "later": "ERROR", "never": "ERROR", "offline": "OFFLINE"}


class Sent(msgspec.Struct, frozen=True):
    """What became of an alert on one channel: `OK`, `ERROR`, `OFFLINE` or `NO_CHANNEL`, and what the channel said."""

    channel: str
    status: str
    response: str
    alert_id: str
    code: str


def channels_of(loaded: LoadedConfig, environment: str, wanted: str | None, folders: Sequence[Path]) -> list[ChannelEntry]:
    """The active channels, or the one that is wanted: `plugin:name`, or `plugin` for its first, an active one before others.

    Raises `ConfigError` for one that does not exist or is not enabled, and where there is none.
    """
    active = list(loaded.config.environments[environment].alert_channels)
    known = all_channels(loaded.config)
    if wanted is None:
        names = active
    else:
        names = [name for name in dict.fromkeys([*active, *known]) if wanted in (name, name.partition(":")[0])][:1]
        if not names:
            plugins = [name.partition(":")[0] for name in known]
            msg = f"unknown alert channel {wanted!r}{suggestion(wanted, [*dict.fromkeys(plugins), *known])}"
            raise ConfigError(msg)
    entries = list(channel_entries(loaded, names, folders).values())
    if not entries:
        which = f"alert channel {names[0]!r} is not enabled" if names else f"environment {environment!r} has no alert channel"
        msg = f"{which}; see `alerts` in {loaded.path} and alerts.yaml beside it, and `alert_channels` of the environment"
        raise ConfigError(msg)
    return entries


@asynccontextmanager
async def opened(
    entries: Iterable[ChannelEntry], env: Mapping[str, str], data_folder: Path, *, offline: bool
) -> AsyncIterator[list[OpenChannel]]:
    """The channels, opened; their connections are closed at the end."""
    opener = ChannelOpener(env, data_folder, offline=offline)
    try:
        yield [await anyio.to_thread.run_sync(opener.open, entry) for entry in entries]
    finally:
        await opener.http.close()


async def send_by_hand(
    loaded: LoadedConfig,
    environment: str,
    entries: Sequence[ChannelEntry],
    alert: Alert,
    clock: Clock,
    env: Mapping[str, str],
    data_folder: Path,
) -> list[Sent]:
    """Send to every channel side by side, each within its deadline. Raises what the disk says when the audit cannot be written."""
    chosen = loaded.config.environments[environment]
    async with opened(entries, env, data_folder, offline=chosen.offline_mode) as channels:
        sent = await _send(alert, channels, clock)
    await _note(data_folder / chosen.alert_audit.path, [_line(alert, each, clock) for each in sent], clock)
    return sent


async def send_routed(prepared: Prepared, alerts: Iterable[Alert], clock: Clock, env: Mapping[str, str]) -> list[Sent]:
    """Send each alert along the route of its severity, and what a channel does not take to its stand-in; raises as `send_by_hand`."""
    sent: list[Sent] = []
    lines: list[AuditLine] = []
    async with opened(prepared.channels.values(), env, prepared.data_folder, offline=prepared.chosen.offline_mode) as channels:
        by_name = {channel.name: channel for channel in channels}
        routes = routing(prepared.config.alerts, list(by_name))
        for alert in alerts:
            found = await _send(alert, [by_name[name] for name in routes.targets(alert)], clock)
            lines += [_line(alert, each, clock) for each in found]
            asked = {each.channel for each in found}
            while not any(each.status == "OK" for each in found) and (spare := routes.stand_in(asked)) is not None:
                asked.add(spare)
                instead = await _send(alert, [by_name[spare]], clock)
                lines += [_line(alert, each, clock, fallback=True) for each in instead]
                found += instead
            if not found:
                found = [Sent(NO_CHANNEL, "NO_CHANNEL", "no active channel takes this severity", alert.id, alert.code)]
                lines += [_line(alert, each, clock) for each in found]
            sent += found
    await _note(prepared.data_folder / prepared.chosen.alert_audit.path, lines, clock)
    return sent


async def _send(alert: Alert, channels: Sequence[OpenChannel], clock: Clock) -> list[Sent]:
    found: dict[str, Sent] = {}

    async def send(channel: OpenChannel) -> None:
        attempt = await channel.send(alert, clock)
        found[channel.name] = Sent(channel.name, _STATUS[attempt.outcome], attempt.detail, alert.id, alert.code)

    async with anyio.create_task_group() as tasks:
        for channel in channels:
            tasks.start_soon(send, channel)
    return [found[channel.name] for channel in channels]


def _line(alert: Alert, sent: Sent, clock: Clock, *, fallback: bool = False) -> AuditLine:
    asked = int(sent.channel != NO_CHANNEL)
    return audit_line(alert, sent.channel, sent.status, sent.response, clock.wall_ns(), attempts=asked, fallback=fallback)


async def _note(path: Path, lines: Sequence[AuditLine], clock: Clock) -> None:
    await anyio.to_thread.run_sync(partial(append_audit, path, lines, clock.wall_ns()))
