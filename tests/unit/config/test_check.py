"""Everything that is wrong, at once, each where it stands."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dudzian_daemon.config.check import ConfigErrors
from dudzian_daemon.config.load import load
from dudzian_daemon.config.provenance import Problem
from dudzian_daemon.config.runtime import AccessToken

Problems = Callable[[Path], tuple[Problem, ...]]
Replaced = Callable[..., Path]

#: (what stands in core.yaml, what is planted on its line, key, message); the line is the one that holds `planted`.
PLANTED = [
    ("default_environment: demo\n", "default_environment: dmo", "default_environment", "unknown environment 'dmo'; did you mean 'demo'?"),
    ("    artifact_name: demo\n", "    artifact: demo", "environments.demo.artifact", "unknown key; did you mean 'artifact_name'?"),
    (
        "        - {start: 2020-10-15, end: 2021-02-17, instruments: [BTC_USDT], granularity: 1d}\n",
        "        - {start: 2021-10-15, end: 2021-02-17, instruments: [BTC_USDT], granularity: 1d}",
        "environments.demo.replay.windows[0].start",
        "expected a day before the end 2021-02-17, found 2021-10-15",
    ),
    (
        "    aliases: [paper_kraken]\n",
        "    keychain_key: 8f3a9d0c4b7e61f25a8d3c9e7b6f1a02",
        "environments.kraken_paper.keychain_key",
        "this looks like the secret itself; write the name of its keychain entry",
    ),
    (
        "      momentum_window: 20\n",
        "      fast_ma: 20",
        "strategies.core_daily_trend.parameters.fast_ma",
        "duplicate key; first written on line 63",
    ),
    (
        "daily_trend_core: {tick_seconds: 86400, interval: 1d}\n",
        "daily_trend_core: {tick_seconds: 86400, interval: 1day}",
        "controllers.daily_trend_core.interval",
        "expected one of 15m, 1d, 1h, 1m, 30m, 30s, 4h, 5m, found text '1day'; did you mean '1d'?",
    ),
    (
        "    max_daily_loss_pct: 0.015\n",
        "    max_daily_loss_pct: 1.5",
        "risk_profiles.balanced.max_daily_loss_pct",
        "expected a number <= 1, found 1.5",
    ),
    (
        "    strategy_allocations: {core_daily_trend: 0.30}\n",
        "    strategy_allocations: {core_daily_trent: 0.30}",
        "risk_profiles.aggressive.strategy_allocations.core_daily_trent",
        "unknown strategy 'core_daily_trent'; did you mean 'core_daily_trend'?",
    ),
    ("  position_size: 0.1\n", "  position_size: a tenth", "paper_trading.position_size", "expected a number, found text 'a tenth'"),
    ("  latency_ms: 0\n", "  latency_ms: 0.5", "paper_trading.latency_ms", "expected an integer, found 0.5"),
    (
        "      decision_log_category: runtime.scheduler.demo\n",
        "      rbac_tokens: [{token_id: 8f3a9d0c4b7e61f25a8d3c9e7b6f1a02}]",
        "runtime.multi_strategy_schedulers.demo_pipeline.rbac_tokens[0].token_id",
        "this looks like the secret itself; write the name of its keychain entry",
    ),
    (
        "      decision_log_category: runtime.scheduler.core\n",
        "      rbac_tokens: [{}, {token_env: OTHER}]",
        "runtime.multi_strategy_schedulers.core_multi_pipeline.rbac_tokens[1]",
        "token 'scheduler-local' is there already",
    ),
    (
        "  metrics_service: {host: 127.0.0.1, port: 9108}\n",
        "  metrics_service: {host: 127.0.0.1, port: 0x2394}",
        "runtime.metrics_service.port",
        "expected a plain decimal number, found 0x2394; quote it if it is text",
    ),
    (
        "  resource_limits: {cpu_percent: 65, memory_mb: 2048, io_read_mb_s: 120, io_write_mb_s: 80, headroom_warning_threshold: 0.8}\n",
        "  watchdog: {warn_seconds: 40}",
        "runtime.watchdog.warn_seconds",
        "expected warn_seconds < limit_seconds, found 40 and 30.0",
    ),
    ("logging: {level: INFO}\n", "logging: {level: info}", "logging.level", "found text 'info'; did you mean 'INFO'?"),
]


def test_fifteen_errors_of_all_kinds_are_found_at_once_where_they_stand(folder: Path, problems: Problems, replaced: Replaced) -> None:
    for old, new, _, _ in PLANTED:
        replaced(old, f"{new} # planted\n")
    main = folder / "core.yaml"
    lines = main.read_text(encoding="utf-8").splitlines()
    found = problems(main)
    assert [problem.line for problem in found] == [number for number, line in enumerate(lines, start=1) if line.endswith("# planted")]
    assert len(found) == len(PLANTED) == 15
    for problem, (_, planted, key, message) in zip(found, PLANTED, strict=True):
        assert problem.key == key
        assert problem.message.endswith(message)
        written = lines[problem.line - 1][problem.column - 1 :]
        assert planted.endswith(written.removesuffix(" # planted")), f"{key} is placed at {written!r}"


@pytest.mark.parametrize(
    ("old", "new", "key", "kind"),
    [
        ("    scheduler: demo_pipeline", "    scheduler: x9", "environments.demo.scheduler", "scheduler"),
        ("    exchange: kraken", "    exchange: x9", "environments.kraken_paper.exchange", "venue"),
        ("strategy: core_daily_trend, instrument_bucket: demo_btc", "strategy: x9, instrument_bucket: demo_btc", "strategy", "strategy"),
        ("instrument_bucket: demo_btc", "instrument_bucket: x9", "instrument_bucket", "instrument bucket"),
        ("risk_profile: conservative, max", "risk_profile: x9, max", "risk_profile", "risk profile"),
        ("demo_btc: {symbols: [BTC_USDT]", "demo_btc: {symbols: [X9_USDT]", "risk.instrument_buckets.demo_btc.symbols[0]", "instrument"),
        ("instruments: [BTC_USDT]", "instruments: [X9_USDT]", "environments.demo.replay.windows[0].instruments[0]", "instrument"),
        ("{manual_override: 1.0}", "{x9: 1.0}", "risk_profiles.manual.strategy_allocations.x9", "strategy"),
        (
            "    scheduler: demo_pipeline",
            "    scheduler: demo_pipeline\n    instrument_universe: [X9_USDT]",
            "instrument_universe[0]",
            "instrument",
        ),
    ],
)
def test_each_broken_reference_is_named(problems: Problems, replaced: Replaced, old: str, new: str, key: str, kind: str) -> None:
    (problem,) = problems(replaced(old, new))
    assert problem.key.endswith(key)
    assert problem.message.lower().startswith(f"unknown {kind} 'x9")


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("DEFAULT_STRATEGY", "unknown strategy 'x9'; known: core_daily_trend"),
        ("DEFAULT_CONTROLLER", "unknown controller 'x9'; known: daily_trend_core"),
        ("RISK_PROFILE", "unknown risk profile 'x9'; known: conservative, balanced, aggressive, manual, unlimited_research"),
    ],
)
def test_a_broken_reference_in_a_variable_is_named(folder: Path, key: str, message: str) -> None:
    variable = f"DUDZIAN__ENVIRONMENTS__DEMO__{key}"
    with pytest.raises(ConfigErrors) as caught:
        load(folder / "core.yaml", env={variable: "x9"})
    assert str(caught.value) == f"env {variable} environments.demo.{key.lower()}: {message}"


def test_a_removed_credentials_environment_is_named(folder: Path, problems: Problems) -> None:
    (folder / "credentials/binance_paper.yaml").rename(folder / "credentials/binance_papr.yaml")
    (problem,) = problems(folder / "core.yaml")
    assert (problem.file, problem.key) == (str(folder / "credentials/binance_papr.yaml"), "credentials.binance_papr")
    assert problem.message == "unknown environment 'binance_papr'; did you mean 'binance_paper'?"


@pytest.mark.parametrize(
    ("file", "old", "new", "key", "message"),
    [
        (
            "core.yaml",
            "aliases: [paper_kraken]",
            "aliases: [paper]",
            "environments.kraken_paper.aliases[0]",
            "'paper' is already an alias of 'binance_paper'",
        ),
        (
            "core.yaml",
            "aliases: [paper_kraken]",
            "aliases: [demo]",
            "environments.kraken_paper.aliases[0]",
            "'demo' is already the name of an environment",
        ),
        (
            "core.yaml",
            "artifact_name: paper_kraken",
            "artifact_name: demo",
            "environments.kraken_paper.artifact_name",
            "'demo' is the artifact name of 'demo' too; they would share a journal",
        ),
        (
            "core.yaml",
            "    data_cache_path: var/data/binance_paper\n",
            "",
            "environments.binance_paper.data_cache_path",
            "missing; candle_source cache needs it",
        ),
        (
            "core.yaml",
            "    enabled: false\n    aliases: [paper_kraken]",
            "    aliases: [paper_kraken]",
            "runtime.multi_strategy_schedulers.core_multi_pipeline.schedules.core_daily_trend.instrument_bucket",
            "environment 'kraken_paper' uses ETH_USDT, which has no venue 'kraken' in instruments.yaml",
        ),
        (
            "core.yaml",
            "required_permissions: [read, trade]",
            "required_permissions: [read, trade, withdraw]",
            "environments.binance_paper.required_permissions[2]",
            "'withdraw' is forbidden",
        ),
        (
            "core.yaml",
            "required_permissions: [read, trade]",
            "required_permissions: [read, trade]\n    ip_allowlist: [127.0.0.1, 10.0.0.0/8, 300.1.1.1]",
            "environments.binance_paper.ip_allowlist[2]",
            "expected an IP address or network, found '300.1.1.1'",
        ),
        (
            "core.yaml",
            "risk_profile: conservative, max",
            "risk_profile: unlimited_research, max",
            "runtime.multi_strategy_schedulers.demo_pipeline.schedules.alt_trend_1h.risk_profile",
            "risk profile 'unlimited_research' is marked backtest_only",
        ),
        (
            "core.yaml",
            "default_environment: demo",
            "default_environment: paper_kraken",
            "default_environment",
            "environment 'kraken_paper' is not enabled",
        ),
        (
            "instruments.yaml",
            "  XRP_USDT:",
            "  LTCUSDT:",
            "instruments.LTCUSDT",
            "expected XRP_USDT as the key of XRP/USDT",
        ),
        (
            "instruments.yaml",
            'min_quantity: "0.00005", min_notional: "0.5"',
            'min_quantity: "0.00005", min_notional: "0.5", '
            "funding: {rates: [{valid_from: 2024-01-02, rate: 0}, {valid_from: 2024-01-01, rate: 0}]}",
            "instruments.BTC_USDT.venues.kraken.funding.rates[1].valid_from",
            "expected a time after 2024-01-02 00:00, found 2024-01-01 00:00; list the oldest first",
        ),
        (
            "credentials/binance_paper.yaml",
            "[read, trade]",
            "[read, trade, withdraw]",
            "credentials.binance_paper.permissions[2]",
            "'withdraw' is forbidden; make a key without it",
        ),
        (
            "credentials/binance_paper.yaml",
            "[read, trade]",
            "[read]",
            "credentials.binance_paper.permissions",
            "environment 'binance_paper' needs trade too",
        ),
        (
            "credentials/binance_paper.yaml",
            "venue: binance",
            "venue: kraken",
            "credentials.binance_paper.venue",
            "expected 'binance' as exchange of environment 'binance_paper', found 'kraken'",
        ),
    ],
)
def test_rules_between_values(
    folder: Path, problems: Problems, replaced: Replaced, file: str, old: str, new: str, key: str, message: str
) -> None:
    replaced(old, new, file)
    found = problems(folder / "core.yaml")
    assert (key, message) in [(problem.key, problem.message) for problem in found]


def test_live_is_refused_by_name_with_its_own_exit_code(replaced: Replaced) -> None:
    main = replaced("    mode: demo", "    mode: live")
    with pytest.raises(ConfigErrors) as caught:
        load(main, env={})
    assert str(caught.value) == f"{main}:9:11 environments.demo.mode: live trading is not built; use demo or paper"
    assert caught.value.exit_code == 7
    replaced("logging: {level: INFO}", "logging: {level: 5}")
    with pytest.raises(ConfigErrors) as both:
        load(main, env={})
    assert both.value.exit_code == 2


@pytest.mark.parametrize(
    ("old", "new", "secret"),
    [
        ("      fast_ma: 25\n", "      fast_ma: 25\n      api_key: hunter2hunter2\n", "hunter2hunter2"),
        ("logging: {level: INFO}", "logging: {level: INFO, auth_token: s3cr3t}", "s3cr3t"),
        ("signing_key_id: risk-ci", "signing_key_id: AbCdEfGhIjKlMnOpQrStUvWxYz0123456789", "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789"),
        ("signing_key_id: risk-ci", "signing_key_id: '-----BEGIN PRIVATE KEY-----'", "BEGIN"),
        ("plugin: daily_trend", "plugin: 8f3a9d0c4b7e61f25a8d3c9e7b6f1a02-x", "8f3a9d0c4b7e61f25a8d3c9e7b6f1a02-x"),
    ],
)
def test_secrets_are_refused_and_not_repeated(problems: Problems, replaced: Replaced, old: str, new: str, secret: str) -> None:
    found = problems(replaced(old, new))
    assert len(found) == 1
    if secret in found[0].text:
        assert "secret" not in found[0].message, "a value known to be a secret was repeated"


def test_names_of_keychain_entries_are_no_secrets(replaced: Replaced) -> None:
    main = replaced(
        "      decision_log_category: runtime.scheduler.core\n",
        "      decision_log_category: runtime.scheduler.core\n"
        "      rbac_tokens: [{token_env: CORE_SCHEDULER_TOKEN, scopes: [runtime.schedule.read]}]\n",
    )
    assert load(main, env={}).config.scheduler("core_multi_pipeline").rbac_tokens == (AccessToken(scopes=("runtime.schedule.read",)),)


def test_what_is_allowed_but_odd_is_a_warning(replaced: Replaced) -> None:
    replaced("host: 127.0.0.1", "host: 0.0.0.0")
    replaced("logging:", "alerts: {channels: {telegram: {primary: {enabled: false}}}}\nlogging:")
    main = replaced("required_permissions: [read, trade]", "required_permissions: [read, trade]\n    alert_channels: ['telegram:primary']")
    assert [warning.key for warning in load(main, env={}).warnings] == [
        "environments.binance_paper.alert_channels[0]",
        "runtime.metrics_service.host",
    ]


def test_a_valid_configuration_needs_no_schema_library(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    monkeypatch.delitem(sys.modules, "dudzian_daemon.config.structure", raising=False)
    assert load(folder / "core.yaml", env={}).config.default_environment == "demo"


@pytest.mark.parametrize("version", ["1.0", "true", "'1'", "2"])
def test_the_version_of_the_format_is_exactly_one(problems: Problems, replaced: Replaced, version: str) -> None:
    (problem,) = problems(replaced("version: 1\n", f"version: {version}\n"))
    assert (problem.line, problem.column, problem.key) == (3, 10, "version")


CHANNELS = """version: 1
alerts:
  channels:
    file: {local: {parameters: {path: elsewhere.jsonl}}, second: {}}
    webhook: {desk: {timeout_seconds: 9}}
