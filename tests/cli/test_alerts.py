"""`dudzian alerts` and `dudzian send-alert`: what they tell, what they write, and their exit codes, also for wrong input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dudzian_daemon.adapters.platform import InstanceLock
from dudzian_daemon.cli.main import main
from dudzian_daemon.domain.alerts import AlertCode, alert
from dudzian_daemon.sinks.alerts.book import AlertBook, ChannelHealth, read_book, write_book

Capture = pytest.CaptureFixture[str]


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([*map(str, arguments)])
    return int(ended.value.code or 0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data folder with two alerts and a channel in its book."""
    import msgspec

    book = AlertBook(channels={"sms:a": ChannelHealth(status="error", detail="no answer")})
    for number, code in enumerate((AlertCode.DATA_LAG, AlertCode.RISK_REFUSED), start=1):
        made = alert(code, f"title {number}", subject=f"s{number}")
        book.track(msgspec.structs.replace(made, log_id="log", sequence=number, at=1_704_067_200_000_000_000))
    write_book(tmp_path, msgspec.json.encode(book))
    return tmp_path


def audit(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "logs" / "alerts_audit.jsonl").read_text().splitlines()]


def test_list_shows_what_is_open_and_says_by_its_code_whether_something_critical_is(folder: Path, capsys: Capture) -> None:
    assert run("alerts", "list", "--data-dir", folder) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 and lines[0].endswith("open         critical DATA-LAG: title 1") and lines[0][10:30] == "2024-01-01T00:00:00Z"
    assert lines[2] == "channel sms:a: error, no answer"
    assert run("alerts", "ack", read_book(folder).alerts[0].id[:5], "--operator", "jan", "--data-dir", folder) == 0
    capsys.readouterr()
    assert run("alerts", "list", "--json", "--data-dir", folder) == 0
    document = json.loads(capsys.readouterr().out)
    assert [each["state"] for each in document["alerts"]] == ["acknowledged", "open"] and document["waiting"] == 0


def test_an_empty_data_folder_has_no_alert(tmp_path: Path, capsys: Capture) -> None:
    assert run("alerts", "list", "--data-dir", tmp_path) == 0
    assert capsys.readouterr().out == "no alert is open\n"
    assert list(tmp_path.iterdir()) == []


def test_closing_writes_book_and_incident(folder: Path, capsys: Capture) -> None:
    first, second = read_book(folder).alerts
    assert run("alerts", "close", first.id, "--operator", "eva", "--note", "refetched", "--data-dir", folder, "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"id": first.id, "state": "closed", "operator": "eva", "note": "refetched"}
    assert [each.state for each in read_book(folder).alerts] == ["closed", "open"]
    (incident,) = (folder / "audit" / "incidents").glob(f"*-DATA-LAG-{first.id}.json")
    assert json.loads(incident.read_text())["operator"] == "eva"
    assert run("alerts", "close", second.id, "--data-dir", folder) == 0
    assert len(list((folder / "audit" / "incidents").iterdir())) == 1, "a warning is no incident"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("alerts", "close", "zzz"), "expected the id of one alert, found 'zzz', which none has; look at: dudzian alerts list"),
        (("alerts", "ack", ""), "found '', which none has"),
        (("alerts", "test", "--channel", "nothing"), "unknown alert channel 'nothing'; known: file, telegram, email, sms"),
        (("alerts", "test", "-e", "kraken_paper"), "environment 'kraken_paper' has no alert channel"),
        (("send-alert", "--channel", "telegramm", "--message", "x"), "unknown alert channel 'telegramm'; did you mean 'telegram'?"),
        (("send-alert", "--channel", "file", "--message", " "), "--message: expected some text, found none"),
        (
            ("send-alert", "--channel", "file", "--message", "x", "--severity", "high"),
            "expected one of info, warning, error, critical, found 'high'",
        ),
        (("send-alert", "--channel", "file", "--message", "x", "-e", "nowhere"), "unknown environment 'nowhere'"),
    ],
)
def test_wrong_input_is_one_line_and_nothing_is_written(folder: Path, capsys: Capture, arguments: tuple[str, ...], words: str) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "daemon.lock"}
    assert run(*arguments, "--data-dir", folder) == 2
    told = capsys.readouterr()
    assert told.out == "" and told.err.count("\n") == 1 and words in told.err
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "daemon.lock"} == before


def test_a_damaged_book_is_said_with_what_to_do(folder: Path, capsys: Capture) -> None:
    (folder / "run" / "alerts.json").write_text('{"alerts": 3}')
    assert run("alerts", "list", "--data-dir", folder) == 2
    assert "move the file away to begin with none" in capsys.readouterr().err


def test_without_an_answering_daemon_the_file_is_not_touched(folder: Path, capsys: Capture) -> None:
    (folder / "run" / "inbox" / "replies").mkdir(parents=True)
    lock = InstanceLock.acquire(folder)
    try:
        assert run("alerts", "close", read_book(folder).alerts[0].id, "--timeout", "0.1", "--data-dir", folder) == 1
    finally:
        lock.release()
    assert "has not answered alert_close within 0.1 s" in capsys.readouterr().err
    assert read_book(folder).alerts[0].state == "open"


def test_send_alert_delivers_and_leaves_a_line_in_the_audit(tmp_path: Path, capsys: Capture) -> None:
    assert run("send-alert", "--channel", "file", "--message", "Paper trading start test", "--data-dir", tmp_path) == 0
    assert capsys.readouterr().out == "file:local: OK, written to alerts.jsonl\n"
    assert json.loads((tmp_path / "logs" / "alerts.jsonl").read_text())["body"] == "Paper trading start test"
    (line,) = audit(tmp_path)
    facts = {key: line[key] for key in ("channel", "status", "severity", "code", "message", "response", "category")}
    assert facts == {
        "channel": "file:local",
        "status": "OK",
        "severity": "info",
        "code": "TEST",
        "message": "Paper trading start test",
        "response": "written to alerts.jsonl",
        "category": "test",
    }


def test_a_channel_that_is_down_is_exit_1_with_an_error_in_the_audit(tmp_path: Path, capsys: Capture) -> None:
    assert run("send-alert", "--channel", "telegram", "--message", "x", "--data-dir", tmp_path, "--json") == 1
    document = json.loads(capsys.readouterr().out)
    assert document["sent"] is False and document["channels"][0]["status"] == "ERROR"
    assert audit(tmp_path)[0]["status"] == "ERROR" and "token" in audit(tmp_path)[0]["response"]


def test_offline_no_far_host_is_asked(tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUDZIAN_TELEGRAM_CREDENTIAL", "123456:canary-of-a-token")
    assert run("send-alert", "--channel", "telegram", "--message", "x", "--data-dir", tmp_path) == 1
    told = capsys.readouterr()
    assert "OFFLINE, api.telegram.org is not asked: the environment has offline_mode: true" in told.err
    assert "canary" not in told.err + (tmp_path / "logs" / "alerts_audit.jsonl").read_text()


def test_test_sends_over_every_active_channel(tmp_path: Path, capsys: Capture) -> None:
    assert run("alerts", "test", "--data-dir", tmp_path) == 0
    assert [line["channel"] for line in audit(tmp_path)] == ["file:local"]
