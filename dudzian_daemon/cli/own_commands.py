"""Runs a command of ours as a program of its own: checklists and smoke runs ask what an operator would type, and get what he would see."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, Final

import msgspec

_TIMEOUT_SECONDS: Final = 600.0


class Done(msgspec.Struct, frozen=True):
    """How it ended, and all it wrote."""

    code: int
    out: str
    err: str

    @property
    def answer(self) -> dict[str, Any]:
        """What `--json` has printed; empty where it printed none."""
        try:
            found = json.loads(self.out)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def first_line(self) -> str:
        """The first line that says something, of stderr before stdout."""
        lines = [line for line in (self.err + "\n" + self.out).splitlines() if line.strip()]
        return lines[0].removeprefix("dudzian: ") if lines else ""


def run_own(arguments: Sequence[object]) -> Done:
    """Run `dudzian <arguments>` to its end."""
    command = [sys.executable, "-m", "dudzian_daemon", *map(str, arguments)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return Done(1, "", f"no answer within {_TIMEOUT_SECONDS:.0f} s")
    return Done(done.returncode, done.stdout, done.stderr)
