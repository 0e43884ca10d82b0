"""Six secrets nobody else could have made up, through a daemon, its failures and every command that reads them: seen nowhere."""

from __future__ import annotations

import base64
import http.client
import json
import secrets
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pyrage  # type: ignore[import-untyped] # pyrage ships no annotations
import pytest

from dudzian_daemon.adapters.secret_store import SecretStore, place_of
from tests.integration.bad_plugin import plugin_source
from tests.integration.daemon_process import DEMO_WINDOWS, LASTING, PATIENCE_S, daemon, dudzian, write_config
from tests.integration.live_paper import configured, market, start

assert sys.platform != "win32", "signals as POSIX has them"

pytestmark = pytest.mark.integration

#: It reads what it should not and says it in an exception, as a library does that puts a signed address into its error.
LEAKING = plugin_source(
    on_candle="""
        told = {name: value for name, value in os.environ.items() if name.startswith(("DUDZIAN_", "DECISION_", "CORE_"))}
        raise RuntimeError(f"GET https://venue.example/api?key={told} failed")
    """
)


class Canaries:
    """The secrets by kind, and the texts by which each would be known."""

    def __init__(self) -> None:
        self.identity = str(pyrage.x25519.Identity.generate())
        self.by_kind = {
            "signing key": secrets.token_hex(32),
            "scheduler token": f"scheduler-{secrets.token_hex(12)}",
            "kill switch token": f"switch-{secrets.token_hex(12)}",
            "api key": f"K{secrets.token_hex(16)}",
            "api secret": f"S{secrets.token_hex(16)}",
            "passphrase": self.identity,
        }

    def spellings(self) -> Iterator[tuple[str, bytes]]:
        for kind, value in self.by_kind.items():
            raw = value.encode()
            for text in (value, value.upper(), quote(value), raw.hex(), base64.b64encode(raw).decode()[:-4]):
                yield kind, text.encode()
        raw = bytes.fromhex(self.by_kind["signing key"])
        yield "signing key", base64.b64encode(raw).rstrip(b"=")
        yield "signing key", raw

    def seen_in(self, content: bytes) -> set[str]:
        return {kind for kind, text in self.spellings() if text in content}


@pytest.fixture
def canaries() -> Canaries:
    return Canaries()


def environment(home: Path, canaries: Canaries) -> dict[str, str]:
    """The daemon's variables; the credential lies in the sealed file."""
    storage = home / "secrets.age"
    place = place_of({}, storage=storage, passphrase=canaries.identity)
    credential = {"key": canaries.by_kind["api key"], "secret": canaries.by_kind["api secret"]}
    SecretStore(place).set("binance_paper_trading:trading", json.dumps(credential))
    return {
        "DUDZIAN_HEADLESS_STORAGE": str(storage),
        "DUDZIAN_HEADLESS_PASSPHRASE": canaries.identity,
        "DECISION_LOG_HMAC_KEY": canaries.by_kind["signing key"],
        "CORE_SCHEDULER_TOKEN": canaries.by_kind["scheduler token"],
        "DUDZIAN_KILL_SWITCH_TOKEN": canaries.by_kind["kill switch token"],
        "DUDZIAN_PLUGINS_DIR": str(home / "plugins"),
    }


def leaking_config(home: Path) -> Path:
    """The demo at DEBUG, whose hourly trend is run by the plugin above."""
    plugins = home / "plugins" / "strategies"
    plugins.mkdir(parents=True)
    (plugins / "leaking.py").write_text(LEAKING, encoding="utf-8")
    entry = "  demo_mean_reversion:\n    description: The reversion of the core set on hourly candles.\n    plugin: mean_reversion\n"
    level = ("logging: {level: INFO}", "logging: {level: DEBUG, format: json}")
    path = write_config(home, level=level, windows=(DEMO_WINDOWS, LASTING[1]))
    text = path.read_text(encoding="utf-8")
    assert entry in text
    before, _, rest = text.partition(entry)
    path.write_text(before + entry.replace("mean_reversion\n", "leaking\n") + rest.partition("\n")[2], encoding="utf-8")
    return path


def asked(port: int, method: str, path: str, token: str = "") -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    connection.request(method, path, headers={"Authorization": f"Bearer {token}"} if token else {})
    content = connection.getresponse().read()
    connection.close()
    return content


