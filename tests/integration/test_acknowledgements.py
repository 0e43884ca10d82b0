"""A command is answered once its line is durable, by HTTP and on the command line, and a disk that is slow holds nobody else."""

from __future__ import annotations

import http.client
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import pytest

from tests.integration.daemon_process import LAST_LINE, PATIENCE_S, Child, cycles, dudzian, journal_lines, write_config
from tests.integration.daemon_process import daemon as started
from tests.integration.http_of_daemon import TOKEN, VARIABLE, port, pressed, scrape

assert sys.platform != "win32", "the daemon is held by a FIFO"

pytestmark = pytest.mark.integration

#: Of a daemon whose third sync hangs until it is told to go on: what it has recorded since is written and not durable.
HANGING = "journal.fsync=pause@3;status.renamed=trace"
#: How long an answer must stay out: an idle daemon gives it at once, a command takes half of this.
WITHHELD_S = 1.0


@contextmanager
def held(home: Path) -> Iterator[Child]:
    """A daemon on the demo whose disk hangs."""
    with started(home, "--config", write_config(home), "--speed", 200_000, "--no-ui", faults=HANGING, env={VARIABLE: TOKEN}) as child:
        for _ in range(3):
            child.wait_for_point("journal.fsync")
        child.wait_for_point("status.renamed")
        yield child


def livez(where: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", where, timeout=PATIENCE_S)
    connection.request("GET", "/livez")
    status = connection.getresponse().status
    connection.close()
    return status


def switched_at(home: Path) -> list[int]:
    """Cycles on record in which somebody pressed the kill switch."""
    recorded = cycles(journal_lines(home / "data"))
    return [cycle["sequence"] for cycle in recorded if any(each["change"] == "kill_switch" for each in cycle["risk"])]


def by_http(home: Path) -> int:
    """Press the kill switch; the cycle that the answer names."""
    return int(pressed(home)["sequence"])


def by_command_line(home: Path) -> int:
    ended = dudzian(home, "risk", "kill-switch", "on", "--data-dir", home / "data", "--timeout", 60)
    assert ended.code == 0, ended
    return int(ended.out.split()[-1])


@pytest.mark.parametrize("ask", [by_http, by_command_line])
def test_no_answer_before_the_line_is_durable(tmp_path: Path, ask: Callable[[Path], int]) -> None:
    with ThreadPoolExecutor(1) as pool, held(tmp_path) as child:
        answer: Future[int] = pool.submit(ask, tmp_path)
        Event().wait(WITHHELD_S)
        assert not answer.done(), answer.exception() or answer.result()
        assert (livez(port(tmp_path)), scrape(port(tmp_path))["dudzian_kill_switch"]) == (200, 0.0)
        child.go_on()
        sequence = answer.result(timeout=PATIENCE_S)
        assert switched_at(tmp_path) == [sequence]
        child.send(signal.SIGTERM)
        ended = child.end()
    assert (ended.code, ended.last_line) == (0, LAST_LINE), ended
