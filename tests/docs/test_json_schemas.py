"""What every command prints with `--json` is what its schema says, and the schemas are those of the code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import import_module  # noqa: TID251 looks at every command, as cli/main.py does
from inspect import signature
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from dudzian_daemon.cli.json_schemas import DOCUMENTS, file_name, schema_of, text_of
from dudzian_daemon.cli.main import COMMANDS_PACKAGE, command_names
from dudzian_daemon.domain.alerts import AlertCode, alert
from dudzian_daemon.sinks.alerts.book import AlertBook, write_book
from tests.docs.operator_day import ROOT, SMOKE, Day, Done
from tests.integration.daemon_process import LASTING, daemon, short_config

SCHEMAS = ROOT / "docs" / "reference" / "schemas"
TOKEN = "a token of the tests, long enough"
CATEGORY = "      decision_log_category: runtime.scheduler.demo\n"
GUARDED = (CATEGORY, f"{CATEGORY}      rbac_tokens: [{{token_id: scheduler-local}}]\n")
PAPER = ("-e", "paper")
DEMO = ("-e", "demo", "--date-window", "2020-12-01:2020-12-31")

#: Commands that need no daemon, by what they are asked; on the folder with candles, or on that of the session that ended.
ON_CANDLES: dict[str, list[tuple[Any, ...]]] = {
    "alerts test": [(*PAPER,)],
    "alerts list": [()],
    "audit-log add": [("incident", "--text", "of a test", "--operator", "ewa")],
    "backtest": [("-e", "demo", "--strategies", "core_daily_trend", "--to", "2021-01-15")],
    "check-data-coverage": [(*PAPER, "--interval", "1d")],
    "check-key-rotation": [(*PAPER,)],
    "doctor": [(*PAPER,)],
    "inspect-manifest": [(*PAPER, "--holes")],
    "journal archive": [()],
    "paper-precheck": [(*PAPER, "--interval", "1d")],
    "plugins check": [("daily_trend",)],
    "plugins list": [()],
    "retention run": [("--dry-run",)],
    "risk sanity": [(*PAPER,)],
    "run": [("-e", "demo", "--dry-run")],
    "run-daily-trend": [
        (*DEMO, "--dry-run"),
        ("--print-runtime-modules",),
        ("--print-risk-profiles",),
        (*DEMO, "--print-runtime-plan"),
        (*SMOKE[1:], "--skip-paper-precheck", "--paper-smoke-audit-log", "", "--paper-smoke-json-log", ""),
    ],
    "run-multi-strategy-scheduler": [("-e", "demo", "--dry-run"), ("-e", "demo", "--dry-run", "--run-once", "--emit-telemetry")],
    "secrets check": [(*PAPER,)],
    "seed-paper-cache": [(*PAPER, "--days", 3, "--interval", "1d", "--dry-run")],
    "send-alert": [("--channel", "file", "--message", "of a test")],
    "sweep": [("-e", "demo", "--strategies", "core_daily_trend", "--param", "fast_ma=20,25", "--to", "2021-01-15", "--dry-run")],
    "validate-config": [(), ("--show-origin",), ("--environment", "nobody")],
}
ON_SESSION: dict[str, list[tuple[Any, ...]]] = {
    "archive-report": [("paper_binance", "--no-encrypt")],
    "cycles": [(*PAPER,), (*PAPER, "--summary")],
    "daily-report": [("paper_binance", "--no-pdf")],
    "orders": [()],
    "parity": [(*PAPER,)],
    "positions": [()],
    "replay": [(*PAPER,)],
    "risk explain": [(1, *PAPER)],
    "session head": [(*PAPER,)],
    "session list": [()],
    "show-risk-state": [(*PAPER,)],
    "status": [()],
    "strategy list": [()],
    "telemetry-risk-profiles": [()],
    "verify-decision-log": [(*PAPER,)],
}
#: These need a daemon, or write where they are asked to.
ELSEWHERE = {
    *(
        "accept-change",
        "alerts ack",
        "alerts close",
        "backfill",
        "evidence pack",
        "heads keygen",
        "init",
        "load-test-scheduler",
        "order cancel",
        "order close",
    ),
    *("order place", "preflight", "risk what-if", "session close", "session-check", "stop", "strategy resume", "strategy suspend"),
}


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Day:
    return Day(tmp_path_factory.mktemp("day"))


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch, day: Day) -> None:
    monkeypatch.setenv("DUDZIAN_KEY_FILE", str(day.key))


def with_json() -> Iterator[str]:
    """Every command that has the option."""
    for name in command_names():
        module = import_module(f"{COMMANDS_PACKAGE}.{name.replace('-', '_')}")
        callbacks = {name: getattr(module, "command", None)}
        if hasattr(module, "app"):
            callbacks = {f"{name} {each.name or each.callback.__name__}": each.callback for each in module.app.registered_commands}
        for words, callback in callbacks.items():
            if callback is not None and {"json", "as_json"} & set(signature(callback).parameters):
                yield words


def holds(command: str, done: Done) -> None:
    """The output is a document of the command's schema, and has no member at its top that the schema does not know."""
    try:
        document = json.loads(done.out)
    except ValueError:
        pytest.fail(f"{command}: no JSON (exit {done.code})\n{done.out[:500]}\n{done.err[-500:]}")
    schema = schema_of(command)
    jsonschema.validate(document, schema)
    branches = schema.get("anyOf", [schema])
    known = [set(_resolved(branch, schema).get("properties", {})) for branch in branches]
    extra = {"last_known"} if command == "show-risk-state" else {"running"} if command == "status" else set()
    assert not isinstance(document, dict) or any(set(document) - extra <= names for names in known), command


