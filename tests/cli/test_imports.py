"""What the light commands load: a person who asks for help or state does not pay for an exchange client or a data frame."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.daemon_process import short_config

HEAVY = {"ccxt", "pyarrow", "numpy", "pandas", "aiohttp"}
SCRIPT = """
import json, sys
from dudzian_daemon.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit as ended:
    code = ended.code
sys.stderr.write(json.dumps([code, sorted({name.partition(".")[0] for name in sys.modules})]))
"""


def loaded(*arguments: object) -> tuple[int, set[str]]:
    """Exit code of a command in a process of its own, and the top-level modules it has loaded."""
    done = subprocess.run([sys.executable, "-c", SCRIPT, *map(str, arguments)], capture_output=True, text=True, check=True)
    code, names = json.loads(done.stderr.splitlines()[-1])
    return code or 0, set(names)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("--version",),
        ("run", "--help"),
        ("validate-config",),
        ("stop", "--help"),
        ("order", "--help"),
        ("risk", "--help"),
        ("show-risk-state", "--help"),
        ("cycles", "--help"),
        ("replay", "--help"),
        ("evidence", "--help"),
        ("session", "--help"),
        ("journal", "--help"),
        ("run-daily-trend", "--help"),
        ("run-daily-trend", "--print-risk-profiles"),
        ("daily-report", "--help"),
        ("archive-report", "--help"),
        ("retention", "--help"),
        ("service", "install", "--dry-run"),
        ("preflight", "--help"),
        ("session-check", "--help"),
        ("init", "--help"),
        ("sweep", "--help"),
    ],
    ids=" ".join,
)
def test_light_commands_load_nothing_heavy(arguments: tuple[str, ...]) -> None:
    code, names = loaded(*arguments)
    assert code == 0
    assert names & HEAVY == set()


@pytest.mark.parametrize("command", ["status", "stop"])
def test_commands_about_a_data_folder_load_nothing_heavy(command: str, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "status.json").write_text('{"environment": "demo", "log_id": "x", "pid": 1, "started_at": 0}')
    code, names = loaded(command, "--data-dir", tmp_path)
    assert code == {"status": 1, "stop": 2}[command]
    assert names & HEAVY == set()


def test_a_dry_run_loads_no_client_and_no_server(tmp_path: Path) -> None:
    code, names = loaded("run", "--dry-run", "--data-dir", tmp_path)
    assert code == 0
    assert names & {"ccxt", "pandas", "aiohttp", "pyarrow"} == set()


def test_a_run_loads_no_client_before_the_candles_and_no_parser_of_mail_for_metadata(tmp_path: Path) -> None:
    arguments = ["run", "--config", short_config(tmp_path), "--data-dir", tmp_path / "data", "--no-ui"]
    line = [sys.executable, "-X", "importtime", "-m", "dudzian_daemon", *map(str, arguments)]
    environment = os.environ | {"DUDZIAN_FAULTS": "feed.warm_up=exit"}
    done = subprocess.run(line, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    names = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert (done.returncode, "dudzian_daemon.services.session" in names) == (137, True)
    assert names & {*HEAVY, "email.headerregistry"} == set()
