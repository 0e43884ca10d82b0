"""What goes wrong on an operator's day: a full disk, a folder that cannot be written, days that are none, an extra that is not installed.

Each time one line that says where and what to do, the exit code of the table, no file that is half there, no temporary one left.
"""

from __future__ import annotations

import os
import resource
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dudzian_daemon.adapters.platform import InstanceLock
from dudzian_daemon.cli.main import main
from dudzian_daemon.config.places import bundled
from dudzian_daemon.kernel.clock import SystemClock
from tests.integration.daemon_process import NO_PACKAGE, Child, daemon, short_config

assert sys.platform != "win32", "limits as POSIX has them"

pytestmark = pytest.mark.integration

Capture = pytest.CaptureFixture[str]
DAY = "2024-02-14"
AGE_KEY = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
WITHOUT = str(Path(__file__).parents[1] / "integration" / "without_libraries.py")
WINDOW = ("--date-window", "2024-01-01:2024-02-15")
SMOKE = ("run-daily-trend", "--paper-smoke", "--archive-smoke", *WINDOW, "--skip-paper-precheck")


def ask(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([*map(str, arguments)])
    return int(ended.value.code or 0)


@contextmanager
def full_beyond(size: int) -> Iterator[None]:
    """No file can grow beyond `size` bytes: what a disk that is full says to whoever writes more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # CPython takes a half-written .pyc for whole: a module that is first imported in here would break every later import of it.
    caches, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        sys.dont_write_bytecode = caches


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a month of one instrument, long ago, with the report of a day."""
    home = tmp_path_factory.mktemp("recorded")
    config = short_config(home, package=NO_PACKAGE)
    with daemon(home, "--config", config, "--speed", "max", "--no-ui") as child:
        assert child.end().code == 0
    assert ask("daily-report", "demo", "--date", DAY, "--no-pdf", "--data-dir", home / "data", "--config", config) == 0
    long_ago = SystemClock().wall_ns() / 1e9 - 100 * 86_400
    for path in (home / "data").rglob("*"):
        os.utime(path, (long_ago, long_ago))
    return home


@pytest.fixture
def home(recorded: Path, tmp_path: Path) -> Path:
    return shutil.copytree(recorded, tmp_path / "home", ignore=shutil.ignore_patterns("trace-*"))


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder as the runbook's seed leaves it."""
    folder = tmp_path_factory.mktemp("seeded")
    arguments = ("--environment", "binance_paper", "--days", 60, "--start-date", "2024-01-01", "--interval", "1d")
    assert ask("seed-paper-cache", *arguments, "--data-dir", folder) == 0
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def candles(folder: Path) -> dict[str, bytes]:
    """All but the empty file that asking the alert channel makes."""
    return {name: data for name, data in files(folder).items() if not name.startswith("logs/")}


def said(capsys: Capture) -> str:
    """The one line that is no remark."""
    (line,) = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("dudzian: warning: ")]
    assert line.startswith("dudzian: ")
    return line


@pytest.mark.parametrize(
    ("room", "arguments", "where"),
    [
        (0, ("daily-report", "demo", "--date", "2024-02-15", "--no-pdf"), "daily/2024-02-15/demo.zip"),
        (20_000, ("daily-report", "demo", "--date", DAY), tempfile.gettempdir()),
        (0, ("archive-report", "demo", "--recipients", AGE_KEY), f"daily/{DAY}/demo.zip.age"),
        (0, ("archive-report", "demo", "--no-encrypt"), "docs/audit/paper_trading_log.jsonl"),
        (300, ("archive-report", "demo", "--no-encrypt"), "docs/audit/paper_trading_log"),
        (0, ("audit-log", "add", "incident", "--text", "x"), "docs/audit/paper_trading_log.jsonl"),
        (300, ("audit-log", "add", "incident", "--text", "x"), "docs/audit/paper_trading_log.md"),
    ],
    ids=["package", "pdf", "age", "audit record", "audit row", "incident record", "incident row"],
)
def test_a_full_disk_under_a_report(home: Path, capsys: Capture, room: int, arguments: tuple[str, ...], where: str) -> None:
    before = files(home)
    config = ("--config", home / "config" / "core.yaml") if arguments[0] != "audit-log" else ()
    with full_beyond(room):
        code = ask(*arguments, "--data-dir", home / "data", *config)
    line = said(capsys)
    assert (code, "no space left for " in line, where in line, line.endswith("free some space and run again")) == (
        1,
        True,
        True,
        True,
    )
    assert files(home) == before