def test_no_secret_is_seen_in_logs_metrics_reports_journal_or_errors(tmp_path: Path, canaries: Canaries) -> None:
    home = tmp_path / "home"
    home.mkdir()
    config, env = leaking_config(home), environment(home, canaries)
    answers, said = [], []
    with daemon(home, "--config", config, "--no-ui", "--speed", 100_000, env=env) as running:
        running.wait_for_line("paper only")
        port = int((home / "data" / "run" / "metrics.port").read_text())
        answers += [asked(port, "POST", "/kill-switch", "wrong " + "x" * 20), asked(port, "GET", "/metrics")]
        answers += [asked(port, "POST", "/kill-switch", canaries.by_kind["kill switch token"]), asked(port, "GET", "/readyz")]
        said.append(dudzian(home, "strategy", "suspend", "nobody", "--data-dir", home / "data", env=env))
        said.append(dudzian(home, "status", "--data-dir", home / "data", "--json", env=env))
        answers.append(asked(port, "GET", "/metrics"))
        running.send(signal.SIGTERM)
        said.append(running.end())
    common = ("--config", config, "--data-dir", home / "data", "-e", "binance_paper")
    said += [
        dudzian(home, "paper-precheck", *common, "--json", env=env),
        dudzian(home, "doctor", *common, env=env),
        dudzian(home, "check-key-rotation", *common, env=env),
        dudzian(home, "secrets", "check", "--config", config, "-e", "binance_paper", "--json", env=env),
        dudzian(home, "secrets", "check", "--config", config, env={**env, "DUDZIAN_HEADLESS_PASSPHRASE": canaries.identity[:-1] + "Q"}),
        dudzian(home, "backfill", *common, "--since", "2024-01-01", env=env),
    ]
    texts = {str(path.relative_to(home)): path.read_bytes() for path in (home / "data").rglob("*") if path.is_file()}
    assert any("journal" in name for name in texts)
    assert any("paper_precheck_reports" in name for name in texts)
    told = [each.out.encode() + each.err.encode() for each in said]
    assert b'"found"' in told[-3]
    assert any(b"RuntimeError: GET https://venue.example/api" in text for text in [*told, *texts.values()]), "the fault was not even logged"
    hits = {name: canaries.seen_in(content) for name, content in texts.items()}
    hits |= {f"answer {number}": canaries.seen_in(content) for number, content in enumerate(answers)}
    hits |= {f"output {number}": canaries.seen_in(content) for number, content in enumerate(told)}
    assert {name: kinds for name, kinds in hits.items() if kinds} == {}


def test_no_secret_is_seen_on_the_way_to_a_venue_that_fails(tmp_path: Path, canaries: Canaries) -> None:
    home = tmp_path / "home"
    home.mkdir()
    config = configured(home, level=("logging: {level: INFO}", "logging: {level: DEBUG}"))
    env = {name: value for name, value in environment(home, canaries).items() if name != "DUDZIAN_PLUGINS_DIR"}
    with market() as venue:
        with start(home, venue, config, env=env) as child:
            child.wait_for_log('"event":"live"')
            for kind in ("status", "html", "truncated", "nan", "limit"):
                venue.exchange.fail(kind, "klines", value=1 if kind == "limit" else 503)
            venue.portal.call(venue.exchange.cut)
            child.wait_for_log('"event":"stream_lost"')
            venue.more("klines", 14)
            child.send(signal.SIGINT)
            ended = child.end()
        asked = [repr(request) for request in venue.exchange.requests]
        common = ("--config", config, "--data-dir", home / "data", "-e", "binance_paper", "--base-url", venue.exchange.url)
        filled = dudzian(home, "backfill", *common, "--symbol", "BTC_USDT", "--granularity", "1d", "--since", "2023-12-01", env=env)
        checked = dudzian(home, "paper-precheck", *common, "--json", env=env)
    assert (ended.code, filled.code) == (0, 0), (ended.err, filled.err)
    told = "".join(each.out + each.err for each in (ended, filled, checked))
    assert all(event in told for event in ("venue_fault", "rows_refused", "venue_pause", "stream_lost"))
    texts = {str(path.relative_to(home)): path.read_bytes() for path in (home / "data").rglob("*") if path.is_file()}
    assert {"data/data/quarantine/binance.jsonl", "data/logs/backfill.log"} <= set(texts)
    hits = {name: canaries.seen_in(content) for name, content in texts.items()}
    hits |= {"output": canaries.seen_in(told.encode()), "requests": canaries.seen_in("".join(asked).encode())}
    assert {name: kinds for name, kinds in hits.items() if kinds} == {}


def test_the_search_would_have_found_them(canaries: Canaries) -> None:
    for kind, value in canaries.by_kind.items():
        for text in (f"x{value}y", value.encode().hex(), base64.b64encode(value.encode()).decode()):
            assert canaries.seen_in(text.encode()) == {kind}
