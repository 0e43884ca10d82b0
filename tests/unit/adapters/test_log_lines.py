"""Lines of a log file from its end."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dudzian_daemon.adapters import log_lines
from dudzian_daemon.adapters.log_lines import lines_backwards, read_tail
from dudzian_daemon.domain.errors import IntegrityError


@settings(max_examples=60)
@given(st.lists(st.binary(max_size=30).map(lambda line: line.replace(b"\n", b" ")), max_size=8), st.integers(1, 40))
def test_backwards_is_forwards_reversed_whatever_the_block(lines: list[bytes], block: int) -> None:
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as folder:
        patch.setattr(log_lines, "_BLOCK", block)
        path = Path(folder, "log")
        path.write_bytes(b"\n".join(lines))
        assert list(lines_backwards(path)) == list(reversed(lines or [b""]))


def test_the_tail_tells_the_last_whole_line_and_what_is_torn(tmp_path: Path) -> None:
    path = tmp_path / "log"
    for content, expected in (
        (b"", (None, 0, 0)),
        (b"abc", (None, 0, 3)),
        (b"a\nbc\n", (b"bc", 5, 0)),
        (b"a\nbc\nd", (b"bc", 5, 1)),
    ):
        path.write_bytes(content)
        tail = read_tail(path)
        assert (tail.line, tail.length, tail.torn) == expected


def test_a_file_of_one_endless_line_is_not_read_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_lines, "_BLOCK", 64)
    monkeypatch.setattr(log_lines, "MAX_LINE_BYTES", 1024)
    path = tmp_path / "log"
    path.write_bytes(b"\0" * 5000)
    with pytest.raises(IntegrityError, match="found a longer one"):
        read_tail(path)
