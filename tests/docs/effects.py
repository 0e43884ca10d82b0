"""Flag, variable or file of the runbook -> what it does, each with one assertion; `python -m tests.docs.effects` renews the page.

The names are those of the earlier code base's runbook for a normal day. That a flag stands in `--help` is no effect.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Final

import pyrage  # type: ignore[import-untyped] # pyrage ships no annotations

from dudzian_daemon.cli.exit_codes import ExitCode
from dudzian_daemon.kernel.clock import SystemClock
from tests.docs.operator_day import KEY, ROOT, SMOKE, WINDOW, Day
from tests.integration.daemon_process import Child

Effect = Callable[[Day], None]
EFFECTS: Final[dict[str, Effect]] = {}
PAGE: Final = Path(__file__).parents[2] / "docs" / "reference" / "effects.md"
MARK: Final = "<!-- effects: made by python -m tests.docs.effects -->"
RUN: Final = "run-daily-trend"


def effect(*names: str) -> Callable[[Effect], Effect]:
    """Register what the decorated function sees as the effect of `names`; its docstring is the text of the page."""

    def kept(seen: Effect) -> Effect:
        for name in names:
            assert name not in EFFECTS, name
            EFFECTS[name] = seen
        return seen

    return kept


def renewed(text: str) -> str:
    """The page with a fresh table below its mark."""
    rows = [f"| `{name}` | {(seen.__doc__ or '').strip()} |" for name, seen in EFFECTS.items()]
    return "\n".join([text.partition(MARK)[0] + MARK, "", "| flag, variable or file | effect |", "|---|---|", *rows, ""])


# -- run-daily-trend: what is built -----------------------------------------------------------------------------------


@effect(f"{RUN} --config")
def config(day: Day) -> None:
    """another file's environments are the ones that are known"""
    text = (day.config / "core.yaml").read_text().replace("  binance_paper:\n", "  renamed_paper:\n")
    path = day.folder / "other" / "core.yaml"
    path.parent.mkdir()
    path.write_text(text)
    (path.parent / "instruments.yaml").write_text((day.config / "instruments.yaml").read_text())
    assert day.ask(RUN, "--config", path, "--environment", "renamed_paper", "--print-risk-profiles").answer["environment_found"]


@effect(f"{RUN} --environment")
def environment(day: Day) -> None:
    """the plan is that environment's; an alias is as good as the name"""
    assert day.plan["environment_details"]["name"] == "binance_paper"


@effect(f"{RUN} --dry-run")
def dry_run(day: Day) -> None:
    """says what would run and writes nothing"""
    empty = day.folder / "dry"
    done = day.ask(RUN, "-e", "demo", "--date-window", "2020-12-01:2020-12-31", "--dry-run", data=empty)
    assert done.code == 0 and "btc_trend_d1" in done.out and not empty.exists()


@effect(f"{RUN} --mode")
def mode(day: Day) -> None:
    """`dry-run` is the flag of that name"""
    look = (RUN, "-e", "demo", "--date-window", "2020-12-01:2020-12-31")
    assert day.ask(*look, "--mode", "dry-run").out == day.ask(*look, "--dry-run").out


@effect(f"{RUN} --run-once")
def run_once(day: Day) -> None:
    """the session ends in order after its first decision"""
    assert day.ask("cycles", "-e", "binance_paper", "--summary", "--json", data=day.session).answer["total"] < 10


@effect(f"{RUN} --poll-seconds")
def poll_seconds(day: Day) -> None:
    """a venue is asked for a candle so often, also where none is due"""
    assert "every 30 s" in day.ask(RUN, "--live", "--poll-seconds", 30, "--dry-run").out


@effect(f"{RUN} --adapter-factory")
def adapter_factory(day: Day) -> None:
    """market data of a live venue comes by that exchange plugin, which the plan names with its SHA-256"""
    own = day.folder / "own" / "exchanges" / "my_binance.py"
    own.parent.mkdir(parents=True)
    own.write_bytes((ROOT / "plugins" / "exchanges" / "binance.py").read_bytes())
    said = (RUN, "--live", "--adapter-factory", "binance=my_binance", "--plugins-dir", day.folder / "own")
    (told,) = day.ask(*said, "--print-runtime-plan").answer["environment_details"]["adapter_factories"]
    assert told["sha256"] == sha256(own.read_bytes()).hexdigest()
    assert f"binance by {own}: " in day.ask(*said, "--dry-run").out


@effect(f"{RUN} --history-bars")
def history_bars(day: Day) -> None:
    """so many candles are read before the first decision, where the strategy needs no more"""
    plan = day.ask(RUN, *WINDOW, "--history-bars", 321, "--print-runtime-plan").answer
    assert plan["strategy_details"]["max_history_bars"] == 321


