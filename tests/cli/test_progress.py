"""What a person sees of a long command's progress: a bar on a terminal, lines where it takes no codes, nothing in a pipe."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from dudzian_daemon.cli.progress import progress
from dudzian_daemon.testing.clock import ManualClock


class Terminal(io.StringIO):
    """Keeps what was written to it."""

    def isatty(self) -> bool:
        return True


@contextmanager
def stderr(there: io.StringIO, **variables: str) -> Iterator[io.StringIO]:
    """Within the test itself: pytest puts its own streams back between the phases of one."""
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
            patch.delenv(variable, raising=False)
        for variable, value in {"TERM": "xterm-256color", "COLUMNS": "100", **variables}.items():
            patch.setenv(variable, value)
        patch.setattr(sys, "stderr", there)
        yield there


def test_a_terminal_shows_what_how_much_and_how_fast_and_then_nothing_of_it() -> None:
    with stderr(Terminal()) as terminal, progress("seeding", "series", 2_000) as bar:
        bar.advance(1_000, "BTC/USDT")
        bar.at(1_500, what="ETH/USDT")
    said = terminal.getvalue()
    assert all(part in said for part in ("ETH/USDT", "1,500/2,000", "series/s", "ETA"))
    assert said.endswith("\x1b[2K"), "the bar's line was left on the screen"
    assert "\x1b[?25h" in said, "the cursor did not come back"


def test_bytes_get_their_prefixes() -> None:
    with stderr(Terminal()) as terminal, progress("verifying", "bytes", 64_000_000) as bar:
        bar.advance(12_300_000)
        bar.advance(20_000_000)
    assert "32.3 MB/64.0 MB" in terminal.getvalue()


def test_a_total_may_become_known_on_the_way() -> None:
    with stderr(Terminal()) as terminal, progress("backtest", "bars") as bar:
        bar.at(6_000, 24_000)
    assert "6,000/24,000" in terminal.getvalue()


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=str)
async def test_a_terminal_without_codes_gets_a_line_every_ten_seconds(variables: dict[str, str]) -> None:
    clock = ManualClock()
    with stderr(Terminal(), **variables) as terminal, progress("sweep", "trials", 40, clock=clock) as bar:
        for done in range(1, 31):
            await clock.advance(1)
            bar.at(done)
    lines = [line.split(",")[0] for line in terminal.getvalue().splitlines()]
    assert lines == ["dudzian: sweep 10/40", "dudzian: sweep 20/40", "dudzian: sweep 30/40"]
    assert "\x1b" not in terminal.getvalue()


def test_a_pipe_and_a_quiet_command_get_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    for there, shown in ((Terminal(), False), (io.StringIO(), True)):
        with stderr(there), progress("sweep", "trials", 40, shown=shown) as bar:
            bar.advance(20)
            bar.at(40)
        assert (there.getvalue(), *capsys.readouterr()) == ("", "", "")
