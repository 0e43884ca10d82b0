from __future__ import annotations

import io
import json
import logging
import os
import stat
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from dudzian_daemon.kernel import logs
from dudzian_daemon.kernel.log_output import Output, RotatingFile
from dudzian_daemon.testing.clock import ManualClock
from tests.unit.kernel.conftest import LogLines


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_line_has_time_level_event_and_keys_in_this_order() -> None:
    stream = io.StringIO()
    logs.configure("INFO", stream=stream, clock=ManualClock())
    logs.logger("feed").info("candle_late", symbol="BTC/USDT", age_seconds=3.5)
    logs.logger("feed").debug("not_this")
    assert stream.getvalue() == (
        '{"timestamp":"2024-01-01T00:00:00.000000Z","level":"info","event":"candle_late",'
        '"component":"feed","symbol":"BTC/USDT","age_seconds":3.5}\n'
    )


def test_secrets_are_masked_by_key_and_by_value_in_exceptions_too(log_lines: LogLines) -> None:
    logs.register_secret("hunter22")
    try:
        raise ValueError("cannot log in with hunter22")
    except ValueError:
        logs.logger("x").exception("login hunter22", url="https://h/?k=hunter22", auth={"bot_token": "abc", "signing_key_id": "risk-ci"})
    (line,) = log_lines()
    assert "hunter22" not in json.dumps(line)
    assert "ValueError: cannot log in with ***" in line["exception"]
    assert line["auth"] == {"bot_token": "***", "signing_key_id": "risk-ci"}


def test_one_event_is_one_line_whatever_is_in_it(log_lines: LogLines) -> None:
    logs.logger("x").info("a\nb\u2028c\x1b[2J", text="\r\n", lone="\ud800", weird=object())
    (line,) = log_lines()
    assert line["event"] == "a\nb\\u2028c\\x1b[2J"


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_a_terminal_gets_text_for_people(monkeypatch: pytest.MonkeyPatch, no_color: str, coloured: bool) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    terminal = Terminal()
    logs.configure("INFO", stream=terminal, clock=ManualClock())
    logs.register_secret("hunter22")
    logs.logger("feed").info("two\nlines", symbol="hunter22", text="a\nb\x1b[2J")
    text = terminal.getvalue()
    assert ("\x1b[" in text) is coloured
    assert "\x1b[2J" not in text
    assert text.count("\n") == 1
    for part in ("2024-01-01T00:00:00.000000Z", "info", "two\\nlines", "***", "a\\nb\\x1b[2J"):
        assert part in text


def test_a_terminal_gets_tracebacks_on_lines_of_their_own_and_json_if_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    terminal = Terminal()
    logs.configure("INFO", stream=terminal)
    logs.logger("x").error("failed", exc_info=KeyError("k"))
    assert "\nKeyError: 'k'\n" in terminal.getvalue()
    logs.configure("INFO", stream=terminal, json=True)
    before = terminal.getvalue()
    logs.logger("x").info("asked")
    assert json.loads(terminal.getvalue().removeprefix(before))["event"] == "asked"


def test_what_libraries_log_goes_the_same_way_from_warning_on(log_lines: LogLines) -> None:
    logs.register_secret("hunter22")
    logging.getLogger("aiohttp.access").info("not this")
    logging.getLogger("aiohttp.server").warning("bad request %s", "hunter22")
    try:
        raise OSError("gone")
    except OSError:
        logging.getLogger("asyncio").exception("Exception in callback")
    library = logging.getLogger("careless")
    library.propagate = False
    library.handlers = [each for each in logging.getLogger().handlers if type(each).__module__ == logs.__name__]
    library.error("%d", "not a number")
    library.handlers = []
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("old api", DeprecationWarning, stacklevel=1)
    lines = log_lines()
    assert [(line["level"], line["component"]) for line in lines[:3]] == [
        ("warning", "aiohttp.server"),
        ("error", "asyncio"),
        ("error", "careless"),
    ]
    assert [line["event"] for line in lines[:3]] == ["bad request ***", "Exception in callback", "%d"]
    assert "OSError: gone" in lines[1]["exception"]
    assert (lines[3]["component"], "old api" in lines[3]["event"]) == ("py.warnings", True)


