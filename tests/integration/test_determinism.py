"""The demo says the same in every process: hash seed, data folder, key and clock are nothing it depends on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.daemon_process import LAST_LINE, daemon, report, verdicts, write_config

pytestmark = pytest.mark.integration

GOLDEN_SCRIPT = Path(__file__).parents[1] / "scenario" / "golden_chain.py"


def test_two_processes_end_with_one_content_chain(tmp_path: Path) -> None:
    homes = [tmp_path / "one", tmp_path / "other"]
    for number, home in enumerate(homes):
        with daemon(
            home, "--config", write_config(home), "--speed", "max", env={"PYTHONHASHSEED": str(number), "TZ": f"UTC{number:+d}"}
        ) as child:
            ended = child.end()
        assert (ended.code, ended.last_line) == (0, LAST_LINE), ended.err
    reports = [report(home / "data") for home in homes]
    assert reports[0]["content_chain"] == reports[1]["content_chain"]
    assert reports[0]["log_id"] != reports[1]["log_id"]
    assert len({next(home.rglob("*.key")).read_text() for home in homes}) == 2
    for home, said in zip(homes, reports, strict=True):
        session, decisions = verdicts(home)
        assert (session.integrity, session.completeness, decisions.integrity) == ("intact", "closed", "intact")
        assert (session.content, session.cycles) == (said["content_chain"], said["cycles"])

    golden = subprocess.run([sys.executable, "-I", str(GOLDEN_SCRIPT)], capture_output=True, text=True, check=True)
    assert golden.stdout == f"{reports[0]['content_chain']} {reports[0]['cycles']}\n"
    assert golden.stderr == ""
