"""No escape code reaches a pipe, nor a terminal whose owner has set NO_COLOR."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from dudzian_daemon.cli.main import command_names, main

assert sys.platform != "win32", "a terminal as POSIX has it"

ESCAPE = b"\x1b"
MAIN = [
    ["validate-config"],
    ["run", "-e", "demo", "--dry-run"],
    ["run-daily-trend", "-e", "demo", "--date-window", "2020-12-01:2020-12-31", "--speed", "max", "--metrics-port", "0"],
    ["plugins", "list"],
    ["backtest", "-e", "demo", "--strategies", "core_daily_trend", "--to", "2021-01-01"],
    ["nonsense"],
]


def on_a_terminal(arguments: list[str], environment: dict[str, str]) -> bytes:
    """What a person at a terminal gets to see."""
    reader, writer = pty.openpty()
    command = [sys.executable, "-m", "dudzian_daemon", *arguments]
    with subprocess.Popen(command, stdin=writer, stdout=writer, stderr=writer, env=os.environ | environment):
        os.close(writer)
        seen = b""
        try:
            while part := os.read(reader, 65_536):
                seen += part
        except OSError:  # how Linux says that the other end is closed
            pass
    os.close(reader)
    return seen


@pytest.mark.parametrize("command", command_names())
def test_help_in_a_pipe(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    assert ESCAPE.decode() not in capsys.readouterr().out


@pytest.mark.integration
@pytest.mark.parametrize("arguments", MAIN, ids=" ".join)
def test_output_in_a_pipe(arguments: list[str], tmp_path: Path) -> None:
    where = os.environ | {"DUDZIAN_DATA_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-m", "dudzian_daemon", *arguments], capture_output=True, env=where, check=False)
    assert done.stdout or done.stderr
    assert ESCAPE not in done.stdout + done.stderr


@pytest.mark.integration
@pytest.mark.skipif(sys.platform == "win32", reason="terminals of POSIX")
@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], *MAIN], ids=" ".join)
def test_on_a_terminal_without_colours(arguments: list[str], tmp_path: Path) -> None:
    plain = {"NO_COLOR": "1", "TERM": "xterm-256color", "DUDZIAN_DATA_DIR": str(tmp_path)}
    assert ESCAPE not in on_a_terminal(arguments, plain)


@pytest.mark.skipif(sys.platform == "win32", reason="terminals of POSIX")
def test_no_color_goes_before_force_color_and_without_it_help_has_colours() -> None:
    assert ESCAPE not in on_a_terminal(["run", "--help"], {"NO_COLOR": "1", "FORCE_COLOR": "1", "TERM": "xterm-256color"})
    assert ESCAPE in on_a_terminal(["run", "--help"], {"TERM": "xterm-256color"})