@effect(f"{RUN} --health-interval")
def health_interval(day: Day) -> None:
    """so often an alert says how all is"""
    paced = ("-e", "demo", "--health-interval", 1, "--speed", 100_000, "--no-ui", "--metrics-port", 0)
    with Child(day.folder / "healthy", RUN, *paced, "--data-dir", day.folder / "healthy" / "data") as child:
        child.wait_for_log('"code":"HEALTH"')
        child.send(signal.SIGTERM)
        assert child.end().code == 0


@effect(f"{RUN} --log-level")
def log_level(day: Day) -> None:
    """what is less severe is not in the runtime log"""
    quick = ("-e", "demo", "--run-once", "--speed", "max", "--log-level", "ERROR", "--no-ui", "--metrics-port", 0)
    with Child(day.folder / "terse", RUN, *quick, "--data-dir", day.folder / "terse" / "data") as child:
        assert child.end().code == 0
    assert (day.folder / "terse/data/logs/runtime/demo.log").read_text() == ""


@effect(f"{RUN} --allow-live")
def allow_live(day: Day) -> None:
    """exit 7: there is no live trading"""
    done = day.ask(RUN, "--allow-live", data=day.folder / "live")
    assert done.code == ExitCode.LIVE_BLOCKED and "no order leaves this machine" in done.err and not (day.folder / "live").exists()


@effect(f"{RUN} --date-window")
def date_window(day: Day) -> None:
    """these days are played, both included"""
    plan = day.ask(RUN, *WINDOW, "--dry-run", "--json").answer
    assert [(window["start"], window["end"]) for window in plan["windows"]] == [("2024-01-01T00:00", "2024-02-16T00:00")]


@effect(f"{RUN} --risk-profile")
def risk_profile(day: Day) -> None:
    """the gate holds the schedule to that profile's limits"""
    assert day.plan["risk_profile"]["limits"]["max_position_pct"] == "0.1"


@effect(f"{RUN} --strategy")
def strategy(day: Day) -> None:
    """the schedule of that strategy is the one that runs"""
    assert list(day.ask(RUN, *WINDOW, "--strategy", "core_volatility_target", "--dry-run", "--json").answer["schedules"]) == [
        "core_volatility_target"
    ]


@effect(f"{RUN} --controller")
def controller(day: Day) -> None:
    """the controller's interval and tick are the run's"""
    assert day.plan["controller_details"]["tick_seconds"] == 86_400


@effect(f"{RUN} --pipeline-module")
def pipeline_module(day: Day) -> None:
    """the module is asked first"""
    assert day.ask(RUN, "--print-runtime-modules", "--pipeline-module", "json").answer["pipeline"]["selected"] == "json"


@effect(f"{RUN} --realtime-module")
def realtime_module(day: Day) -> None:
    """the module is asked first for the realtime side"""
    assert day.ask(RUN, "--print-runtime-modules", "--realtime-module", "json").answer["realtime"]["selected"] == "json"


@effect("RUN_DAILY_TREND_PIPELINE_MODULES")
def pipeline_modules_variable(day: Day) -> None:
    """the same as the flag where the flag is not given; split at spaces, commas, semicolons"""
    told = day.ask(RUN, "--print-runtime-modules", RUN_DAILY_TREND_PIPELINE_MODULES="json;decimal").answer
    assert told["pipeline_modules"] == ["json", "decimal"]


@effect("RUN_DAILY_TREND_REALTIME_MODULES")
def realtime_modules_variable(day: Day) -> None:
    """the same for the realtime side"""
    told = day.ask(RUN, "--print-runtime-modules", RUN_DAILY_TREND_REALTIME_MODULES="json decimal").answer
    assert told["realtime_modules"] == ["json", "decimal"]


@effect(f"{RUN} --print-runtime-modules")
def print_runtime_modules(day: Day) -> None:
    """candidates with `origin`, `resolved_from`, `fallback_used` on stdout, and nothing is started"""
    assert {"candidates", "origin", "resolved_from", "fallback_used"} <= set(day.modules["pipeline"])


@effect(f"{RUN} --print-risk-profiles")
def print_risk_profiles(day: Day) -> None:
    """limits, data quality, environments and stages of every profile on stdout"""
    told = day.ask(RUN, "--print-risk-profiles").answer["profiles"]["balanced"]
    assert {"limits", "data_quality", "associated_environments", "deployment_pipeline"} <= set(told)


@effect(f"{RUN} --print-runtime-plan")
def print_runtime_plan(day: Day) -> None:
    """the plan on stdout, and nothing is started"""
    assert day.plan["schema"] == "dudzian.runtime_plan/1"


@effect(f"{RUN} --runtime-plan-jsonl")
def runtime_plan_jsonl(day: Day) -> None:
    """the plan is a line of that file before the run begins"""
    assert len((day.session / "plan.jsonl").read_text().splitlines()) == 1


