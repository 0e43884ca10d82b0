"""`dudzian daily-report` and `archive-report`: the numbers are those of the journal, the package is reproducible, the mail arrives."""

from __future__ import annotations

import csv
import io
import json
import shutil
import socketserver
import zipfile
from collections.abc import Iterator
from decimal import Decimal
from email import message_from_bytes
from email.policy import default
from hashlib import sha256
from pathlib import Path
from threading import Thread
from typing import Any

import pyrage  # type: ignore[import-untyped] # pyrage ships no annotations
import pytest

from dudzian_daemon.api import generate_daily_paper_report
from dudzian_daemon.cli.main import main
from tests.integration.daemon_process import NO_PACKAGE, daemon, journal_lines, short_config

DAY = "2024-02-14"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a month of one instrument."""
    home = tmp_path_factory.mktemp("recorded")
    with daemon(home, "--config", short_config(home, package=NO_PACKAGE), "--speed", "max", "--no-ui") as child:
        assert child.end().code == 0
    return home


@pytest.fixture
def home(recorded: Path, tmp_path: Path) -> Path:
    """A copy that a test may write into."""
    return shutil.copytree(recorded, tmp_path / "home", ignore=shutil.ignore_patterns("trace-*"))


def ask(home: Path, command: str, *arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([command, *map(str, arguments), "--data-dir", str(home / "data"), "--config", str(home / "config" / "core.yaml")])
    return int(ended.value.code or 0)


def package_of(home: Path, day: str = DAY) -> Path:
    return home / "data" / "data" / "reports" / "daily" / day / "demo.zip"


def contents(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def recomputed(home: Path) -> dict[str, Any]:
    """The day's numbers from the lines of the journal, with nothing of ours but where the files lie."""
    lines = journal_lines(home / "data")
    parts = [part for line in lines for part in line["d"].get("cycles", [line["d"]]) if part["kind"] == "cycle"]
    midnight = 1_707_868_800 * 10**9
    day = [part for part in parts if midnight <= part["instant"] < midnight + 86_400 * 10**9]
    before = [part for part in parts if part["instant"] < midnight]
    fills = [fill for part in day for fill in part.get("fills", [])]
    return {
        "cycles": len(day),
        "signals": sum(len(part.get("signals", [])) for part in day),
        "refused": sum(verdict["outcome"] == "refused" for part in day for verdict in part.get("verdicts", [])),
        "fills": len(fills),
        "traded_notional": sum((Decimal(fill["quantity"]) * Decimal(fill["price"]) for fill in fills), Decimal(0)),
        "fees_paid": sum((Decimal(fill["fee"]) for fill in fills), Decimal(0)),
        "realised": sum((Decimal(entry.get("realised", "0")) for part in day for entry in part.get("entries", [])), Decimal(0)),
        "opening_equity": Decimal(before[-1]["equity"]),
        "closing_equity": Decimal(day[-1]["equity"]),
        "closing_cash": Decimal(day[-1]["cash"]),
        "first_sequence": day[0]["sequence"],
        "last_sequence": day[-1]["sequence"],
    }


def test_the_numbers_are_those_of_the_journal(home: Path) -> None:
    assert ask(home, "daily-report", "demo", "--date", DAY, "--no-pdf") == 0
    files = contents(package_of(home))
    assert sorted(files) == ["decisions.jsonl", "ledger.csv", "summary.json"]
    summary = json.loads(files["summary.json"])
    expected = recomputed(home)
    assert expected["fills"] > 1
    assert {key: type(value)(summary[key]) for key, value in expected.items()} == expected
    rows = list(csv.DictReader(io.StringIO(files["ledger.csv"].decode())))
    assert len(rows) == summary["ledger_rows"]
    assert sum((Decimal(row["fee"]) for row in rows if row["fill_id"]), Decimal(0)) == expected["fees_paid"]
    assert {row["timestamp_utc"][:10] for row in rows} == {DAY}
    decisions = [json.loads(line) for line in files["decisions.jsonl"].splitlines()]
    assert len(decisions) == summary["decision_events"]
    assert sum(event["kind"] == "signal_received" for event in decisions) == expected["signals"]


def test_a_second_run_gives_the_same_bytes_with_the_pdf_too(home: Path) -> None:
    first = []
    for _ in range(2):
        assert ask(home, "daily-report", "demo", "--date", DAY) == 0
        first.append([package_of(home).read_bytes(), package_of(home).with_suffix(".pdf").read_bytes()])
    assert first[0] == first[1]
    assert first[0][1].startswith(b"%PDF-")
    assert (generate_daily_paper_report("demo", day=DAY, data_dir=home / "data", config=home / "config" / "core.yaml")) == package_of(home)
    assert package_of(home).read_bytes() == first[0][0]


