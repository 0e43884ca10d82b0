"""The runbook is a test: every block that it says can be typed is typed, in order, in a fresh checkout, in both languages.

Offline: Telegram, SMTP, SMS and the exchange are stand-ins on this machine, and a command that would leave it fails.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from dudzian_daemon.cli.main import command_names, main
from tests.docs.checkout import ROOT, TAGS, Block, Checkout, blocks_of
from tests.docs.stand_ins import StandIns, stand_ins
from tests.integration.loopback_ports import port_for_later

DOCUMENTS = [ROOT / "docs" / "runbook.md", ROOT / "docs" / "runbook.pl.md"]
OLD_SCRIPTS = [
    "run_daily_trend",
    "run_multi_strategy_scheduler",
    "backfill",
    "seed_paper_cache",
    "check_data_coverage",
    "inspect_manifest",
    "paper_precheck",
    "validate_config",
    "check_key_rotation",
    "verify_decision_log",
    "show_risk_state",
    "send_alert",
    "sync_paper_smoke_json",
    "publish_paper_smoke_artifacts",
    "render_paper_smoke_summary",
    "validate_paper_smoke_summary",
    "notify_paper_smoke_summary",
    "run_paper_smoke_ci",
    "run_metrics_service",
    "run_trading_stub_server",
    "load_test_scheduler",
    "audit_security_baseline",
    "telemetry_risk_profiles",
]


@pytest.fixture(scope="session")
def day() -> Iterator[StandIns]:
    """The stand-ins of a test process."""
    with stand_ins() as found:
        yield found


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_block_is_tagged(document: Path) -> None:
    untagged = [block.line for block in blocks_of(document) if len(block.words) < 2 or block.words[1] not in TAGS]
    assert untagged == []


def test_both_languages_have_the_same_blocks_in_the_same_order() -> None:
    english, polish = ([(block.words, block.text) for block in blocks_of(document)] for document in DOCUMENTS)
    assert english == polish


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_old_script_has_its_new_name_and_that_command_exists(document: Path) -> None:
    rows = dict(re.findall(r"^\| `(?:scripts|bot_core/runtime)/(\w+)\.py` \| (.*) \|$", document.read_text(encoding="utf-8"), re.MULTILINE))
    assert sorted(rows) == sorted(OLD_SCRIPTS)
    for script, now in rows.items():
        command = script.replace("_", "-")
        assert (f"`dudzian {command}`" in now) == (command in command_names()), now


def test_who_types_a_name_that_is_not_built_yet_is_told_so(capsys: pytest.CaptureFixture[str]) -> None:
    rows = re.findall(r"^\| `scripts/(\w+)\.py` \| not built yet", DOCUMENTS[0].read_text(encoding="utf-8"), re.MULTILINE)
    assert rows
    for script in rows:
        command = script.replace("_", "-")
        with pytest.raises(SystemExit):
            main([command, "--environment", "paper"])
        told = f"dudzian: unknown command {command!r}; it is not built yet (docs/runbook.md, Old names); see: dudzian --help\n"
        assert capsys.readouterr().err == told


@pytest.mark.integration
@pytest.mark.timeout(600)
@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_all_blocks_can_be_typed_in_order_and_end_as_stated(document: Path, day: StandIns, tmp_path: Path) -> None:
    checkout = Checkout(tmp_path, day, port_for_later())
    try:
        for block in blocks_of(document):
            _typed(checkout, block, document)
    finally:
        ended = checkout.end()
    assert ended == 0
    assert checkout.connections() == ""
    _what_the_day_left(checkout.folder, day)
    assert checkout.strangers() == []


def _typed(checkout: Checkout, block: Block, document: Path) -> None:
    if "background-until-ready" in block.words:
        checkout.start(block)
    elif "run" in block.words:
        done = checkout.type(block)
        assert done.returncode == block.exit_code, f"{document.name}:{block.line} ended with {done.returncode}\n{done.stdout[-4000:]}"


def _what_the_day_left(folder: Path, day: StandIns) -> None:
    """The day really happened: messages arrived, a decision was made and recorded, the report is archived."""
    assert any("Paper trading start test" in message for message in day.telegram)
    assert any("start+test" in message or "start test" in message for message in day.sms)
    assert any(b"paper_binance" in mail for mail in day.inbox.mails)
    audited = [json.loads(line) for line in (folder / "logs/alerts_audit.jsonl").read_text().splitlines()]
    assert {"telegram:primary", "email:ops", "sms:orange_local"} <= {row["channel"] for row in audited if row["status"] == "OK"}
    runs = [json.loads(line) for line in (folder / "audit/metrics/telemetry.jsonl").read_text().splitlines()]
    assert {run["schedule"] for run in runs} == {"core_daily_trend"}
    assert len(list(folder.glob("data/reports/daily/*/paper_binance.zip.age"))) == 1
    assert "Shutdown complete" in (folder / "logs/runtime/paper_binance.log").read_text()
    assert list((folder / "rehearsal/smoke").glob("daily_trend_smoke_*.zip"))
