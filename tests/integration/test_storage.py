"""The disk under a running daemon: full, out of descriptors, read-only, its journal gone, strange things in its place."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import stat
import sys
from pathlib import Path

import psutil
import pytest

from tests.integration.daemon_process import LAST_LINE, Child, Ended, daemon, dudzian, journal_file, report, short_config, verdicts
from tests.integration.small_disk import small_disk

assert sys.platform == "linux", "mounts, limits of a running process and FIFOs"

pytestmark = pytest.mark.integration

#: Of a daemon that writes no further line after its third commit, the first with a cycle, until it is told to go on.
HELD_BACK = "journal.release=pause@3"


def one_line(ended: Ended) -> str:
    """What the operator reads on stderr, beside log lines and the notice of a new key."""
    (line,) = [line for line in ended.err.splitlines() if line.startswith("dudzian: ") and "made the signing key" not in line]
    return line


def started(home: Path, faults: str = "") -> Child:
    """A daemon on the short session, as fast as it goes."""
    return daemon(home, "--config", short_config(home), "--no-ui", "--speed", "max", faults=faults)


def held_back(home: Path) -> Child:
    """One that has most of the session before it, whatever is done to its disk meanwhile."""
    child = started(home, HELD_BACK)
    child.wait_for_log('"state":"running"')  # what it wrote before that it needs to start at all
    for _ in range(3):
        child.wait_for_point("journal.release")
    return child


def again(home: Path) -> Ended:
    with daemon(home, "--config", home / "config" / "core.yaml", "--no-ui", "--speed", "max") as child:
        return child.end()


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Content chain of the session to which nothing happens."""
    home = tmp_path_factory.mktemp("undisturbed")
    short_config(home)
    assert again(home).code == 0
    return str(report(home / "data")["content_chain"])


def assert_whole(home: Path, content: str) -> None:
    assert report(home / "data")["content_chain"] == content
    assert {verdict.integrity for verdict in verdicts(home)} == {"intact"}


def fill(folder: Path) -> Path:
    """A file that takes what is left of the disk."""
    path = folder / "filler"
    with path.open("wb", buffering=0) as file:
        for size in (65_536, 512, 1):
            try:
                while file.write(b"\0" * size) == size:
                    pass
            except OSError:
                continue
    return path


def test_a_full_disk_holds_the_session_until_there_is_space_again(tmp_path: Path, content: str) -> None:
    with small_disk(tmp_path / "data"), held_back(tmp_path) as child:
        filler = fill(tmp_path / "data")
        child.go_on()
        child.wait_for_log('"state":"frozen"')
        filler.unlink()
        child.wait_for_log("the disk takes lines again")
        ended = child.end()
        assert (ended.code, ended.last_line, "\nTraceback" in ended.err) == (0, LAST_LINE, False), ended
        assert_whole(tmp_path, content)


def test_a_limit_of_the_files_size_is_a_full_disk_too(tmp_path: Path, content: str) -> None:
    with held_back(tmp_path) as child:
        process = psutil.Process(child.pid)
        process.rlimit(resource.RLIMIT_FSIZE, (journal_file(tmp_path / "data").stat().st_size + 100, resource.RLIM_INFINITY))
        child.go_on()
        child.wait_for_log('"state":"frozen"')
        process.rlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        ended = child.end()
    assert (ended.code, ended.last_line, "\nTraceback" in ended.err) == (0, LAST_LINE, False), ended
    assert_whole(tmp_path, content)


def test_no_descriptors_are_left_for_a_while(tmp_path: Path, content: str) -> None:
    """What is open stays open: the journal goes on, readers see an old snapshot, and nobody spins."""
    with daemon(tmp_path, "--config", short_config(tmp_path), "--no-ui", "--speed", 20_000) as child:  # minutes, which nobody waits for
        child.wait_for_log('"state":"running"')
        process = psutil.Process(child.pid)
        limits = process.rlimit(resource.RLIMIT_NOFILE)
        before = len(child.err.seen)
        process.rlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
        child.wait_for_log('"delay_seconds":2.0')  # a service was refused, tried again a second later, and was refused again
        told = len(child.err.seen) - before
        process.rlimit(resource.RLIMIT_NOFILE, limits)
        child.send(signal.SIGKILL)
        killed = child.end()
    assert told < 10, killed.err
    assert '"state":"frozen"' not in killed.err
    assert '"event":"service_failed"' not in killed.err, "ledger and telemetry wait until a file can be opened again"
    ended = again(tmp_path)
    assert (ended.code, ended.last_line) == (0, LAST_LINE), ended
    assert_whole(tmp_path, content)


