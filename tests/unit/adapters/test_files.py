"""Atomic writes: old or new and never a half, own permissions, nothing followed; what the operating system says in one line."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dudzian_daemon.adapters.files import (
    PRIVATE_FILE,
    begin_file,
    ensure_dir,
    os_errors,
    remove_leftovers,
    remove_unfinished,
    require_regular_or_absent,
    sha256_file,
    write_atomic,
)
from dudzian_daemon.domain.errors import ConfigError, ReadOnlyDisk, StorageError, StorageFull
from dudzian_daemon.kernel.clock import SystemClock

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions and special files")

# Every call fails one step later: at the write, at the sync, at the rename; the last one succeeds.
CHILD = """
import sys
from pathlib import Path
from dudzian_daemon.adapters.files import write_atomic
from dudzian_daemon.domain.errors import StorageError
path = Path(sys.argv[1])
for content in (b"one", b"two", b"three", b"four"):
    try:
        write_atomic(path, content)
        print("written")
    except StorageError as error:
        print(path.read_bytes().decode(), len(list(path.parent.iterdir())), error)
"""


def permissions(path: Path) -> int:
    return path.stat().st_mode & 0o7777


@pytest.fixture(params=[0o000, 0o022, 0o377])
def any_umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def test_a_file_is_replaced_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    write_atomic(path, b"old")
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["state.json"]


@posix_only
@pytest.mark.usefixtures("any_umask")
def test_modes_are_ours_whatever_the_umask(tmp_path: Path) -> None:
    ensure_dir(tmp_path / "a" / "b")
    write_atomic(tmp_path / "a" / "b" / "shared", b"")
    write_atomic(tmp_path / "a" / "b" / "private", b"", mode=PRIVATE_FILE)
    assert [permissions(tmp_path / "a" / "b" / name) for name in ("shared", "private")] == [0o640, 0o600]
    assert [permissions(tmp_path / "a"), permissions(tmp_path / "a" / "b")] == [0o750, 0o750]


@posix_only
def test_existing_folders_keep_their_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    ensure_dir(tmp_path)
    ensure_dir(tmp_path / "new", 0o700)
    assert [permissions(tmp_path), permissions(tmp_path / "new")] == [0o700, 0o700]


@posix_only
@pytest.mark.parametrize("kind", ["symlink", "dangling", "fifo", "folder"])
def test_only_a_regular_file_is_replaced(tmp_path: Path, kind: str) -> None:
    victim, path = tmp_path / "victim", tmp_path / "target"
    victim.write_bytes(b"untouched")
    match kind:
        case "symlink":
            path.symlink_to(victim)
        case "dangling":
            path.symlink_to(tmp_path / "nowhere")
        case "fifo" if sys.platform != "win32":
            os.mkfifo(path)
        case _:
            path.mkdir()
    with pytest.raises(ConfigError, match=r"expected a regular file or nothing at .*target"):
        write_atomic(path, b"attack")
    assert victim.read_bytes() == b"untouched"
    assert {entry.name for entry in tmp_path.iterdir()} == {"victim", "target"}


def test_a_regular_file_and_nothing_are_accepted(tmp_path: Path) -> None:
    write_atomic(tmp_path / "here", b"")
    require_regular_or_absent(tmp_path / "here")
    require_regular_or_absent(tmp_path / "absent")


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="absent"):
        write_atomic(tmp_path / "absent" / "file", b"")


@pytest.mark.skipif(sys.platform != "linux", reason="/proc makes no folders")
def test_a_folder_that_cannot_be_made_is_told_as_that(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (Path("/proc/dudzian/deeper"), tmp_path / "file" / "below", tmp_path / ("x" * 300)):
        with pytest.raises(ConfigError) as caught:
            ensure_dir(path)
        assert str(caught.value).startswith(f"the folder {path} cannot be made (")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_file_where_a_folder_should_be_is_named(tmp_path: Path) -> None:
    write_atomic(tmp_path / "file", b"")
    with pytest.raises(ConfigError, match=r"expected a folder at .*file"):
        ensure_dir(tmp_path / "file")
    with pytest.raises(ConfigError, match="below"):
        ensure_dir(tmp_path / "file" / "below")


def test_a_failing_disk_leaves_the_old_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "state"
    write_atomic(path, b"zero")
    faults = "files.write=enospc@1;files.fsync=eio@1;files.rename=enospc@1"
    run = subprocess.run(
        [sys.executable, "-c", CHILD, str(path)], env={**os.environ, "DUDZIAN_FAULTS": faults}, capture_output=True, text=True, check=True
    )
    lines = run.stdout.splitlines()
    assert [line.split()[:2] for line in lines[:3]] == [["zero", "1"]] * 3
    assert ["no space left for" in line for line in lines[:3]] == [True, False, True]
    assert lines[3:] == ["written"]
    assert path.read_bytes() == b"four"


@pytest.mark.parametrize(
    ("number", "expected", "words"),
    [
        (errno.ENOSPC, StorageError, "no space left"),
        (errno.EDQUOT, StorageError, "no space left"),
        (errno.EFBIG, StorageError, "no space left"),
        (errno.EIO, StorageError, "check the disk"),
        (errno.EACCES, ConfigError, "owner and permissions"),
        (errno.EROFS, ReadOnlyDisk, "make its disk writable"),
        (errno.EMFILE, StorageFull, "raise the limit"),
        (errno.ENOENT, ConfigError, "found not even the folder"),
    ],
)
def test_what_the_system_says_is_one_line_with_the_path(number: int, expected: type[Exception], words: str) -> None:
    with pytest.raises(expected, match=words) as caught, os_errors(Path("data", "file")):
        raise OSError(number, os.strerror(number))
    assert str(Path("data", "file")) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_leftovers_of_killed_writers_go_and_nothing_else(tmp_path: Path) -> None:
    for name in (".data.x1.tmp", ".data.x2.tmp", ".other.x1.tmp", "data"):
        make_old(tmp_path / name)
    remove_leftovers(tmp_path / "data")
    assert {entry.name for entry in tmp_path.iterdir()} == {".other.x1.tmp", "data"}


def test_what_nobody_finishes_goes_and_what_somebody_writes_stays(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / ".folder.tmp").mkdir()
    (tmp_path / ".link.tmp").symlink_to("data.tmp")
    for name in (".data.x1.tmp", "below/.data.x2.tmp", "data.tmp"):
        make_old(tmp_path / name)
    file, written = begin_file(tmp_path / "below" / "data")
    with file:
        for leftovers in (remove_unfinished, remove_leftovers):
            leftovers(tmp_path if leftovers is remove_unfinished else tmp_path / "below" / "data")
            assert sorted(path.name for path in tmp_path.rglob("*.tmp")) == sorted([".folder.tmp", ".link.tmp", "data.tmp", written.name])
    remove_unfinished(tmp_path / "nowhere")


@pytest.mark.skipif(sys.platform == "win32", reason="flock of POSIX")
def test_one_that_is_removed_before_it_is_held_is_begun_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    mkstemp = tempfile.mkstemp

    def quicker(**said: Any) -> tuple[int, str]:
        handle, name = mkstemp(**said)
        made.append(name)
        if len(made) == 1:
            remove_unfinished(tmp_path)
        return handle, name

    monkeypatch.setattr(tempfile, "mkstemp", quicker)
    write_atomic(tmp_path / "data", b"whole")
    assert (len(made), [path.name for path in tmp_path.iterdir()]) == (2, ["data"])
    assert (tmp_path / "data").read_bytes() == b"whole"


def make_old(path: Path) -> None:
    """An empty file that was last written two hours ago."""
    path.write_bytes(b"")
    then = SystemClock().wall_ns() - 2 * 3_600 * 10**9
    os.utime(path, ns=(then, then))


def test_the_digest_is_that_of_the_bytes(tmp_path: Path) -> None:
    write_atomic(tmp_path / "file", b"abc" * 100_000)
    assert sha256_file(tmp_path / "file") == hashlib.sha256(b"abc" * 100_000).hexdigest()
