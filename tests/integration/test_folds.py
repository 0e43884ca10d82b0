"""Report and telemetry of a session that was stopped and gone on with: a start takes up what the last run kept, and trusts only that."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dudzian_daemon.adapters.fold_marks import FoldFile
from dudzian_daemon.adapters.keychain import SigningKey, read_key_file
from dudzian_daemon.sinks.reports import ReportMemory
from tests.integration.daemon_process import LAST_LINE, daemon, dudzian, report, session_folder, short_config
from tests.integration.killing import projected

pytestmark = pytest.mark.integration


def run(home: Path, *, stopped: bool) -> None:
    config = home / "config" / "core.yaml"
    said = ("--config", config if config.exists() else short_config(home), "--no-ui", "--speed", "max")
    with daemon(home, *said, faults="journal.fsync=pause@3" if stopped else "") as child:
        if stopped:
            for _ in range(3):
                child.wait_for_point("journal.fsync")
            child.send(signal.SIGTERM)
            child.go_on()
        ended = child.end()
    assert (ended.code, ended.last_line) == (0, LAST_LINE), ended


def told(home: Path) -> dict[str, Any]:
    """The report that the daemon left."""
    return report(home / "data")


def folded_anew(home: Path) -> dict[str, Any]:
    """The same from the whole journal, by a command that knows no marks."""
    ended = dudzian(home, "replay", str(session_folder(home / "data")), "--json", "--config", home / "config" / "core.yaml")
    document: dict[str, Any] = json.loads(ended.out)["report"]
    return document


def runs(home: Path) -> list[tuple[Any, ...]]:
    """Telemetry without what a stop in between changes: its cycle is one more that a peak may be of."""
    return [(run_id, signals, round(peak, 4)) for run_id, _, signals, peak in projected(home / "data")["telemetry"]]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("undisturbed")
    run(home, stopped=False)
    return home


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    run(tmp_path, stopped=True)
    return tmp_path


def marks(home: Path) -> FoldFile:
    key = SigningKey(id="risk-ci", secret=read_key_file(next(home.rglob("*.key"))), source="test")
    return FoldFile(home / "data" / "run" / "folds" / "demo", "report", session_folder(home / "data"), key)


def test_they_are_those_of_the_whole_session(stopped: Path, undisturbed: Path) -> None:
    run(stopped, stopped=False)
    assert told(stopped) == folded_anew(stopped)
    assert runs(stopped) == runs(undisturbed)


def test_what_was_kept_is_gone_on_from(stopped: Path) -> None:
    """Said by a figure that no cycle tells: it would not survive reading the session again."""
    kept = marks(stopped).read(ReportMemory)
    assert kept is not None
    sequence, memory = kept
    memory.report.bars += 1_000_000
    path = stopped / "data" / "run" / "folds" / "demo" / "report.json"
    marks(stopped).write(sequence, json.loads(path.read_bytes())["line_hash"], memory)
    run(stopped, stopped=False)
    assert told(stopped)["bars"] == folded_anew(stopped)["bars"] + 1_000_000


@pytest.mark.parametrize("spoil", ["changed", "cut", "gone", "of another session"])
def test_a_mark_that_is_not_ours_costs_time_and_nothing_else(stopped: Path, undisturbed: Path, spoil: str) -> None:
    for name in ("report", "telemetry"):
        path = stopped / "data" / "run" / "folds" / "demo" / f"{name}.json"
        data = path.read_bytes()
        document = json.loads(data)
        if spoil == "changed":
            document["sequence"] -= 1
        elif spoil == "of another session":
            document["log_id"] = "0" * 32
        path.write_bytes(data[:-20] if spoil == "cut" else msgspec.json.encode(document))
        if spoil == "gone":
            path.unlink()
    run(stopped, stopped=False)
    assert told(stopped) == folded_anew(stopped)
    assert runs(stopped) == runs(undisturbed)