@effect(f"{RUN} --fail-on-security-warnings")
def fail_on_security_warnings(day: Day) -> None:
    """exit 3 where a file of the plan can be written by others"""
    loose = day.folder / "loose.jsonl"
    loose.touch()
    loose.chmod(0o666)
    done = day.ask(RUN, *WINDOW, "--dry-run", "--runtime-plan-jsonl", loose, "--fail-on-security-warnings")
    assert done.code == ExitCode.SECURITY_WARNINGS


# -- run-daily-trend --paper-smoke --------------------------------------------------------------------------------------


@effect(f"{RUN} --paper-smoke", "daily_trend_smoke_*", "summary.json", "summary.txt", "ledger.jsonl", "README.txt")
def paper_smoke(day: Day) -> None:
    """the window is played once, offline, and leaves `ledger.jsonl`, `summary.json`, `summary.txt`, `README.txt`"""
    (folder,) = (path for path in day.smoke.glob("daily_trend_smoke_*") if path.is_dir())
    assert sorted(path.name for path in folder.iterdir()) == ["README.txt", "ledger.jsonl", "summary.json", "summary.txt"]


@effect("paper_smoke", "paper_smoke_compliance")
def smoke_alerts(day: Day) -> None:
    """alerts of these categories after a smoke run, the second once the audit log has its row or record"""
    assert day.smoke.is_dir()
    told = [json.loads(line) for line in (day.data / "logs/alerts_audit.jsonl").read_text().splitlines()]
    assert {line["category"]: line["status"] for line in told} | {"test": "OK"} == {
        "paper_smoke": "OK",
        "paper_smoke_compliance": "OK",
        "test": "OK",
    }


@effect(f"{RUN} --archive-smoke")
def archive_smoke(day: Day) -> None:
    """a ZIP of the report lies beside it"""
    (archive,) = day.smoke.glob("daily_trend_smoke_*.zip")
    assert "summary.json" in zipfile.ZipFile(archive).namelist()


@effect(f"{RUN} --smoke-output")
def smoke_output(day: Day) -> None:
    """the report's folder is made there"""
    assert [path for path in day.smoke.glob("daily_trend_smoke_*_binance_paper") if path.is_dir()]


@effect(f"{RUN} --smoke-min-free-mb")
def smoke_min_free_mb(day: Day) -> None:
    """too little space is in `summary.json`, and a warning"""
    out = day.folder / "low"
    day.ask(*SMOKE, "--skip-paper-precheck", "--smoke-output", out, "--smoke-min-free-mb", 10**9)
    assert '"status":"low"' in next(out.glob("*/summary.json")).read_text().replace(" ", "")


@effect(f"{RUN} --smoke-fail-on-low-space")
def smoke_fail_on_low_space(day: Day) -> None:
    """too little space is exit 4, after the report"""
    few = ("--smoke-min-free-mb", 10**9, "--smoke-fail-on-low-space", "--smoke-output", day.folder / "low4")
    assert day.ask(*SMOKE, "--skip-paper-precheck", *few).code == ExitCode.LOW_SPACE


@effect(f"{RUN} --skip-paper-precheck")
def skip_paper_precheck(day: Day) -> None:
    """no pre-check is made, and the summary says so"""
    out = day.folder / "skipped"
    day.ask(*SMOKE, "--skip-paper-precheck", "--smoke-output", out)
    assert '"skip_reason":"cli_flag"' in next(out.glob("*/summary.json")).read_text().replace(" ", "").replace("\n", "")


@effect(f"{RUN} --paper-precheck-fail-on-warnings")
def paper_precheck_fail_on_warnings(day: Day) -> None:
    """a warning of the pre-check is exit 5, and nothing is run"""
    strict = ("--paper-precheck-fail-on-warnings", "--smoke-output", day.folder / "strict")
    assert day.ask(*SMOKE, *strict).code == ExitCode.PRECHECK_FAILED


@effect(f"{RUN} --paper-precheck-audit-dir")
def paper_precheck_audit_dir(day: Day) -> None:
    """the pre-check's report is kept there"""
    assert len(list((day.smoke / "prechecks").glob("*_binance_paper.json"))) == 1


@effect(f"{RUN} --paper-smoke-audit-log")
def paper_smoke_audit_log(day: Day) -> None:
    """the row is written into that Markdown file"""
    assert "| S-0001 |" in (day.smoke / "log.md").read_text()


@effect(f"{RUN} --paper-smoke-json-log")
def paper_smoke_json_log(day: Day) -> None:
    """the record is written into that file"""
    assert '"record_id":"J-' in (day.smoke / "log.jsonl").read_text().replace(" ", "")


@effect(f"{RUN} --paper-smoke-operator")
def paper_smoke_operator(day: Day) -> None:
    """that name stands in the row"""
    assert "| ewa |" in (day.smoke / "log.md").read_text()