@pytest.mark.parametrize("room", [300, 1_000, 20_000], ids=["first line", "source of a plugin", "cycles"])
def test_a_full_disk_under_the_journal_of_a_backtest_leaves_none(
    home: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    monkeypatch.setenv("DECISION_LOG_HMAC_KEY", "6b" * 32)
    before = files(home)
    wanted = ("--strategies", "core_daily_trend", "--from", "2021-01-01", "--to", "2021-02-10", "--journal")
    with full_beyond(room):
        code = ask("backtest", *wanted, "--data-dir", home / "data")
    line = said(capsys)
    assert (code, "no space left for " in line, "free some space" in line, "kept in memory" in line) == (1, True, True, False)
    assert files(home) == before
    assert not list((home / "data" / "data" / "journal" / "backtest_demo").iterdir())
    assert ask("backtest", *wanted, "--data-dir", home / "data") == 0


@pytest.mark.parametrize(
    ("arguments", "made"),
    [
        (("init", "--yes", "-e", "demo", "--config-dir", "{}/new", "--data-dir", "{}/data"), "new/core.yaml"),
        (("plugins", "new", "strategy", "fresh", "--plugins-dir", "{}/new"), "new/strategies/fresh.py"),
        (("secrets", "export", "risk-ci", "--to-file", "{}/risk-ci.key"), "risk-ci.key"),
    ],
    ids=["init", "plugins new", "secrets export"],
)
def test_a_full_disk_under_a_new_file_leaves_none_in_the_way(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], made: str
) -> None:
    monkeypatch.setenv("DECISION_LOG_HMAC_KEY", "6b" * 32)
    monkeypatch.setenv("DUDZIAN_HEADLESS_STORAGE", str(tmp_path / "secrets.age"))
    monkeypatch.setenv("DUDZIAN_HEADLESS_PASSPHRASE", "a phrase for this test")
    (tmp_path / "value").write_text("6b" * 32)
    assert ask("secrets", "set", "risk-ci", "--from-file", tmp_path / "value") == 0
    before, typed = files(tmp_path), [word.format(tmp_path) for word in arguments]
    with full_beyond(10):
        assert ask(*typed) == 1
    assert "no space left for " in said(capsys)
    assert files(tmp_path) == before
    assert ask(*typed) == 0
    assert (tmp_path / made).stat().st_size > 0


def test_an_init_whose_data_folder_can_never_be_one_writes_nothing(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "file").write_text("mine")
    assert ask("init", "--yes", "-e", "demo", "--config-dir", tmp_path / "config", "--data-dir", tmp_path / "file") == 2
    assert "expected a folder at " in said(capsys)
    assert files(tmp_path) == {"file": b"mine"}


@pytest.mark.parametrize("command", [("stop",), ("risk", "kill-switch", "on")], ids=" ".join)
def test_a_full_disk_under_a_command_names_the_signals_that_need_none(tmp_path: Path, capsys: Capture, command: tuple[str, ...]) -> None:
    data = tmp_path / "data"
    lock = InstanceLock.acquire(data)
    capsys.readouterr()
    with full_beyond(0):
        assert ask(*command, "--data-dir", data) == 1
    lock.release()
    (line,) = capsys.readouterr().err.splitlines()
    assert "free some space" in line
    assert f"kill -INT {os.getpid()} stops the daemon, kill -USR1 {os.getpid()} is the kill switch" in line
    assert not list(data.rglob("*.json"))


def test_a_full_disk_under_the_retention_is_told_once_and_nothing_is_lost(home: Path, capsys: Capture) -> None:
    before = files(home)
    with full_beyond(0):
        assert ask("retention", "run", "--data-dir", home / "data", "--config", home / "config" / "core.yaml") == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("failed ") and line.endswith("free some space and run again; what else is due waits for the next run")
    assert files(home) == before


@pytest.mark.parametrize(("room", "where"), [(0, "ledger.jsonl"), (1_000, "summary.json")])
def test_a_full_disk_under_a_smoke_run_leaves_no_half_report(seeded: Path, tmp_path: Path, capsys: Capture, room: int, where: str) -> None:
    before = candles(seeded)
    with full_beyond(room):
        code = ask(*SMOKE, "--data-dir", seeded, "--smoke-output", tmp_path / "out")
    line = said(capsys)
    assert (code, "no space left for " in line, where in line) == (1, True, True)
    assert list((tmp_path / "out").iterdir()) == []
    assert candles(seeded) == before


