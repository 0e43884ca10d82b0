"""A start after whatever ended the run before: the session goes on where its journal ends, or one line says why it does not."""

from __future__ import annotations

import json
import signal
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.integration.daemon_process import (
    LAST_LINE,
    LASTING,
    Ended,
    cycles,
    daemon,
    dudzian,
    journal_file,
    journal_lines,
    report,
    short_config,
    verdicts,
)

#: The sync at which a life of the short session ends.
VISIT = 3


def run(home: Path, *arguments: object, faults: str = "") -> Ended:
    config = home / "config" / "core.yaml"
    if not config.exists():
        short_config(home)
    said = ("run", "--data-dir", home / "data", "--config", config, "--no-ui", "--speed", "max")
    return dudzian(home, *said, *arguments, faults=faults)


def killed(home: Path, point: str = "journal.fsync", visit: int = VISIT) -> Path:
    """A short session that was killed on its way; its journal's file."""
    ended = run(home, faults=f"{point}=kill@{visit}")
    assert ended.code != 0
    return journal_file(home / "data")


def kinds(home: Path) -> list[str]:
    return [line["d"]["kind"] for line in journal_lines(home / "data")]


def entry(home: Path, kind: str, number: int = -1) -> dict[str, Any]:
    found: dict[str, Any] = [line["d"] for line in journal_lines(home / "data") if line["d"]["kind"] == kind][number]
    return found


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Content chain of the short session that nobody touches."""
    home = tmp_path_factory.mktemp("whole")
    assert run(home).code == 0
    chain: str = report(home / "data")["content_chain"]
    return chain


def assert_whole(home: Path, ended: Ended, content: str) -> None:
    assert (ended.code, ended.last_line) == (0, LAST_LINE), ended
    assert report(home / "data")["content_chain"] == content
    assert kinds(home)[-1] == "closed"
    assert {verdict.integrity for verdict in verdicts(home)} == {"intact"}


@pytest.mark.parametrize("point", ["journal.write", "journal.release", "decision_log.fsync", "ledger.write"])
def test_a_kill_around_a_write_costs_nothing(tmp_path: Path, content: str, point: str) -> None:
    killed(tmp_path, point, 2)
    ended = run(tmp_path)
    assert "goes on after cycle" in ended.out
    assert_whole(tmp_path, ended, content)


@pytest.mark.parametrize("phase", ["recover", "assemble"])
def test_a_kill_during_the_start_leaves_nothing_that_stands_in_the_way(tmp_path: Path, content: str, phase: str) -> None:
    killed_at = run(tmp_path, faults=f"run.{phase}=kill@1")
    assert killed_at.code != 0
    assert_whole(tmp_path, run(tmp_path), content)


def test_a_torn_line_is_cut_off_and_the_number_of_its_bytes_is_recorded(tmp_path: Path, content: str) -> None:
    path = killed(tmp_path)
    with path.open("ab") as file:
        file.write(b'{"d":{"kind":"cycle","seq')
    ended = run(tmp_path)
    assert "25 torn bytes cut off" in ended.out
    assert_whole(tmp_path, ended, content)
    found = entry(tmp_path, "recovered")
    assert found["torn_bytes"] == 25
    assert found["rerun_cycles"] <= found["sequence"]


# -- checkpoints -------------------------------------------------------------------------------------------------------


def stopped(home: Path, *arguments: object) -> Ended:
    """A life of a session that a service manager ends on its way: it is of five months, for a stop takes time on a slow machine."""
    config = home / "config" / "core.yaml"
    if not config.exists():
        short_config(home, lasting=LASTING)
    said = ("--config", config, "--no-ui", "--speed", "max")
    with daemon(home, *said, *arguments, faults=f"journal.fsync=pause@{VISIT}") as child:
        for _ in range(VISIT):
            child.wait_for_point("journal.fsync")
        child.send(signal.SIGTERM)
        child.go_on()
        return child.end()


def stopped_twice(home: Path) -> Path:
    """A session that was stopped twice and then killed, some cycles after its second checkpoint; its journal's file."""
    for _ in range(2):
        assert stopped(home).code == 0
    return killed(home, visit=VISIT)


