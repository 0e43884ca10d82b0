"""`dudzian status`: before the first run, after the last, and when the file is none."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from dudzian_daemon.adapters.platform import InstanceLock
from dudzian_daemon.cli.main import main

SNAPSHOT = {
    "environment": "demo",
    "log_id": "0" * 32,
    "pid": 1,
    "started_at": 0,
    "metrics_port": 9108,
    "metrics_url": "http://127.0.0.1:9108/metrics",
    "state": "running",
    "ready": True,
    "not_ready": ["session is ending"],
    "token": "suspend and resume are refused: there is none",
    "sequence": 7,
    "instant": 1_706_745_600_000_000_000,
    "cash": "9000.5",
    "equity": "10001.25",
    "positions": [{"strategy": "trend", "instrument": "binance:BTC/USDT", "quantity": "0.0250", "cost": "1000", "realised": "0"}],
    "units": [{"name": "session", "state": "running"}, {"name": "metrics", "state": "backing_off", "detail": "x", "restarts": 2}],
    "dropped": {"console": 3},
    "merged": {"alerts.messages": 12},
    "resources": [
        {"name": "cpu_percent", "used": 55.04, "limit": 65, "warn_at": 52, "state": "near"},
        {"name": "io_write_mb_s", "used": None, "limit": 80, "warn_at": 64, "state": "ok"},
    ],
}


def status(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["status", *map(str, arguments)])
    return int(ended.value.code or 0)


def write(folder: Path, content: str | bytes) -> None:
    (folder / "run").mkdir(exist_ok=True)
    (folder / "run" / "status.json").write_bytes(content.encode() if isinstance(content, str) else content)


def test_where_none_ever_ran(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status("--data-dir", tmp_path) == 2
    assert capsys.readouterr().err == f"dudzian: no daemon has run on {tmp_path} yet; start one with: dudzian run\n"
    assert list(tmp_path.iterdir()) == []


def test_the_last_snapshot_of_one_that_ended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, json.dumps(SNAPSHOT))
    assert status("--data-dir", tmp_path) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"daemon       not running; last snapshot, data folder {tmp_path}",
        f"session      demo {'0' * 32}: running",
        "ready        no: session is ending",
        "event time   2024-02-01 00:00:00 UTC, cycle 7",
        "account      equity 10001.25, cash 9000.50",
        "position     binance:BTC/USDT 0.025 of trend, cost 1000.00",
        "units        1 were running",
        "unit         metrics: was backing_off (2 restarts) x",
        "dropped      console: 3 messages lost",
        "merged       alerts.messages: 12 messages, each replaced by a newer one of its kind; nothing is lost",
    ]


def test_one_that_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lock = InstanceLock.acquire(tmp_path)
    write(tmp_path, json.dumps(SNAPSHOT | {"pid": os.getpid()}))
    try:
        assert status("--data-dir", tmp_path) == 0
        assert status("--json", "--data-dir", tmp_path) == 0
    finally:
        lock.release()
    text, _, document = capsys.readouterr().out.partition("{")
    assert text.splitlines()[0] == f"daemon       running (pid {os.getpid()}), data folder {tmp_path}"
    assert "token        suspend and resume are refused: there is none" in text.splitlines()
    assert "units        1 running" in text.splitlines()
    assert "metrics      http://127.0.0.1:9108/metrics" in text
    assert "resources    cpu_percent 55.0 of 65 % of a core, io_write_mb_s unknown of 80 MB/s" in text.splitlines()
    assert "resource     cpu_percent is above 52, where the warning begins (runtime.resource_limits)" in text.splitlines()
    answer = json.loads("{" + document)
    assert (answer["running"], answer["schema"], answer["equity"]) == (True, "dudzian.status/1", "10001.25")


def test_one_that_has_not_told_of_itself_yet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lock = InstanceLock.acquire(tmp_path)
    write(tmp_path, json.dumps(SNAPSHOT))
    try:
        assert status("--data-dir", tmp_path) == 1
    finally:
        lock.release()
    assert capsys.readouterr().err.startswith(f"dudzian: the daemon (pid {os.getpid()}) on {tmp_path} is starting")


FAR = json.dumps(SNAPSHOT | {"instant": 10**30})


@pytest.mark.parametrize("content", ["", "{", "[]", '{"environment": 1}', b'{"environment": "\xff"}', FAR])
@pytest.mark.parametrize("command", [("status",), ("strategy", "list")])
def test_a_file_that_is_no_snapshot(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | bytes, command: tuple[str, ...]
) -> None:
    write(tmp_path, content)
    with pytest.raises(SystemExit, match="2"):
        main([*command, "--data-dir", str(tmp_path)])
    error = capsys.readouterr().err
    assert error.startswith(f"dudzian: expected a status snapshot in {tmp_path / 'run' / 'status.json'}, found something else")
    assert error.count("\n") == 1


@pytest.mark.skipif(sys.platform != "linux", reason="/proc has a file that nobody can read from its start")
@pytest.mark.parametrize("command", [("status",), ("strategy", "list")])
def test_a_file_that_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]) -> None:
    (tmp_path / "run").mkdir()
    path = tmp_path / "run" / "status.json"
    path.symlink_to("/proc/self/mem")
    with pytest.raises(SystemExit, match="2"):
        main([*command, "--data-dir", str(tmp_path)])
    error = capsys.readouterr().err
    assert error.startswith(f"dudzian: expected a status snapshot in {path} that can be read, found: ")
    assert error.count("\n") == 1
