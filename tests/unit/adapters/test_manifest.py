"""The manifest: what was written is read, by both faces, and nothing that was altered is believed."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import anyio
import msgspec
import pytest

from dudzian_daemon.adapters.manifest import FILE_NAME, Manifest, MonthFile, load_manifest, read_manifest, writing
from dudzian_daemon.domain.errors import ConfigError, IntegrityError, StorageError
from dudzian_daemon.domain.market import Series

JANUARY = MonthFile("binance:BTC/USDT", "1d", 2024, 1, 31, 1_704_067_200_000, 1_706_659_200_000, 2352, "a" * 64, "exchange")
FEBRUARY = MonthFile("binance:BTC/USDT", "1d", 2024, 2, 29, 1_706_745_600_000, 1_709_164_800_000, 2299, "b" * 64, "backfill+exchange")
HOURS = MonthFile("binance:BTC/USDT", "1h", 2023, 12, 5, 1_701_388_800_000, 1_701_403_200_000, 900, "c" * 64, "exchange")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    with writing(tmp_path) as writer:
        writer.commit([FEBRUARY, HOURS, JANUARY])
    return tmp_path


def execute(root: Path, *statements: str) -> None:
    with closing(sqlite3.connect(root / FILE_NAME, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


async def test_both_faces_read_what_was_committed(root: Path) -> None:
    expected = Manifest({file.key: file for file in (JANUARY, FEBRUARY, HOURS)})
    assert await read_manifest(root) == expected
    assert await read_manifest(root, immutable=True) == expected


def test_files_are_grouped_by_series_in_order_of_time(root: Path) -> None:
    manifest = load_manifest(root)
    assert manifest.by_series == {Series("binance:BTC/USDT", "1d"): [JANUARY, FEBRUARY], Series("binance:BTC/USDT", "1h"): [HOURS]}
    assert manifest.sources == {"backfill", "exchange"}


@pytest.fixture(params=[load_manifest, lambda root: anyio.run(read_manifest, root)], ids=["blocking", "asynchronous"])
def read(request: pytest.FixtureRequest) -> Callable[[Path], Manifest]:
    face: Callable[[Path], Manifest] = request.param
    return face


def test_a_store_that_was_never_written_claims_nothing(tmp_path: Path, read: Callable[[Path], Manifest]) -> None:
    assert read(tmp_path) == Manifest()
    (tmp_path / FILE_NAME).touch()
    assert read(tmp_path) == Manifest()
    with writing(tmp_path) as writer:
        assert writer.manifest == Manifest()
    assert read(tmp_path) == Manifest()


def test_intentions_stand_beside_what_is_there_until_the_commit(root: Path) -> None:
    better = msgspec.structs.replace(JANUARY, sha256="d" * 64)
    with writing(root) as writer:
        writer.intend([better])
    manifest = load_manifest(root)
    assert (manifest.current[JANUARY.key], manifest.intended) == (JANUARY, {JANUARY.key: better})
    with writing(root) as writer:
        writer.commit([better])
    manifest = load_manifest(root)
    assert (manifest.current[JANUARY.key], manifest.intended) == (better, {})


def test_equal_histories_give_equal_bytes(tmp_path: Path) -> None:
    contents = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        with writing(tmp_path / name) as writer:
            writer.intend([JANUARY])
            writer.commit([JANUARY])
        contents.append((tmp_path / name / FILE_NAME).read_bytes())
    assert contents[0] == contents[1]


def test_opening_to_write_and_writing_nothing_changes_no_byte(root: Path) -> None:
    before = (root / FILE_NAME).read_bytes()
    with writing(root):
        pass
    assert (root / FILE_NAME).read_bytes() == before
    assert [path.name for path in root.iterdir()] == [FILE_NAME]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE files SET rows = 30 WHERE month = 1",
        "UPDATE files SET sha256 = 'e' WHERE month = 2",
        "UPDATE files SET source = X'00' WHERE month = 2",
        "DELETE FROM files WHERE granularity = '1h'",
        "DELETE FROM digest",
        "UPDATE digest SET sha256 = ''",
        "UPDATE files SET state = 'intended' WHERE month = 2",
        "INSERT INTO files VALUES ('current', 'binance:BTC/USDT', '1d', 2024, 3, 1, 1, 1, 1, '', '')",
        "DROP TABLE digest",
        "DROP TABLE files",
        "PRAGMA user_version = 0",
    ],
)
def test_a_manifest_that_was_altered_is_not_believed(root: Path, read: Callable[[Path], Manifest], statement: str) -> None:
    execute(root, statement)
    with pytest.raises(IntegrityError, match=FILE_NAME):
        read(root)
    with pytest.raises(IntegrityError, match=FILE_NAME), writing(root):
        pass


def test_the_layout_of_another_version_is_named(root: Path) -> None:
    execute(root, "PRAGMA user_version = 2")
    with pytest.raises(IntegrityError, match=r"expected layout 1, found .*2.*another version"):
        load_manifest(root)


def test_what_is_no_database_is_damage_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"rubbish" * 1000)
    with pytest.raises(IntegrityError, match=r"is not what was written: restore it .*dudzian seed-paper-cache"):
        load_manifest(tmp_path)


@pytest.mark.parametrize("word", [b"last_ms", b"NULL", b"files", b"WITHOUT ROWID"])
def test_a_damaged_schema_is_damage_even_where_it_cannot_be_decoded(root: Path, read: Callable[[Path], Manifest], word: bytes) -> None:
    content = (root / FILE_NAME).read_bytes()
    (root / FILE_NAME).write_bytes(content.replace(word, bytes([word[0] | 0x80]) + word[1:], 1))
    with pytest.raises(IntegrityError, match=FILE_NAME) as caught:
        read(root)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions and symlinks")
def test_the_file_has_its_own_mode_and_is_never_a_symlink(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with writing(tmp_path):
            pass
    finally:
        os.umask(before)
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o640
    (tmp_path / FILE_NAME).rename(tmp_path / "elsewhere")
    (tmp_path / FILE_NAME).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="found a symlink"):
        load_manifest(tmp_path)
    with pytest.raises(ConfigError, match="found a symlink"), writing(tmp_path):
        pass


def test_a_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises((ConfigError, StorageError), match="gone"), writing(tmp_path / "gone"):
        pass
