"""`dudzian stop` where nothing runs, and where what runs does not listen; real daemons are in tests/integration/test_commands.py."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from dudzian_daemon.adapters.platform import InstanceLock
from dudzian_daemon.cli.main import main


def stop(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["stop", *map(str, arguments)])
    return int(ended.value.code or 0)


def test_where_none_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert stop("--data-dir", tmp_path) == 2
    assert capsys.readouterr().err == f"dudzian: no daemon runs on {tmp_path}\n"
    assert list(tmp_path.iterdir()) == []


def test_one_that_does_not_end_in_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lock = InstanceLock.acquire(tmp_path)
    try:
        assert stop("--data-dir", tmp_path, "--timeout", "0.1") == 1
        assert stop("--data-dir", tmp_path, "--timeout", "0.1", "--keep-positions", "--json") == 1
    finally:
        lock.release()
    text, _, document = capsys.readouterr().out.partition("\n")
    assert text == f"daemon (pid {os.getpid()}) has not ended within 0.1 s; look at: dudzian status"
    answer = json.loads(document)
    assert (answer["pid"], answer["ended"], answer["reply"]) == (os.getpid(), False, None)
    commands = [json.loads(path.read_text()) for path in (tmp_path / "run" / "inbox").glob("*.json")]
    assert sorted(command["arguments"]["close_positions"] for command in commands) == ["no", "yes"]
    assert {command["name"] for command in commands} == {"stop"}


def test_a_time_that_is_none(tmp_path: Path) -> None:
    assert stop("--data-dir", tmp_path, "--timeout", "0") == 2
