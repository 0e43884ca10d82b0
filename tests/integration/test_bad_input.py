"""What an operator can get wrong: one clear line on stderr, the right exit code, nothing half-written, never a traceback."""

from __future__ import annotations

import json
import re
import signal
import socket
from pathlib import Path

import pytest

from tests.integration.daemon_process import LAST_LINE, Ended, daemon, dudzian, report, write_config

pytestmark = pytest.mark.integration

PAPER = ("--environment", "binance_paper", "--speed", "max")


def refused(home: Path, *arguments: object, env: dict[str, str] | None = None) -> str:
    """What a start that is refused says in its one line; it leaves no session behind."""
    with daemon(home, *arguments, env=env) as child:
        ended = child.end()
    lines = [line for line in ended.err.splitlines() if "made the signing key" not in line]
    assert (ended.code, ended.out, len(lines)) == (2, "", 1), ended.err
    assert list(home.glob("data/data/journal/*/*")) == []
    return lines[0]


def test_a_missing_configuration(tmp_path: Path) -> None:
    with daemon(tmp_path, "--config", "nowhere.yaml") as child:
        ended = child.end()
    assert (ended.code, ended.err.splitlines()) == (
        2,
        ["dudzian: nowhere.yaml: no such file; expected the main configuration file, named by --config or DUDZIAN_CONFIG"],
    )
    assert not (tmp_path / "data").exists()


def test_a_configuration_that_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with daemon(tmp_path, "--config", tmp_path / "folder") as child:
        ended = child.end()
    assert (ended.code, ended.err.splitlines()) == (
        2,
        [f"dudzian: {tmp_path / 'folder'}: expected a file, found a folder or device; name the file itself"],
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("version: 1", "version: [1", r"core\.yaml:4:20: while parsing a flow sequence"),
        (
            "{strategy: core_daily_trend, instrument_bucket: demo_btc",
            "{strategy: core_daly_trend, instrument_bucket: demo_btc",
            r"core\.yaml:\d+:\d+ .*btc_trend_d1\.strategy: unknown strategy 'core_daly_trend'; did you mean 'core_daily_trend'\?",
        ),
        (
            "risk_profile: conservative, max_signals: 2",
            "risk_profile: conservativ, max_signals: 2",
            r"core\.yaml:\d+:\d+ .*risk_profile: unknown risk profile 'conservativ'; did you mean 'conservative'\?",
        ),
        ("plugin: daily_trend", "plugin: daly_trend", r"plugin strategies/daly_trend: no such file in .*; did you mean 'daily_trend'\?"),
        (
            "fast_ma: 25",
            "fast_ma: 250",
            r"core\.yaml:\d+:\d+ strategies\.core_daily_trend\.parameters\.fast_ma: expected fast_ma < slow_ma, found 250 >= 100",
        ),
        ("fast_ma: 25", "fast_mean: 25", r"core\.yaml:\d+:\d+ .*\.fast_mean: unknown parameter; did you mean 'fast_ma'\?"),
    ],
    ids=["malformed", "strategy", "profile", "plugin", "parameter", "unknown parameter"],
)
def test_a_configuration_that_is_wrong(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert re.search(said, refused(tmp_path, "--config", write_config(tmp_path, change=(old, new))))
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("binance_papr", "unknown environment 'binance_papr'; did you mean 'binance_paper'?"),
        ("elsewhere", "unknown environment 'elsewhere'; known: demo, binance_paper, kraken_paper, paper_binance, paper, paper_kraken"),
        ("kraken_paper", "set `enabled: true` there to run it"),
    ],
)
def test_an_environment_that_cannot_run(tmp_path: Path, name: str, said: str) -> None:
    assert said in refused(tmp_path, "--environment", name)


@pytest.mark.parametrize("speed", ["0", "-1", "nan", "abc"])
def test_a_speed_that_is_none(tmp_path: Path, speed: str) -> None:
    assert refused(tmp_path, f"--speed={speed}") == (
        f"dudzian: --speed: expected max, real or a number above 0 (market seconds per second), found {speed!r}"
    )


@pytest.mark.parametrize("below", ["", "deeper"])
def test_a_data_folder_that_is_a_file(tmp_path: Path, below: str) -> None:
    place = tmp_path / "file"
    place.write_text("mine")
    said = refused(tmp_path, "--data-dir", place / below)
    assert str(place) in said
    assert place.read_text() == "mine"


def test_a_key_file_that_others_may_read(tmp_path: Path) -> None:
    path = tmp_path / "decision.key"
    path.write_text("00" * 32)
    path.chmod(0o644)
    said = refused(tmp_path, env={"DUDZIAN_KEY_FILE": str(path)})
    assert said == f"dudzian: key file {path}: expected mode 0600, found 0644; run: chmod 600 {path}"


