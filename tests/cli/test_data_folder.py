"""A data folder that can never be one is refused in one line by every command, before it looks for anything in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from dudzian_daemon.cli.main import main

COMMANDS = [
    ("status",),
    ("cycles",),
    ("check-data-coverage", "-e", "binance_paper"),
    ("paper-precheck", "-e", "binance_paper"),
    ("run-daily-trend", "--dry-run"),
    ("backtest", "-e", "binance_paper"),
    ("retention", "run"),
    ("audit-log", "add", "note", "--text", "x"),
]


@pytest.mark.parametrize("below", ["", "deeper/still"])
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_file_in_its_place(command: tuple[str, ...], below: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "file"
    place.write_text("mine")
    with pytest.raises(SystemExit) as ended:
        main([*command, "--data-dir", str(place / below)])
    assert ended.value.code == 2
    told = f"dudzian: data folder {place / below}: expected a folder at {place}, found something else; "
    assert capsys.readouterr() == ("", f"{told}choose another --data-dir, or move it away\n")
    assert place.read_text() == "mine"


def test_a_link_that_leads_nowhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    with pytest.raises(SystemExit):
        main(["status", "--data-dir", str(tmp_path / "link")])
    assert f"expected a folder at {tmp_path / 'link'}, found something else" in capsys.readouterr().err


def test_a_name_that_is_too_long(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["status", "--data-dir", str(tmp_path / ("x" * 300))])
    assert (ended.value.code, "(File name too long): check owner" in capsys.readouterr().err) == (2, True)


def test_a_candle_store_that_is_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "var" / "data").mkdir(parents=True)
    (tmp_path / "var" / "data" / "binance_paper").write_text("mine")
    with pytest.raises(SystemExit) as ended:
        main(["check-data-coverage", "-e", "binance_paper", "--data-dir", str(tmp_path)])
    (line,) = capsys.readouterr().err.splitlines()
    assert (ended.value.code, "(Not a directory): check owner and permissions" in line) == (2, True)


def test_a_new_file_whose_folder_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["heads", "keygen", "-o", str(tmp_path / "keys" / "heads.key")])
    told = f"dudzian: expected {tmp_path / 'keys' / 'heads.key'}, found not even the folder {tmp_path / 'keys'}: check the path\n"
    assert (ended.value.code, capsys.readouterr().err) == (2, told)
