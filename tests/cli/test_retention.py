"""`dudzian retention run`: the old is packed, moved and still proven; nothing younger and nothing that is needed is touched."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from dudzian_daemon.adapters.journal_archive import pack
from dudzian_daemon.adapters.keychain import read_key_file
from dudzian_daemon.cli.main import main
from dudzian_daemon.kernel.clock import SystemClock
from tests.integration.daemon_process import daemon, dudzian, short_config, tree, verdicts
from tests.scenario.verdicts import STANDALONE

DAY_S = 86_400


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with two closed sessions."""
    home = tmp_path_factory.mktemp("recorded")
    config = short_config(home)
    for _ in range(2):
        with daemon(home, "--config", config, "--speed", "max", "--no-ui") as child:
            assert child.end().code == 0
    return home


@pytest.fixture
def home(recorded: Path, tmp_path: Path) -> Path:
    return shutil.copytree(recorded, tmp_path / "home", ignore=shutil.ignore_patterns("trace-*"))


def age(path: Path, days: float) -> None:
    then = SystemClock().wall_ns() / 1e9 - days * DAY_S
    os.utime(path, (then, then))


def age_all(folder: Path, days: float) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            age(path, days)


def retention(home: Path, capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> dict[str, Any]:
    capsys.readouterr()
    places = ("--data-dir", home / "data", "--config", home / "config" / "core.yaml")
    with pytest.raises(SystemExit) as ended:
        main(["retention", "run", "--json", *map(str, places), *map(str, arguments)])
    assert int(ended.value.code or 0) == code
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def test_what_is_young_is_not_touched(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    age_all(home / "data", 29.9)
    before = tree(home / "data")
    assert retention(home, capsys)["items"] == []
    assert tree(home / "data") == before


def test_what_is_old_moves_and_stays_proven(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = home / "data"
    rotated = data / "logs" / "runtime" / "demo.log.1"
    rotated.write_text("a line\n")
    age_all(data, 31)
    counted = len(verdicts(home))
    ledgers = sorted(path.name for path in (data / "data" / "ledger" / "demo").iterdir())
    contents = {path.name: sha256(path.read_bytes()).hexdigest() for path in (data / "data" / "ledger" / "demo").iterdir()}
    before = tree(data)
    planned = retention(home, capsys, "--dry-run")
    assert tree(data) == before
    done = retention(home, capsys)
    assert [each["path"] for each in done["items"]] == [each["path"] for each in planned["items"]]
    assert {each["action"] for each in done["items"]} == {"archived"}
    kinds = {each["kind"] for each in done["items"]}
    assert kinds == {"runtime_log", "session", "ledger", "decision_log", "report"}
    sealed = data / "audit" / "decisions"
    archived = {path.name.removesuffix(".gz"): path for path in (sealed / "ledger" / "demo").iterdir()}
    assert sorted(archived) == ledgers[:-2]
    assert {name: sha256(gzip.decompress(path.read_bytes())).hexdigest() for name, path in archived.items()} == {
        name: contents[name] for name in archived
    }
    assert verified(home, sealed) == 0
    assert counted > 0 and len(list((data / "data" / "journal" / "demo").iterdir())) == 1
    assert (data / "logs" / "runtime" / "demo.log").exists() and not rotated.exists()
    lines = [json.loads(line) for line in (data / "audit" / "archive" / "manifest.jsonl").read_text().splitlines()]
    assert all((data / line["to"]).is_file() for line in lines)
    assert retention(home, capsys)["items"] == []


def test_an_open_session_keeps_its_decision_log(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = home / "data"
    for path in (data / "data" / "journal" / "demo").glob("*/*.jsonl"):
        path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))  # neither has its last entry
    age_all(data, 400)
    kinds = {each["kind"] for each in retention(home, capsys)["items"]}
    assert kinds == {"ledger", "report"}


def test_a_session_whose_segments_were_packed_before_is_archived_with_its_heads(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As one that was open for a month: what is packed already stands in the archive byte for byte, and its heads are held against it."""
    data, sealed = home / "data", home / "data" / "audit" / "decisions"
    for segment in (data / "data" / "journal" / "demo").glob("*/*.jsonl"):
        segment.with_name(f"{segment.name}.gz").write_bytes(gzip.compress(segment.read_bytes()))
        segment.unlink()
    age_all(data, 40)
    done = retention(home, capsys)
    assert {each["action"] for each in done["items"]} == {"archived"}
    (folder,) = (sealed / "journal" / "demo").iterdir()
    (segment,) = folder.glob("*.jsonl.gz")
    lines = gzip.decompress(segment.read_bytes()).splitlines(keepends=True)
    for text, code in ((lines, 0), (lines[:-1], 1)):
        segment.write_bytes(gzip.compress(b"".join(text)))
        assert verified(home, folder) == code


def test_a_segment_that_a_crash_left_plain_and_packed_is_one(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a kill between the rename and the removal of a packing leaves, in a session that goes into the archive."""
    data, sealed = home / "data", home / "data" / "audit" / "decisions"
    for segment in (data / "data" / "journal" / "demo").glob("*/*.jsonl"):
        segment.with_name(f"{segment.name}.gz").write_bytes(gzip.compress(segment.read_bytes(), compresslevel=6))
        assert verified(home, segment.parent) == 0
    age_all(data, 40)
    assert {each["action"] for each in retention(home, capsys)["items"]} <= {"archived", "packed"}
    assert (verified(home, sealed), verified(home, data / "data" / "journal")) == (0, 0)
    assert retention(home, capsys)["items"] == []


@pytest.mark.parametrize("fault", ["files.rename=enospc@2", "files.renamed=exit@2"])
def test_an_archiving_that_was_cut_short_is_finished_by_the_next(home: Path, capsys: pytest.CaptureFixture[str], fault: str) -> None:
    """Though the session that stayed was packed in place meanwhile."""
    data, sealed = home / "data", home / "data" / "audit" / "decisions"
    for folder in ("data/reports", "data/ledger", "logs"):
        shutil.rmtree(data / folder)
    age_all(data, 40)
    places = ("--data-dir", data, "--config", home / "config" / "core.yaml")
    assert dudzian(home, "retention", "run", *places, faults=fault).code in (1, 137)
    assert (len(list((data / "data" / "journal" / "demo").iterdir())), verified(home, data / "data" / "journal")) == (2, 0)
    for segment in (data / "data" / "journal" / "demo").glob("*/*.jsonl"):
        pack(segment)
    age_all(data, 40)
    capsys.readouterr()
    assert [each["action"] for each in retention(home, capsys)["items"]] == ["archived"]
    assert (verified(home, sealed), verified(home, data / "data" / "journal")) == (0, 0)
    lines = [json.loads(line) for line in (data / "audit" / "archive" / "manifest.jsonl").read_text().splitlines()]
    for line in lines:
        stored = (data / line["to"]).read_bytes()
        content = gzip.decompress(stored) if line["to"].endswith(".gz") and not line["from"].endswith(".gz") else stored
        assert (line["sha256"], line["bytes"]) == (sha256(content).hexdigest(), len(content))


def test_the_removal_of_a_session_that_was_cut_short_is_finished_by_the_next(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its copy stands, it has lost its name, and some of its files are gone: no verifier takes the rest for a log."""
    data = home / "data"
    journals = data / "data" / "journal" / "demo"
    session = min(journals.iterdir(), key=lambda each: each.stat().st_mtime_ns)
    gone = session.rename(journals / f".archived-{session.name}")
    (segment,) = gone.glob("*.jsonl")
    segment.write_bytes(b"".join(segment.read_bytes().splitlines(keepends=True)[9:]))
    assert verified(home, journals) == 0
    retention(home, capsys, "--dry-run")
    assert gone.exists()
    assert retention(home, capsys)["items"] == []
    assert not gone.exists()


def test_heads_that_an_earlier_version_packed_are_held_against_their_log(recorded: Path, tmp_path: Path) -> None:
    session = next((recorded / "data" / "data" / "journal" / "demo").iterdir())
    folder = shutil.copytree(session, tmp_path / session.name)
    heads, (segment,) = folder / "heads.log", folder.glob("*.jsonl")
    told, lines = heads.read_bytes(), segment.read_bytes()
    packed = folder / "heads.log.gz"
    packed.write_bytes(gzip.compress(told))
    assert verified(recorded, folder) == 0  # both, as an interrupted archiving left them
    heads.unlink()
    assert verified(recorded, folder) == 0
    segment.write_bytes(b"".join(lines.splitlines(keepends=True)[:-1]))
    assert verified(recorded, folder) == 1
    segment.write_bytes(lines)
    for damaged in (gzip.compress(told)[:-9], b"no gzip at all", gzip.compress(told.replace(b'"line":', b'"line":1', 1))):
        packed.write_bytes(damaged)
        assert verified(recorded, folder) == 1
    packed.write_bytes(gzip.compress(told))
    heads.write_bytes(told.replace(folder.name.encode(), session.name[::-1].encode()))  # of another log
    assert verified(recorded, folder) == 1


def verified(home: Path, path: Path) -> int:
    """Exit code of `verify-decision-log`; the standalone verifier must give the same."""
    key = next(home.rglob("*.key"))
    with pytest.raises(SystemExit) as ended:
        main(["verify-decision-log", str(path), "--hmac-key-file", str(key)])
    code = int(ended.value.code or 0)
    assert STANDALONE.verify(path, read_key_file(key))[0] == code
    return code


@pytest.mark.parametrize("name", ["daily/2026-01-01/demo.zip", "sessions/report.json"])
def test_a_report_that_was_made_again_goes_beside_the_first(home: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    """As often as it is made: each content is kept once, the first under the plain name, any other with its digest in the name."""
    data, archive = home / "data", home / "data" / "audit" / "archive" / "reports"
    report = data / "data" / "reports" / name
    packed = ".gz" if name.endswith(".json") else ""
    first, *others = contents = [b"as it was made first", b"made again", b"and again", b"made again", b"as it was made first"]
    plain, named = archive / f"{name}{packed}", [archive / named_by(name, content, packed) for content in others]
    for content, target in zip(contents, [plain, *named[:-1], plain], strict=True):
        report.parent.mkdir(parents=True, exist_ok=True)
        report.write_bytes(content)
        age(report, 40)
        (planned,) = retention(home, capsys, "--dry-run")["items"]
        (item,) = retention(home, capsys)["items"]
        assert (item["action"], item["target"], item["beside"]) == ("archived", str(target), "" if target == plain else str(plain))
        assert (planned["target"], planned["beside"], report.exists()) == (item["target"], item["beside"], False)
    kept = {path: (gzip.decompress(path.read_bytes()) if packed else path.read_bytes()) for path in plain.parent.iterdir()}
    assert kept == {plain: first, named[0]: b"made again", named[1]: b"and again"}
    lines = [json.loads(line) for line in (data / "audit" / "archive" / "manifest.jsonl").read_text().splitlines()]
    assert {data / line["to"]: line["sha256"] for line in lines} == {path: sha256(content).hexdigest() for path, content in kept.items()}


def named_by(name: str, content: bytes, packed: str) -> str:
    stem, _, ending = name.rpartition(".")
    return f"{stem}.{sha256(content).hexdigest()[:12]}.{ending}{packed}"


def test_the_line_of_a_report_that_was_made_again_says_so(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = home / "data"
    report = next((data / "data" / "reports" / "sessions").iterdir())
    age(report, 40)
    there = data / "audit" / "archive" / "reports" / "sessions" / f"{report.name}.gz"
    there.parent.mkdir(parents=True)
    there.write_bytes(b"no gzip at all")
    with pytest.raises(SystemExit) as ended:
        main(["retention", "run", "--data-dir", str(data), "--config", str(home / "config" / "core.yaml")])
    (line,) = capsys.readouterr().out.splitlines()
    assert (ended.value.code, line.endswith(f"; another content of that name stays at {there}")) == (0, True), line
    assert there.read_bytes() == b"no gzip at all"


def test_a_sealed_file_is_never_put_beside_another_content(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = home / "data"
    ledger = sorted((data / "data" / "ledger" / "demo").iterdir())[0]
    age(ledger, 40)
    there = data / "audit" / "decisions" / "ledger" / "demo" / f"{ledger.name}.gz"
    there.parent.mkdir(parents=True)
    for other in (gzip.compress(b"something else"), b"no gzip at all"):
        there.write_bytes(other)
        (item,) = retention(home, capsys, code=1)["items"]
        assert (item["action"], "holds another content" in item["reason"]) == ("failed", True)
        assert ledger.exists() and there.read_bytes() == other


def test_what_is_being_written_is_not_archived(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = home / "data"
    (older,) = sorted((data / "data" / "journal" / "demo").iterdir(), key=lambda each: each.stat().st_mtime_ns)[:1]
    for path in (older / ".heads.log.x1.tmp", data / "data" / "reports" / "sessions" / ".report.json.x1.tmp"):
        path.write_bytes(b"half of it")
    age_all(data, 40)
    retention(home, capsys)
    assert not list((data / "audit").rglob(".*"))


def test_the_archive_loses_only_what_was_kept_long_enough(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = home / "data"
    age_all(data / "data" / "reports", 40)
    retention(home, capsys)
    assert retention(home, capsys, "--delete-expired")["items"] == []
    manifest = data / "audit" / "archive" / "manifest.jsonl"
    records = [json.loads(line) for line in manifest.read_text().splitlines()]
    records[0] |= {"at": "2020-01-01", "keep_until": "2022-01-01"}
    records[1] |= {"keep_until": "2022-01-01"}  # says so, and is not two years old
    manifest.write_text("".join(json.dumps(record) + "\n" for record in records))
    (item,) = retention(home, capsys, "--delete-expired")["items"]
    assert (item["action"], item["path"]) == ("deleted", str(data / records[0]["to"]))
    assert not (data / records[0]["to"]).exists() and (data / records[1]["to"]).exists()