@effect(f"{RUN} --paper-smoke-summary-json")
def paper_smoke_summary_json(day: Day) -> None:
    """the normalised summary is written there"""
    assert '"summary_sha256"' in (day.smoke / "n.json").read_text()


@effect(f"{RUN} --paper-smoke-auto-publish")
def paper_smoke_auto_publish(day: Day) -> None:
    """the summary says what became of the publication; without a place for it that is no failure"""
    told = day.folder / "published.json"
    more = ("--smoke-output", day.folder / "published", "--paper-smoke-summary-json", told)
    assert day.ask(*SMOKE, "--skip-paper-precheck", "--paper-smoke-auto-publish", *more).code == ExitCode.OK
    assert "no place to publish to is configured" in told.read_text()


@effect(f"{RUN} --paper-smoke-auto-publish-required")
def paper_smoke_auto_publish_required(day: Day) -> None:
    """a publication that did not happen is exit 6"""
    more = ("--paper-smoke-auto-publish-required", "--smoke-output", day.folder / "required")
    assert day.ask(*SMOKE, "--skip-paper-precheck", *more).code == ExitCode.PUBLICATION_FAILED


@effect("render-paper-smoke-summary --summary-json", "render-paper-smoke-summary --summary")
def render_summary(day: Day) -> None:
    """that summary becomes Markdown"""
    texts = [day.ask("render-paper-smoke-summary", flag, day.smoke / "n.json").out for flag in ("--summary-json", "--summary")]
    assert texts[0] == texts[1] and "| Status | ok |" in texts[0]


@effect("render-paper-smoke-summary --output")
def render_output(day: Day) -> None:
    """the Markdown is written there"""
    day.ask("render-paper-smoke-summary", "--summary-json", day.smoke / "n.json", "--output", day.smoke / "n.md")
    assert "| Status | ok |" in (day.smoke / "n.md").read_text()


# -- candles and checks -----------------------------------------------------------------------------------------------


@effect("seed-paper-cache --environment")
def seed_environment(day: Day) -> None:
    """the candles lie in that environment's cache"""
    assert day.seeded.code == 0 and (day.data / "var/data/binance_paper/ohlcv_manifest.sqlite").exists()


@effect("seed-paper-cache --days")
def seed_days(day: Day) -> None:
    """so many daily candles of each instrument"""
    assert "wrote 480 made-up 1d candles of 8 instruments" in day.seeded.out


@effect("seed-paper-cache --start-date")
def seed_start_date(day: Day) -> None:
    """the first candle is of that day"""
    assert "from 2024-01-01 up to 2024-03-01" in day.seeded.out


@effect("validate-config --config")
def validate_config(day: Day) -> None:
    """that file is judged; a problem is named with line and column, exit 2"""
    bad = day.folder / "bad.yaml"
    bad.write_text((day.config / "core.yaml").read_text().replace("version: 1", "version: 1\nsurprise: 1"))
    (day.folder / "instruments.yaml").write_text((day.config / "instruments.yaml").read_text())
    done = day.ask("validate-config", "--config", bad)
    assert done.code == ExitCode.WRONG_INPUT and "bad.yaml:4:1 surprise" in done.out


@effect("check-data-coverage --environment", "check-data-coverage --json")
def coverage_environment(day: Day) -> None:
    """that environment's candles are judged; one JSON document with `status`"""
    assert day.coverage["status"] == "ok"


@effect("check-data-coverage --config")
def coverage_config(day: Day) -> None:
    """the environment is looked up in that file"""
    assert day.ask("check-data-coverage", "--config", day.config / "core.yaml", "-e", "paper", "--interval", "1d").code == 0


@effect("check-data-coverage --symbol")
def coverage_symbol(day: Day) -> None:
    """one pair is judged, in any spelling"""
    told = day.ask("check-data-coverage", "-e", "paper", "--interval", "1d", "--symbol", "BTC_USDT", "--json").answer
    assert len(told["entries"]) == 1


@effect("check-data-coverage --interval")
def coverage_interval(day: Day) -> None:
    """one length of candle is judged; `D1` is `1d`"""
    assert len(day.coverage["entries"]) == 8


@effect("check-data-coverage --output")
def coverage_output(day: Day) -> None:
    """the document is in that file too"""
    assert day.coverage["status"] in (day.folder / "c.json").read_text()


@effect("check-data-coverage --instrument-bucket", "risk.instrument_buckets")
def coverage_bucket(day: Day) -> None:
    """the members of the bucket are judged, no other"""
    asked = ("--instrument-bucket", "spot_core_major", "--interval", "1d", "--json")
    assert len(day.ask("check-data-coverage", "-e", "paper", *asked).answer["entries"]) == 2


