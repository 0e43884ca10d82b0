"""Strategies that are slow or do not come back, in a real daemon, and what a stop signal does about them."""

from __future__ import annotations

import json
import re
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.integration.bad_plugin import plugin_source
from tests.integration.daemon_process import LAST_LINE, Child, cycles, daemon, journal_lines, session_folder, short_config, verdicts

assert sys.platform != "win32", "signals as POSIX has them"

pytestmark = pytest.mark.integration

PLUGIN = plugin_source(
    warm_up=3,
    on_candle="""
        if self.params.how == "raise":
            raise LookupError("no")
    """,
    decide="""
        if self.params.how == "slow":
            time.sleep(0.5)
        elif state.seen < 400:  # far in, with lines that wait for the disk
            return ()
        elif self.params.how == "native":
            hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)
        else:
            time.sleep(3600)
    """,
)
UNIT = "slow[binance:ETH/USDT]"


def slow(home: Path, how: str, limits: str) -> tuple[Path, Mapping[str, str]]:
    """A short demo with one strategy more, and the environment that finds its plugin."""
    folder = home / "plugins" / "strategies"
    folder.mkdir(parents=True)
    (folder / "slow.py").write_text(PLUGIN, encoding="utf-8")
    schedule = "{strategy: slow, instrument_bucket: demo_pair, interval: 1h, cadence_seconds: 3600, risk_profile: balanced}"
    config = short_config(
        home,
        strategies=("strategies:\n", f"strategies:\n  slow: {{plugin: slow, parameters: {{how: {how}}}}}\n"),
        schedules=("        btc_trend_d1:", f"        slow_1h: {schedule}\n        btc_trend_d1:"),
        watchdog=("  metrics_service: {", f"  watchdog: {limits}\n  metrics_service: {{"),
    )
    return config, {"DUDZIAN_PLUGINS_DIR": str(home / "plugins")}


def started(home: Path, how: str, limits: str, faults: str = "") -> Child:
    config, env = slow(home, how, limits)
    return daemon(home, "--config", config, "--speed", "max", "--no-ui", env=env, faults=faults)


def test_a_strategy_that_fails_in_the_warm_up_is_called_no_more_at_its_third_fault(tmp_path: Path) -> None:
    with started(tmp_path, "raise", "{}") as child:
        ended = child.end()
    assert (ended.code, ended.last_line) == (0, LAST_LINE)
    found = cycles(lines := journal_lines(tmp_path / "data"))
    (record,) = [cycle for cycle in found if cycle["faults"]]
    assert (record["inputs"][0][0], len(record["faults"])) == ("warm_up", 3)
    assert record["strategies"] == [{"strategy": "slow", "change": "quarantined", "reason": "faults"}]
    assert [len(line["w"]["faults"]) for line in lines if isinstance(line["w"], dict) and "faults" in line["w"]] == [3]


def test_a_strategy_whose_calls_are_slow_is_quarantined_by_a_recorded_command(tmp_path: Path) -> None:
    with started(tmp_path, "slow", "{warn_seconds: 0.3, budget_seconds: 0.9}") as child:
        ended = child.end()
    assert (ended.code, ended.last_line) == (0, LAST_LINE)
    found = cycles(journal_lines(tmp_path / "data"))
    (record,) = [cycle for cycle in found if cycle["strategies"]]
    (command,) = [item for item in record["inputs"] if item[0] == "command"]
    assert command[2:] == [f"budget-{record['sequence']}", "quarantine", {"strategy": "slow", "reason": "budget"}]
    assert record["strategies"] == [{"strategy": "slow", "change": "quarantined", "reason": "budget"}]
    ran = [cycle["sequence"] for cycle in found if "slow_1h" in cycle["due"]]
    assert 2 < len(ran) < 24 and max(ran) < record["sequence"]
    assert not (tmp_path / "data" / "run" / "quarantine.json").exists()
    assert {verdict.integrity for verdict in verdicts(tmp_path)} == {"intact"}


@pytest.mark.parametrize("how", ["sleep", "native"])
def test_a_second_signal_ends_a_process_that_hangs_in_a_strategy(tmp_path: Path, how: str) -> None:
    """In `native` code not even the signal's handler runs."""
    with started(tmp_path, how, "{warn_seconds: 0.3, limit_seconds: 600}") as child:
        child.err.wait_for("strategy_blocks")
        child.send(signal.SIGINT)
        child.send(signal.SIGTERM)
        ended = child.end()
    assert (ended.code, LAST_LINE in ended.out, "Traceback" in ended.err) == (1, False, False)
    (left,) = json.loads((tmp_path / "data" / "run" / "quarantine.json").read_text(encoding="utf-8"))["blocked"]
    assert (left["strategy"], left["unit"]) == ("slow", UNIT)

    session = session_folder(tmp_path / "data").name
    last = cycles(journal_lines(tmp_path / "data"))[-1]["sequence"]
    said, then = ended.err.splitlines()[-2:]
    assert re.fullmatch(
        rf"dudzian: strategy {re.escape(UNIT)} has not come back for \d+\.\d s, and SIG(INT|TERM) waits for it; the process ends: "
        f"cycles up to {last} are durable, session {session} stays open",
        said,
    )
    assert then == "dudzian: the next start quarantines slow on the record and goes on with the session"
    (journal, *_) = verdicts(tmp_path)
    assert (journal.integrity, journal.completeness) == ("intact", "open")


def test_a_disk_that_hangs_as_well_does_not_keep_the_process(tmp_path: Path) -> None:
    with started(tmp_path, "sleep", "{warn_seconds: 0.3, limit_seconds: 600}", faults="journal.fsync=pause@3") as child:
        child.err.wait_for("strategy_blocks")
        child.send(signal.SIGINT)
        child.send(signal.SIGTERM)
        ended = child.end()
    assert (ended.code, LAST_LINE in ended.out) == (1, False)
    assert (tmp_path / "data" / "run" / "quarantine.json").exists()
    assert verdicts(tmp_path)[0].integrity == "intact"
