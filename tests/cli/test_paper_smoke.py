"""`dudzian run-daily-trend --paper-smoke`: from seed to report on an empty disk, without a connection, with its rows and codes."""

from __future__ import annotations

import json
import shutil
import zipfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from dudzian_daemon.adapters.zip_archive import zipped
from dudzian_daemon.cli.main import main
from dudzian_daemon.config.places import bundled

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


def alerts(data: Path) -> list[dict[str, Any]]:
    """Lines of the alerts' audit that the last run has added; the file is taken away."""
    path = data / "logs" / "alerts_audit.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    path.unlink()
    return lines


def test_both_alerts_of_a_smoke_run_reach_the_channel_and_the_audit(seeded: Path, tmp_path: Path) -> None:
    data = shutil.copytree(seeded, tmp_path / "data", ignore=shutil.ignore_patterns("logs"))
    out = tmp_path / "out"
    assert smoke(data, out, "--archive-smoke", "--paper-smoke-summary-json", tmp_path / "n.json") == 0
    ended, entered = alerts(data)
    report, record = the_report(out), json.loads((out / "log.jsonl").read_text())
    digest = sha256((report / "summary.json").read_bytes()).hexdigest()
    assert (ended["code"], ended["category"], ended["severity"]) == ("PAPER-SMOKE", "paper_smoke", "warning"), "too little warm-up"
    assert (ended["channel"], ended["status"], "binance_paper" in ended["title"]) == ("file:local", "OK", True)
    assert {name: ended["context"][name] for name in ("environment", "report_dir", "orders", "summary_sha256", "archive_path")} == {
        "environment": "binance_paper",
        "report_dir": str(report),
        "orders": "0",
        "summary_sha256": digest,
        "archive_path": str(report.with_suffix(".zip")),
    }
    assert (ended["context"]["storage_status"], ended["context"]["paper_precheck_status"]) == ("ok", "skipped")
    assert Path(ended["context"]["summary_text_path"]).is_file() and Path(ended["context"]["readme_path"]).is_file()
    assert (entered["code"], entered["category"], entered["severity"]) == ("PAPER-SMOKE-COMPLIANCE", "paper_smoke_compliance", "info")
    facts = {
        "environment": "binance_paper",
        "markdown_log_path": str(out / "log.md"),
        "markdown_entry_id": "S-0001",
        "json_log_path": str(out / "log.jsonl"),
        "json_record_id": record["record_id"],
        "json_log_copy": "none is configured",
        "summary_sha256": digest,
        "operator": "jan",
        "paper_precheck_status": "skipped",
    }
    assert entered["context"] == facts
    told = [json.loads(line) for line in (data / "logs" / "alerts.jsonl").read_text().splitlines()]
    assert [each["code"] for each in told] == ["PAPER-SMOKE", "PAPER-SMOKE-COMPLIANCE"]
    assert told[1]["runbook"].endswith("#paper-smoke-compliance")
    assert [(each["code"], each["status"]) for each in json.loads((tmp_path / "n.json").read_text())["alerts"]] == [
        ("PAPER-SMOKE", "OK"),
        ("PAPER-SMOKE-COMPLIANCE", "OK"),
    ]
    assert json.loads((report / "summary.json").read_text())["alert_snapshot"]["status"] == "file:local ok"
    assert "| file:local ok |" in rows(out)[0]


def test_without_a_log_there_is_no_compliance_and_a_failed_publication_is_an_error(seeded: Path, tmp_path: Path) -> None:
    data = shutil.copytree(seeded, tmp_path / "data", ignore=shutil.ignore_patterns("logs"))
    assert smoke(data, tmp_path / "a", "--paper-smoke-audit-log", "", "--paper-smoke-json-log", "") == 0
    assert [line["code"] for line in alerts(data)] == ["PAPER-SMOKE"]
    assert smoke(data, tmp_path / "b", "--paper-smoke-json-log", "") == 0
    assert [(line["code"], line["context"].get("json_record_id")) for line in alerts(data)][1] == ("PAPER-SMOKE-COMPLIANCE", None)
    assert smoke(data, tmp_path / "c", "--paper-smoke-auto-publish-required") == 6
    ended, _ = alerts(data)
    assert (ended["severity"], ended["context"]["publish_required"]) == ("error", "true")


def test_a_channel_that_is_down_has_a_stand_in_and_costs_no_exit_code(
    seeded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = shutil.copytree(seeded, tmp_path / "data", ignore=shutil.ignore_patterns("logs"))
    config = shutil.copytree(bundled("config"), tmp_path / "config")
    core = config / "core.yaml"
    core.write_text(core.read_text().replace("alert_channels: [file:local]", "alert_channels: [telegram:primary, file:local]"))
    routes = (config / "alerts.yaml").read_text().replace("info: [telegram:primary, file:local]", "info: [telegram:primary]")
    (config / "alerts.yaml").write_text(routes)
    assert smoke(data, tmp_path / "out", "--config", core) == 0
    sent = [(line["code"], line["channel"], line["status"], line["fallback"]) for line in alerts(data)]
    assert sent == [
        ("PAPER-SMOKE", "telegram:primary", "ERROR", False),
        ("PAPER-SMOKE", "file:local", "OK", False),
        ("PAPER-SMOKE-COMPLIANCE", "telegram:primary", "ERROR", False),
        ("PAPER-SMOKE-COMPLIANCE", "file:local", "OK", True),
    ]
    said = capsys.readouterr()
    assert said.err.count("alert PAPER-SMOKE") == 2 and "telegram:primary: ERROR" in said.err
    assert "alert             PAPER-SMOKE-COMPLIANCE to file:local: OK" in said.out
    assert "telegram:primary error, file:local ok" in rows(tmp_path / "out")[0]


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
