"""`kill -9` at random moments, some of them during the start: nothing that anybody saw is lost, nothing happens twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from dudzian_daemon.adapters.log_report import Completeness, Integrity
from tests.integration.daemon_process import verdicts
from tests.integration.killing import BRIEF, KillLoop

KILLS = 30


@pytest.mark.timeout(1200)  # thirty starts, each of which takes its time on a busy machine
def test_a_session_killed_thirty_times_is_the_one_that_nobody_killed(tmp_path: Path) -> None:
    loop = KillLoop(tmp_path, kills=KILLS, life_s=0.5, window=BRIEF)
    outcome = loop.run()
    assert (outcome.kills, outcome.during_start) == (KILLS, KILLS // 10)
    lives = KILLS - outcome.during_start  # of which each has told a cycle, and every other one has answered
    assert min(outcome.acknowledged[road] for road in ("pipe", "http", "status")) >= lives, outcome
    assert outcome.acknowledged["command"] >= lives // 2, outcome
    assert (outcome.lost, outcome.doubled, outcome.tracebacks) == (0, 0, 0), outcome
    assert outcome.content_chain_equal
    assert outcome.projections_equal
    found = verdicts(loop.data.parent)
    assert [verdict.integrity for verdict in found] == [Integrity.INTACT] * 2
    assert found[0].completeness is Completeness.CLOSED