def spoil(path: Path, kind: str, number: int = -1) -> None:
    """Change a digit in the middle of one line of a kind."""
    lines = path.read_bytes().splitlines(keepends=True)
    places = [place for place, line in enumerate(lines) if json.loads(line)["d"]["kind"] == kind]
    line = bytearray(lines[places[number]])
    middle = next(place for place in range(len(line) // 3, len(line)) if chr(line[place]).isdigit())
    line[middle] = ord("1") if line[middle] != ord("1") else ord("2")
    lines[places[number]] = bytes(line)
    path.write_bytes(b"".join(lines))


def test_a_service_managers_stop_keeps_the_session_for_the_next_start(tmp_path: Path) -> None:
    first = stopped(tmp_path)
    assert (first.code, first.last_line) == (0, LAST_LINE)
    assert kinds(tmp_path)[-2:] == ["checkpoint", "stopped"]
    assert entry(tmp_path, "checkpoint")["reason"] == "stop"
    ended = run(tmp_path)
    assert (ended.code, ended.last_line) == (0, LAST_LINE)
    assert f"goes on after cycle {entry(tmp_path, 'checkpoint', 0)['sequence']} (0 cycles run again)" in ended.out
    assert "recovered" not in kinds(tmp_path), "nothing had to be"
    told = cycles(journal_lines(tmp_path / "data"))
    assert [cycle["sequence"] for cycle in told] == list(range(1, len(told) + 1))
    assert {verdict.integrity for verdict in verdicts(tmp_path)} == {"intact"}


def test_the_last_good_checkpoint_is_gone_on_from(tmp_path: Path) -> None:
    path = stopped_twice(tmp_path)
    newest = entry(tmp_path, "checkpoint")
    assert run(tmp_path).code == 0
    found = entry(tmp_path, "recovered")
    assert found["rerun_cycles"] == found["sequence"] - newest["sequence"]
    assert path == journal_file(tmp_path / "data")


@pytest.mark.parametrize("bad", [1, 2])
def test_a_damaged_checkpoint_is_passed_over(tmp_path: Path, bad: int) -> None:
    path = stopped_twice(tmp_path)
    places = [entry(tmp_path, "checkpoint", number)["sequence"] for number in (0, 1)]
    for number in range(bad):
        spoil(path, "checkpoint", -1 - number)
    ended = run(tmp_path)
    assert (ended.code, ended.last_line) == (0, LAST_LINE), ended
    assert f"{bad} damaged checkpoint(s) passed over" in ended.out
    found = entry(tmp_path, "recovered")
    assert found["rerun_cycles"] == found["sequence"] - (places[0] if bad == 1 else 0)
    assert verdicts(tmp_path)[0].integrity == "tampered", "the damage stays to be seen"


def test_a_damaged_cycle_is_never_gone_on_from_but_a_new_session_may_be_begun(tmp_path: Path) -> None:
    path = killed(tmp_path)
    spoil(path, "cycle")
    before = path.read_bytes()
    ended = run(tmp_path)
    assert ended.code == 1
    assert "expected a line that fits its seal" in ended.err
    assert "verify-decision-log" in ended.err
    assert path.read_bytes() == before
    fresh = run(tmp_path, "--fresh")
    assert (fresh.code, fresh.last_line) == (0, LAST_LINE), fresh
    assert "goes on" not in fresh.out


def test_a_fresh_start_closes_the_session_before_it_and_keeps_it(tmp_path: Path, content: str) -> None:
    path = killed(tmp_path)
    ended = run(tmp_path, "--fresh")
    assert (ended.code, ended.last_line) == (0, LAST_LINE), ended
    last = json.loads(path.read_bytes().splitlines()[-1])["d"]
    assert (last["kind"], last["reason"]) == ("closed", "fresh")
    assert {verdict.integrity for verdict in verdicts(tmp_path)} == {"intact"}
    reports = [json.loads(each.read_text(encoding="utf-8")) for each in (tmp_path / "data").glob("data/reports/sessions/*.json")]
    assert [each["content_chain"] for each in reports] == [content]


# -- another configuration ---------------------------------------------------------------------------------------------


def changed(home: Path, old: str, new: str) -> None:
    path = home / "config" / "core.yaml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_another_configuration_needs_to_be_accepted(tmp_path: Path) -> None:
    path = killed(tmp_path)
    before, made = path.read_bytes(), entry(tmp_path, "run")
    changed(tmp_path, "max_position_pct: 0.05", "max_position_pct: 0.04")
    refused = run(tmp_path)
    assert refused.code == 2
    assert "risk_profiles.balanced.max_position_pct: 0.05 -> 0.04" in refused.err
    assert "--accept-change" in refused.err
    assert path.read_bytes() == before

    ended = run(tmp_path, "--accept-change")
    assert (ended.code, ended.last_line) == (0, LAST_LINE), ended
    accepted = entry(tmp_path, "run")
    assert accepted["change"]["config"]["risk_profiles.balanced.max_position_pct"] == ["0.05", "0.04"]
    assert accepted["config"] != made["config"]
    found = kinds(tmp_path)
    assert found[found.index("recovered") :][:3] == ["recovered", "run", "checkpoint"]
    told = cycles(journal_lines(tmp_path / "data"))
    assert [cycle["sequence"] for cycle in told] == list(range(1, len(told) + 1))
    assert {verdict.integrity for verdict in verdicts(tmp_path)} == {"intact"}


def _move(held: dict[tuple[str, str], Decimal], fill: dict[str, Any]) -> None:
    quantity = Decimal(fill["quantity"]) * (1 if fill["side"] == "buy" else -1)
    key = (fill["strategy"], fill["instrument"])
    held[key] = held.get(key, Decimal(0)) + quantity


def test_a_position_fills_by_the_preset_it_was_opened_under_until_it_is_flat(tmp_path: Path) -> None:
    held: dict[tuple[str, str], Decimal] = {}
    config = short_config(tmp_path, lasting=LASTING)
    while not any(held.values()):  # a slow machine may have sold before it hears of its stop
        with daemon(tmp_path, "--config", config, "--speed", 100_000) as child:
            child.wait_for_line(" buy ")
            child.send(signal.SIGTERM)
            assert child.end().code == 0
        held.clear()
        for fill in [each for cycle in cycles(journal_lines(tmp_path / "data")) for each in cycle["fills"]]:
            assert fill["preset"] == "candle_default"
            _move(held, fill)
    changed(tmp_path, "paper_trading: {allow_short: true, ", "paper_trading: {preset: pessimistic, allow_short: true, ")
    assert run(tmp_path, "--accept-change").last_line == LAST_LINE
    lines = journal_lines(tmp_path / "data")
    since = max(number for number, line in enumerate(lines) if line["d"]["kind"] == "run")
    before, after = cycles(lines[:since]), cycles(lines[since:])
    changed_states = {each["order_id"]: each for cycle in before for each in cycle["results"]}
    waiting = {(each["strategy"], each["instrument"]) for each in changed_states.values() if each["status"] == "accepted"}
    kept = waiting | {key for key, quantity in held.items() if quantity}
    presets: dict[tuple[str, str], list[str]] = {}
    for fill in [each for cycle in after for each in cycle["fills"]]:
        key = (fill["strategy"], fill["instrument"])
        expected = "candle_default" if key in kept else "pessimistic"
        assert fill["preset"] == expected, fill
        presets.setdefault(key, []).append(expected)
        _move(held, fill)
        if not held[key]:
            kept.discard(key)
    assert {name for each in presets.values() for name in each} == {"candle_default", "pessimistic"}
    assert dudzian(tmp_path, "replay", "--verify", "--data-dir", tmp_path / "data", "--config", tmp_path / "config" / "core.yaml").code == 0


def test_what_decides_no_trade_needs_no_acceptance(tmp_path: Path, content: str) -> None:
    killed(tmp_path)
    changed(tmp_path, "logging: {level: INFO}", "logging: {level: WARNING}")
    assert_whole(tmp_path, run(tmp_path), content)