@effect("paper-precheck --environment", "paper-precheck --json", "audit/paper_precheck_reports/")
def precheck(day: Day) -> None:
    """the environment is judged, the report is kept by time and its path and SHA-256 are in the answer"""
    told = day.ask("paper-precheck", "-e", "binance_paper", "--interval", "1d", "--json").answer
    assert Path(told["report"]["path"]).parent == day.data / "audit/paper_precheck_reports"


@effect("paper-precheck --config")
def precheck_config(day: Day) -> None:
    """that configuration is judged"""
    assert day.ask("paper-precheck", "--config", day.folder / "none.yaml", "-e", "paper").code == ExitCode.WRONG_INPUT


@effect("paper-precheck --skip-risk-check")
def precheck_skip_risk(day: Day) -> None:
    """the gate is not asked, and the report says so"""
    told = day.ask("paper-precheck", "-e", "paper", "--interval", "1d", "--skip-risk-check", "--json").answer
    assert told["risk_status"] == "skipped"


@effect("backfill --environment", "backfill --since")
def backfill_since(day: Day) -> None:
    """the plan asks for that environment's candles from that day on"""
    asked = ("-e", "paper", "--granularity", "1d", "--since", "2016-01-01", "--plan-only", "--json")
    assert {row["start"] for row in day.ask("backfill", *asked, data=day.folder / "no").answer["plan"]} == {"2016-01-01T00:00:00Z"}


@effect("backfill --granularity")
def backfill_granularity(day: Day) -> None:
    """candles of that length are asked for, and no other"""
    told = day.ask("backfill", "-e", "paper", "--granularity", "1h", "--since", "2024-01-01", "--plan-only", data=day.folder / "no").out
    assert " 1h" in told and " 1d" not in told


@effect("logs/backfill.log")
def backfill_log(day: Day) -> None:
    """a line for each series, with what was added or why it failed"""
    assert '"event":"series done"' in (day.fetched / "logs/backfill.log").read_text()


@effect("backfill --latest-only")
def backfill_latest_only(day: Day) -> None:
    """only what is newer than the newest stored candle is asked for"""
    asked = ("backfill", "-e", "paper", "--symbol", "BTC_USDT", "--granularity", "1d", "--plan-only", "--json")
    newer, all_there_is = (day.ask(*asked, *flag, data=day.fetched).answer["plan"][0]["missing_rows"] for flag in (("--latest-only",), ()))
    assert 0 < newer < all_there_is


@effect("inspect-manifest", "ohlcv_manifest.sqlite", "var/data/binance_paper")
def inspect_manifest(day: Day) -> None:
    """rows and newest bar of every series, from the manifest"""
    assert day.seeded.code == 0
    assert "60        0  2024-01-01T00:00:00Z  2024-02-29T00:00:00Z" in day.ask("inspect-manifest", "-e", "paper").out


@effect("exchange/symbol/granularity/year=YYYY/month=MM/")
def store_layout(day: Day) -> None:
    """the candles of a month lie in that folder"""
    assert day.seeded.code == 0
    assert list((day.data / "var/data/binance_paper").glob("binance/BTC_USDT/1d/year=2024/month=02/*.parquet"))


@effect(
    "run-multi-strategy-scheduler --environment",
    "run-multi-strategy-scheduler --dry-run",
    "runtime.multi_strategy_schedulers.core_multi_pipeline",
)
def scheduler_dry_run(day: Day) -> None:
    """all schedules of that environment are named, and nothing is written"""
    empty = day.folder / "rehearsed"
    done = day.ask("run-multi-strategy-scheduler", "-e", "demo", "--dry-run", "--json", data=empty)
    assert "eth_arbitrage_1h" in done.answer["schedules"] and not empty.exists()


@effect("run-multi-strategy-scheduler --config")
def scheduler_config(day: Day) -> None:
    """that configuration is taken"""
    missing = ("--config", day.folder / "none.yaml", "--dry-run")
    assert day.ask("run-multi-strategy-scheduler", *missing).code == ExitCode.WRONG_INPUT


@effect("run-multi-strategy-scheduler --emit-telemetry", "audit/metrics/telemetry.jsonl")
def emit_telemetry(day: Day) -> None:
    """a line for each run of a schedule, with its `latency_ms`"""
    data = day.folder / "emitted"
    day.ask("run-multi-strategy-scheduler", "-e", "demo", "--dry-run", "--run-once", "--emit-telemetry", data=data)
    assert '"latency_ms":' in (data / "audit/metrics/telemetry.jsonl").read_text().splitlines()[0]


# -- keys -------------------------------------------------------------------------------------------------------------


@effect("check-key-rotation --dry-run")
def rotation_dry_run(day: Day) -> None:
    """nothing is recorded, also with `--update`"""
    day.ask("check-key-rotation", "-e", "paper", "--update", "--dry-run", data=day.folder / "unrotated")
    assert not (day.folder / "unrotated" / "security").exists()


