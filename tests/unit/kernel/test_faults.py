from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dudzian_daemon.kernel.faults import Fault, fault_point, parse

PROGRAM = """
import signal, sys
from dudzian_daemon.kernel.faults import fault_point
handled = []
signal.signal(signal.SIGTERM, lambda number, frame: handled.append(number))
for number in range(3):
    try:
        fault_point("write")
        fault_point("sync")
    except OSError as error:
        print("errno", error.errno, flush=True)
    print("round", number, *handled, flush=True)
"""


def start(faults: str, trace: Path | None = None) -> subprocess.Popen[str]:
    environment = {**os.environ, "DUDZIAN_FAULTS": faults}
    if trace is not None:
        environment["DUDZIAN_FAULTS_TRACE"] = str(trace)
    return subprocess.Popen([sys.executable, "-c", PROGRAM], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(child: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = child.communicate(timeout=60)
    return child.returncode, out, err


def test_an_unarmed_point_does_nothing() -> None:
    fault_point("anything")


def test_parse() -> None:
    assert parse(" write=eio@2; sync=exit ;write=kill@3;;") == {"write": [Fault("eio", 2), Fault("kill", 3)], "sync": [Fault("exit", 0)]}
    assert parse("") == {}


@pytest.mark.parametrize("text", ["write", "write=", "=eio", "write=explode", "write=eio@", "write=eio@0", "write=eio@-1", "write=eio@x"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected name=action"):
        parse(text)


def test_a_wrong_variable_fails_the_import() -> None:
    code, out, err = finish(start("write=explode"))
    assert (code, out) == (1, "")
    assert "found 'write=explode'" in err


@pytest.mark.parametrize(("action", "code"), [("exit", 137), ("kill", -9)])
def test_the_process_dies_at_the_named_visit(tmp_path: Path, action: str, code: int) -> None:
    trace = tmp_path / "trace"
    returned, out, _ = finish(start(f"sync={action}@2", trace))
    assert (returned, out) == (code, "round 0\n")
    assert trace.read_text() == "write\nsync\nwrite\nsync\n"


def test_disk_faults_are_raised_once_or_always() -> None:
    code, out, _ = finish(start("write=eio@2;sync=enospc"))
    assert code == 0
    assert out.splitlines() == [
        *(f"errno {errno.ENOSPC}", "round 0"),
        *(f"errno {errno.EIO}", "round 1"),
        *(f"errno {errno.ENOSPC}", "round 2"),
    ]


def test_visits_are_traced_without_a_fault(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    code, out, _ = finish(start("", trace))
    assert (code, out) == (0, "round 0\nround 1\nround 2\n")
    assert trace.read_text() == "write\nsync\n" * 3


def wait_for_line(child: subprocess.Popen[str], trace: Path, lines: int) -> None:
    """Spin on the file: the child says where it is by writing it."""
    while not trace.exists() or trace.read_text().count("\n") < lines:
        assert child.poll() is None


def test_a_pause_ends_with_a_signal_whose_handler_ran_or_with_the_go_file(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    child = start("write=pause@2;sync=pause@3", trace)
    wait_for_line(child, trace, 3)
    child.send_signal(signal.SIGTERM)
    wait_for_line(child, trace, 6)
    (tmp_path / "trace.go").touch()
    code, out, _ = finish(child)
    assert code == 0
    assert out.splitlines() == ["round 0", f"round 1 {int(signal.SIGTERM)}", f"round 2 {int(signal.SIGTERM)}"]
