"""What the commands that send an alert by hand share: find the channels, send, tell how each of them took it."""

from __future__ import annotations

import os
from pathlib import Path

import typer

from dudzian_daemon.cli.output import emit_json, emit_text, note
from dudzian_daemon.domain.errors import ConfigError


def send_and_tell(
    channel: str | None,
    message: str,
    severity: str,
    places: tuple[str | None, Path | None, Path | None, Path | None],
    *,
    as_json: bool,
) -> None:
    """Send `message` to the channel, or to all active ones; `places` are environment, configuration, data folder, plugins folder.

    Exits 0 if every channel took it, else 1. Raises `ConfigError` for wrong input.
    """
    import anyio
    import msgspec

    from dudzian_daemon.adapters.data_folder import resolve
    from dudzian_daemon.app.plugins.places import plugin_folders
    from dudzian_daemon.app.send_alert import channels_of, send_by_hand
    from dudzian_daemon.config.load import load
    from dudzian_daemon.domain.alerts import AlertCode, Severity, alert
    from dudzian_daemon.kernel.clock import SystemClock

    if severity not in list(Severity):
        msg = f"--severity: expected one of {', '.join(Severity)}, found {severity!r}"
        raise ConfigError(msg)
    if not message.strip():
        msg = "--message: expected some text, found none"
        raise ConfigError(msg)
    environment, config, data_dir, plugins_dir = places
    loaded = load(config, env=os.environ)
    name = loaded.config.environment_id(environment)
    entries = channels_of(loaded, name, channel, plugin_folders(plugins_dir, os.environ))
    clock, folder = SystemClock(), resolve(data_dir, os.environ)
    made = alert(AlertCode.TEST, " ".join(message.split())[:200], message, severity=Severity(severity), context={"environment": name})
    made = msgspec.structs.replace(made, at=clock.wall_ns(), action="", footer=f"sent by hand, environment {name}")
    sent = anyio.run(send_by_hand, loaded, name, entries, made, clock, os.environ, folder)
    taken = all(each.status == "OK" for each in sent)
    if as_json:
        emit_json({"sent": taken, "channels": sent})
    for each in sent if not as_json else ():
        if each.status == "OK":
            emit_text(f"{each.channel}: OK, {each.response}")
        else:
            note(f"{each.channel}: {each.status}, {each.response}")
    raise typer.Exit(0 if taken else 1)