"""


def test_alerts_yaml_replaces_channels_by_name_and_other_keys_whole(replaced: Replaced, folder: Path) -> None:
    main = replaced(
        "logging:",
        "alerts: {channels: {file: {local: {enabled: false}, kept: {}}}, routes: {info: ['file:kept']}, retry_seconds: 7}\nlogging:",
    )
    (folder / "alerts.yaml").write_text(CHANNELS + "  routes: {critical: ['webhook:desk', 'file:kept']}\n")
    alerts = load(main, env={}).config.alerts
    assert list(alerts.channels) == ["file", "webhook"] and list(alerts.channels["file"]) == ["local", "kept", "second"]
    assert (alerts.channels["file"]["local"].enabled, alerts.channels["file"]["local"].parameters) == (True, {"path": "elsewhere.jsonl"})
    assert (alerts.routes.info, alerts.routes.critical, alerts.retry_seconds) == (None, ("webhook:desk", "file:kept"), 7)


def test_alerts_yaml_stands_alone_where_core_yaml_says_nothing(folder: Path) -> None:
    (folder / "alerts.yaml").write_text(CHANNELS)
    loaded = load(folder / "core.yaml", env={})
    assert loaded.config.alerts.channels["webhook"]["desk"].timeout_seconds == 9
    assert loaded.sources["alerts.channels.webhook.desk.timeout_seconds"].text.endswith("alerts.yaml:5:39")


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        (
            "  fallback: ['file:locall']\n",
            "alerts.yaml:6:14 alerts.fallback[0]",
            "unknown alert channel 'file:locall'; did you mean 'file:local'?",
        ),
        (
            "  routes: {critical: ['sms:x']}\n",
            "alerts.yaml:6:23 alerts.routes.critical[0]",
            "unknown alert channel 'sms:x'; known: file:local",
        ),
        (
            "  retry_seconds: 400\n",
            "alerts.yaml:6:18 alerts.retry_seconds",
            "expected retry_seconds <= retry_cap_seconds, found 400 and 300",
        ),
        ("  chanels: {}\n", "alerts.yaml:6:3 alerts.chanels", "unknown key; did you mean 'channels'?"),
        ("other: 1\n", "alerts.yaml:6:1 other", "unknown key; known: version, alerts"),
        (
            "    sms: {x: {parameters: {api_token: hunter2hunter2}}}\n",
            "alerts.yaml:6:39 alerts.channels.sms.x.parameters.api_token",
            "a secret is written here",
        ),
    ],
)
def test_what_is_wrong_in_alerts_yaml_is_told_with_its_line(problems: Problems, folder: Path, text: str, place: str, message: str) -> None:
    (folder / "alerts.yaml").write_text(CHANNELS + text)
    (problem,) = problems(folder / "core.yaml")
    assert problem.text.endswith(f"{place}: {problem.message}") and message in problem.message
    assert "hunter2" not in problem.text


def test_an_environment_names_channels_that_exist(problems: Problems, replaced: Replaced, folder: Path) -> None:
    (folder / "alerts.yaml").write_text(CHANNELS)
    main = replaced(
        "required_permissions: [read, trade]", "required_permissions: [read, trade]\n    alert_channels: ['file:local', 'telegram:x']"
    )
    (problem,) = problems(main)
    assert problem.key == "environments.binance_paper.alert_channels[1]"
