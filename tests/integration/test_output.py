"""Who reads the view of a daemon, or does not, has no power over what it does."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from tests.integration.daemon_process import daemon, short_config, verdicts

assert sys.platform != "win32", "FIFOs and signals as POSIX has them"

pytestmark = pytest.mark.integration


def test_a_reader_that_goes_away_costs_lines_only(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    with daemon(tmp_path, "--config", short_config(tmp_path), "--speed", "max", stdout=write) as child:
        ended = child.end()
    assert (ended.code, "Traceback" in ended.err) == (0, False), ended.err
    assert verdicts(tmp_path)[0].completeness == "closed"


def test_a_reader_that_does_not_read_holds_nothing_back(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.set_blocking(write, False)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(write, b"x" * 4096)
    os.set_blocking(write, True)
    os.read(read, 4096)  # room for the first lines
    config = short_config(tmp_path, budgets=("sinks: 2,", "sinks: 0.2,"))
    with daemon(tmp_path, "--config", config, "--speed", "max", faults="x=trace", stdout=write) as child:
        child.wait_for_point("stop.adapters")
        ended = child.end()
    os.close(read)
    assert (ended.code, "Traceback" in ended.err) == (0, False), ended.err
    session, decisions = verdicts(tmp_path)
    assert (session.completeness, session.cycles > 700, decisions.integrity) == ("closed", True, "intact")


def test_without_a_view_the_log_is_on_stderr(tmp_path: Path) -> None:
    with daemon(tmp_path, "--config", short_config(tmp_path), "--no-ui") as child:
        child.err.wait_for('"event":"started"')
        child.send(signal.SIGTERM)
        ended = child.end()
    assert ended.code == 0
    assert [line for line in ended.out.splitlines() if line.startswith("session ")] == []
    assert '"event":"Shutdown complete"' in ended.err.splitlines()[-1]
