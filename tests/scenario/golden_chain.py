"""Runs the demo as fast as it goes and prints its content chain and number of cycles: equal on every machine and every Python.

A script for `python -I` with an installed package and nothing but its run dependencies (`nox -s golden`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path


def golden_chain(home: Path) -> str:
    """`<content chain> <cycles>` of one run that writes below `home`. Raises `SystemExit` with what the daemon said if it fails."""
    data = home / "data"
    command = [sys.executable, "-I", "-m", "dudzian_daemon", "run", "--speed", "max", "--metrics-port", "0", "--data-dir", str(data)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DUDZIAN_", "DECISION_"))}
    environment |= {"DECISION_LOG_HMAC_KEY": "00" * 32}
    done = subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    (path,) = (data / "data" / "reports" / "sessions").glob("*.json")
    report = json.loads(path.read_text(encoding="utf-8"))
    return f"{report['content_chain']} {report['cycles']}"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        sys.stdout.write(golden_chain(Path(folder)) + "\n")