@effect("check-key-rotation --environment", "check-key-rotation --update", "security/rotation_log.json")
def rotation_update(day: Day) -> None:
    """the change of that environment's key is recorded as made now"""
    done = day.ask("check-key-rotation", "-e", "paper", "--update")
    assert done.code == 0 and "binance_paper_trading::trading" in (day.data / "security/rotation_log.json").read_text()


@effect("secrets --headless-storage", "secrets --headless-passphrase")
def headless_storage(day: Day) -> None:
    """secrets are kept in that file, encrypted"""
    value = day.folder / "value"
    value.write_text("stand-in-of-a-secret")
    place = ("--headless-storage", day.folder / "s.age", "--headless-passphrase", "a passphrase of a test")
    day.ask("secrets", "set", "kill-switch", "--from-file", value, *place)
    assert (day.folder / "s.age").read_bytes().startswith(b"age-encryption.org/v1") and b"stand-in" not in (
        day.folder / "s.age"
    ).read_bytes()


@effect(f"{RUN} --headless-storage", f"{RUN} --headless-passphrase", f"{RUN} --secret-namespace")
def run_secrets(day: Day) -> None:
    """the run takes its secrets from there: the scheduler's token is found"""
    token = day.folder / "token"
    token.write_text("stand-in-of-a-token")
    place = ("--headless-storage", day.folder / "t.age", "--headless-passphrase", "a passphrase of a test", "--secret-namespace", "mine")
    day.ask("secrets", "set", "scheduler-local", "--from-file", token, *place)
    look = (RUN, *WINDOW, "--dry-run")
    without = day.ask(*look)
    found = day.ask(*look, *place)
    assert found.code == 0 and "found none" in without.out and "found none" not in found.out


@effect("secrets --secret-namespace")
def secret_namespace(day: Day) -> None:
    """the entries of another service name are not seen"""
    place = ("--headless-storage", day.folder / "n.age", "--headless-passphrase", "a passphrase of a test")
    value = day.folder / "value"
    value.write_text("stand-in-of-a-secret")
    day.ask("secrets", "set", "kill-switch", "--from-file", value, *place, "--secret-namespace", "another")
    assert "kill-switch (kill switch): missing" in day.ask("secrets", "check", "-e", "paper", *place).out


@effect("CORE_SCHEDULER_TOKEN")
def scheduler_token(day: Day) -> None:
    """it is the scheduler's token where it is set"""
    told = day.ask("secrets", "check", "-e", "paper", CORE_SCHEDULER_TOKEN="token-of-twenty-letters").out
    assert "scheduler-local (scheduler): found" in told


@effect("DECISION_LOG_HMAC_KEY")
def hmac_key_variable(day: Day) -> None:
    """it signs the session: its log verifies with that key"""
    assert day.ask("verify-decision-log", "-e", "paper", "--hmac-key-file", day.key, data=day.session).code == 0


@effect("verify-decision-log PATH", "verify-decision-log --hmac-key-file", "logs/decision_journal/paper_binance.jsonl")
def verify_path(day: Day) -> None:
    """that log is judged with that key"""
    path = day.session / "logs/decision_journal/paper_binance.jsonl"
    assert day.ask("verify-decision-log", path, "--hmac-key-file", day.key).out.startswith(f"intact: {path}")


@effect("verify-decision-log --log", "verify-decision-log --hmac-key", "DECISION_KEY")
def verify_log(day: Day) -> None:
    """the same by flag, the key by value; others can see it, which is said"""
    path = day.session / "logs/decision_journal/paper_binance.jsonl"
    done = day.ask("verify-decision-log", "--log", path, "--hmac-key", KEY)
    assert done.out.startswith("intact: ") and "other users" in done.err


@effect("verify-decision-log --expected-key-id")
def verify_key_id(day: Day) -> None:
    """a log that names another key is not judged: exit 2"""
    path = day.session / "logs/decision_journal/paper_binance.jsonl"
    assert day.ask("verify-decision-log", path, "--hmac-key-file", day.key, "--expected-key-id", "other").code == ExitCode.WRONG_INPUT


@effect("verify-decision-log --allow-unsigned")
def verify_unsigned(day: Day) -> None:
    """a signed log is judged as without it: what is signed must verify"""
    path = day.session / "logs/decision_journal/paper_binance.jsonl"
    wrong = day.folder / "wrong.key"
    wrong.write_text("00" * 32)
    wrong.chmod(0o600)
    assert day.ask("verify-decision-log", path, "--hmac-key-file", wrong, "--allow-unsigned").code != ExitCode.OK


# -- the session and after it -----------------------------------------------------------------------------------------


@effect("show-risk-state --environment")
def risk_state(day: Day) -> None:
    """the last known state of that environment's profiles is shown"""
    assert "profile      balanced" in day.ask("show-risk-state", "-e", "paper_binance", data=day.session).out


