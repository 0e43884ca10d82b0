"""The hash of the whole state between two checkpoints: a replay and a start have to come to the same, and name where they do not."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from dudzian_daemon.adapters.journal_reader import sessions
from dudzian_daemon.adapters.log_report import Integrity
from dudzian_daemon.adapters.log_sources import find_logs
from dudzian_daemon.adapters.verify import Terms, verify_log
from dudzian_daemon.app.preparation import RunOptions, prepare
from dudzian_daemon.app.recovery import recover
from dudzian_daemon.app.reexecution.report import ReplayVerdict
from dudzian_daemon.domain.errors import IntegrityError
from dudzian_daemon.testing.clock import ManualClock
from tests.docs.test_verify_standalone import STANDALONE
from tests.scenario.live_like import KEY, facts_of
from tests.scenario.recorded import play, replayed, resealed
from tests.scenario.test_reexecution import Home
from tests.scenario.test_tape import WINDOW

HASHES = range(5, 40)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("hashes"), WINDOW)


@pytest.fixture(scope="module")
def session(home: Home) -> Path:
    return play(home.prepared, hashes=HASHES, ticks=45)


def forged(d: dict[str, Any], **members: object) -> dict[str, Any]:
    """The entry with other members, if it is one of a state."""
    return {**d, **members} if d["kind"] == "state" else d


def test_a_replay_comes_to_the_states_whose_hashes_are_on_record(session: Path) -> None:
    report = replayed(session)
    assert (report.verdict, report.difference) == (ReplayVerdict.EQUAL, None)
    assert report.states > 3


def test_a_state_that_is_another_is_named(session: Path, tmp_path: Path) -> None:
    folder = resealed(session, tmp_path, lambda d: forged(d, hash="0" * 64))
    report = replayed(folder)
    assert report.verdict is ReplayVerdict.DIFFERS
    assert report.difference is not None
    (value,) = report.difference.values
    assert (value.path, value.recorded, len(value.replayed)) == ("state", "0" * 64, 64)


def test_one_that_stands_after_another_cycle_than_it_says_is_tampered(session: Path, tmp_path: Path) -> None:
    folder = resealed(session, tmp_path, lambda d: forged(d, sequence=d["sequence"] + 1) if d["kind"] == "state" else d)
    (source,) = find_logs(folder)
    assert verify_log(source, Terms(key=lambda _: KEY)).integrity is Integrity.TAMPERED
    assert STANDALONE.verify(folder, KEY.secret)[0] == 1


def test_a_start_that_comes_to_another_state_ends(home: Home, tmp_path: Path) -> None:
    data = tmp_path / "data"
    prepared = prepare(RunOptions(config=home.config, data_dir=data), {})
    folder = play(prepared, hashes=HASHES, ticks=45)
    recover(prepared, sessions(data, prepared.artifact)[0], KEY, facts_of(prepared), lambda _: False, ManualClock())
    shutil.copytree(resealed(folder, tmp_path, lambda d: forged(d, hash="0" * 64)), folder, dirs_exist_ok=True)
    with pytest.raises(IntegrityError, match=r"the state after cycle \d+ comes out differently"):
        recover(prepared, sessions(data, prepared.artifact)[0], KEY, facts_of(prepared), lambda _: False, ManualClock())
