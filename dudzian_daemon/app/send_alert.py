"""Alerts that an operator sends by hand, with no daemon between: opened, sent once, told in the audit file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec

from dudzian_daemon.app.alerting import ChannelOpener
from dudzian_daemon.app.plugins.channel_entries import ChannelEntry, all_channels, channel_entries
from dudzian_daemon.config.load import LoadedConfig
from dudzian_daemon.config.lookup import suggestion
from dudzian_daemon.domain.alerts import Alert
from dudzian_daemon.domain.errors import ConfigError
from dudzian_daemon.kernel.clock import Clock
from dudzian_daemon.sinks.alerts.audit import append_audit, audit_line
from dudzian_daemon.sinks.alerts.channel import OpenChannel

_STATUS = {"ok": "OK", "later": "ERROR", "never": "ERROR", "offline": "OFFLINE"}


class Sent(msgspec.Struct, frozen=True):
    """What became of an alert on one channel: `OK`, `ERROR` or `OFFLINE`, and what the channel said."""

    channel: str
    status: str
    response: str
    alert_id: str


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
    opener = ChannelOpener(env, data_folder, offline=chosen.offline_mode)
    channels = [await anyio.to_thread.run_sync(opener.open, entry) for entry in entries]
    found: dict[str, Sent] = {}

    async def send(channel: OpenChannel) -> None:
        attempt = await channel.send(alert, clock)
        found[channel.name] = Sent(channel.name, _STATUS[attempt.outcome], attempt.detail, alert.id)

    try:
        async with anyio.create_task_group() as tasks:
            for channel in channels:
                tasks.start_soon(send, channel)
    finally:
        await opener.http.close()
    sent = [found[channel.name] for channel in channels]
    now = clock.wall_ns()
    lines = [audit_line(alert, each.channel, each.status, each.response, now, attempts=1) for each in sent]
    await anyio.to_thread.run_sync(partial(append_audit, data_folder / chosen.alert_audit.path, lines, now))
    return sent