@effect("show-risk-state --profile")
def risk_state_profile(day: Day) -> None:
    """that profile alone is shown"""
    out = day.ask("show-risk-state", "-e", "paper_binance", "--profile", "balanced", data=day.session).out
    assert "profile      balanced" in out and "profile      manual" not in out


@effect("send-alert --channel", "send-alert --message", "logs/alerts_audit.jsonl")
def send_alert(day: Day) -> None:
    """the channel takes the text, and the audit file has a line of it"""
    assert day.ask("send-alert", "--channel", "file", "--message", "Paper trading start test").code == 0
    assert "Paper trading start test" in (day.data / "logs/alerts_audit.jsonl").read_text()


@effect("config/alerts.yaml")
def alerts_yaml(day: Day) -> None:
    """it goes before the section `alerts`, channel by channel"""
    folder = day.folder / "with_alerts"
    folder.mkdir()
    for path in day.config.iterdir():
        (folder / path.name).write_text(path.read_text())
    channels = "version: 1\nalerts:\n  channels:\n    file:\n      local: {parameters: {path: logs/elsewhere.jsonl}}\n"
    (folder / "alerts.yaml").write_text(channels)
    day.ask("send-alert", "--config", folder / "core.yaml", "--channel", "file", "--message", "here", data=day.folder / "told")
    assert "here" in (day.folder / "told/logs/elsewhere.jsonl").read_text()


@effect("config/core.yaml", "default_strategy", "default_controller")
def core_yaml(day: Day) -> None:
    """an environment without `default_strategy` or `default_controller` needs the flag: exit 2, and the name of what lacks"""
    for key, value in (("default_strategy", "core_daily_trend"), ("default_controller", "daily_trend_core")):
        done = day.ask(RUN, "--config", day.changed(f"    {key}: {value}\n", ""), "--dry-run")
        assert done.code == ExitCode.WRONG_INPUT and key in done.err


@effect("config/credentials/", "credential_purpose")
def credentials(day: Day) -> None:
    """a credential that may withdraw is refused"""
    path = day.changed("", "")
    (path.parent / "credentials").mkdir()
    text = (ROOT / "config/credentials/binance_paper.yaml").read_text()
    (path.parent / "credentials" / "binance_paper.yaml").write_text(text.replace("[read, trade]", "[read, trade, withdraw]"))
    done = day.ask("validate-config", "--config", path)
    assert done.code == ExitCode.WRONG_INPUT and "withdraw" in done.out


@effect("risk.decision_log", "risk.decision_log.signing_key_id")
def decision_log(day: Day) -> None:
    """the key id of the configuration stands in every signed line"""
    assert '"risk-ci"' in (day.session / "logs/decision_journal/paper_binance.jsonl").read_text().splitlines()[-1]


@effect("telemetry-risk-profiles --summary")
def telemetry_summary(day: Day) -> None:
    """`core` is the scheduler whose runs are held against their allocations"""
    done = day.ask("telemetry-risk-profiles", "--summary", "core", data=day.session)
    assert done.code == 0 and "core_daily_trend" in done.out


@effect("logs/runtime/paper_binance.log")
def runtime_log(day: Day) -> None:
    """what happened, line by line with its level, to `Shutdown complete`"""
    lines = (day.session / "logs/runtime/paper_binance.log").read_text().splitlines()
    assert '"level":"info"' in lines[0] and "Shutdown complete" in lines[-1]


@effect("data/journal/paper_binance/*.jsonl")
def journal(day: Day) -> None:
    """the decisions of each session, in a folder of its own"""
    assert len(list((day.session / "data/journal/paper_binance").glob("*/*.jsonl"))) == 1


@effect("data/reports/daily/YYYY-MM-DD/paper_binance.zip", "ledger.csv", "decisions.jsonl")
def daily_zip(day: Day) -> None:
    """`ledger.csv`, `decisions.jsonl` and `summary.json` of the day, left by the stop and by `daily-report`"""
    assert '"event":"day_package"' in (day.session / "logs/runtime/paper_binance.log").read_text()
    names = zipfile.ZipFile(day.reported / "paper_binance.zip").namelist()
    assert sorted(names) == ["decisions.jsonl", "ledger.csv", "summary.json"]


@effect("paper_binance.zip.age", "recipients.txt")
def encrypted_zip(day: Day) -> None:
    """the package is encrypted to the keys in that file, and its SHA-256 is a row of the audit log"""
    identity = pyrage.x25519.Identity.generate()
    recipients = day.folder / "recipients.txt"
    recipients.write_text(f"# the office\n{identity.to_public()}\n")
    done = day.ask("archive-report", "paper_binance", "--recipients", recipients, "--json", data=day.session)
    sealed = (day.reported / "paper_binance.zip.age").read_bytes()
    assert done.code == 0 and pyrage.decrypt(sealed, [identity]) == (day.reported / "paper_binance.zip").read_bytes()
    assert sha256(sealed).hexdigest() in (day.session / "docs/audit/paper_trading_log.md").read_text()


