"""`--watch` beside a real daemon: it waits for one, tells what changes, ends with Ctrl-C or with the daemon, by the table's codes."""

from __future__ import annotations

import itertools
import json
import os
import pty
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.integration.daemon_process import LAST_LINE, LASTING, PATIENCE_S, Child, child_environment, daemon, dudzian, short_config

assert sys.platform != "win32", "signals and terminals as POSIX has them"

pytestmark = pytest.mark.integration

CLEAR = "\x1b[H\x1b[2J"


def watching(home: Path, name: str, *arguments: object) -> Child:
    return Child(home, name, "--watch", "--interval", "0.05", "--data-dir", home / "data", *arguments)


def documents(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def test_through_a_stop_and_a_start(tmp_path: Path) -> None:
    """A session that has ended is shown, the next start is waited for, its end ends the watching; every line is whole."""
    config = short_config(tmp_path)
    places = {"status": (), "show-risk-state": (), "cycles": ("--config", config, "-e", "demo", "-n", 3)}
    with daemon(tmp_path, "--config", config, "--speed", 100_000) as first:
        first.wait_for_line("equity")
        first.send(signal.SIGTERM)
        assert first.end().last_line == LAST_LINE
    before = json.loads(dudzian(tmp_path, "status", "--json", "--data-dir", tmp_path / "data").out)
    with ExitStack() as all_ended:
        looks = {name: all_ended.enter_context(watching(tmp_path, name, "--json", *more)) for name, more in places.items()}
        for look in looks.values():
            look.wait_for_log("no daemon runs there; waiting for one (Ctrl-C ends)")
        second = all_ended.enter_context(daemon(tmp_path, "--config", config, "--speed", "max", faults="journal.release=pause@3"))
        looks["status"].wait_for_line('"running":true')  # it is held until somebody has seen it
        second.go_on()
        assert second.end().code == 0
        ended = {name: look.end() for name, look in looks.items()}
    after = json.loads(dudzian(tmp_path, "status", "--json", "--data-dir", tmp_path / "data").out)
    assert {name: end.code for name, end in ended.items()} == dict.fromkeys(places, 1)
    assert all(end.err.splitlines()[-1] == "dudzian: the daemon has ended" for end in ended.values())
    told = [{**each, "written_at": 0} for each in documents(ended["status"].out)]
    assert (told[0], told[-1]) == ({**before, "written_at": 0}, {**after, "written_at": 0})
    assert any(each["running"] for each in told[1:-1]) and all(one != other for one, other in itertools.pairwise(told)), "only news"
    risk = documents(ended["show-risk-state"].out)
    assert "last_known" in risk[0] and "last_known" in risk[-1] and risk[-1]["sequence"] == after["sequence"]
    sequences = [each["cycle"]["sequence"] for each in documents(ended["cycles"].out)]
    assert sequences == list(range(max(1, before["sequence"] - 2), after["sequence"] + 1)), "each cycle once, none missing"


def test_ctrl_c_ends_it_well_and_a_pipe_has_no_escape_code(tmp_path: Path) -> None:
    config = short_config(tmp_path, lasting=LASTING)
    shows = {"status": "equity", "show-risk-state": "equity", "cycles": "equity", "positions": "demo, cycle", "orders": "demo, cycle"}
    with ExitStack() as all_ended:
        child = all_ended.enter_context(daemon(tmp_path, "--config", config, "--speed", 100_000))
        child.wait_for_line("equity")
        own = {"cycles": ("--config", config, "-e", "demo")}
        looks = {name: all_ended.enter_context(watching(tmp_path, name, *own.get(name, ()))) for name in shows}
        for name, look in looks.items():
            look.wait_for_line(shows[name])
            look.send(signal.SIGINT)
        ended = {name: look.end() for name, look in looks.items()}
        child.send(signal.SIGTERM)
        assert child.end().code == 0
    assert {name: (end.code, end.err, "\x1b" in end.out) for name, end in ended.items()} == dict.fromkeys(shows, (0, "", False))


def test_a_reader_that_has_seen_enough_ends_it_well(tmp_path: Path) -> None:
    with daemon(tmp_path, "--config", short_config(tmp_path, lasting=LASTING), "--speed", 100_000) as child:
        child.wait_for_line("equity")
        for more in ("", "--json"):
            pipe = f'set -o pipefail; "$0" -m dudzian_daemon status --watch --interval 0.05 {more} | head -n 1'
            shell = ["bash", "-c", pipe, sys.executable]
            env = child_environment(tmp_path) | {"DUDZIAN_DATA_DIR": str(tmp_path / "data")}
            done = subprocess.run(shell, env=env, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
            assert (done.returncode, done.stdout.count("\n"), done.stderr) == (0, 1, "")
        child.send(signal.SIGTERM)
        assert child.end().code == 0


@pytest.mark.parametrize("variables", [{"TERM": "xterm"}, {"TERM": "xterm", "NO_COLOR": "1"}, {"TERM": "dumb"}], ids=str)
def test_a_screen_is_cleared_unless_its_owner_wants_no_codes(tmp_path: Path, variables: dict[str, str]) -> None:
    with daemon(tmp_path, "--config", short_config(tmp_path), "--speed", "max") as child:
        assert child.end().code == 0
    reader, writer = pty.openpty()
    command = [sys.executable, "-m", "dudzian_daemon", "status", "--watch", "--data-dir", str(tmp_path / "data")]
    environment = {name: text for name, text in child_environment(tmp_path).items() if name != "NO_COLOR"} | variables
    seen = b""
    with subprocess.Popen(command, stdin=writer, stdout=writer, stderr=subprocess.DEVNULL, env=environment) as look:
        os.close(writer)
        while b"equity" not in seen:
            seen += os.read(reader, 65_536)
        look.send_signal(signal.SIGINT)
        assert look.wait(PATIENCE_S) == 0
    os.close(reader)
    assert seen.startswith(CLEAR.encode()) == (variables == {"TERM": "xterm"})
    assert (b"\x1b" in seen) == (variables == {"TERM": "xterm"})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("status", "--watch", "--interval", "0"), "--interval: expected seconds from 0.05 to 3,600, found 0"),
        (("orders", "--watch", "--interval", "nan"), "--interval: expected seconds from 0.05 to 3,600, found nan"),
        (("cycles", "--watch", "--summary", "--reverse"), "--watch: expected none of --since, --until, --summary, --reverse beside it, "),
        (("show-risk-state", "--watch"), "no daemon runs on "),
        (("status", "--watch"), "no daemon has run on "),
        (("cycles", "--watch"), "no session of demo below "),
    ],
    ids=" ".join,
)
def test_what_cannot_be_watched(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    ended = dudzian(tmp_path, *arguments, "--data-dir", tmp_path / "data")
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert ended.err.startswith(f"dudzian: {said}")
