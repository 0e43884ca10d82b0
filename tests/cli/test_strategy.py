"""`dudzian strategy`: what runs, and who may suspend it. One real daemon with a token, and folders where none runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dudzian_daemon.adapters.platform import InstanceLock
from dudzian_daemon.cli.main import main
from tests.integration.daemon_process import LASTING, Ended, cycles, daemon, dudzian, journal_lines, short_config

TOKEN = "a token of the tests, long enough"
WITH = {"CORE_SCHEDULER_TOKEN": TOKEN}
CATEGORY = "      decision_log_category: runtime.scheduler.demo\n"
GUARDED = (CATEGORY, f"{CATEGORY}      rbac_tokens: [{{token_id: scheduler-local}}]\n")


def strategy(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["strategy", *map(str, arguments)])
    return int(ended.value.code or 0)


def changes(folder: Path) -> list[tuple[str, str, str]]:
    """What became of strategies, as the journal has it."""
    return [(each["strategy"], each["change"], each["reason"]) for cycle in cycles(journal_lines(folder)) for each in cycle["strategies"]]


@pytest.mark.integration
def test_suspend_and_resume_beside_a_running_daemon(tmp_path: Path) -> None:
    data = tmp_path / "data"

    def ask(*arguments: str, env: dict[str, str]) -> Ended:
        return dudzian(tmp_path, "strategy", *arguments, "--data-dir", data, env=env)

    with daemon(tmp_path, "--config", short_config(tmp_path, guarded=GUARDED, lasting=LASTING), "--speed", 100_000, env=WITH) as child:
        child.wait_for_line("running")
        without = ask("suspend", "core_daily_trend", env={})
        wrong = ask("suspend", "core_daily_trend", env={"CORE_SCHEDULER_TOKEN": "another one, just as long"})
        suspended = ask("suspend", "core_daily_trend", "--json", env=WITH)
        again = ask("suspend", "core_daily_trend", env=WITH)
        resumed = ask("resume", "core_daily_trend", env=WITH)
        unknown = ask("resume", "core_daily_tren", env=WITH)
        ask("suspend", "demo_mean_reversion", env=WITH)
        stopped = dudzian(tmp_path, "stop", "--data-dir", data)  # free for the owner of the folder
        assert (stopped.code, child.end().code) == (0, 0)

    assert (without.code, wrong.code, again.code, unknown.code) == (1, 1, 1, 1)
    assert "needs a token with scope runtime.schedule.write, found none in the command" in without.err
    assert "the proof does not fit token 'scheduler-local'" in wrong.err
    assert again.err == "dudzian: strategy 'core_daily_trend' is suspended already\n"
    assert "unknown strategy 'core_daily_tren'; this session runs core_daily_trend, " in unknown.err
    answer = json.loads(suspended.out)
    assert (suspended.code, answer["accepted"], answer["strategy"]) == (0, True, "core_daily_trend")
    assert resumed.code == 0 and resumed.out.startswith("core_daily_trend: resume done, on the record as cycle ")

    lines = journal_lines(data)
    assert changes(data) == [
        ("core_daily_trend", "suspended", "operator"),
        ("core_daily_trend", "resumed", "operator"),
        ("demo_mean_reversion", "suspended", "operator"),
    ]
    (recorded,) = [cycle for cycle in cycles(lines) if cycle["sequence"] == answer["reply"]["sequence"]]
    assert [change["change"] for change in recorded["strategies"]] == ["suspended"]
    assert not any(TOKEN.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())

    listed = ask("list", "--json", env={})
    states = {line["name"]: line["state"] for line in json.loads(listed.out)["strategies"]}
    assert (listed.code, states["core_daily_trend"], states["demo_mean_reversion"]) == (1, "running", "suspended")
    assert "demo_mean_reversion          was suspended    binance:ETH/USDT" in ask("list", env={}).out


def test_where_none_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert [strategy(order, "x", "--data-dir", tmp_path) for order in ("suspend", "resume")] == [2, 2]
    assert strategy("list", "--data-dir", tmp_path) == 2
    assert capsys.readouterr().err.splitlines() == [
        *[f"dudzian: no daemon runs on {tmp_path}"] * 2,
        f"dudzian: no daemon has run on {tmp_path} yet; start one with: dudzian run",
    ]
    assert list(tmp_path.iterdir()) == []


def test_a_daemon_that_does_not_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINE", TOKEN)
    lock = InstanceLock.acquire(tmp_path)
    try:
        assert strategy("suspend", "x", "--data-dir", tmp_path, "--timeout", "0.1") == 1
        assert strategy("suspend", "x", "--data-dir", tmp_path, "--timeout", "0.1", "--token-id", "own", "--token-env", "MINE") == 1
    finally:
        lock.release()
    assert capsys.readouterr().err == "dudzian: no answer within 0.1 s; look at: dudzian status\n" * 2
    commands = [json.loads(path.read_text()) for path in (tmp_path / "run" / "inbox").glob("*.json")]
    proofs: list[Any] = [command.get("proof") for command in commands]
    assert sorted(proof["token"] if proof else "" for proof in proofs) == ["", "own"]


def test_help_names_the_three(capsys: pytest.CaptureFixture[str]) -> None:
    assert strategy("--help") == 0
    text = capsys.readouterr().out
    assert all(word in text for word in ("list", "suspend", "resume"))
