"""`dudzian run-daily-trend --paper-smoke`: from seed to report on an empty disk, without a connection, with its rows and codes."""

from __future__ import annotations

import json
import zipfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from dudzian_daemon.adapters.zip_archive import zipped
from dudzian_daemon.cli.main import main

WINDOW = ("--date-window", "2024-01-01:2024-02-15")


def ask(command: str, *arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([command, *map(str, arguments)])
    return int(ended.value.code or 0)


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder as the runbook's seed leaves it."""
    folder = tmp_path_factory.mktemp("seeded")
    arguments = ("--environment", "binance_paper", "--days", 60, "--start-date", "2024-01-01", "--interval", "1d")
    assert ask("seed-paper-cache", *arguments, "--data-dir", folder) == 0
    return folder


def smoke(data: Path, out: Path, *arguments: object) -> int:
    flags = ("--paper-smoke", "--run-once", *WINDOW, "--skip-paper-precheck", "--paper-smoke-operator", "jan", "--smoke-output", out)
    places = ("--paper-smoke-audit-log", out / "log.md", "--paper-smoke-json-log", out / "log.jsonl")
    return ask("run-daily-trend", *flags, *places, "--data-dir", data, *arguments)


def the_report(out: Path) -> Path:
    (folder,) = (path for path in out.glob("daily_trend_smoke_*") if path.is_dir())
    return folder


def rows(out: Path) -> list[str]:
    return [line for line in (out / "log.md").read_text().splitlines() if line.startswith("| S-")]


def test_a_smoke_run_leaves_its_report_its_archive_and_its_rows(seeded: Path, tmp_path: Path) -> None:
    assert smoke(seeded, tmp_path, "--archive-smoke", "--paper-smoke-summary-json", tmp_path / "n.json") == 0
    folder = the_report(tmp_path)
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert sorted(files) == ["README.txt", "ledger.jsonl", "summary.json", "summary.txt"]
    summary: dict[str, Any] = json.loads(files["summary.json"])
    assert summary["window"] == {"start": "2024-01-01", "end": "2024-02-15"}
    assert (summary["environment"], summary["decisions"], summary["ledger_entries"]) == ("binance_paper", 46, 1)
    assert summary["data_checks"]["paper_precheck"] == {"status": "skipped", "reason": "cli_flag", "skip_reason": "cli_flag"}
    assert any("insufficient_warm_up" in text for text in summary["warnings"])
    digest = sha256(files["summary.json"]).hexdigest()
    assert digest in files["summary.txt"].decode() and digest in files["README.txt"].decode()
    assert "24 months" in files["README.txt"].decode()
    packed = folder.with_suffix(".zip").read_bytes()
    assert packed == zipped(files)
    with zipfile.ZipFile(folder.with_suffix(".zip")) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == files
    (row,) = rows(tmp_path)
    assert "| S-0001 |" in row and "| jan | binance_paper | 2024-01-01 to 2024-02-15 |" in row and digest in row
    record = json.loads((tmp_path / "log.jsonl").read_text())
    assert (record["markdown_entry_id"], record["summary_sha256"], record["operator"]) == ("S-0001", digest, "jan")
    assert record["record_id"].startswith("J-") and record["record_id"].endswith(digest[:8])
    told = json.loads((tmp_path / "n.json").read_text())
    assert (told["status"], told["report"]["summary_sha256"], told["archive"]["sha256"]) == ("ok", digest, sha256(packed).hexdigest())
    assert told["json_log"]["record"] == record


def test_the_summary_becomes_markdown(seeded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert smoke(seeded, tmp_path, "--paper-smoke-summary-json", tmp_path / "n.json") == 0
    assert ask("render-paper-smoke-summary", "--summary-json", tmp_path / "n.json", "--output", tmp_path / "n.md") == 0
    text = (tmp_path / "n.md").read_text()
    assert "| Status | ok |" in text and "insufficient_warm_up" in text
    capsys.readouterr()
    (tmp_path / "n.json").write_text("{}")
    assert ask("render-paper-smoke-summary", "--summary", tmp_path / "n.json") == 2
    assert "expected a summary of a smoke run" in capsys.readouterr().err


def test_too_little_space_and_a_publication_that_must_not_be_missing(seeded: Path, tmp_path: Path) -> None:
    assert smoke(seeded, tmp_path / "a", "--smoke-min-free-mb", "1e12") == 0
    storage = json.loads((the_report(tmp_path / "a") / "summary.json").read_text())["storage"]
    assert (storage["status"], storage["threshold_mb"]) == ("low", 1e12)
    wanting = ("--smoke-min-free-mb", "1e12", "--smoke-fail-on-low-space")
    assert smoke(seeded, tmp_path / "b", *wanting) == 4
    assert the_report(tmp_path / "b").is_dir() and len(rows(tmp_path / "b")) == 1
    assert smoke(seeded, tmp_path / "c", *wanting, "--paper-smoke-auto-publish-required") == 6
    assert smoke(seeded, tmp_path / "d", "--paper-smoke-auto-publish") == 0


def test_without_candles_nothing_is_written(seeded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        ask(
            "run-daily-trend",
            "--paper-smoke",
            "--date-window",
            "2024-02-20:2024-04-01",
            "--data-dir",
            seeded,
            "--skip-paper-precheck",
            "--smoke-output",
            tmp_path / "out",
        )
        == 5
    )
    assert "are missing: binance:BTC/USDT 1d (" in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("daily_*"))


def test_rows_are_added_and_what_people_wrote_stays(seeded: Path, tmp_path: Path) -> None:
    assert smoke(seeded, tmp_path) == 0
    log = tmp_path / "log.md"
    log.write_text(log.read_text().replace("## C.", "A remark of ours.\n\n## C."))
    before = log.read_text().splitlines()
    assert smoke(seeded, tmp_path) == 0
    assert [row[:10] for row in rows(tmp_path)] == ["| S-0001 |", "| S-0002 |"]
    assert [line for line in log.read_text().splitlines() if line in before] == before
    assert smoke(seeded, tmp_path / "none", "--paper-smoke-audit-log", "", "--paper-smoke-json-log", "") == 0
    assert not (tmp_path / "none" / "log.md").exists()