async def test_the_cycle_is_stamped_per_task(log_lines: LogLines) -> None:
    async def session(sequence: int) -> None:
        logs.bind_cycle(sequence)
        await anyio.lowlevel.checkpoint()
        logs.logger("session").info("decided")

    async with anyio.create_task_group() as group:
        group.start_soon(session, 1)
        group.start_soon(session, 2)
    logs.logger("session").info("outside")
    logs.bind_cycle(3)
    logging.getLogger("library").warning("inside")
    logs.bind_cycle(None)
    assert [line.get("cycle") for line in log_lines()] == [1, 2, None, 3]


def test_a_logger_follows_later_configurations(capsys: pytest.CaptureFixture[str]) -> None:
    log = logs.logger("x")
    first, second = io.StringIO(), io.StringIO()
    logs.configure("ERROR", stream=first)
    log.warning("too mild")
    logs.configure("INFO", stream=second)
    log.info("second")
    logs.close()
    log.info("too mild")
    log.warning("after the end")
    assert (first.getvalue(), json.loads(second.getvalue())["event"]) == ("", "second")
    captured = capsys.readouterr()
    assert (captured.out, json.loads(captured.err)["event"]) == ("", "after the end")


def test_a_quiet_log_has_its_file_only(tmp_path: Path) -> None:
    stream = io.StringIO()
    logs.configure("INFO", stream=stream, file=tmp_path / "log", quiet=True)
    logs.logger("x").info("kept")
    assert stream.getvalue() == ""
    assert json.loads((tmp_path / "log").read_text())["event"] == "kept"


def test_a_quiet_log_without_a_file_is_silent_until_it_is_closed(capfd: pytest.CaptureFixture[str]) -> None:
    logs.configure(quiet=True)
    logs.logger("venue").error("unheard")
    logs.close()
    logs.logger("venue").error("heard")
    assert [json.loads(line)["event"] for line in capfd.readouterr().err.splitlines()] == ["heard"]


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected a log level \(DEBUG, .*\), found 'LOUD'"):
        logs.configure("LOUD")


def test_a_file_gets_json_besides_the_terminal_and_is_private(tmp_path: Path) -> None:
    path, terminal = tmp_path / "new" / "dudzian.log", Terminal()
    before = os.umask(0o022)
    try:
        logs.configure("INFO", stream=terminal, file=path)
    finally:
        os.umask(before)
    logs.logger("x").info("both")
    assert json.loads(path.read_text())["event"] == "both"
    assert "both" in terminal.getvalue()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / "log").symlink_to(victim)
    with pytest.raises(OSError):
        logs.configure("INFO", stream=io.StringIO(), file=tmp_path / "log")
    assert victim.read_text() == "mine"


def test_files_rotate_by_size_and_old_ones_go(tmp_path: Path) -> None:
    path = tmp_path / "log"
    file = RotatingFile(path, size=10, kept=2)
    for number in range(9):
        file.write(f"{number}234\n".encode())
    file.write(b"longer than a whole file\n")
    file.close()
    texts = {each.name: each.read_text() for each in tmp_path.iterdir()}
    assert texts == {"log": "longer than a whole file\n", "log.1": "8234\n", "log.2": "6234\n7234\n"}


@pytest.mark.parametrize("take_away", [Path.unlink, lambda path: path.rename(path.with_suffix(".moved"))])
def test_a_file_that_was_taken_away_is_made_anew(tmp_path: Path, take_away: Callable[[Path], object]) -> None:
    path = tmp_path / "log"
    file = RotatingFile(path)
    file.write(b"1\n")
    take_away(path)
    file.write(b"2\n")
    file.close()
    file.write(b"3\n")
    assert path.read_text() == "2\n3\n"
    file.close()