@effect("runtime.resource_limits")
def resource_limits(day: Day) -> None:
    """each budget stands in `status` and in the metrics, and beside it what the process uses"""
    assert 'dudzian_resource_limit{resource="cpu_percent"} 65.0' in day.scrape
    assert 'dudzian_resource_use{resource="memory_mb"} ' in day.scrape


@effect("load_test_scheduler.py --iterations", "load_test_scheduler.py --schedules", "load_test_scheduler.py --output", "logs/load_tests")
def load_test(day: Day) -> None:
    """a daemon of its own plays so many hours of so many schedules; the report there holds that against `runtime.resource_limits`"""
    path = day.folder / "loaded/logs/load_tests/paper_mode.json"
    asked = ("--iterations", 24, "--schedules", 3, "--pace-ms", 10, "--output", path)
    done = day.ask("load-test-scheduler", *asked, "--json", data=day.folder / "loaded")
    assert done.answer == json.loads(path.read_text())
    assert done.code == (done.answer["resource_status"] == "error")
    assert (done.answer["iterations"], len(done.answer["schedules"]), done.answer["runs"]) == (24, 3, 72)
    assert {each["name"]: each["limit"] for each in done.answer["budgets"]}["memory_mb"] == 2048.0


@effect("data/reports/daily")
def report_space(day: Day) -> None:
    """`preflight` says how much room there is for it; below `reporting.min_free_mb` (2 GB) it fails, and the pre-check is exit 5"""
    shown = day.preflight["space"]
    assert shown["status"] == "ok" and "GB are free at " in shown["evidence"]
    full = ("paper-precheck", "-e", "binance_paper", "--skip-risk-check", "--audit-dir", "", "--json")
    config = day.changed("version: 1\n", "version: 1\nreporting: {min_free_mb: 900000000}\n")
    done = day.ask(*full, "--config", config, data=day.session)
    assert done.code == 5 and "disk_low" in {each["code"] for each in done.answer["checks"]}


@effect("audit/decisions", "logs/decision_journal")
def decisions_put_away(day: Day) -> None:
    """what is older than thirty days is moved there, packed, and verifies there"""
    old = shutil.copytree(day.session, day.folder / f"old-{len(list(day.folder.glob('old-*')))}", ignore=shutil.ignore_patterns("var"))
    long_ago = SystemClock().wall_ns() / 1e9 - 40 * 86_400
    for path in old.rglob("*"):
        os.utime(path, (long_ago, long_ago))
    assert day.ask("retention", "run", data=old).code == 0
    assert not (old / "logs/decision_journal/paper_binance.jsonl").exists()
    assert day.ask("verify-decision-log", "--log", old / "audit/decisions", "--hmac-key-file", day.key).out.startswith("intact: ")


@effect("data/ohlcv")
def candle_folder(day: Day) -> None:
    """the candle store lies there where the environment's `data_cache_path` says so"""
    config = day.changed("data_cache_path: var/data/binance_paper", "data_cache_path: data/ohlcv")
    elsewhere = day.folder / "ohlcv"
    seed = ("seed-paper-cache", "--days", 2, "--start-date", "2024-01-01", "--interval", "1d")
    assert day.ask(*seed, "--config", config, data=elsewhere).code == 0
    assert (elsewhere / "data/ohlcv/ohlcv_manifest.sqlite").is_file()


@effect("http://localhost:9108/metrics")
def metrics_page(day: Day) -> None:
    """orders, signals, latency of executions and the health of alert channels, for Prometheus; adapter errors once there is one"""
    assert "port: 9108" in (day.config / "core.yaml").read_text()
    for name in ("orders_total{", "signals_total{", "execution_latency_seconds_count", "alert_channel_up{", "adapter_errors_total"):
        assert f"dudzian_{name}" in day.scrape, name


@effect("docs/audit/paper_trading_log.md", "docs/audit/paper_trading_log.jsonl")
def audit_log(day: Day) -> None:
    """a row and a record for what an operator, a smoke run or an archived report enters"""
    day.ask("audit-log", "add", "note", "--text", "a note of a test", "--operator", "ewa", data=day.folder / "noted")
    assert all(
        "a note of a test" in (day.folder / f"noted/docs/audit/paper_trading_log.{ending}").read_text() for ending in ("md", "jsonl")
    )


if __name__ == "__main__":
    page = Path(sys.argv[1]) if len(sys.argv) > 1 else PAGE
    page.write_text(renewed(page.read_text(encoding="utf-8")), encoding="utf-8")