def test_a_report_folder_that_cannot_be_written(home: Path, seeded: Path, tmp_path: Path, capsys: Capture) -> None:
    shutil.rmtree(home / "data" / "data" / "reports" / "daily")
    (home / "data" / "data" / "reports" / "daily").write_text("mine")
    config = ("--config", home / "config" / "core.yaml")
    assert ask("daily-report", "demo", "--no-pdf", "--data-dir", home / "data", *config) == 2
    assert "cannot be made (Not a directory): check owner and permissions above it" in said(capsys)
    assert (home / "data" / "data" / "reports" / "daily").read_text() == "mine"
    for output in ("/proc/smoke", home / "data" / "data" / "reports" / "daily"):
        assert ask(*SMOKE, "--data-dir", seeded, "--smoke-output", output) == 2
        assert str(output) in said(capsys)
    assert ask("render-paper-smoke-summary", "--summary-json", tmp_path / "none.json", "--output", "/proc/x.md") == 2
    assert "expected a file that --paper-smoke-summary-json wrote, found none" in said(capsys)


def test_an_alert_whose_audit_cannot_be_put_aside(tmp_path: Path, capsys: Capture) -> None:
    """An audit file of yesterday is renamed by the first line of today; where that is refused it is a line, not a traceback."""
    assert ask("send-alert", "--channel", "file", "--message", "x", "--data-dir", tmp_path) == 0
    audit = tmp_path / "logs" / "alerts_audit.jsonl"
    audit.unlink()
    audit.symlink_to("alerts_audit.jsonl")  # a loop: as little to be opened as on a disk that is read-only
    capsys.readouterr()
    assert ask("send-alert", "--channel", "file", "--message", "x", "--data-dir", tmp_path) == 2
    assert str(audit) in said(capsys)


@pytest.mark.parametrize("window", ["2024-02-30:2024-03-01", "2024-03-02:2024-03-01", "2024-03-02", "x:y", ""])
@pytest.mark.parametrize("more", [(), ("--paper-smoke",)])
def test_a_window_that_is_none(tmp_path: Path, capsys: Capture, window: str, more: tuple[str, ...]) -> None:
    assert ask("run-daily-trend", *more, "--date-window", window, "--data-dir", tmp_path / "data") == 2
    assert f"--date-window: expected two days as 2024-01-01:2024-02-15, the second not before the first, found {window!r}" in said(capsys)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("library", "arguments", "extra"),
    [
        ("typst", ("daily-report", "demo"), "dudzian[reports]"),
        ("matplotlib", ("daily-report", "demo"), "dudzian[reports]"),
        ("matplotlib", ("backtest", "-e", "demo", "--strategies", "core_daily_trend", "--plot", "x.png"), "dudzian[reports]"),
        ("cryptography", ("heads", "keygen", "--output", "x.pem"), "dudzian[signatures]"),
        ("optuna", ("sweep", "--strategies", "core_daily_trend", "--param", "fast_ma=10:20:10", "--search", "optuna"), "dudzian[sweep]"),
        ("numpy", ("sweep", "--strategies", "core_daily_trend", "--param", "fast_ma=10:20:10", "--fast"), "dudzian[research]"),
        ("apprise", ("send-alert", "--channel", "apprise", "--message", "x"), "dudzian[alerts]"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else value,
)
def test_an_extra_that_is_not_installed(tmp_path: Path, library: str, arguments: tuple[str, ...], extra: str) -> None:
    config = shutil.copytree(bundled("config"), tmp_path / "config") / "alerts.yaml"
    config.write_text(config.read_text().replace("    email:\n", "    apprise:\n      signal: {credential: none}\n    email:\n", 1))
    places = ("--config", tmp_path / "config" / "core.yaml", "--data-dir", tmp_path / "data") if arguments[0] != "heads" else ()
    with Child(tmp_path, library, *arguments, *places, program=(WITHOUT,)) as child:
        ended = child.end()
    (line,) = ended.err.splitlines()
    assert (ended.code, ended.out) == (1 if library == "apprise" else 2, "")
    assert line.startswith("dudzian: ") and extra in line and "pip install" in line
    left = [path.name for path in tmp_path.rglob("*") if path.is_file() and path.is_relative_to(tmp_path / "data")]
    assert left == (["alerts_audit.jsonl"] if library == "apprise" else []) and not list(tmp_path.glob("x.*"))
