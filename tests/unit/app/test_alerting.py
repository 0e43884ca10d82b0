"""Channels made from the configuration: credentials by their labels, hosts by the environment, and what is wrong with a line of it."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import anyio
import pytest

from dudzian_daemon.app.alerting import ChannelOpener, routing
from dudzian_daemon.app.plugins.channel_entries import ChannelEntry, all_channels, channel_entries
from dudzian_daemon.config.alerts import AlertRoutes, Alerts
from dudzian_daemon.config.check import ConfigErrors
from dudzian_daemon.config.load import load
from dudzian_daemon.config.places import bundled
from dudzian_daemon.domain.alerts import AlertCode, Severity, alert
from dudzian_daemon.kernel.redaction import forget_secrets, mask_text
from dudzian_daemon.testing.clock import ManualClock

PLUGINS = [bundled("plugins")]
TOKEN = "123456:canary-of-a-token"
TEST = alert(AlertCode.TEST, "a test")


def entries(folder: Path, text: str, *names: str) -> dict[str, ChannelEntry]:
    """The entries of these channels, alerts.yaml being `text` beside the bundled configuration."""
    config = shutil.copytree(bundled("config"), folder / "config")
    (config / "alerts.yaml").write_text(f"version: 1\nalerts:\n  channels:\n{text}")
    loaded = load(config / "core.yaml", env={})
    return channel_entries(loaded, names or all_channels(loaded.config), PLUGINS)


def test_the_shipped_channels_have_parameters_that_their_plugins_take() -> None:
    loaded = load(bundled("config") / "core.yaml", env={})
    assert sorted(channel_entries(loaded, all_channels(loaded.config), PLUGINS)) == [
        "email:ops",
        "file:local",
        "sms:orange_local",
        "telegram:primary",
    ]


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        (
            "    file: {x: {parameters: {paths: a}}}\n",
            "alerts.yaml:4:36 alerts.channels.file.x.parameters.paths",
            "unknown parameter",
        ),
        ("    telegram: {x: {}}\n", "alerts.channels.telegram.x.parameters", "expected chat_id too, found no such parameter"),
        ("    sms: {x: {parameters: {recipients: '1'}}}\n", "alerts.channels.sms.x.parameters", "expected `url`, or `preset: orange`"),
        ("    pigeon: {x: {}}\n", "alerts.yaml:4:14 alerts.channels.pigeon.x", "no such file"),
        (
            "    email: {x: {parameters: {host: m.pl, sender: a@b.pl, recipients: a@b.pl, port: 70000}}}\n",
            "alerts.channels.email.x.parameters.port",
            "70000",
        ),
    ],
)
def test_what_a_plugin_does_not_take_is_told_with_its_line(tmp_path: Path, text: str, place: str, message: str) -> None:
    with pytest.raises(ConfigErrors) as raised:
        entries(tmp_path, text)
    (problem,) = raised.value.problems
    assert place in problem.text and message in problem.message


def test_a_channel_that_is_not_enabled_is_left_out(tmp_path: Path) -> None:
    assert entries(tmp_path, "    pigeon: {x: {enabled: false}}\n", "pigeon:x", "file:local").keys() == {"file:local"}


def opened(folder: Path, entry: ChannelEntry, env: dict[str, str], *, offline: bool = True) -> str:
    """What a send over the channel comes to."""
    opener = ChannelOpener(env, folder, offline=offline)
    channel = opener.open(entry)

    async def send() -> str:
        attempt = await channel.send(TEST, ManualClock())
        await opener.http.close()
        return f"{attempt.outcome}: {attempt.detail}"

    return anyio.run(send)


def test_a_credential_comes_from_its_variable_and_is_masked_from_then_on(tmp_path: Path) -> None:
    (entry,) = entries(tmp_path, "    telegram: {x: {credential_env: BOT, parameters: {chat_id: 1}}}\n", "telegram:x").values()
    try:
        assert opened(tmp_path, entry, {"BOT": TOKEN}) == "offline: api.telegram.org is not asked: the environment has offline_mode: true"
        assert (
            mask_text(f"https://api.telegram.org/bot{TOKEN}/getMe and canary-of-a-token") == "https://api.telegram.org/bot***/getMe and ***"
        )
    finally:
        forget_secrets()
    assert "expected the token of a bot as its credential, found none" in opened(tmp_path, entry, {})


def test_a_missing_extra_is_one_line_that_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    (entry,) = entries(tmp_path, "    apprise: {x: {credential_env: URL}}\n", "apprise:x").values()
    told = opened(tmp_path, entry, {"URL": "slack://a/b/c"})
    assert told == "later: alert channel apprise:x needs the extra `alerts`; run: pip install 'dudzian[alerts]'"


@pytest.mark.parametrize(
    ("making", "sending", "fault"),
    [
        ("pass", "return 1 / 0", "ZeroDivisionError"),
        ("pass", "raise SystemExit(3)", "SystemExit"),
        ("exit()", "return 'sent'", "SystemExit"),
    ],
)
def test_a_plugin_of_ones_own_is_a_channel_and_may_break_without_harm(tmp_path: Path, making: str, sending: str, fault: str) -> None:
    own = tmp_path / "mine" / "alerts"
    own.mkdir(parents=True)
    (own / "bell.py").write_text(
        "import msgspec\n"
        "class Bell:\n"
        "    class Params(msgspec.Struct, frozen=True, forbid_unknown_fields=True):\n"
        "        pass\n"
        f"    def __init__(self, params, tools): {making}\n"
        f"    async def send(self, alert): {sending}\n"
        "    async def check(self): return 'here'\n"
        "PLUGIN = Bell\n"
    )
    config = shutil.copytree(bundled("config"), tmp_path / "config")
    (config / "alerts.yaml").write_text("version: 1\nalerts: {channels: {bell: {x: {}}}}\n")
    (entry,) = channel_entries(load(config / "core.yaml", env={}), ["bell:x"], [*PLUGINS, own.parent]).values()
    assert opened(tmp_path, entry, {}) == f"later: the channel broke: {fault}"


def test_routes_keep_to_the_active_channels() -> None:
    alerts = Alerts(routes=AlertRoutes(critical=("sms:a", "file:b"), info=()), fallback=("sms:a", "file:b"))
    found = routing(alerts, ["file:b", "email:c"])
    assert found.targets(alert(AlertCode.DATA_LAG, "t")) == ["file:b"]
    assert found.targets(alert(AlertCode.RISK_REFUSED, "t")) == ["file:b", "email:c"]
    assert found.targets(alert(AlertCode.HEALTH, "t")) == []
    assert found.stand_in({"file:b", "email:c"}) is None and found.fallback == ["file:b"]
    assert found.by_severity.keys() == {Severity.CRITICAL, Severity.INFO}
    assert found.targets(alert(AlertCode.ALERT_CHANNEL_FAIL, "t", subject="file:b")) == ["email:c"], "nobody else is on its route"