HALF_LINE = """
import resource, sys
from pathlib import Path
from dudzian_daemon.kernel.log_output import RotatingFile
resource.setrlimit(resource.RLIMIT_FSIZE, (25, 25))
file = RotatingFile(Path(sys.argv[1]))
for line in (b"123456789\\n", b"abcdefghi\\n", b"too much!\\n", b"fits\\n"):
    try:
        file.write(line)
    except OSError as error:
        print(type(error).__name__)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file sizes")
def test_half_a_line_is_taken_back(tmp_path: Path) -> None:
    child = subprocess.run([sys.executable, "-B", "-c", HALF_LINE, tmp_path / "log"], capture_output=True, text=True, check=True)
    assert (child.stdout, child.stderr) == ("OSError\n", "")
    assert (tmp_path / "log").read_text() == "123456789\nabcdefghi\nfits\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_costs_lines_and_nothing_else() -> None:
    with Path("/dev/full").open("w") as full:
        logs.configure("INFO", stream=full)
        logs.logger("x").info("lost")
        logs.logger("x").info("lost too")
        assert logs.lost_lines() == 2


def test_a_closed_stream_costs_lines_and_nothing_else() -> None:
    stream = io.StringIO()
    logs.configure("INFO", stream=stream)
    stream.close()
    logs.logger("x").info("lost")
    assert logs.lost_lines() == 1


class Stalled:
    """A target whose reader went away for a while."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.begun, self.released = threading.Event(), threading.Event()

    def write(self, line: bytes) -> None:
        self.begun.set()
        self.released.wait(60)
        self.lines.append(line)

    def close(self) -> None:
        self.lines.append(b"closed")


def test_a_stalled_reader_holds_its_thread_and_costs_what_does_not_fit() -> None:
    target = Stalled()
    output = Output(lambda event: str(event["n"]).encode(), target, background=True)
    output.put({"n": -1})
    assert target.begun.wait(60)
    for number in range(10_005):
        output.put({"n": number})
    assert output.lost == 5
    target.released.set()
    output.close()
    assert target.lines == [b"-1", *(str(number).encode() for number in range(10_000)), b"closed"]


def test_a_background_log_is_complete_after_close(tmp_path: Path) -> None:
    stream = io.StringIO()
    logs.configure("INFO", stream=stream, file=tmp_path / "log", background=True)
    for number in range(100):
        logs.logger("x").info("line", number=number)
    logs.close()
    expected = list(range(100))
    assert [json.loads(line)["number"] for line in stream.getvalue().splitlines()] == expected
    assert [json.loads(line)["number"] for line in (tmp_path / "log").read_text().splitlines()] == expected


CHILD = """
import sys
from dudzian_daemon.kernel import logs
assert not {"structlog", "orjson", "asyncio", "msgspec"} & set(sys.modules), sorted(sys.modules)
logs.logger("x").info("below warning")
logs.logger("x").warning("unconfigured")
"""


def test_importing_is_cheap_and_an_unconfigured_logger_leaves_stdout_alone() -> None:
    child = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=True)
    assert child.stdout == ""
    assert [json.loads(line)["event"] for line in child.stderr.splitlines()] == ["unconfigured"]


def test_a_file_may_be_for_people_and_of_its_own_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    path = tmp_path / "runtime.log"
    logs.configure(file=logs.LogFile(path, json=False, size=200, kept=1), quiet=True)
    for number in range(6):
        logs.logger("execution").warning("order_refused", code="open_positions", quantity="0.5", number=number)
    logs.close()
    text = path.read_text(encoding="utf-8")
    assert "order_refused" in text and "code=open_positions" in text and "component=execution" in text
    assert "\x1b" not in text and not text.startswith("{")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["runtime.log", "runtime.log.1"]