def test_a_read_only_folder_is_said_at_the_start(tmp_path: Path) -> None:
    with small_disk(tmp_path / "data", "ro"):
        said = ("run", "--data-dir", tmp_path / "data", "--config", short_config(tmp_path), "--metrics-port", 0, "--no-ui")
        ended = dudzian(tmp_path, *said)
    assert ended.code == 2
    assert f"{tmp_path / 'data'}" in one_line(ended) and "Read-only" in one_line(ended)


@pytest.mark.parametrize("done", ["deleted", "renamed", "replaced", "truncated"])
def test_a_journal_that_is_taken_away_ends_the_run_and_is_never_written_elsewhere(tmp_path: Path, done: str, content: str) -> None:
    with held_back(tmp_path) as child:
        path = journal_file(tmp_path / "data")
        kept = path.with_suffix(".kept")
        if done == "truncated":  # copytruncate of logrotate
            shutil.copy(path, kept)
            os.truncate(path, 0)
        else:
            path.rename(kept)
        if done == "replaced":
            path.touch()
        length = kept.stat().st_size
        child.go_on()
        ended = child.end()
    assert (ended.code, ended.last_line) == (1, LAST_LINE), ended
    assert {"deleted": "found it deleted or moved away", "renamed": "found it deleted or moved away"}.get(done, "found") in one_line(ended)
    assert kept.stat().st_size == length
    if done == "deleted":
        kept.unlink()
        refused = again(tmp_path)
        assert (refused.code, "--fresh" in one_line(refused)) == (1, True), refused
        return
    kept.replace(path)
    back = again(tmp_path)
    assert (back.code, back.last_line) == (0, LAST_LINE), back
    assert_whole(tmp_path, content)


def test_after_an_error_of_the_disk_the_next_start_folds_again(tmp_path: Path, content: str) -> None:
    with daemon(tmp_path, "--config", short_config(tmp_path), "--no-ui", "--speed", "max", faults="journal.fsync=eio@3") as child:
        assert child.end().code == 1
    ended = again(tmp_path)
    assert (ended.code, ended.last_line) == (0, LAST_LINE), ended
    assert "goes on after cycle" in ended.out
    assert_whole(tmp_path, content)


@pytest.mark.parametrize("kind", ["symlink", "fifo"])
@pytest.mark.parametrize(
    "place", ["run/daemon.lock", "run/inbox", "logs/decision_journal/demo.jsonl", "logs/runtime/demo.log", "data/journal/demo"]
)
def test_what_is_no_file_of_ours_is_refused_and_left_alone(tmp_path: Path, kind: str, place: str) -> None:
    path, victim = tmp_path / "data" / place, tmp_path / "victim"
    path.parent.mkdir(parents=True)
    victim.write_text("precious")
    if kind == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to(victim)
    said = ("run", "--data-dir", tmp_path / "data", "--config", short_config(tmp_path), "--metrics-port", 0, "--no-ui")
    ended = dudzian(tmp_path, *said)
    assert ended.code == 2, ended
    assert f"at {path}, found" in one_line(ended)
    assert (victim.read_text(), path.is_symlink() or stat.S_ISFIFO(path.stat().st_mode)) == ("precious", True)


@pytest.mark.parametrize("place", ["run/daemon.lock", "logs/decision_journal/demo.jsonl", "logs/runtime/demo.log"])
def test_a_second_name_of_a_file_that_is_not_ours_is_not_written_through(tmp_path: Path, place: str) -> None:
    path, victim = tmp_path / "data" / place, tmp_path / "victim"
    path.parent.mkdir(parents=True)
    victim.write_text("precious\n")
    path.hardlink_to(victim)
    short_config(tmp_path)
    ended = again(tmp_path)
    assert (ended.code, victim.read_text()) == (2, "precious\n"), ended
    assert f"expected a file with one name at {path}, found a hard link" in one_line(ended)


def test_files_are_private_whatever_the_umask(tmp_path: Path) -> None:
    config = short_config(tmp_path)
    before = os.umask(0)
    try:
        assert again(tmp_path).code == 0
    finally:
        os.umask(before)
    assert config.exists()
    files = [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
    modes = {stat.S_IMODE(path.stat().st_mode) for path in files}
    assert modes <= {0o600, 0o640}, [(path, oct(path.stat().st_mode)) for path in files]
    journal = journal_file(tmp_path / "data")
    assert (stat.S_IMODE(journal.stat().st_mode), stat.S_IMODE(journal.parent.stat().st_mode)) == (0o600, 0o700)
    folders = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "data").rglob("*") if path.is_dir()}
    assert folders <= {0o700, 0o750}