def _resolved(node: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    return dict(schema["$defs"][node["$ref"].rpartition("/")[2]]) if "$ref" in node else node


def test_every_command_with_json_has_a_schema_and_no_other() -> None:
    assert sorted(with_json()) == sorted(DOCUMENTS)
    assert set(ON_CANDLES) | set(ON_SESSION) | ELSEWHERE == set(DOCUMENTS)


def test_the_files_are_those_of_the_code() -> None:
    assert {path.name for path in SCHEMAS.iterdir()} == {file_name(command) for command in DOCUMENTS}
    stale = [command for command in DOCUMENTS if (SCHEMAS / file_name(command)).read_text(encoding="utf-8") != text_of(command)]
    assert stale == [], "make them again: python -m dudzian_daemon.cli.json_schemas docs/reference/schemas"


@pytest.mark.parametrize("command", ON_CANDLES)
def test_without_a_session(command: str, day: Day) -> None:
    for arguments in ON_CANDLES[command]:
        holds(command, day.ask(*command.split(), *arguments, "--json"))


def test_after_a_session(day: Day) -> None:
    day.reported.exists()
    for command, asked in ON_SESSION.items():
        for arguments in asked:
            holds(command, day.ask(*command.split(), *arguments, "--json", data=day.session))


def test_what_writes_where_it_is_asked_to(day: Day, tmp_path: Path) -> None:
    session = day.folder / "session"
    day.session.exists()
    holds("backfill", day.ask("backfill", *PAPER, "--granularity", "1d", "--plan-only", "--json", data=tmp_path / "none"))
    holds("evidence pack", day.ask("evidence", "pack", "newest", *PAPER, "-o", tmp_path / "e.tar.gz", "--json", data=session))
    holds("heads keygen", day.ask("heads", "keygen", "-o", tmp_path / "h.pem", "--json"))
    holds("init", day.ask("init", "--yes", "--config-dir", tmp_path / "config", "--json", data=tmp_path / "data"))
    holds("preflight", day.ask("preflight", "--json"))
    holds("session-check", day.ask("session-check", "--json", data=session))


@pytest.mark.integration
def test_beside_a_running_daemon(day: Day, tmp_path: Path) -> None:
    data = tmp_path / "data"
    config = short_config(tmp_path, guarded=GUARDED, lasting=LASTING)
    token = {"CORE_SCHEDULER_TOKEN": TOKEN}

    def ask(command: str, *arguments: object) -> None:
        holds(command, day.ask(*command.split(), *arguments, "--json", data=data, **token))

    with daemon(tmp_path, "--config", config, "--speed", 100_000, env=token) as child:
        child.wait_for_line("running")
        both = ("--config", config)
        for command in ("status", "positions", "orders", "strategy list", "show-risk-state"):
            ask(command)
        ask("strategy suspend", "core_daily_trend")
        ask("strategy resume", "core_daily_trend")
        ask("risk what-if", "ETH_USDT", "buy", "0.01", *both)
        ask("order place", "ETH_USDT", "buy", "0.01", *both)
        ask("order cancel", "nothing")
        ask("order close", "ETH_USDT", *both)
        ask("stop", "--keep-positions")
        assert child.end().code == 0
    ask("accept-change", "--dry-run", *both, "-e", "demo")
    ask("session close", *both, "-e", "demo")


def test_alerts_that_an_operator_takes_and_ends(day: Day, tmp_path: Path) -> None:
    book = AlertBook()
    book.track(msgspec.structs.replace(alert(AlertCode.DATA_LAG, "late", "a candle is late"), log_id="log", at=1_704_067_200_000_000_000))
    write_book(tmp_path, msgspec.json.encode(book))
    for command in ("alerts ack", "alerts close"):
        holds(command, day.ask(*command.split(), book.alerts[0].id, "--operator", "ewa", "--json", data=tmp_path))
    holds("alerts list", day.ask("alerts", "list", "--all", "--json", data=tmp_path))