def test_without_a_date_it_is_the_latest_day(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(home, "daily-report", "demo", "--no-pdf", "--json") == 0
    made = json.loads(capsys.readouterr().out)
    assert (made["schema"], made["summary"]["report_date"]) == ("dudzian.daily_report/1", "2024-02-29")
    assert made["sha256"] == sha256(Path(made["package"]).read_bytes()).hexdigest()


def test_an_archived_report_opens_with_the_key_and_its_digest_is_in_the_audit_log(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    identity = pyrage.x25519.Identity.generate()
    recipients = home / "recipients.txt"
    recipients.write_text(f"# the office\n{identity.to_public()}\n")
    assert ask(home, "daily-report", "demo", "--date", DAY, "--no-pdf") == 0
    capsys.readouterr()
    assert ask(home, "archive-report", "demo", "--recipients", recipients, "--operator", "jan", "--json") == 0
    done = json.loads(capsys.readouterr().out)
    sealed = Path(done["path"]).read_bytes()
    assert pyrage.decrypt(sealed, [identity]) == package_of(home).read_bytes()
    assert sha256(sealed).hexdigest() == done["sha256"]
    log = (home / "data" / "docs" / "audit" / "paper_trading_log.md").read_text()
    assert f"| D-0001 | {DAY} | jan | data/reports/daily/{DAY}/demo.zip.age | {done['sha256']} |" in log


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("daily-report", "demo", "--date", "2019-01-01"), "has cycles of 2019-01-01; there are: "),
        (("daily-report", "paper"), "has cycles; run one first: dudzian run --environment paper_binance"),
        (("daily-report", "demo", "--date", "yesterday"), "--date: expected a day as 2024-02-14, found 'yesterday'"),
        (("daily-report", "nowhere"), "unknown environment 'nowhere'"),
        (("daily-report", "demo", "--mail"), "--mail: expected a section reporting.mail"),
        (("archive-report", "demo", "--recipients", "age1nonsense"), "no daily report of demo"),
    ],
)
def test_what_is_wrong_is_one_line_and_leaves_nothing(
    arguments: tuple[str, ...], said: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(home, *arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert not (home / "data" / "data" / "reports" / "daily").exists()


def test_a_missing_extra_is_named(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("dudzian_daemon.adapters.typst_document.NEEDED", ("no_such_library",))
    assert ask(home, "daily-report", "demo") == 2
    assert 'pip install "dudzian[reports]"' in capsys.readouterr().err


class Mailbox(socketserver.StreamRequestHandler):
    """Speaks as much SMTP as a client needs to leave a mail."""

    received: list[bytes]

    def handle(self) -> None:
        self._say("220 here")
        while line := self.rfile.readline().strip().upper():
            if line.startswith(b"QUIT"):
                self._say("221 bye")
                return
            if line == b"DATA":
                self._say("354 go on")
                lines = iter(self.rfile.readline, b".\r\n")
                self.received.append(b"".join(lines))
            self._say("250 fine")

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


@pytest.fixture
def mailbox() -> Iterator[tuple[int, list[bytes]]]:
    """Port of a mail server on this machine, and what it took."""
    Mailbox.received = []
    with socketserver.TCPServer(("127.0.0.1", 0), Mailbox) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1], Mailbox.received
        server.shutdown()
        thread.join()


def configure_mail(home: Path, port: int) -> None:
    path = home / "config" / "core.yaml"
    mail = f"{{host: 127.0.0.1, port: {port}, security: none, sender: d@example.org, recipients: [o@example.org]}}"
    path.write_text(path.read_text().replace("reporting: {", f"reporting: {{mail: {mail}, "))


def test_the_mail_has_document_ledger_and_incidents(home: Path, mailbox: tuple[int, list[bytes]]) -> None:
    port, received = mailbox
    configure_mail(home, port)
    audit = home / "data" / "logs" / "alerts_audit.jsonl"
    alert = {
        "severity": "critical",
        "code": "RISK-DAILY-LIMIT",
        "title": "lost its limit",
        "created_at": f"{DAY}T10:00:00Z",
        "alert_id": "1",
    }
    audit.write_text("no line of ours\n" + 2 * (json.dumps(alert) + "\n"))
    assert ask(home, "daily-report", "demo", "--date", DAY, "--mail") == 0
    message = message_from_bytes(received[0], policy=default)
    assert message["Subject"] == f"CRITICAL: Dudzian daily report demo {DAY}"
    names = [part.get_filename() for part in message.iter_attachments()]
    assert names == [f"demo-{DAY}.pdf", f"demo-{DAY}-ledger.csv", f"demo-{DAY}-incidents.txt"]
    body = message.get_body()
    assert body is not None and "RISK-DAILY-LIMIT: lost its limit" in body.get_content()
    assert json.loads(contents(package_of(home))["summary.json"])["alerts"] == {"critical": 1}


def test_a_mail_server_that_is_gone_leaves_the_report_on_disk(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socketserver.TCPServer(("127.0.0.1", 0), Mailbox) as server:
        port = server.server_address[1]
    configure_mail(home, port)
    assert ask(home, "daily-report", "demo", "--date", DAY, "--mail") == 1
    assert f"mail server 127.0.0.1:{port} cannot be reached" in capsys.readouterr().err
    assert package_of(home).exists()
