"""What stands before a run of the daily trend: the plan on record, and no warning passed over that shall not be."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from dudzian_daemon.adapters.line_file import LineFile
from dudzian_daemon.app.daily_trend.runtime_plan import RuntimePlan, encoded
from dudzian_daemon.domain.errors import DudzianError

#: Exit code of a plan with security warnings where `--fail-on-security-warnings` is given.
SECURITY_WARNINGS = 3


class SecurityWarnings(DudzianError):
    """Files of the plan are not as safe as they should be, and the operator wants that to stop the run."""

    exit_code = SECURITY_WARNINGS


def record(answer: RuntimePlan, path: Path) -> str:
    """Append the plan to `path`; returns the SHA-256 of its line (without the newline). Raises what the disk refuses."""
    line = encoded(answer)
    LineFile(path).append(line + b"\n")
    return sha256(line).hexdigest()


def require_safe(answer: RuntimePlan) -> None:
    """Raise `SecurityWarnings` with every warning of the plan, one a line."""
    if answer.security_warnings:
        raise SecurityWarnings("\n".join(f"security warning: {text}" for text in answer.security_warnings))