def test_where_no_key_can_be_had_nothing_runs_unsigned(tmp_path: Path) -> None:
    """No option makes a daemon run without a signature: it takes a key, makes one, or does not start."""
    place = tmp_path / "file"
    place.write_text("mine")
    said = refused(tmp_path, env={"XDG_CONFIG_HOME": str(place)})
    assert said.startswith(f"dudzian: signing key cannot be stored in {place}/dudzian/keys/risk-ci.key: ")
    assert said.endswith("; give one by DUDZIAN_KEY_FILE or DECISION_LOG_HMAC_KEY")
    assert list(tmp_path.glob("data/logs/decision_journal/*")) == []


def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"port {port} on 127.0.0.1 is in use: use --metrics-port 0" in refused(tmp_path, "--metrics-port", port)


def test_a_decision_log_of_somebody_else(tmp_path: Path) -> None:
    path = tmp_path / "data" / "logs" / "decision_journal" / "demo.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text("not ours\n")
    with daemon(tmp_path) as child:
        ended = child.end()
    assert (ended.code, "run: dudzian verify-decision-log" in ended.err, "Traceback" in ended.err) == (1, True, False)
    assert path.read_text() == "not ours\n"
    assert list(tmp_path.glob("data/data/journal/*/*")) == []


def test_an_empty_candle_cache_names_the_command_that_fills_it(tmp_path: Path) -> None:
    said = refused(tmp_path, *PAPER)
    remedy = said.partition("make some with: dudzian ")[2]
    assert remedy
    assert dudzian(tmp_path, *remedy.split(), "--max-rows", 2_880, "--data-dir", tmp_path / "data").code == 0
    ended = run_paper(tmp_path)
    assert (ended.code, ended.last_line) == (0, LAST_LINE), ended.err
    assert "no candles for" not in ended.err, "all schedules have theirs"
    assert report(tmp_path / "data")["cycles"] > 0


def test_a_candle_file_with_a_flipped_bit(tmp_path: Path) -> None:
    days = ("--environment", "binance_paper", "--days", 400, "--start-date", "2023-01-01", "--interval", "1d")
    assert dudzian(tmp_path, "seed-paper-cache", *days, "--data-dir", tmp_path / "data").code == 0
    path = sorted((tmp_path / "data" / "var").rglob("BTC_USDT/1d/year=2023/month=09/*.parquet"))[0]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)

    dry = dudzian(tmp_path, "run", "--dry-run", *PAPER, "--data-dir", tmp_path / "data")
    for said in (dry.err.rstrip("\n"), refused(tmp_path, *PAPER), refused(tmp_path, *PAPER)):
        assert said.startswith(f"dudzian: {path} is not what was written") and "dudzian seed-paper-cache" in said
    assert (dry.code, dry.out) == (2, "")
    assert [*tmp_path.glob("data/logs/decision_journal/*"), *tmp_path.glob("data/data/reports/*")] == []

    assert dudzian(tmp_path, "seed-paper-cache", *days, "--data-dir", tmp_path / "data").code == 0  # the remedy
    assert run_paper(tmp_path).code == 0


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    assert refused(tmp_path, "--data-dir", "/proc/dudzian") == (
        "dudzian: the folder /proc/dudzian cannot be made (No such file or directory): check owner and permissions above it, "
        "or choose another data folder"
    )


def test_a_missing_token_is_said_to_people(tmp_path: Path) -> None:
    refusal = (
        "suspend and resume are refused: the daemon was started without its token (scheduler-local); set it and start the daemon again"
    )
    assert dudzian(tmp_path, "seed-paper-cache", "--days", 30, "--interval", "1d", "--data-dir", tmp_path / "data").code == 0
    dry = dudzian(tmp_path, "run", "--dry-run", *PAPER, "--data-dir", tmp_path / "data")
    assert dry.out.splitlines()[-1] == (
        "token         suspend and resume are refused: expected scheduler-local in $CORE_SCHEDULER_TOKEN or the keychain, found none"
    )
    with daemon(tmp_path, "--environment", "binance_paper", "--speed", "real") as child:
        child.err.wait_for(refusal)
        child.send(signal.SIGTERM)
        assert child.end().err.count(refusal) == 1
    shown = dudzian(tmp_path, "status", "--json", "--data-dir", tmp_path / "data")  # the last snapshot is the daemon's last act
    assert json.loads(shown.out)["token"] == refusal


def run_paper(home: Path) -> Ended:
    with daemon(home, *PAPER) as child:
        return child.end()
